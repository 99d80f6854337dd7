"""
Whatever the settings and the machine say: a start or a clean error.

The examples are the same in each run; ``HYPOTHESIS_PROFILE=search`` looks for others.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from django_prodserver.backends import loader
from django_prodserver.backends.introspection import OptionFile, option_table
from django_prodserver.checks import processes as process_checks
from django_prodserver.checks.ids import WarningId
from django_prodserver.commands import listing
from django_prodserver.config import argv, bind, cgroups, concurrency, processes
from django_prodserver.config.argv import ArgumentError, OptionTable
from django_prodserver.config.keys import KEYS
from django_prodserver.exceptions import (
    ConfigurationError,
    Fault,
    ProdserverError,
    UnknownProcess,
)

settings.register_profile("tests", derandomize=True, deadline=None, max_examples=150)
settings.register_profile("search", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))

TABLES = [
    OptionFile(f"django_prodserver.backends.{package}", name)
    for package, name in (
        ("gunicorn", "options.json"),
        ("uvicorn", "options.json"),
        ("granian", "options.json"),
        ("waitress", "options.json"),
        ("celery", "worker_options.json"),
        ("django_q2", "options.json"),
        ("rq", "options.json"),
        ("huey", "options.json"),
    )
]
# Nothing that a shell, a terminal or a file name could take for more than text.
nasty = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "-", "--", "--bind", "=", "a=b", "$()", "`id`", "../.."]),
    st.sampled_from(["\n", "\0", "'", '"', "$PORT", "%s", "{}", "\ud800", "é", "-1"]),
    st.just("x" * 5000),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), nasty, st.binary(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(nasty, inner, max_size=3)
    ),
    max_leaves=6,
)


def check(message: str) -> None:
    """Fail if a message is none that a user can read."""
    assert message
    assert "\n" not in message
    assert len(message) < 1000


def told_before(error: ConfigurationError, found: list[CheckMessage]) -> None:
    """Fail if the checks have not told what a start stops at."""
    check(error.message)
    assert (error.message, error.fault) in {(each.msg, each.id) for each in found}


@st.composite
def known_args(draw: st.DrawFn) -> tuple[OptionTable, dict[str, Any]]:
    """Options that a server knows, under any spelling, with any value."""
    table = option_table(draw(st.sampled_from(TABLES)))
    spellings = [
        spelling
        for option in table.options
        for spelling in (option.name, *option.spellings, option.on)
        if spelling.strip("-")
    ]
    return table, draw(st.dictionaries(st.sampled_from(spellings), values, max_size=4))


@given(known_args())
def test_args_are_words_or_an_argument_error(made: tuple[OptionTable, Any]) -> None:
    table, args = made
    try:
        words = argv.render(args, table)
    except ArgumentError as error:
        check(error.message)
        return
    assert all(isinstance(word, str) for word in words)
    # Each word is an option of one of the keys, and has its value with it.
    named = {table.find(key)[0].name for key in args}
    assert set(argv.names(words, table)) <= named


@given(
    st.dictionaries(nasty, values, max_size=4) | nasty | st.lists(values, max_size=4)
)
def test_args_of_any_kind_are_words_or_an_argument_error(args: Any) -> None:
    try:
        words = argv.render(args, OptionTable())
    except ArgumentError as error:
        check(error.message)
    else:
        assert all(isinstance(word, str) for word in words)


@given(known_args(), known_args())
def test_the_stronger_command_line_wins_and_loses_nothing(
    made: tuple[OptionTable, Any], other: tuple[OptionTable, Any]
) -> None:
    table = made[0]
    try:
        weak = argv.render(made[1], table)
        strong = argv.render(
            {key: value for key, value in other[1].items() if table.knows(key)}, table
        )
    except ArgumentError:
        return
    merged = argv.merge(weak, strong, table)
    for name in argv.names(strong, table):
        assert argv.values_of(name, merged, table) == argv.values_of(
            name, strong, table
        )
    for name in argv.names(weak, table):
        if name not in argv.names(strong, table):
            assert argv.values_of(name, merged, table) == argv.values_of(
                name, weak, table
            )
    # Once more changes nothing.
    assert argv.merge(merged, strong, table) == merged


@given(st.one_of(nasty, st.from_regex(r"\A\[?[0-9a-f:.]{0,20}\]?:[0-9]{0,6}\Z")))
def test_an_address_is_read_the_same_when_it_is_written_again(text: str) -> None:
    found = bind.parse(text)
    if found is not None:
        again = bind.parse(found.text)
        assert again is not None
        assert again == found
        assert found.path or found.fd or bind.is_port(found.port)


@given(
    st.dictionaries(
        st.sampled_from(
            (
                *("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
                *("memory.max", "memory.limit_in_bytes"),
            )
        ),
        st.one_of(
            st.binary(max_size=20),
            st.from_regex(rb"\A(max|-1|[0-9]{1,25})( [0-9]{1,9})?\n?\Z"),
        ),
    ),
    st.sampled_from(
        ["0::/", "0::/../x", "3:cpu,cpuacct:/a\n4:memory:/a", "1:name=x:/"]
    ),
    st.one_of(st.just(b"MemTotal: 1024 kB"), st.binary(max_size=20)),
)
def test_limits_of_any_content_are_a_number_of_processes(
    files: dict[str, bytes], cgroup: str, meminfo: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(cgroup)
        (root / "proc/meminfo").write_bytes(meminfo)
        for controller in ("", "cpu", "cpu,cpuacct", "memory", "memory/a", "cpu/a"):
            group = root / "sys/fs/cgroup" / controller
            group.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (group / name).write_bytes(content)
        assert 0 <= cgroups.cpus(root).value <= (os.cpu_count() or 1)
        memory = cgroups.memory(root)
        assert memory is None or 0 <= memory.value < math.inf
        # What is made of them is always a number of processes that can be started.
        number, why = concurrency.recommend(cgroups.cpus(root), memory, 12)
        assert 1 <= number <= 12
        assert "CPU" in why


backends = st.sampled_from(loader.known_backends())
entries = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*processes.KEYS, *KEYS, "COMMANDS", "LOCK"), values),
        "BACKEND": st.one_of(backends, values),
    },
)
tables = st.one_of(
    values, st.dictionaries(st.one_of(st.just("web"), nasty), entries, max_size=3)
)


@given(tables, st.one_of(st.none(), nasty))
def test_any_table_is_a_start_or_a_clean_error(table: Any, name: str | None) -> None:
    with override_settings(PRODUCTION_PROCESSES=table):
        found = process_checks.check_processes()
        for message in found:
            check(message.msg)
        ids = {str(message.id) for message in found}
        assert ids <= {*map(str, Fault), *map(str, WarningId)}
        try:
            process = processes.process(name)
            for fault in loader.faults(process):
                raise fault
            backend = loader.load(process)
        except UnknownProcess as error:
            check(error.message)
            return
        except ConfigurationError as error:
            told_before(error, found)
            return
        if hasattr(backend, "argv"):
            words = backend.argv()
            assert all(isinstance(word, str) and "\0" not in word for word in words)
            assert shlex.split(shlex.join(words)) == words


@given(tables)
def test_any_table_can_be_listed(table: Any) -> None:
    with override_settings(PRODUCTION_PROCESSES=table):
        try:
            text, as_json = listing.as_text(False), listing.as_json(False)
        except ProdserverError as error:
            check(error.message)
        else:
            assert text
            json.loads(as_json)


@given(st.text(min_size=8, alphabet="abcdefghijkl", max_size=12))
def test_no_value_of_env_is_in_what_is_told_of_it(secret: str) -> None:
    backend = "django_prodserver.backends.gunicorn.GunicornServer"
    env = {"TOKEN": f"<{secret}>", "BROKEN=": f"<{secret}>"}
    for chosen in (env, {"TOKEN": env["TOKEN"]}, [f"<{secret}>"]):
        table = {"web": {"BACKEND": backend, "ENV": chosen}}
        with override_settings(PRODUCTION_PROCESSES=table):
            told = [str(message) for message in process_checks.check_processes()]
            told += [listing.as_text(False), listing.as_json(False)]
        assert not any(f"<{secret}>" in each for each in told)
