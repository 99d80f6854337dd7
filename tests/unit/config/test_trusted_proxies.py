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
        (["10.0.0.0/8"], "fe80::1%eth0", "fe80::1"),
        (["10.0.0.0/8"], 'fe80::1%a"<script>', "fe80::1"),
        (["10.0.0.0/8"], "::ffff:203.0.113.7", "203.0.113.7"),
        (["*"], "9.9.9.9, 203.0.113.7", "9.9.9.9"),
        (["*"], "nonsense", "10.0.0.1"),
    ],
)
def test_client_is_the_nearest_untrusted_address(
    proxies: list[str], forwarded_for: str, client: str
) -> None:
    found = TrustedProxies(proxies).read(forwarded_for, "", "10.0.0.1")
    assert found == (client, "")


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "forwarded_proto", "scheme"),
    [
        (["10.0.0.0/8"], "203.0.113.7", "https", "https"),
        (["10.0.0.0/8"], "203.0.113.7", " HTTP ", "http"),
        (["10.0.0.0/8"], "", "https", "https"),
        # A client has sent the first one itself.
        (["10.0.0.0/8"], "9.9.9.9, 203.0.113.7", "https, http", "http"),
        (["10.0.0.0/8"], "203.0.113.7", "https, http", "http"),
        (["10.0.0.0/8"], "", "https, http", "http"),
        # The outer one of two trusted proxies was reached by https.
        (["10.0.0.0/8"], "203.0.113.7, 10.1.1.1", "https, http", "https"),
        (["10.0.0.0/8"], "203.0.113.7, 10.1.1.1", "https", "https"),
        (["10.0.0.0/8"], "203.0.113.7", "wss", "https"),
        (["10.0.0.0/8"], "203.0.113.7", "ws", "http"),
        (["10.0.0.0/8"], "203.0.113.7", "ftp", ""),
        (["10.0.0.0/8"], "203.0.113.7", "", ""),
        (["*"], "203.0.113.7, 10.1.1.1", "https, http", "https"),
    ],
)
def test_scheme_is_from_the_same_proxy_as_the_client(
    proxies: list[str], forwarded_for: str, forwarded_proto: str, scheme: str
) -> None:
    found = TrustedProxies(proxies).read(forwarded_for, forwarded_proto, "10.0.0.1")
    assert found.scheme == scheme


@pytest.mark.parametrize(
    ("proxies", "peer", "trusted"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], "not an address", False),
        (["10.1.2.3/8"], "10.0.0.1", True),
        (["::1"], "::1", True),
        (["*"], "203.0.113.7", True),
    ],
)
def test_trusted_peers(proxies: list[str], peer: str, trusted: bool) -> None:
    assert TrustedProxies(proxies).has(peer) is trusted


def test_who_connects_to_a_unix_socket_is_trusted() -> None:
    """A TCP client without an address, which has disconnected already, is not."""
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert proxies.has("", is_unix_socket=True)
    assert not proxies.has("")


def test_invalid_networks() -> None:
    assert are_valid(["10.0.0.0/8", "::1", "*"])
    assert not are_valid(["10.0.0.0/33"])
    assert not are_valid(["proxy.example"])
