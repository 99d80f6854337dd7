"""The rule from ARGS to a command line, and the one that merges two of them."""

from decimal import Decimal
from pathlib import Path

import pytest
from django.utils.functional import lazystr

from django_prodserver.config.argv import (
    ArgumentError,
    Option,
    OptionTable,
    merge,
    names,
    render,
    value_of,
)

GRAMMAR = OptionTable(
    (
        Option("bind", "list", "--bind", spellings=("b",)),
        Option("workers", "value", "--workers", spellings=("w",)),
        Option("keep-alive", "value", "--keep-alive", spellings=("keepalive",)),
        Option("field-size", "value", "--field_size"),
        Option("env", "list", "--env", spellings=("e",)),
        Option("queues", "value", "--queues", spellings=("Q",)),
        Option("preload", "flag", "--preload", spellings=("preload-app",)),
        Option("access-log", "flag", "--access-log", off="--no-access-log"),
        Option("sendfile", "flag", "", off="--no-sendfile"),
        Option("deflate", "bool", "--deflate"),
    )
)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param({}, [], id="nothing-is-no-words"),
        pytest.param({"workers": 4}, ["--workers=4"], id="number"),
        pytest.param({"timeout": 0.5}, ["--timeout=0.5"], id="fraction"),
        pytest.param({"timeout": Decimal("1.5")}, ["--timeout=1.5"], id="decimal"),
        pytest.param({"workers": 0}, ["--workers=0"], id="zero-is-a-value"),
        pytest.param({"workers": ""}, ["--workers="], id="empty-text-is-a-value"),
        pytest.param({"bind": "a b"}, ["--bind=a b"], id="text-stays-one-word"),
        pytest.param({"env": "A=-x"}, ["--env=A=-x"], id="text-with-equals-and-dash"),
        pytest.param({"bind": Path("/x")}, ["--bind=/x"], id="path"),
        pytest.param({"bind": lazystr("a")}, ["--bind=a"], id="lazy-text"),
        pytest.param({"bind": ["a", 1]}, ["--bind=a", "--bind=1"], id="list-repeats"),
        pytest.param({"bind": ("a", "b")}, ["--bind=a", "--bind=b"], id="tuple"),
        pytest.param({"bind": {"a"}}, ["--bind=a"], id="set"),
        pytest.param({"bind": []}, [], id="empty-list-leaves-it-out"),
        pytest.param({"queues": ["a", "b"]}, ["--queues=a,b"], id="list-for-one-value"),
        pytest.param({"queues": []}, [], id="empty-list-for-one-value"),
        pytest.param({"workers": False}, [], id="false-leaves-a-value-out"),
        pytest.param(
            {"workers": 2, "bind": "a"}, ["--workers=2", "--bind=a"], id="in-order"
        ),
    ],
)
def test_a_value(args, words):
    assert render(args, GRAMMAR) == words


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param({"preload": True}, ["--preload"], id="true-is-the-bare-flag"),
        pytest.param({"preload": None}, ["--preload"], id="none-is-the-bare-flag"),
        pytest.param({"preload": False}, [], id="false-leaves-it-out"),
        pytest.param({"preload": "True"}, ["--preload"], id="true-as-text"),
        pytest.param({"preload": "False"}, [], id="false-as-text"),
        pytest.param({"preload": lazystr("on")}, ["--preload"], id="lazy-text"),
        pytest.param({"preload": "off"}, [], id="off"),
        pytest.param({"preload": 1}, ["--preload"], id="one"),
        pytest.param({"preload": 0}, [], id="zero"),
        pytest.param({"access-log": True}, ["--access-log"], id="pair-on"),
        pytest.param({"access-log": False}, ["--no-access-log"], id="pair-off"),
        pytest.param({"access-log": "no"}, ["--no-access-log"], id="pair-off-as-text"),
        pytest.param(
            {"no-access-log": True}, ["--no-access-log"], id="negative-name-on"
        ),
        pytest.param(
            {"no-access-log": False}, ["--access-log"], id="negative-name-off"
        ),
        pytest.param({"sendfile": False}, ["--no-sendfile"], id="negative-only-off"),
        pytest.param({"sendfile": True}, [], id="negative-only-on-needs-no-word"),
        pytest.param({"no-sendfile": True}, ["--no-sendfile"], id="negative-only-name"),
        pytest.param({"deflate": True}, ["--deflate=true"], id="spelled-out-true"),
        pytest.param({"deflate": False}, ["--deflate=false"], id="spelled-out-false"),
        pytest.param({"deflate": "auto"}, ["--deflate=auto"], id="spelled-out-text"),
    ],
)
def test_a_switch(args, words):
    assert render(args, GRAMMAR) == words


