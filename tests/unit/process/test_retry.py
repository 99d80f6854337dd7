"""How long is waited, and what is said of it meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from django_prodserver.exceptions import ConfigurationError, UnavailableError
from django_prodserver.process import retry
from django_prodserver.process.retry import Backoff


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 300), ("0", 0), ("2.5", 2.5), (None, 300)]
)
def test_the_time_that_may_pass(text, seconds, monkeypatch):
    monkeypatch.delenv(retry.VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(retry.VARIABLE, text)
    assert retry.timeout() == seconds


@pytest.mark.parametrize("text", ["x", "-1", "inf", "nan", "5 s"])
def test_a_time_that_is_none(text, monkeypatch):
    monkeypatch.setenv(retry.VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"is '{text}' in the environment"):
        retry.timeout()


def test_a_reason_holds_no_password(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "hunter2")
    error = ConnectionError("no hunter2\n at redis://:topsecret@broker/0")
    assert (
        retry.describe_error(error)
        == "ConnectionError: no *** at redis://:***@broker/0"
    )


def test_a_short_password_is_not_looked_for(settings, monkeypatch):
    """It would be in words by chance, and be told by its mask."""
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "short")
    assert retry.describe_error(OSError("in short")) == "OSError: in short"
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "longer")
    assert retry.describe_error(OSError("a longer one")) == "OSError: a *** one"


def test_a_reason_is_one_line_and_not_too_long():
    assert retry.describe_error(OSError()) == "OSError"
    longest = "OSError: " + "x" * 291
    assert retry.describe_error(OSError("x" * 291)) == longest
    assert retry.describe_error(OSError("x" * 292)) == longest[:297] + "..."


class Clock:
    """Time that passes as it is slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    fake = SimpleNamespace(monotonic=found.monotonic, sleep=found.sleep)
    monkeypatch.setattr(retry, "time", fake)
    monkeypatch.delenv(retry.VARIABLE, raising=False)
    return found


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(retry, "log", lines.append)
    return lines


def test_the_pauses_grow_up_to_a_limit(clock, said):
    backoff = Backoff("db")
    for _ in range(10):
        backoff.wait("refused")
    assert clock.slept[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert clock.slept[-1] == 2.0
    assert max(clock.slept) == 2.0


def test_the_last_pause_ends_with_the_time(clock, said, monkeypatch):
    monkeypatch.setenv(retry.VARIABLE, "0.7")
    backoff = Backoff("db")
    message = r"^db was not there within 0\.7 s: refused\."
    for _ in range(4):
        backoff.wait("refused")
    with pytest.raises(UnavailableError, match=message):
        backoff.wait("refused")
    assert sum(clock.slept) == pytest.approx(0.7)
    assert clock.now == pytest.approx(backoff.deadline)


def test_no_time_is_for_one_try(clock, said, monkeypatch):
    monkeypatch.setenv(retry.VARIABLE, "0")
    with pytest.raises(UnavailableError):
        Backoff("db").wait("refused")
    assert (clock.slept, said) == ([], [])


def test_the_time_counts_from_when_the_wait_began(clock, said):
    """Of several that are waited for, the first has had some of it."""
    assert Backoff("db").deadline == 400
    assert Backoff("db", started=90).deadline == 390


def test_a_line_is_written_at_once_and_then_every_few_seconds(clock, said):
    backoff = Backoff("db")
    for seconds in (0, 4.9, 0.1, 4.9, 0.1):
        clock.now += seconds
        backoff.report("refused")
    assert said == [
        f"waiting for db ({waited} s of 300): refused" for waited in (0, 5, 10)
    ]


def test_its_end_is_told_where_its_beginning_was(clock, said):
    backoff = Backoff("db")
    backoff.succeeded()
    assert said == []
    backoff.report("refused")
    clock.now += 2.34
    backoff.succeeded()
    assert said[1:] == ["db is there after 2.3 s"]
