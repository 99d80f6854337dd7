"""Secrets are masked by their names and by what they look like; nothing else is."""

from __future__ import annotations

import pytest

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.text import redact, redact_words, safe_repr

# No part of it is masked by what it looks like, only by where it stands.
S = "Zq7secretZq7"
KEY = "0123456789abcdef0123456789abcdef"

NAMES = """
DB_PASSWORD DATABASE_PASS PGPASSWORD SECRET_KEY SECRET_KEY_FALLBACKS API_KEY STRIPE_KEY
AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN STRIPE_SK GITHUB_PAT JWT SALT
ENCRYPTION_KEYS FERNET_KEYS JWT_SIGNING_KEYS REDIS_AUTH HTTP_AUTHORIZATION COOKIE
SENTRY_DSN MYSQL_PWD PRIVATE_KEY_PEM SSH_PRIVKEY HMAC_KEY_V2 DB_PW LICENSE BEARER
SIGNING_KEY_OLD DJANGO_SALT --password --basic-auth --api_key -token
--ssl-keyfile-password AccountKey SharedAccessKey
""".split()  # noqa: SIM905

TEXTS = [
    f"postgres://u:{S}@h/db",
    f"postgres://user@tenant:{S}@h/db",
    f"postgres://u:p@ss/{S}@h:5432/db",
    f"smtp+ssl://me@x.org:{S}@smtp.x.org:465",
    f"sentinel://:{S}@h1:26379;sentinel://:{S}@h2:26379",
    f"amqp://u:{S}@h1//;amqp://u:{S}@h2//",
    f"mongodb://u:{S}@h1,h2/?x=1",
    f"https://{KEY}@sentry.example.com/1".replace(KEY, f"{S}{KEY}"),
    f"postgresql:///db?host=/x&user=u&password={S}",
    f"https://x/y?X-Amz-Signature={S}&a=1",
    f"https://x/y?sv=1&sig={S}",
    f"https://x/y#access_token={S}",
    f"https://hooks.slack.com/services/T0/B0/{S}",
    f"https://discord.com/api/webhooks/1234/{S}",
    f"host=db user=u password={S} port=5432",
    f"host=db user=u password='two {S}'",
    f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={S}==;Suffix=y",
    f"Endpoint=sb://x/;SharedAccessKeyName=r;SharedAccessKey={S}",
    f'{{"user": "x", "password": "{S}"}}',
    f"{{'OPTIONS': {{'password': '{S}'}}}}",
    f"a\nPASSWORD={S}\nb",
    f"--workers 3 --password {S}",
    f"--env SECRET_KEY={S} --statsd-prefix x",
    f"-p{S} x",
    f"-p {S} x",
    f"export TOKEN={S}; exec x",
    f"curl -H 'Authorization: Bearer {S}' https://x",
    f"Authorization: Basic {S}",
    f"Authorization:Token {S}",
    f"Cookie: sessionid={S}; csrftoken={S}",
    f"X-Api-Key: {S}",
    f"the request had Bearer {S}",
    f"vault --token {S}",
    f"migrate --token '{S}",
    f"--env 'SECRET_KEY={S}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----",
    # What services issue; taken apart, so that no scanner of this repository minds.
    "AKIA" + "ZQ7SECRETZQ7ABCD",
    "ghp" + f"_{S}{KEY}",
    "sk_live" + f"_{S}",
    "eyJ" + f"hbGciOiJIUzI1.{S}{KEY}.{S}",
]

# Only where nothing else is in the text can it be told where these end.
ALONE = [f"postgres://u:pa ss{S}@h/db", f"redis://:x://{S}@h/0"]

