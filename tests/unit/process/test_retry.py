"""Retrying with backoff: the pauses, the deadline and the messages."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from django_prodserver.exceptions import ConfigurationError, UnavailableError
from django_prodserver.process import retry
from django_prodserver.process.retry import Backoff


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 300), ("0", 0), ("2.5", 2.5), (None, 300)]
)
def test_timeout(text, seconds, monkeypatch):
    monkeypatch.delenv(retry.VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(retry.VARIABLE, text)
    assert retry.timeout() == seconds


@pytest.mark.parametrize("text", ["x", "-1", "inf", "nan", "5 s"])
def test_invalid_timeout(text, monkeypatch):
    monkeypatch.setenv(retry.VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"is '{text}' in the environment"):
        retry.timeout()


def test_reason_hides_passwords(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "hunter2")
    error = ConnectionError("no hunter2\n at redis://:topsecret@broker/0")
    assert (
        retry.describe_error(error)
        == "ConnectionError: no *** at redis://:***@broker/0"
    )


def test_short_passwords_are_not_replaced(settings, monkeypatch):
    """Ordinary words may contain it, and masking them would reveal it."""
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "short")
    assert retry.describe_error(OSError("in short")) == "OSError: in short"
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "longer")
    assert retry.describe_error(OSError("a longer one")) == "OSError: a *** one"


def test_reason_is_one_short_line():
    assert retry.describe_error(OSError()) == "OSError"
    longest = "OSError: " + "x" * 291
    assert retry.describe_error(OSError("x" * 291)) == longest
    assert retry.describe_error(OSError("x" * 292)) == longest[:297] + "..."


class Clock:
    """A clock that advances only by sleeping."""

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
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    monkeypatch.setattr(retry, "time", fake)
    monkeypatch.delenv(retry.VARIABLE, raising=False)
    return clock


@pytest.fixture
def logged(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(retry, "log", lines.append)
    return lines


def test_pauses_grow_to_a_limit(clock, logged):
    backoff = Backoff("db")
    for _ in range(10):
        backoff.wait("refused")
    assert clock.slept[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert clock.slept[-1] == 2.0
    assert max(clock.slept) == 2.0


def test_last_pause_ends_at_the_deadline(clock, logged, monkeypatch):
    monkeypatch.setenv(retry.VARIABLE, "0.7")
    backoff = Backoff("db")
    message = r"^Timed out after 0\.7 s waiting for db: refused\."
    for _ in range(4):
        backoff.wait("refused")
    with pytest.raises(UnavailableError, match=message):
        backoff.wait("refused")
    assert sum(clock.slept) == pytest.approx(0.7)
    assert clock.now == pytest.approx(backoff.deadline)


def test_zero_timeout_allows_one_try(clock, logged, monkeypatch):
    monkeypatch.setenv(retry.VARIABLE, "0")
    with pytest.raises(UnavailableError):
        Backoff("db").wait("refused")
    assert (clock.slept, logged) == ([], [])


def test_deadline_counts_from_the_start_of_the_wait(clock, logged):
    """Earlier dependencies have used up some of the time."""
    assert Backoff("db").deadline == 400
    assert Backoff("db", started=90).deadline == 390


def test_reports_at_once_and_then_every_five_seconds(clock, logged):
    backoff = Backoff("db")
    for seconds in (0, 4.9, 0.1, 4.9, 0.1):
        clock.now += seconds
        backoff.report()
    assert logged == [
        f"waiting for db ({waited} s of 300): no answer yet" for waited in (0, 5, 10)
    ]


def test_the_first_reason_is_logged_at_once_and_the_last_one_later(clock, logged):
    backoff = Backoff("db")
    clock.now += 1
    backoff.report()
    clock.now += 1
    backoff.wait("refused")
    clock.now += 1
    backoff.wait("no such host")
    clock.now += 5
    backoff.report()
    assert logged == [
        "waiting for db (1 s of 300): no answer yet",
        "waiting for db (2 s of 300): refused",
        "waiting for db (8 s of 300): no such host",
    ]


def test_success_is_reported_only_after_a_report(clock, logged):
    backoff = Backoff("db")
    backoff.succeeded()
    assert logged == []
    backoff.report()
    clock.now += 2.34
    backoff.succeeded()
    assert logged[1:] == ["db ready after 2.3 s"]
