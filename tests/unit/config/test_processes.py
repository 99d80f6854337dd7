"""What is read of the settings, and what of it is printed."""

from __future__ import annotations

import types

import pytest

from django_prodserver.config import processes
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault, UnknownProcess
from django_prodserver.text import redact, redact_words, safe_repr

GUNICORN = "django_prodserver.backends.gunicorn.GunicornServer"
WEB = {"BACKEND": GUNICORN}


@pytest.fixture(autouse=True)
def _no_process_name(monkeypatch):
    monkeypatch.delenv("PROCESS_NAME", raising=False)


@pytest.mark.parametrize("name", ["web", "web-2", "web.eu", "a_b", "1", "W" * 100])
def test_a_name_that_can_be_typed_and_be_a_files(name, settings):
    settings.PRODUCTION_PROCESSES = {name: WEB}
    assert processes.process() == Process(name, WEB)
    assert processes.process(name) == Process(name, WEB)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "a$", "é", "x" * 101, 1, ()],
    ids=repr,
)
def test_any_other_name_is_a_fault(name, settings):
    settings.PRODUCTION_PROCESSES = {name: WEB}
    with pytest.raises(ConfigurationError) as caught:
        processes.entry(name)
    assert caught.value.fault is Fault.BAD_NAME


def test_the_table_may_be_any_mapping(settings):
    settings.PRODUCTION_PROCESSES = types.MappingProxyType({"web": WEB})
    assert processes.process("web").config == WEB


def test_the_settings_are_read_each_time(settings):
    settings.PRODUCTION_PROCESSES = {"a": WEB}
    assert processes.process().name == "a"
    settings.PRODUCTION_PROCESSES = {"b": WEB}
    assert processes.process().name == "b"


def test_an_empty_name_is_none(settings):
    """As of a shell's "${1-}"."""
    settings.PRODUCTION_PROCESSES = {"web": WEB, "b": WEB}
    assert processes.process("").name == "web"


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("wbe", "Did you mean 'web'? "),
        ("worke", "Did you mean 'worker'? "),
        ("WEB-2", ""),
    ],
)
def test_an_unknown_name_is_answered_with_what_is_near(name, guess, settings):
    settings.PRODUCTION_PROCESSES = {"web": WEB, "worker": WEB, "a\nb": WEB, 1: WEB}
    with pytest.raises(UnknownProcess) as caught:
        processes.process(name)
    assert caught.value.message == f"No process named {name!r}."
    assert caught.value.hint == f"{guess}Configured: web, worker."


def test_of_many_names_a_few_are_listed(settings):
    settings.PRODUCTION_PROCESSES = {f"shop-{n:05}": WEB for n in range(100_000)}
    with pytest.raises(UnknownProcess) as caught:
        processes.process("blog")
    assert "Configured: shop-00000, shop-00001, " in caught.value.hint
    assert caught.value.hint.endswith("shop-00019 and 99980 more.")


@pytest.mark.parametrize("value", [0, -1, "60", True, float("inf"), None])
def test_a_wrong_start_timeout_is_a_fault(value):
    [(key, fault)] = Process("web", {"START_TIMEOUT": value}).faults()
    assert key == "START_TIMEOUT"
    assert fault.hint == "Write START_TIMEOUT as a number of seconds, such as 60."


def test_where_no_name_is_right_none_is_listed(settings):
    settings.PRODUCTION_PROCESSES = {1: WEB}
    with pytest.raises(UnknownProcess) as caught:
        processes.process("web")
    assert caught.value.hint == ""
    assert str(caught.value) == "No process named 'web'."


def test_an_endless_name_is_cut(settings):
    settings.PRODUCTION_PROCESSES = {"web": WEB}
    with pytest.raises(UnknownProcess) as caught:
        processes.process("x" * 10_000)
    assert len(str(caught.value)) < 200


def test_the_environment_is_text():
    process = Process("web", {"ENV": {"A": 1, "B": 1.5, "C": "x", "D": ""}})
    assert process.environment == {"A": "1", "B": "1.5", "C": "x", "D": ""}
    assert Process("web", {}).environment == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ENV", {}),
        ("ENV", {"A": 0}),
        ("PREFIX", []),
        ("PREFIX", ("nice", "-n", "5")),
        ("PRELOAD", False),
        ("PRELOAD", True),
        ("PRELOAD", "auto"),
        ("GRACEFUL_TIMEOUT", 1),
        ("GRACEFUL_TIMEOUT", 25),
        ("HEALTH", {}),
        ("HEALTH", {"MAX_AGE": 0.5}),
    ],
)
def test_what_a_key_may_be(key, value):
    assert list(Process("web", {key: value}).faults()) == []


