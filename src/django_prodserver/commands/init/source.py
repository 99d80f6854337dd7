"""Edit Python source by the positions of its syntax tree, and keep its formatting."""

from __future__ import annotations

import ast
import io
import tokenize

_Literal = ast.List | ast.Tuple


def find_list(source: str, name: str) -> _Literal | None:
    """
    Return the list or tuple that is assigned to a name; None if it cannot be edited.

    It can be if the module assigns it once, at its top level, as a literal.
    """
    tree = ast.parse(source)
    anywhere = [node for node in ast.walk(tree) if _assigns(node, name)]
    literals = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and _assigns(node, name)
        and isinstance(node.value, _Literal)
    ]
    if len(anywhere) != 1 or len(literals) != 1 or _is_bare(literals[0]):
        return None
    return literals[0]


def _assigns(node: ast.AST, name: str) -> bool:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return any(isinstance(to, ast.Name) and to.id == name for to in targets)


def _is_bare(literal: _Literal) -> bool:
    """Tell whether a tuple has no parentheses: ``A = "a", "b"``."""
    if isinstance(literal, ast.List) or not literal.elts:
        return False
    first = literal.elts[0]
    start = (literal.lineno, literal.col_offset)
    return (first.lineno, first.col_offset) == start


def assigns(source: str, name: str) -> bool:
    """Tell whether a module binds a name, in whatever way."""
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Store)
        for node in ast.walk(ast.parse(source))
    )


def insert(source: str, name: str, text: str, *, after: str | None = None) -> str:
    """
    Insert a string into a list or tuple that ``find_list`` has found.

    Args:
        source: The module.
        name: The list.
        text: The new element.
        after: The element before it; without it the new one is the first. If there
            is no such element, the new one is the last.
    """
    literal = find_list(source, name)
    assert literal is not None  # noqa: S101  # the caller has asked
    positions = _Positions(source)
    start = positions.of(literal.lineno, literal.col_offset)
    if not literal.elts:
        comma = "," if isinstance(literal, ast.Tuple) else ""
        return f'{source[: start + 1]}"{text}"{comma}{source[start + 1 :]}'
    quoted = f'"{text}"'
    if after is None:
        first = literal.elts[0]
        at = positions.of(first.lineno, first.col_offset)
        gap = " "
        if first.lineno != literal.lineno:
            gap = positions.newline + positions.indent(first.lineno)
        return f"{source[:at]}{quoted},{gap}{source[at:]}"
    values = [
        element.value if isinstance(element, ast.Constant) else None
        for element in literal.elts
    ]
    index = values.index(after) if after in values else len(values) - 1
    element = literal.elts[index]
    end = positions.of(element.end_lineno or 0, element.end_col_offset or 0)
    has_comma, at = _comma(source, end)
    if literal.lineno == element.lineno:
        if has_comma:
            return f"{source[:at]} {quoted},{source[at:]}"
        return f"{source[:end]}, {quoted}{source[end:]}"
    indent = positions.newline + positions.indent(element.lineno)
    if has_comma:
        at = _line_end(source, at)
        return f"{source[:at]}{indent}{quoted},{source[at:]}"
    # The last one, without a comma of its own.
    after_comment = _line_end(source, end)
    return (
        f"{source[:end]},{source[end:after_comment]}{indent}{quoted},"
        f"{source[after_comment:]}"
    )


def append(source: str, text: str) -> str:
    """Append lines at the end of a module, below a blank line."""
    newline = _Positions(source).newline
    if source and not source.endswith(("\n", "\r")):
        source += newline
    return source + newline + text.replace("\n", newline)


def _comma(source: str, end: int) -> tuple[bool, int]:
    """Return whether a comma follows, and the position behind it."""
    rest = source[end:]
    offset = _Positions(rest)
    try:
        for token in tokenize.generate_tokens(io.StringIO(rest, newline="").readline):
            if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE):
                continue
            if token.string == ",":
                row, column = token.end
                return True, end + offset.starts[row - 1] + column
            break
    except (tokenize.TokenError, SyntaxError):
        pass
    return False, end


def _line_end(source: str, at: int) -> int:
    """
    Return the end of the line, if only a comment follows; else the same position.

    What follows may be another element, or the closing bracket.
    """
    end = source.find("\n", at)
    if end < 0:
        return at
    if source[end - 1] == "\r":
        end -= 1
    rest = source[at:end].strip()
    return end if not rest or rest.startswith("#") else at


class _Positions:
    """From the tree's lines and UTF-8 columns to positions in the text."""

    def __init__(self, source: str) -> None:
        self.newline = "\r\n" if "\r\n" in source else "\n"
        self.lines = source.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def of(self, line: int, column: int) -> int:
        before = self.lines[line - 1].encode()[:column].decode()
        return self.starts[line - 1] + len(before)

    def indent(self, line: int) -> str:
        text = self.lines[line - 1]
        return text[: len(text) - len(text.lstrip())]
