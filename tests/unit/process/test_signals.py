"""The first signal asks for a stop, a later one not to wait for it."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from django_prodserver.process import signals
from django_prodserver.process.signals import StopSignal


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=0.0)
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


def test_nothing_is_asked_for_before_a_signal():
    stop = StopSignal()
    assert (stop.received, stop.force) == (False, False)


def test_a_second_one_right_behind_is_the_same(clock):
    """As timeout(1) sends them: to its child, and to the group it is in."""
    stop = StopSignal()
    stop.note()
    assert (stop.received, stop.force) == (True, False)
    clock.now += 0.1
    stop.note()
    assert (stop.received, stop.force) == (True, False)


def test_a_later_one_is_in_a_hurry(clock):
    stop = StopSignal()
    stop.note()
    clock.now += 0.05
    stop.note()
    clock.now += 0.06
    stop.note()
    assert (stop.received, stop.force) == (True, True)


def test_each_is_of_its_own(clock):
    StopSignal().note()
    assert not StopSignal().received


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_listens_to_both(signum):
    before = {each: signal.getsignal(each) for each in signals.STOP_SIGNALS}
    stop = StopSignal()
    try:
        stop.listen()
        os.kill(os.getpid(), signum)
        assert stop.received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