@pytest.mark.parametrize("value", [1, 0, None, "True", ["auto"]])
def test_what_preload_may_not_be(value):
    [(key, fault)] = Process("web", {"PRELOAD": value}).faults()
    assert key == "PRELOAD"
    assert fault.hint == 'Write PRELOAD as "auto", True or False.'


def test_preload_is_auto_by_default():
    assert Process("web", {}).preload == "auto"
    assert Process("web", {"PRELOAD": True}).preload is True


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:tops@h:6379/0", "redis://:***@h:6379/0"),
        ("amqp://user:tops@h//", "amqp://user:***@h//"),
        ("postgres://u:t@ps@h/x", "postgres://u:***@h/x"),
        ("redis://:to/ps@h/0", "redis://:***@h/0"),
        ("redis://:a@h1;redis://:b@h2", "redis://:***@h1;redis://:***@h2"),
        ("see amqp://u:tops@h and x@y", "see amqp://u:***@h and x@y"),
        ("URL=redis://:tops@h", "URL=redis://:***@h"),
        ("redis://h/0?password=tops&db=1", "redis://h/0?password=***&db=1"),
        ("SECRET_KEY=tops", "SECRET_KEY=***"),
        ("SECRET_KEY=a\nb", "SECRET_KEY=***"),
        ("DB_PASS=tops", "DB_PASS=***"),
        ("SIGNING_KEY=tops", "SIGNING_KEY=***"),
        ("http://user@h/x", "http://user@h/x"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
        ("user@host", "user@host"),
        ("KEYFILE=/tmp/x", "KEYFILE=/tmp/x"),
        ("MONKEY=1", "MONKEY=1"),
        ("%(h)s %(l)s", "%(h)s %(l)s"),
        ("", ""),
    ],
)
def test_a_secret_is_masked_and_nothing_else(text, masked):
    assert redact(text) == masked


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "DB_PASSWD", "PASSPHRASE", "DB_PASS"),
        *("SECRET_KEY", "API_KEY", "apikey", "API_TOKEN", "SENTRY_DSN", "MYSQL_PWD"),
        *("AWS_CREDENTIALS", "--basic-auth", "--basic_auth", "--ssl-keyfile-password"),
    ],
)
def test_what_bears_a_secrets_name_is_not_printed_at_all(name):
    assert redact("anything", name) == "***"
    assert redact("", name) == "", "there is nothing to hide"


@pytest.mark.parametrize(
    "name", ["--bind", "--keyfile", "--ssl-keyfile", "MONKEY", "BYPASS", "COMPASS", ""]
)
def test_other_names_hide_nothing(name):
    assert redact("anything", name) == "anything"


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        ("--basic-auth=u:tops --port=1", "--basic-auth=*** --port=1"),
        ("--basic-auth u:tops --port 1", "--basic-auth *** --port 1"),
        ("-b redis://:tops@h", "-b redis://:***@h"),
        ("--broker redis://:tops@h", "--broker redis://:***@h"),
        ("-e SECRET=tops -e A=1", "-e SECRET=*** -e A=1"),
        ("-eSECRET=tops --env=TOKEN=tops", "-eSECRET=*** --env=TOKEN=***"),
        ("--env TOKEN=tops", "--env TOKEN=***"),
        ("env API_KEY=tops nice", "env API_KEY=*** nice"),
        ("--token= --x", "--token= --x"),
    ],
)
def test_the_words_of_a_command(words, masked):
    assert redact_words(words.split()) == masked.split()


@pytest.mark.parametrize(
    ("value", "name", "said"),
    [
        ("a", "", "'a'"),
        ("a\nb", "", r"'a\nb'"),
        (None, "", "None"),
        ("redis://:tops@h", "", "'redis://:***@h'"),
        ({"a": "tops"}, "password", "***"),
        ("x" * 78, "", f"'{'x' * 78}'"),
        ("x" * 79, "", f"'{'x' * 75}..."),
    ],
    ids=["text", "lines", "none", "url", "secret", "just-fits", "cut"],
)
def test_a_value_in_a_message(value, name, said):
    assert safe_repr(value, name) == said
