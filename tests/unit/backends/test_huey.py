"""The command of Huey's consumer, and what ``HUEY`` changes in it."""

from __future__ import annotations

import pytest

from django_prodserver.backends.huey import HueyConsumer

TERM = "--graceful-signal=TERM"


@pytest.mark.parametrize(
    ("consumer", "config", "words"),
    [
        ({}, {"CONCURRENCY": 3}, [TERM, "--workers=3"]),
        ({"workers": 5}, {}, [TERM]),
        ({"workers": 5}, {"CONCURRENCY": 3}, [TERM, "--workers=3"]),
        ({"workers": 5, "graceful_signal": "INT"}, {"MAX_TASKS": 9}, ["--max-tasks=9"]),
        ({"workers": 5}, {"ARGS": {"initial_delay": 2}}, [TERM, "--delay=2"]),
    ],
)
def test_command(consumer, config, words, settings):
    settings.HUEY = {"consumer": consumer}
    backend = HueyConsumer(**config)
    assert backend.command(backend.args) == ["django-admin", "run_huey", *words]


def test_an_object_in_the_settings_has_no_options_to_read(settings):
    settings.HUEY = object()
    backend = HueyConsumer(CONCURRENCY=1)
    assert backend.args == [TERM, "--workers=1"]


def test_native_command_has_the_time_for_a_stop(settings):
    settings.HUEY = {}
    backend = HueyConsumer.native_class()(CONCURRENCY=1, GRACEFUL_TIMEOUT=9)
    assert "--shutdown-timeout=9" in backend.args


@pytest.mark.parametrize(
    ("consumer", "args", "is_exec"),
    [
        ({}, {}, False),
        ({"worker_type": "greenlet"}, {}, True),
        ({"worker_type": "greenlet"}, {"worker-type": "thread"}, False),
        ({}, {"k": "gevent"}, True),
    ],
)
def test_greenlets_are_not_preloaded(consumer, args, is_exec, settings):
    settings.HUEY = {"consumer": consumer}
    backend = HueyConsumer(ARGS=args)
    assert bool(backend.must_exec(backend.args)) is is_exec
