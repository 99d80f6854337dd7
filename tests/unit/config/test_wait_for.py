"""Values of ``WAIT_FOR``."""

from __future__ import annotations

import pytest

from django_prodserver.config import wait_for


@pytest.mark.parametrize(
    "value",
    [
        "database",
        ["database", "migrations", "broker", "cache"],
        ("tcp://db:5432",),
        ["tcp://[::1]:80"],
        ["database:replica", "migrations:replica", "cache:sessions"],
        [],
    ],
)
def test_valid_values(value):
    assert wait_for.is_valid(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "databse",
        [5],
        {"database": True},
        "tcp://db",
        "tcp://:80",
        "tcp://db:0",
        "tcp://db:65536",
        "tcp://db:http",
        "tcp://user:password@db:80",
        "tcp://db/path:80",
        "http://db:80",
        "",
        {"database"},
        ["database", "tcp://db"],
        "database:",
        "broker:other",
    ],
)
def test_invalid_values(value):
    assert not wait_for.is_valid(value)


def test_addresses():
    assert wait_for.address("tcp://[::1]:80") == ("::1", 80)
    assert wait_for.address("database") is None


def test_aliases():
    assert wait_for.split_alias("database") == ("database", "default")
    assert wait_for.split_alias("cache:sessions") == ("cache", "sessions")


@pytest.mark.parametrize("port", [1, 65535])
def test_lowest_and_highest_port(port):
    assert wait_for.is_valid(f"tcp://db:{port}")


def test_a_single_name_becomes_a_list():
    assert wait_for.listed("database") == ["database"]
    assert wait_for.listed(("database", "cache")) == ["database", "cache"]
    assert wait_for.listed(None) == []
