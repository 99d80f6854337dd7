"""Trusted proxies."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from django_prodserver.config.bind import split_host_port

ANYONE = "*"
# Some proxies (Traefik) send the schemes of websockets.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Forwarded(NamedTuple):
    """
    The client and the scheme of a request, from the headers of a trusted proxy.

    Attributes:
        client: The address of the client.
        scheme: "http" or "https"; "" if no header has it.
    """

    client: str
    scheme: str


class TrustedProxies:
    """
    The proxies whose ``X-Forwarded-*`` headers are trusted.

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

    def has(self, peer: str, *, is_unix_socket: bool = False) -> bool:
        """
        Return whether a peer is trusted.

        Args:
            peer: Its address; "" if the server has none.
            is_unix_socket: Whether it is connected to a unix socket, which only
                processes of the same machine can reach. A TCP client without an
                address has already disconnected, and could be anyone.
        """
        if self._trusts_anyone or is_unix_socket:
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # An IPv6 socket reports IPv4 peers as ::ffff:10.0.0.1.
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)

    def read(self, forwarded_for: str, forwarded_proto: str, peer: str) -> Forwarded:
        """
        Return the client and the scheme from the headers of a trusted peer.

        Each proxy appends to these lists, so the last entry comes from the peer itself
        and the one before it from the proxy in front of that. The client is the last
        address that is not a trusted proxy, and the scheme is at the same position.
        Earlier entries may be forged; the first ones are used only with "*".
        """
        addresses = [_address(entry) for entry in forwarded_for.split(",")]
        schemes = [entry.strip().lower() for entry in forwarded_proto.split(",")]
        if self._trusts_anyone:
            return Forwarded(addresses[0] or peer, _SCHEMES.get(schemes[0], ""))
        client, proxies = peer, 0
        for address in reversed(addresses):
            if not address:
                break
            client = address
            proxies += 1
            if not self.has(address):
                break
        scheme = schemes[-min(max(proxies, 1), len(schemes))]
        return Forwarded(client, _SCHEMES.get(scheme, ""))


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
        # A zone ("fe80::1%eth0") means nothing on this machine, and may be any text.
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(text.partition("%")[0])
            return str(getattr(address, "ipv4_mapped", None) or address)
    return ""
