"""Text helpers: redact secrets, check dotted paths, suggest the closest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

MASK = "***"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token(?!iz)|credential|basic[-_]?auth|dsn|bearer"
    r"|authorization|signature"
    r"|(api|access|account|priv|private|sign|signing|encryption)[-_]?key"
    r"(?![-_]?(name|file|path))"
    # Only at the end: matches SIGNING_KEY and DB_PASS, but not KEYFILE, BYPASS or
    # SESSION_COOKIE_AGE.
    r"|(^|[-_.\s])(keys?|pass|pwd|pw|cookies?|salt|jwt|pat|sk|sig|licen[cs]e)$"
    r"|[-_]auth$|[-_]keys?[-_](v?\d+|old|new|previous|current|next|pem|b64|base64)$",
    re.IGNORECASE,
)
# Headers whose values have several words.
_SECRET_HEADER = re.compile(
    r"(proxy-|http_)?authorization|(set-)?cookie|api-?key"
    r"|x-([\w]+-)*(api-?key|key|token|secret|auth|signature)",
    re.IGNORECASE,
)
# Up to the last "@" before the next URL: a password may contain "@" and "/", and a
# user name "@".
_URL_PASSWORD = re.compile(r"(?<=://)([^/:\s]*):((?!://)\S)+@")
# A string that is one URL, whose password contains a space or "://".
_URL_ALONE = re.compile(
    r"\A(\w[\w+.-]*://[^/:\s@]*):(?!\d+\s)([^@\s/][^@\n]*|(?!\S*[;,]\w+://)\S+)"
    r"@(?=[^@\s]*\Z)"
)
# A user name that is a key, as in https://0123456789abcdef0123@sentry.io/1
_URL_KEY = re.compile(r"(?<=://)(?=[^/:@\s]*\d)[\w.~%-]{20,}(?=@)")
_BEARER = re.compile(r"\b(bearer|basic)\s+(?=\S*[\d=])[\w.~+/=-]{6,}", re.IGNORECASE)
_WEBHOOK = re.compile(
    r"(hooks\.slack\.com/\w+/|/api/webhooks/\d+/|\.office\.com/webhookb2/)[^\s\"']+"
)
# Tokens of well-known services, and private keys.
_ISSUED = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}|\bxox[abeprs]-[\w-]{10,}|\b[rs]k_(?:live|test)_\w{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:(?!-----).)*",
    re.DOTALL,
)
# NAME=, "NAME": in JSON or Python, NAME: in a header, and --NAME before its value. The
# value is searched for separately: one regex for both would take hours on megabytes.
_NAME = re.compile(
    r"(?<![\w-])(-{0,2}[A-Za-z_][\w.-]{0,99})"
    r"(?:(?P<equals>[\"']?\s{0,2}=\s{0,2}(?!=)|[\"']\s{0,2}:\s{0,2})"
    r"|(?P<colon>:\s{0,2})|(?P<space>\s{1,2}(?![\s-])))"
)
# "&" and ";" only before another pair or URL: a password may contain them.
_VALUE_END = re.compile(
    r"[\s\"']|[&;](?=\s|\Z|[\w.\[\]%-]{1,100}=|\w[\w+.-]{0,20}://)|\Z"
)
_LINE_END = re.compile(r"[\n\"']|\Z")
_PLACEHOLDER = re.compile(r"\.{3}|…|\*+|None|null|<[\w ]+>|\$\{?[A-Z_][A-Z0-9_]*\}?|")
_ASSIGNMENT = re.compile(r"(-e)?([A-Za-z_]\w*)=(.+)", re.DOTALL)
# "mysql -pPASSWORD" and "-p PASSWORD"; but not a port, a path or find's -print.
_SHORT_OPTION = re.compile(
    r"(?<![\w=-])-p(\s{1,2}|(?=\S{6})(?=[^\s]*[A-Z\d]))([^\s\"']+)"
)
_NO_PASSWORD = re.compile(r"[\d.:]+(/(tcp|udp))?|[-./~$].*|.*\.\w{2,4}")


def redact(text: str, name: str = "") -> str:
    """
    Mask the secrets in a string, as far as they can be recognised.

    Args:
        text: Passwords in URLs, the values of secret names and headers, and anything
            that resembles a key are masked.
        name: The name of the option or variable; if it is the name of a secret, the
            whole string is masked.
    """
    if name and _is_secret(text, name):
        return MASK
    # NAME=value, as in the arguments of env(1) and of gunicorn's --env: mask all of
    # the value.
    assigned = ""
    if assignment := _ASSIGNMENT.fullmatch(text):
        option, name, text = assignment.groups("")
        assigned = f"{option}{name}="
        if _is_secret(text, name) and not text.startswith("... "):
            return f"{assigned}{MASK}"
    text = _ISSUED.sub(MASK, text)
    text = _URL_ALONE.sub(rf"\1:{MASK}@", text)
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _URL_KEY.sub(MASK, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _WEBHOOK.sub(rf"\1{MASK}", text)
    text = _SHORT_OPTION.sub(_redact_short_option, _redact_named(text))
    return f"{assigned}{text}"


def _is_secret(text: str, name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _PLACEHOLDER.fullmatch(text)


def _redact_named(text: str) -> str:
    """Mask the values of secret names."""
    parts, end = [], 0
    for found in _NAME.finditer(text):
        start = found.end()
        name = found[1].lstrip("-")
        is_header = bool(_SECRET_HEADER.fullmatch(name))
        is_named = bool(_SECRET_NAME.search(name))
        if found["colon"]:
            is_secret = is_header
        elif found["space"]:
            is_secret = is_named and found[1].startswith("-")
        else:
            is_secret = is_header or is_named
        if not is_secret or start < end:
            continue
        if text[start : start + 1] in ("'", '"'):
            quote = text[start]
            start += 1
            value_end = text.find(quote, start)
        else:
            pattern = _LINE_END if is_header else _VALUE_END
            found_end = pattern.search(text, start)
            value_end = found_end.start() if found_end else -1
        value_end = len(text) if value_end < 0 else value_end
        if not _PLACEHOLDER.fullmatch(text, start, value_end):
            parts += [text[end:start], MASK]
            end = value_end
    return "".join([*parts, text[end:]])


def _redact_short_option(found: re.Match[str]) -> str:
    if _NO_PASSWORD.fullmatch(found[2]):
        return found[0]
    return f"-p{found[1]}{MASK}"


def safe_repr(value: object, name: str = "") -> str:
    """Return ``repr(value)`` without secrets, cut to 80 characters."""
    try:
        text = repr(value)
    except Exception:  # nested too deeply, too large a number, or a broken __repr__
        text = f"<{type(value).__name__}>"
    text = redact(text, name)
    return text if len(text) <= 80 else f"{text[:76]}..."


def redact_words(words: list[str]) -> list[str]:
    """Mask the secrets in the words of a command line."""
    redacted: list[str] = []
    previous_option = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            redacted.append(f"{name}={redact(value, name)}")
        elif previous_option == "-p":
            redacted.append(redact(f"-p {word}").removeprefix("-p "))
        else:
            redacted.append(redact(word, previous_option))
        previous_option = word if word.startswith("-") and not equals else ""
    return redacted


def is_dotted_path(text: str, least: int = 2) -> bool:
    """Return whether a string is a dotted path with at least ``least`` names."""
    names = text.split(".")
    return len(names) >= least and all(name.isidentifier() for name in names)


def is_missing(path: str, module: str | None) -> bool:
    """
    Return whether an import failed because its path is wrong.

    If not, the module at the path exists and an import in it failed: that is
    a bug to show with its traceback.

    Args:
        path: The dotted path that was imported.
        module: ``ModuleNotFoundError.name``.
    """
    # "a.b.c" is missing if "a", "a.b" or "a.b.c" was not found.
    return f"{path}.".startswith(f"{module}.")


def did_you_mean(
    word: str, candidates: Iterable[str], names: Mapping[str, str] | None = None
) -> str:
    """
    Return "Did you mean 'web'?", or "" if no candidate is close.

    Args:
        word: The unknown word.
        candidates: The known words.
        names: The name to suggest for a candidate, if different.
    """
    # difflib would compare every character of a huge word.
    close = difflib.get_close_matches(word[:200], list(candidates), 1)
    if not close:
        return ""
    return f"Did you mean {(names or {}).get(close[0], close[0])!r}?"
