"""The directives that put the code's facts onto a page, and the roles to link them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_id
from sphinx.util.typing import ExtensionMetadata

from docs._ext import defaults, facts, server_options
from docs._ext.tables import Table


class Facts(SphinxDirective):
    """A table out of the code, as a directive: a subclass for each."""

    option_spec = {"no-targets": directives.flag}

    def table(self) -> Table:
        """Return the table for the arguments that the page gives."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        try:
            table = self.table()
        except LookupError as error:
            raise self.error(str(error)) from None
        return [self._node(table)]

    def _node(self, table: Table) -> nodes.table:
        node = nodes.table(classes=["facts"])
        group = nodes.tgroup(cols=len(table.head))
        group += [nodes.colspec(colwidth=1) for _ in table.head]
        group += nodes.thead("", _row(table.head))
        body = nodes.tbody()
        for number, cells in enumerate(table.rows):
            row = _row(cells)
            if table.targets and "no-targets" not in self.options:
                self._target(row, table.targets, table.names[number])
            body += row
        group += body
        node += group
        self.set_source_info(node)
        return node

    def _target(self, row: nodes.row, kind: str, name: str) -> None:
        row["ids"] = [make_id(self.env, self.state.document, kind, name)]
        self.state.document.note_explicit_target(row)
        self.env.domains.standard_domain.note_object(
            kind, name, row["ids"][0], location=self.get_location()
        )


def _row(cells: object) -> nodes.row:
    assert isinstance(cells, list | tuple)  # noqa: S101  # for mypy
    entries = [nodes.entry("", nodes.paragraph("", "", *_inline(c))) for c in cells]
    return nodes.row("", *entries)


def _inline(text: str) -> Iterator[nodes.Node]:
    # Not the page's own markup: one of the pages is in another.
    for number, part in enumerate(re.split("`([^`]*)`", text)):
        if part:
            yield nodes.literal(part, part) if number % 2 else nodes.Text(part)


class ServerOptions(Facts):
    """Options of the installed server, those that the page names."""

    required_arguments = 1
    has_content = True

    def table(self) -> Table:
        names = " ".join(self.content).split()
        return server_options.options(self.arguments[0], names)


class NeutralKeys(Facts):
    """The portable settings of a kind: "web", "worker" or "shared"."""

    required_arguments = 1

    def table(self) -> Table:
        return facts.neutral_keys(self.arguments[0])


class KeyTranslation(Facts):
    """The translation of each portable setting, for some backends."""

    required_arguments = 1
    final_argument_whitespace = True

    def table(self) -> Table:
        return facts.key_translation(self.arguments[0].split())


def _without_arguments(make: Callable[[], Table]) -> type[Facts]:
    class Directive(Facts):
        def table(self) -> Table:
            return make()

    return Directive


def setup(app: Sphinx) -> ExtensionMetadata:
    for kind in ("key", "check"):
        app.add_object_type(kind, kind, objname=kind)
    app.add_directive("server-options", ServerOptions)
    app.add_directive("neutral-keys", NeutralKeys)
    app.add_directive("key-translation", KeyTranslation)
    for name, make in {
        "settings-keys": facts.settings_keys,
        "environment": facts.environment,
        "exit-codes": facts.exit_codes,
        "probe-exit-codes": facts.probe_exit_codes,
        "checks": facts.checks,
        "extras": facts.extras,
        "backend-comparison": facts.comparison,
        "log-fields": facts.log_fields,
        "default-differences": defaults.differences,
        "fork-flavours": facts.fork_flavours,
        "start-differences": facts.start_differences,
        "tested-with": facts.tested_with,
    }.items():
        app.add_directive(name, _without_arguments(make))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
