"""The options of the installed Waitress, and those of ``prodserver-waitress``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django_prodserver.backends.introspection.installed import (
    InstalledOptions,
    OptionHelp,
    refused_number,
)
from django_prodserver.backends.introspection.parsers import option_of
from django_prodserver.config.argv import Option


class WaitressOptions(InstalledOptions):
    """Read Waitress's adjustments, which are its options."""

    def read_options(self) -> list[Option]:
        from waitress.adjustments import Adjustments, asbool

        # --graceful-timeout is an option of our prodserver-waitress.
        options = [option_of("flag", ["--call"])]
        options.append(option_of("value", ["--graceful-timeout"]))
        for name, cast in Adjustments._params:
            flag = f"--{name.replace('_', '-')}"
            if cast is asbool:
                options.append(option_of("flag", [flag], f"--no-{flag[2:]}"))
            elif name == "listen":
                options.append(option_of("list", [flag]))
            elif name != "sockets":  # takes socket objects, so only from Python
                options.append(option_of("value", [flag]))
        return sorted(options)

    def refusal(self, flag: str, text: str) -> str:
        from waitress.adjustments import Adjustments

        name = flag.removeprefix("--").replace("-", "_")
        return refused_number(dict(Adjustments._params).get(name), text)

    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        from waitress.adjustments import Adjustments
        from waitress.runner import HELP

        entry = re.compile(r"\n    --(?:\[no-\])?([a-z0-9-]+).*\n((?:        .*\n)+)")
        for name, text in entry.findall(HELP):
            default = getattr(Adjustments, name.replace("-", "_"), None)
            yield name, OptionHelp(default, text)


TABLES = {
    "options.json": WaitressOptions(
        "waitress",
        defaults={"unix-socket-perms": "600"},
        help={
            "graceful-timeout": "Seconds that a stop waits for requests. Added by us.",
            "trusted-proxy": "The proxy whose headers are trusted.",
        },
    ),
}