@pytest.mark.parametrize(
    ("key", "word"),
    [
        pytest.param("keep-alive", "--keep-alive=5", id="name"),
        pytest.param("keep_alive", "--keep-alive=5", id="underscores"),
        pytest.param("keepalive", "--keep-alive=5", id="the-servers-other-name"),
        pytest.param("--keep-alive", "--keep-alive=5", id="with-dashes"),
        pytest.param("w", "--workers=5", id="short"),
        pytest.param("-w", "--workers=5", id="short-with-a-dash"),
        pytest.param("W", "--W=5", id="short-names-have-a-case"),
        pytest.param("field_size", "--field_size=5", id="the-servers-own-underscore"),
        pytest.param("field-size", "--field_size=5", id="and-without-it"),
    ],
)
def test_a_key_in_any_spelling_is_the_servers_option(key, word):
    assert render({key: 5}, GRAMMAR) == [word]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("x", ["--new-one=x"], id="value"),
        pytest.param(["x", "y"], ["--new-one=x", "--new-one=y"], id="list"),
        pytest.param(True, ["--new-one"], id="true"),
        pytest.param(None, ["--new-one"], id="none"),
        pytest.param(False, [], id="false"),
    ],
)
def test_an_option_newer_than_the_table_is_left_to_the_server(value, words):
    assert not GRAMMAR.knows("new_one")
    assert render({"new_one": value}, GRAMMAR) == words


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param(
            "-w 4 --bind 'a b'", ["-w", "4", "--bind", "a b"], id="text-as-a-shell"
        ),
        pytest.param(["-w", 4, Path("/x")], ["-w", "4", "/x"], id="list-as-it-is"),
        pytest.param(("--bind=$HOME",), ["--bind=$HOME"], id="no-shell-for-a-tuple"),
        pytest.param("--bind=$HOME", ["--bind=$HOME"], id="no-shell-for-text-either"),
        pytest.param("", [], id="empty-text"),
        pytest.param([], [], id="empty-list"),
    ],
)
def test_args_that_are_words_already(args, words):
    assert render(args, GRAMMAR) == words


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(4, "is 4, not a dictionary", id="args-number"),
        pytest.param(None, "is None, not a dictionary", id="args-none"),
        pytest.param("--bind 'a", 'is "--bind \'a"', id="args-open-quotation"),
        pytest.param(["-w", True], "has True, a bool", id="args-list-of-bool"),
        pytest.param(["-w", None], "has None, a NoneType", id="args-list-of-none"),
        pytest.param({4: "x"}, "has the key 4", id="key-number"),
        pytest.param({"": "x"}, "has the key ''", id="key-empty"),
        pytest.param({"--": "x"}, "has the key '--'", id="key-dashes"),
        pytest.param({"env": {"A": 1}}, "['env'] has {'A': 1}, a dict", id="dict"),
        pytest.param({"env": b"x"}, "['env'] has b'x', a bytes", id="bytes"),
        pytest.param({"env": [None]}, "['env'] has None", id="none-in-a-list"),
        pytest.param({"env": [["a"]]}, "['env'] has ['a'], a list", id="list-in-list"),
        pytest.param({"workers": None}, "['workers'] is None", id="value-none"),
        pytest.param({"workers": True}, "['workers'] is True", id="value-true"),
        pytest.param({"w": True}, "['w'] is True, but --workers needs", id="its-key"),
        pytest.param({"deflate": None}, "['deflate'] is None", id="spelled-out-none"),
        pytest.param({"preload": "flase"}, "['preload'] is 'flase'", id="flag-typo"),
        pytest.param({"preload": ["a"]}, "['preload'] is ['a']", id="flag-list"),
        pytest.param({"preload": 2}, "['preload'] is 2", id="flag-number"),
    ],
)
def test_what_no_command_line_can_say_is_an_error_with_the_value(args, said):
    with pytest.raises(ArgumentError) as caught:
        render(args, GRAMMAR)
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("weak", "strong", "merged"),
    [
        pytest.param("--workers=4", "--workers=8", "--workers=8", id="same-spelling"),
        pytest.param("--workers=4", "-w 8", "-w 8", id="short"),
        pytest.param("--workers=4", "-w8", "-w8", id="short-in-one-word"),
        pytest.param("--workers=4", "--workers 8", "--workers 8", id="two-words"),
        pytest.param("-w 4", "--workers=8", "--workers=8", id="short-is-replaced"),
        pytest.param("-w4", "--workers=8", "--workers=8", id="one-word-is-replaced"),
        pytest.param("--workers 4", "-w8", "-w8", id="two-words-are-replaced"),
        pytest.param("--keep_alive=1", "--keepalive=2", "--keepalive=2", id="spelling"),
        pytest.param(
            "--bind=a --workers=4 -b b", "--bind=c", "--workers=4 --bind=c", id="a-list"
        ),
        pytest.param("--bind=a", "-b b -b c", "-b b -b c", id="by-a-list"),
        pytest.param("--access-log", "--no-access-log", "--no-access-log", id="off"),
        pytest.param("--no-access-log", "--access-log", "--access-log", id="on"),
        pytest.param("--new=1", "--new=2", "--new=2", id="an-unknown-option"),
        pytest.param("--new 1", "--new 2", "--new 2", id="an-unknown-one-in-two-words"),
    ],
)
def test_the_stronger_command_line_replaces(weak, strong, merged):
    assert merge(weak.split(), strong.split(), GRAMMAR) == merged.split()