HARMLESS = """
http://127.0.0.1:8000/x
http://user@h/x
postgres://user@h:5432/db
ssh://git@github.com/x/y.git
https://docs.djangoproject.com/en/6.1/ref/settings/#std-setting-SECRET_KEY
user@host and other@host
KEYFILE=/tmp/x
--keyfile=/run/tls/tls.key --certfile /run/tls/tls.crt
--ssl-keyfile /run/tls/tls.key
--bind 0.0.0.0:8000 --workers 4 --threads 4 --keep-alive 65
--pid /run/x.pid -p /run/x.pid
ssh -p 22 h
docker run -p 8000:8000/tcp image
find . -print0 -prune
--worker-class gthread --log-level info
TOKENIZERS_PARALLELISM=false
SESSION_COOKIE_AGE=3600
SESSION_COOKIE_NAME=sid
CSRF_COOKIE_SECURE=True
CACHE_KEY_PREFIX=shop
AUTH_USER_MODEL=shop.User
DJANGO_SETTINGS_MODULE=shop.settings
MONKEY=1
PATH=/opt/venv/bin:/usr/bin
LANG=sk_SK.UTF-8
%(h)s %(l)s %(u)s "%(r)s" %(s)s
The SECRET_KEY setting must not be empty.
Set the environment variable DATABASE_PASSWORD
SECRET_KEY=... prodserver web
exec x --password $DB_PASSWORD
password=None
Basic authentication is off
the token expired
worker: 3 of 4 processes, key: value
{'ENGINE': 'django.db.backends.postgresql', 'NAME': 'shop', 'HOST': 'db'}
ModuleNotFoundError: No module named 'shop.wsgi'
""".strip().splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_name_hides_its_value(name: str) -> None:
    assert redact(S, name) == "***"
    assert S not in redact(f"{name}={S}")
    assert S not in redact(f"before {name}={S} after")
    assert S not in safe_repr({name: S})
    assert S not in safe_repr([{"x": {name.lower(): S}}])


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_is_masked_wherever_it_stands(text: str) -> None:
    assert S not in redact(text)
    assert "***" in redact(text)
    assert S not in redact(f"{text}\nnext line")
    assert S not in redact(f"VALUE={text}")
    assert S not in redact(f"cannot use {text}")
    for shown in (safe_repr(text), safe_repr([1, text]), safe_repr({"a": text})):
        assert S[:8] not in shown


@pytest.mark.parametrize("text", ALONE)
def test_a_url_alone_may_have_any_password(text: str) -> None:
    assert S not in redact(text)
    assert S not in redact(f"DATABASE_URL={text}")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_stays_readable(text: str) -> None:
    assert redact(text) == text
    assert redact_words(text.split()) == text.split()


@pytest.mark.parametrize(
    "words",
    [
        ["env", f"AWS_SECRET_ACCESS_KEY={S}", "vault", "--token", S, f"-token={S}"],
        ["mysql", "-p", S, f"-p{S}", "-u", "root"],
        ["sh", "-c", f'export TOKEN={S}; exec "$@"'],
        ["-H", f"Authorization: Bearer {S}", f"--header=Cookie: sessionid={S}"],
        ["--header", f"Authorization:Bearer {S}", "--header", f"X-Api-Key:{S}"],
        ["gunicorn", "-e", f"PASSWORD={S}", f"-eAPI_KEY={S}", f"--env=DB_PW={S}"],
        ["https://x/?a=1&api_key=" + S],
    ],
)
def test_the_words_of_a_command_line(words: list[str]) -> None:
    assert S not in " ".join(redact_words(words))
    assert len(redact_words(words)) == len(words)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            "AccountName=x;AccountKey=a==;EndpointSuffix=core.windows.net",
            "AccountName=x;AccountKey=***;EndpointSuffix=core.windows.net",
        ),
        ("host=db password=x port=5432", "host=db password=*** port=5432"),
        ("https://x/y?sv=1&sig=x&se=2", "https://x/y?sv=1&sig=***&se=2"),
        ('{"password": "x", "user": "y"}', '{"password": "***", "user": "y"}'),
        ("smtp://me@x.org:x@h:465", "smtp://me@x.org:***@h:465"),
        ("--token x --workers 3", "--token *** --workers 3"),
        ("export TOKEN=x; exec y", "export TOKEN=***; exec y"),
    ],
)
def test_the_rest_is_kept(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "a=" * 500_000,
        "?a=" * 300_000,
        "://:" * 200_000,
        "-p " * 300_000,
        "x" * 1_000_000,
        "token " * 150_000,
        "a:" * 300_000,
        "Bearer " * 100_000,
    ],
)
def test_a_long_text_takes_no_time(text: str) -> None:
    redact(text)


def test_an_error_quotes_no_secret() -> None:
    error = ConfigurationError(
        Fault.BAD_VALUE, f"is redis://:{S}@h", "Write TOKEN=... web", "PREFIX "
    )
    assert S not in str(error)
    assert S not in f"{error.message} {error.problem}"
    assert error.hint == "Write TOKEN=... web"
