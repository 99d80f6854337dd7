"""The part of JSON Schema that ``logs/schema.json`` is written in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import django_prodserver.logs

SCHEMA: dict[str, Any] = json.loads(
    Path(django_prodserver.logs.__path__[0], "schema.json").read_text()
)
_TYPES: dict[str, Any] = {
    "object": dict,
    "string": str,
    "integer": int,
    "number": int | float,
}
_KNOWN = {
    *("$schema", "title", "description", "type", "required", "additionalProperties"),
    *("properties", "enum", "pattern", "minimum", "maximum", "dependentRequired"),
}


def line(text: str) -> dict[str, Any]:
    """Return a line of a log as the object it is; fail if it is not of the schema."""
    try:
        found = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        message = f"no line of JSON: {text!r}"
        raise AssertionError(message) from None
    validate(found, SCHEMA)
    return dict(found)


def validate(value: Any, schema: dict[str, Any], where: str = "the line") -> None:
    """Fail if a value is not of a schema, or the schema says what is not known here."""
    assert schema.keys() <= _KNOWN, schema
    if kind := schema.get("type"):
        right = isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
        assert right, f"{where} is {value!r}, and no {kind}"
    if "enum" in schema:
        assert value in schema["enum"], f"{where} is {value!r}"
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{where} is {value!r}"
    assert value >= schema["minimum"] if "minimum" in schema else True, where
    assert value <= schema["maximum"] if "maximum" in schema else True, where
    if "properties" in schema:
        missing = set(schema["required"]) - value.keys()
        for name, others in schema["dependentRequired"].items():
            missing |= set(others) - value.keys() if name in value else set()
        assert not missing, f"{where} lacks {missing}: {value}"
        unknown = value.keys() - schema["properties"].keys()
        assert not unknown, f"{where} has {unknown}: {value}"
        for name, inner in value.items():
            validate(inner, schema["properties"][name], name)
