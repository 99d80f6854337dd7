"""Splitting and joining host and port; test_keys and test_properties test ``BIND``."""

from __future__ import annotations

import pytest

from django_prodserver.config.bind import join_host_port, split_host_port


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a:1", ("a", "1")),
        ("a", ("a", "8000")),
        (":1", ("", "1")),
        ("a:", ("a", "8000")),
        ("[::1]:1", ("::1", "1")),
        ("[::1]:", ("::1", "8000")),
        ("[::1]", ("::1", "8000")),
    ],
)
def test_split_host_and_port(text: str, parts: tuple[str, str]) -> None:
    assert split_host_port(text, "8000") == parts


def test_split_without_a_default_port() -> None:
    assert split_host_port("a") == ("a", "")


def test_join_puts_only_ipv6_in_brackets() -> None:
    assert join_host_port("::1", 80) == "[::1]:80"
    assert join_host_port("10.0.0.1", "80") == "10.0.0.1:80"
