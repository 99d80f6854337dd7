"""Edits of settings: whatever form they have, the rest of the text stays as it is."""

from __future__ import annotations

import ast

import pytest

from django_prodserver.commands.init import source

#: Forms of a list of "a" and "b" in settings.
EDITABLE = {
    "one line": 'APPS = ["a", "b"]\n',
    "one line, comma": 'APPS = ["a", "b",]\n',
    "single quotes": "APPS = ['a', 'b']\n",
    "lines": 'APPS = [\n    "a",\n    "b",\n]\n',
    "no last comma": 'APPS = [\n    "a",\n    "b"\n]\n',
    "no last comma, comment": 'APPS = [\n    "a",  # first\n    "b"  # last, all\n]\n',
    "comments": 'APPS = [\n    # ours\n    "a",\n    "b",  # theirs, ]\n    # end\n]\n',
    "tabs": 'APPS = [\n\t"a",\n\t"b",\n]\n',
    "windows": 'APPS = [\r\n    "a",\r\n    "b",\r\n]\r\n',
    "tuple": 'APPS = (\n    "a",\n    "b",\n)\n',
    "tuple in one line": 'APPS = ("a", "b")\n',
    "hanging": 'APPS = ["a",\n        "b"]\n',
    "several on a line": 'APPS = [\n    "a", "b",\n]\n',
    "bracket after": 'APPS = [\n    "a",\n    "b"]\n',
    "annotated": 'APPS: list[str] = ["a", "b"]\n',
    "extended later": 'APPS = ["a", "b"]\nAPPS += []\n',
    "not ASCII": 'NAME = "é"; APPS = ["a", "b"]  # é\n',
    "not ASCII inside": 'APPS = [\n    "a",  # größer\n    "b",\n]\n# é\n',
    "indented bracket": 'APPS = [\n    "a",\n    "b",\n    ]\n',
    "in a string": 'TEXT = """\nAPPS = [\n"""\nAPPS = ["a", "b"]\n',
    "no newline at the end": 'APPS = ["a", "b"]',
}
NOT_EDITABLE = {
    "concatenation": 'APPS = ["a"] + ["b"]\n',
    "a call": 'APPS = list(["a", "b"])\n',
    "a name": 'BASE = ["a", "b"]\nAPPS = BASE\n',
    "twice": 'APPS = ["a"]\nAPPS = ["a", "b"]\n',
    "in a condition": 'if True:\n    APPS = ["a", "b"]\n',
    "in a function": 'APPS = f()\ndef f():\n    APPS = ["a"]\n    return APPS\n',
    "without parentheses": 'APPS = "a", "b"\n',
    "only extended": 'APPS += ["a", "b"]\n',
    "none": "OTHER = []\n",
    "attribute": "x.APPS = []\n",
}


def value(text: str) -> list[str]:
    space: dict[str, list[str]] = {}
    exec(compile(text, "settings", "exec"), space)  # noqa: S102  # the tests' own
    return list(space["APPS"])


@pytest.mark.parametrize("text", EDITABLE.values(), ids=EDITABLE)
@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, ["new", "a", "b"]),
        ("a", ["a", "new", "b"]),
        ("b", ["a", "b", "new"]),
        ("", ["a", "b", "new"]),
    ],
)
def test_an_element_is_inserted(
    text: str, after: str | None, expected: list[str]
) -> None:
    changed = source.insert(text, "APPS", "new", after=after)
    assert value(changed) == expected
    # All that was there is there, in its order.
    rest = iter(changed)
    assert all(character in rest for character in text)
    assert changed.count("\n") - text.count("\n") in (0, 1)
    assert changed.count("\r\n") == (changed.count("\n") if "\r" in text else 0)
    type_before = type(source.find_list(text, "APPS"))
    assert type(source.find_list(changed, "APPS")) is type_before


@pytest.mark.parametrize("text", ["APPS = []\n", "APPS = ()\n", "APPS = [\n]\n"])
def test_an_empty_list_takes_an_element(text: str) -> None:
    changed = source.insert(text, "APPS", "new")
    assert value(changed) == ["new"]


@pytest.mark.parametrize("text", NOT_EDITABLE.values(), ids=NOT_EDITABLE)
def test_what_cannot_be_edited_is_not_found(text: str) -> None:
    assert source.find_list(text, "APPS") is None


@pytest.mark.parametrize("name", ["lines", "no last comma", "tabs", "comments"])
def test_a_new_line_looks_like_the_others(name: str) -> None:
    text = EDITABLE[name]
    changed = source.insert(text, "APPS", "new", after="a").splitlines()
    [old] = [line for line in changed if '"a"' in line]
    [new] = [line for line in changed if '"new"' in line]
    assert new == old.partition('"a"')[0] + '"new",'


@pytest.mark.parametrize("text", ["A = 1\n", "A = 1", "A = 1\r\n", ""])
def test_lines_are_appended_below_a_blank_line(text: str) -> None:
    changed = source.append(text, "B = 2\nC = 3\n")
    ast.parse(changed)
    assert changed.splitlines()[-3:] == ["", "B = 2", "C = 3"]
    assert changed.count("\r\n") == (changed.count("\n") if "\r" in text else 0)
