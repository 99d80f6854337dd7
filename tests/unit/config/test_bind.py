"""Host and port in one text; ``BIND`` itself is in test_keys and test_properties."""

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
def test_host_and_port_are_split(text: str, parts: tuple[str, str]) -> None:
    assert split_host_port(text, "8000") == parts


def test_without_a_default_a_missing_port_is_empty() -> None:
    assert split_host_port("a") == ("a", "")


def test_only_an_address_of_ipv6_is_joined_in_brackets() -> None:
    assert join_host_port("::1", 80) == "[::1]:80"
    assert join_host_port("10.0.0.1", "80") == "10.0.0.1:80"
