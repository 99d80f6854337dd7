"""Trusted proxies."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable

from django_prodserver.config.bind import split_host_port

ANYONE = "*"


class TrustedProxies:
    """
    The proxies whose ``X-Forwarded-*`` headers are believed.

    Args:
        entries: Addresses and networks; "*" for any peer.

    Raises:
        ValueError: An entry is neither an address nor a network.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        entries = list(entries)
        self._trusts_anyone = ANYONE in entries
        self._networks = [
            ipaddress.ip_network(entry, strict=False)
            for entry in entries
            if entry != ANYONE
        ]

    def has(self, peer: str) -> bool:
        """Return whether a peer is trusted; one without address (unix socket) is."""
        if self._trusts_anyone or not peer:
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # An IPv6 socket reports IPv4 peers as ::ffff:10.0.0.1.
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)

    def client(self, forwarded_for: str, peer: str) -> str:
        """
        Return the client: the nearest address that is not a trusted proxy.

        Addresses further away may be forged. Only where any peer is trusted, the
        first one counts.
        """
        addresses = [_address(entry) for entry in forwarded_for.split(",")]
        if self._trusts_anyone:
            return addresses[0] or peer
        client = peer
        for address in reversed(addresses):
            if not address:
                break
            client = address
            if not self.has(address):
                break
        return client


def are_valid(entries: Iterable[str]) -> bool:
    """Return whether all entries are addresses, networks or "*"."""
    try:
        TrustedProxies(entries)
    except ValueError:
        return False
    return True


def _address(entry: str) -> str:
    """Return the address in "10.0.0.1", "10.0.0.1:80", "::1" or "[::1]:80"; or ""."""
    entry = entry.strip()
    # First without a port: the last colon of "::1" is not the one before a port.
    for text in (entry, split_host_port(entry)[0]):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(text))
    return ""
