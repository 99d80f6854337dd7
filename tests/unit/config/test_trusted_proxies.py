"""Trusted proxies."""

from __future__ import annotations

import pytest

from django_prodserver.config.trusted_proxies import TrustedProxies, are_valid


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "client"),
    [
        (["10.0.0.0/8"], "203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/8"], "9.9.9.9, 203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/8"], "203.0.113.7, 10.1.1.1", "203.0.113.7"),
        (["10.0.0.0/8"], "10.2.2.2, 10.1.1.1", "10.2.2.2"),
        (["10.0.0.0/8"], "203.0.113.7:4711", "203.0.113.7"),
        (["10.0.0.0/8"], "[2001:db8::7]:4711", "2001:db8::7"),
        (["10.0.0.0/8"], "2001:db8::7", "2001:db8::7"),
        (["10.0.0.0/8"], "9.9.9.9, unknown", "10.0.0.1"),
        (["10.0.0.0/8"], "", "10.0.0.1"),
        (["10.0.0.1"], "203.0.113.7\n", "203.0.113.7"),
        (["10.0.0.0/8"], "<script>", "10.0.0.1"),
        (["*"], "9.9.9.9, 203.0.113.7", "9.9.9.9"),
        (["*"], "nonsense", "10.0.0.1"),
    ],
)
def test_client_is_the_nearest_untrusted_address(
    proxies: list[str], forwarded_for: str, client: str
) -> None:
    assert TrustedProxies(proxies).client(forwarded_for, "10.0.0.1") == client


@pytest.mark.parametrize(
    ("proxies", "peer", "trusted"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["10.0.0.0/8"], "", True),
        (["10.0.0.0/8"], "not an address", False),
        (["10.1.2.3/8"], "10.0.0.1", True),
        (["::1"], "::1", True),
        (["*"], "203.0.113.7", True),
    ],
)
def test_trusted_peers(proxies: list[str], peer: str, trusted: bool) -> None:
    assert TrustedProxies(proxies).has(peer) is trusted


def test_invalid_networks() -> None:
    assert are_valid(["10.0.0.0/8", "::1", "*"])
    assert not are_valid(["10.0.0.0/33"])
    assert not are_valid(["proxy.example"])
