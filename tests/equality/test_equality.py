"""What the application sees is what it sees with the native command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Starter
from tests.equality.cases import CASES, DB_WORKER, Case
from tests.equality.compare import Found, compare_with_nearest
from tests.equality.differences import DIFFERENCES, Start
from tests.equality.site import Site
from tests.harness import MANAGE, SCRIPT


@pytest.mark.process
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_start_is_the_native_one(
    case: Case,
    start: Starter,
    short_folder: Path,
    port: int,
    request: pytest.FixtureRequest,
) -> None:
    redis_url = "" if case.is_web else request.getfixturevalue("redis_url")
    site = Site(start, short_folder, port, case, redis_url)
    if case.backend == DB_WORKER:
        start.migrate(**site.variables)
    command = site.dry_run()
    natives = site.records(command)
    for via in (SCRIPT, MANAGE):
        if via is MANAGE and "django-admin" in command:
            # What manage.py starts goes through that manage.py.
            index = command.index("django-admin")
            natives = site.records([*command[:index], *via[:2], *command[index + 1 :]])
        for ours in site.records(site.our_command(via)):
            found = compare_with_nearest(natives, ours)
            is_preloaded = any(each.fact == "process.title" for each in found)
            assert case.is_exec in (None, not is_preloaded)
            check(Start(case, via is MANAGE, is_preloaded), found)


def check(start: Start, found: list[Found]) -> None:
    """Check that what was found is what the table has for this start."""
    expected = [each for each in DIFFERENCES if each.applies(start)]
    unknown = [
        str(each) for each in found if not any(known.covers(each) for known in expected)
    ]
    assert not unknown, "\n".join([f"{start} differs from the native start:", *unknown])
    gone = [known.what for known in expected if not any(map(known.covers, found))]
    assert not gone, "\n".join([f"{start} does not differ any more in:", *gone])


PLAIN = Start(CASES[0], is_manage=False, is_preloaded=False)
CONTEXT = Found("request", "environment._PRODSERVER_CONTEXT", "{}", "{...}")


def test_a_difference_that_is_not_in_the_table_fails() -> None:
    check(PLAIN, [CONTEXT])
    umask = Found("request", "umask", "0022", "0027")
    with pytest.raises(AssertionError, match="request: umask: '0022' became '0027'"):
        check(PLAIN, [CONTEXT, umask])
    early = CONTEXT._replace(fact="environment.REGION", moment="settings")
    with pytest.raises(AssertionError, match="REGION"):
        check(PLAIN, [CONTEXT, early])


def test_a_difference_that_no_longer_occurs_fails() -> None:
    with pytest.raises(AssertionError, match="_PRODSERVER_CONTEXT"):
        check(PLAIN, [])


def test_a_fact_that_only_one_start_has_is_a_difference() -> None:
    native = {"request": {"umask": "0022", "threads.unnamed": 1}}
    ours = {"request": {"umask": "0022", "threads.tokio": 1}}
    assert [str(each) for each in compare_with_nearest([native], ours)] == [
        "request: threads.tokio: '(absent)' became 1",
        "request: threads.unnamed: 1 became '(absent)'",
    ]


def test_a_worker_is_compared_with_the_one_that_it_resembles() -> None:
    first, second = ({"request": {"descriptors.pipe": number}} for number in (1, 2))
    assert compare_with_nearest([first, second], second) == []


def test_each_difference_applies_to_a_case() -> None:
    starts = [
        Start(case, is_manage, is_preloaded)
        for case in CASES
        for is_manage in (False, True)
        for is_preloaded in (False, True)
    ]
    for each in DIFFERENCES:
        assert any(map(each.applies, starts)), each.what
