"""Graceful on the first signal, forced on the second."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from django_prodserver.process import signals
from django_prodserver.process.signals import StopSignal


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_initial_state():
    stop = StopSignal()
    assert (stop.received, stop.force) == (False, False)


def test_immediate_second_signal_is_ignored(clock):
    """timeout(1) sends the signal to its child, and to the child's group."""
    stop = StopSignal()
    stop.note()
    assert (stop.received, stop.force) == (True, False)
    clock.now += 0.1
    stop.note()
    assert (stop.received, stop.force) == (True, False)


def test_later_second_signal_forces_the_stop(clock):
    stop = StopSignal()
    stop.note()
    clock.now += 0.05
    stop.note()
    clock.now += 0.06
    stop.note()
    assert (stop.received, stop.force) == (True, True)


def test_instances_are_independent(clock):
    StopSignal().note()
    assert not StopSignal().received


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_listens_to_both_signals(signum):
    before = {each: signal.getsignal(each) for each in signals.STOP_SIGNALS}
    stop = StopSignal()
    try:
        stop.listen()
        os.kill(os.getpid(), signum)
        assert stop.received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