@pytest.mark.parametrize(
    ("weak", "strong", "merged"),
    [
        pytest.param("--workers=4", "--bind=a", "--workers=4 --bind=a", id="others"),
        pytest.param("--workers=4", "", "--workers=4", id="all-if-nothing-is-stronger"),
        pytest.param("", "--workers=4", "--workers=4", id="nothing-below"),
        pytest.param("--workers=4 high low", "-w 8", "high low -w 8", id="positionals"),
        pytest.param("--workers 4 high", "-w 8", "high -w 8", id="after-two-words"),
        pytest.param("-w4 high", "-w 8", "high -w 8", id="after-a-short-in-one-word"),
        pytest.param("-eA=b high", "-e C=d", "high -e C=d", id="after-a-short-with-="),
        pytest.param(
            "--preload high", "--preload", "high --preload", id="after-a-flag"
        ),
        pytest.param("high", "low", "high low", id="both-ones-positionals"),
        pytest.param("-w 4 -", "-w 8", "- -w 8", id="a-lone-dash"),
        pytest.param("-b - high", "-b a", "high -b a", id="a-lone-dash-is-a-value"),
        pytest.param(
            "-Q -1 high", "-Q 2", "high -Q 2", id="negative-numbers-are-values"
        ),
        pytest.param("-- --workers=4", "", "-- --workers=4", id="after-two-dashes"),
        pytest.param(
            "-w 4 -- --workers=4", "-w 8", "-w 8 -- --workers=4", id="before-two-dashes"
        ),
        pytest.param("-w 4 -- a", "-w 8 -- b", "-w 8 -- a b", id="two-dashes-in-both"),
        pytest.param("-w 4", "-- -w", "-w 4 -- -w", id="two-dashes-in-the-stronger"),
    ],
)
def test_what_is_not_replaced_is_kept(weak, strong, merged):
    assert merge(weak.split(), strong.split(), GRAMMAR) == merged.split()


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        pytest.param("workers", "--workers=4", "4", id="one-word"),
        pytest.param("workers", "--workers 4", "4", id="two-words"),
        pytest.param("workers", "-w 4", "4", id="short"),
        pytest.param("workers", "-w4", "4", id="short-in-one-word"),
        pytest.param("workers", "-w=4", "4", id="short-with-an-equals-sign"),
        pytest.param("env", "-eA=b", "A=b", id="short-and-its-value-has-an-="),
        pytest.param("env", "--env=A=b", "A=b", id="long-and-its-value-has-an-="),
        pytest.param("workers", "-w 4 --workers=8", "8", id="the-last-one"),
        pytest.param("workers", "-w4 app:app", "4", id="not-the-positional"),
        pytest.param("workers", "--bind=a", None, id="not-given"),
        pytest.param("workers", "-- --workers=4", None, id="not-an-option"),
        pytest.param("preload", "--preload", "", id="flag"),
        pytest.param("preload", "--preload app:app", "", id="flag-before-a-positional"),
        pytest.param("access-log", "--access-log", "", id="pair-on"),
        pytest.param("access-log", "--no-access-log", None, id="pair-off"),
        pytest.param("access-log", "--access-log --no-access-log", None, id="last-off"),
        pytest.param("access-log", "--no-access-log --access-log", "", id="last-on"),
        pytest.param("new", "--new=1", "1", id="an-unknown-option"),
    ],
)
def test_the_value_that_a_command_line_gives(name, words, value):
    assert value_of(name, words.split(), GRAMMAR) == value


