"""Whose word counts for where a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

ANYONE = "*"


class TrustedProxies:
    """
    The proxies whose word counts.

    Args:
        words: Addresses and networks; "*" is anyone.

    Raises:
        ValueError: One of them is neither an address nor a network.
    """

    def __init__(self, words: Iterable[str]) -> None:
        words = list(words)
        self._anyone = ANYONE in words
        self._networks = [
            ipaddress.ip_network(word, strict=False) for word in words if word != ANYONE
        ]

    def has(self, peer: str) -> bool:
        """Tell whether a peer is one; on a unix socket, without an address, it is."""
        if self._anyone or not peer:
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # An IPv6 socket has IPv4 peers as ::ffff:10.0.0.1.
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)

    def client(self, forwarded_for: str, peer: str) -> str:
        """
        Return whom a proxy forwards for: the nearest address that is no proxy.

        What lies behind that one is hearsay, but where anyone is believed.
        """
        addresses = [_address(word) for word in forwarded_for.split(",")]
        if self._anyone:
            return addresses[0] or peer
        client = peer
        for address in reversed(addresses):
            if not address:
                break
            client = address
            if not self.has(address):
                break
        return client


def are_valid(words: Iterable[str]) -> bool:
    """Tell whether all are addresses, networks, or the word for anyone."""
    try:
        TrustedProxies(words)
    except ValueError:
        return False
    return True


def _address(word: str) -> str:
    """Return the address of "10.0.0.1", "10.0.0.1:80" or "[::1]:80", else nothing."""
    word = word.strip()
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return ""
