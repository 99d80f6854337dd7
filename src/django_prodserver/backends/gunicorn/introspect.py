"""The options of the installed Gunicorn."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django_prodserver.backends.introspection.installed import (
    InstalledOptions,
    OptionHelp,
    refused_number,
)
from django_prodserver.backends.introspection.parsers import Kind, option_of
from django_prodserver.config.argv import Option


class GunicornOptions(InstalledOptions):
    """Read the settings of Gunicorn that are options of its command line."""

    def read_options(self) -> list[Option]:
        from gunicorn.config import KNOWN_SETTINGS

        options = []
        for setting in KNOWN_SETTINGS:
            if not setting.cli:  # hooks and others that only a file can set
                continue
            if setting.action == "store_const":
                options.append(option_of("flag", (), setting.cli[0], [setting.name]))
                continue
            kind: Kind = "value"
            if setting.action == "store_true":
                kind = "flag"
            elif setting.action == "append":
                kind = "list"
            elif setting.nargs == "?":
                # --proxy-protocol takes "true" and "false" as well as "v1"; without a
                # value it would swallow the application that follows.
                kind = "bool"
            options.append(option_of(kind, setting.cli, names=[setting.name]))
        return sorted(options)

    def refusal(self, flag: str, text: str) -> str:
        from gunicorn.config import KNOWN_SETTINGS, validate_pos_int

        for setting in KNOWN_SETTINGS:
            if flag in (setting.cli or ()):
                if refused := refused_number(setting.type, text):
                    return refused
                if setting.validator is validate_pos_int and int(text, 0) < 0:
                    return "Write a whole number, 0 or more."
        if flag == "--worker-class":
            return self._refused_worker_class(text)
        return ""

    def _refused_worker_class(self, text: str) -> str:
        from gunicorn.workers import SUPPORTED_WORKERS

        # The user's own class has a dot, or is an entry point: "egg:package#name".
        if text in SUPPORTED_WORKERS or {".", ":"} & set(text):
            return ""
        choices = ", ".join(map(repr, SUPPORTED_WORKERS))
        return f"Write one of {choices}, or the path of a class."

    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        from gunicorn.config import KNOWN_SETTINGS

        for setting in KNOWN_SETTINGS:
            # Gunicorn's descriptions are reStructuredText.
            text = re.sub(r"\.\. \w+::.*", "", setting.desc)
            text = re.sub(r":\w+:`([^<`]+)[^`]*`", r"\1", text)
            for flag in setting.cli or ():
                name = flag.lstrip("-").removeprefix("no-").replace("_", "-")
                yield name, OptionHelp(setting.default, text)


TABLES = {
    "options.json": GunicornOptions(
        "gunicorn",
        defaults={
            "bind": "127.0.0.1:8000, or 0.0.0.0:$PORT",
            "chdir": ".",
            "control-socket": "$HOME/.gunicorn/gunicorn.ctl",
            "forwarded-allow-ips": "127.0.0.1,::1, or $FORWARDED_ALLOW_IPS",
            "group": "the current group",
            "user": "the current user",
            "workers": "1, or $WEB_CONCURRENCY",
        },
    ),
}
