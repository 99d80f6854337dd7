"""
What is replaced in an installed server or worker says what it waits for.

A comment beside each replacement, of one of two forms::

    # Patches gunicorn until 28.0: https://github.com/…/issues/1
    # Patches gunicorn, checked with 27.0: https://github.com/…/issues/1

"until" is the release that makes the patch unnecessary. Where none is known, the
comment names the release series that was looked at last, so that the next one is
looked at, too.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.version import Version

BACKENDS = Path(__file__).parents[3] / "src" / "django_prodserver" / "backends"
_COMMENT = re.compile(
    r"# Patches (?P<package>[\w-]+)"
    r"(?: until (?P<until>[\d.]+)|, checked with (?P<checked>\d+\.\d+)): (?P<why>.+)"
)
# hooks.py replaces what its callers name: their call counts.
_HELPER = "hooks.py"
_REPLACING = ("setattr", "hooks.call_before_first")


class Patch(NamedTuple):
    where: str
    package: str
    until: str | None
    checked: str | None

    @property
    def fault(self) -> str:
        """What is to be done about it with what is installed; "" if nothing is."""
        installed = Version(version(self.package))
        if self.until:
            if installed < Version(self.until):
                return ""
            todo = "remove the patch"
        else:
            checked = Version(self.checked or "0")
            if installed.release[:2] <= checked.release[:2]:
                return ""
            todo = "see whether it is still needed, and write the version into it"
        return f"{self.where}: {self.package} {installed} is installed: {todo}"


def patches(where: str, source: str) -> Iterator[Patch]:
    for number, line in enumerate(source.splitlines(), 1):
        if found := _COMMENT.search(line):
            package, until, checked = found["package"], found["until"], found["checked"]
            yield Patch(f"{where}:{number}", package, until, checked)


def replacements(source: str) -> Iterator[tuple[int, ast.stmt]]:
    """Yield each line that replaces something foreign, and the statement it is in."""
    tree = ast.parse(source)
    for top in tree.body:
        foreign = _foreign_names(tree, top)
        functions = {n.name for n in ast.walk(top) if isinstance(n, ast.FunctionDef)}
        for node in ast.walk(top):
            if isinstance(node, ast.Assign | ast.AugAssign):
                roots = {_root(each) for each in _attributes(node)} - {"self", "cls"}
                # Of another package, or an object that is given a function from here.
                if roots & foreign or (roots and _names_in(node.value) & functions):
                    yield node.lineno, top
            elif isinstance(node, ast.FunctionDef) and _names_in(node) & foreign:
                calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
                for call in calls:
                    if ast.unparse(call.func) in _REPLACING:
                        yield call.lineno, top


def _foreign_names(tree: ast.Module, top: ast.stmt) -> set[str]:
    """Return the names that stand for a module or a class of another package."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_foreign(node.module or ""):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            modules = {alias.name: alias.asname for alias in node.names}
            names |= {
                alias or name.split(".")[0]
                for name, alias in modules.items()
                if _is_foreign(name)
            }
    # Other names for them: module: Any = db_worker, native = import_module("x.run").
    for node in (*tree.body, *ast.walk(top)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            value = ast.unparse(node.value)
            loaded = re.match(r"import_module\('([\w.]+)'", value)
            of_names = re.match(r"(?:getattr\()?([\w.]+)(?!\w|\()", value)
            of_foreign = of_names and of_names[1].split(".")[0] in names
            if of_foreign or (loaded and _is_foreign(loaded[1])):
                targets = (
                    node.targets if isinstance(node, ast.Assign) else [node.target]
                )
                names |= {each.id for each in targets if isinstance(each, ast.Name)}
    return names


def _is_foreign(module: str) -> bool:
    ours = {"django_prodserver", "__future__", *sys.stdlib_module_names}
    return module.split(".")[0] not in ours


def _attributes(node: ast.Assign | ast.AugAssign) -> Iterator[ast.Attribute]:
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        each = target.elts if isinstance(target, ast.Tuple) else [target]
        yield from (one for one in each if isinstance(one, ast.Attribute))


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names_in(node: ast.AST) -> set[str]:
    """Return the names that are used in it, but not those that are only called."""
    called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    return {each.id for each in names if id(each) not in called}


def _text_of(source: str, top: ast.stmt) -> str:
    lines = source.splitlines()
    return "\n".join(lines[top.lineno - 1 : top.end_lineno])


FILES = sorted(p for p in BACKENDS.rglob("*.py") if p.name != _HELPER)
FOUND = [
    patch
    for path in FILES
    for patch in patches(str(path.relative_to(BACKENDS)), path.read_text())
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(BACKENDS)))
def test_each_replacement_says_what_it_waits_for(path: Path) -> None:
    source = path.read_text()
    silent = [
        f"{path}:{line}"
        for line, top in replacements(source)
        if not _COMMENT.search(_text_of(source, top))
    ]
    assert not silent, '"# Patches NAME, checked with X.Y: https://…" is missing'


@pytest.mark.parametrize("patch", FOUND, ids=lambda p: p.where)
def test_no_patch_is_there_longer_than_needed(patch: Patch) -> None:
    try:
        fault = patch.fault
    except PackageNotFoundError:
        pytest.skip(f"{patch.package} is not installed")
    assert not fault


def test_the_comments_are_read() -> None:
    assert {patch.package for patch in FOUND} >= {"gunicorn", "uvicorn", "waitress"}
    for path in FILES:
        assert path.read_text().count("# Patches ") == sum(
            patch.where.startswith(f"{path.relative_to(BACKENDS)}:") for patch in FOUND
        ), f"{path}: not of the form that this file's docstring has"


@pytest.mark.parametrize(
    ("comment", "fault"),
    [
        ("# Patches pytest until 1.0: x", "remove the patch"),
        ("# Patches pytest, checked with 1.0: x", "see whether it is still needed"),
        ("# Patches pytest until 9999: x", ""),
        ("# Patches pytest, checked with 9999.0: x", ""),
    ],
)
def test_a_release_that_has_the_fix_is_noticed(comment: str, fault: str) -> None:
    (patch,) = patches("file.py", comment)
    assert fault in patch.fault
    assert bool(fault) == bool(patch.fault)


@pytest.mark.parametrize(
    "source",
    [
        "import gunicorn.glogging\ngunicorn.glogging.Logger = 1",
        "from uvicorn import Server\nServer.shutdown = None",
        "def f():\n    from x import y\n    module: Any = y\n    module.z = 1",
        "native = import_module('hypercorn.run')\nnative.run = 1",
        "import rq\nw = getattr(rq.worker, 'W', 0)\nw.a, w.b = 1, 2",
        "def f(consumer):\n    def g(): pass\n    consumer.loop = g",
        "from x import y\ndef f():\n    setattr(y, 'z', 1)",
    ],
)
def test_a_replacement_is_found(source: str) -> None:
    assert [*replacements(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.argv = []",
        "class A:\n    def f(self, g):\n        self.g = g",
        "from x import Y\ny = Y()\ny.name = 1",
        "from django_prodserver.text import redact\nredact.x = 1",
    ],
)
def test_what_is_ours_needs_no_comment(source: str) -> None:
    assert not [*replacements(source)]