def test_a_list_for_one_value_is_joined_as_the_server_wants():
    spaces = OptionTable([Option("queues", "value", "--queues")], join=" ")
    assert render({"queues": ["a", "b"]}, spaces) == ["--queues=a b"]


def test_the_form_that_an_option_lacks_is_no_name_of_it():
    assert not GRAMMAR.knows("")
    assert not GRAMMAR.knows("--")


ABBREVIATED = OptionTable(
    [
        Option("bind", "list", "--bind", spellings=("b",)),
        Option("preload", "flag", "--preload"),
        Option("work", "value", "--work"),
        Option("worker-class", "value", "--worker-class"),
        Option("worker-tmp", "value", "--worker-tmp"),
    ],
    abbreviates=True,
)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--bin=a"], "bind", "a"),
        (["--bi", "a"], "bind", "a"),
        (["--worker-c", "a"], "worker-class", "a"),
        (["--work", "a"], "work", "a"),
        (["--pre"], "preload", ""),
    ],
)
def test_an_abbreviation_is_the_only_option_that_begins_so(words, name, value):
    assert names(words, ABBREVIATED) == [name]
    assert value_of(name, words, ABBREVIATED) == value


def test_an_ambiguous_abbreviation_is_left_to_the_server():
    assert names(["--worker=a"], ABBREVIATED) == ["worker"]
    assert ABBREVIATED.may_take("--worker")
    assert not ABBREVIATED.may_take("--forker")


def test_only_the_command_line_is_abbreviated():
    """ARGS may name an option of a newer server."""
    assert render({"bin": "a"}, ABBREVIATED) == ["--bin=a"]
    assert names(["-bin"], ABBREVIATED) == ["bind"]  # -b with the value "in"


def test_a_switch_is_not_abbreviated_by_accident():
    assert ABBREVIATED.abbreviates_switch("--pre") == "--preload"
    assert ABBREVIATED.abbreviates_switch("--preload") == ""
    assert ABBREVIATED.abbreviates_switch("--bin") == ""
