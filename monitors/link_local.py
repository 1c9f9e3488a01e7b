"""Addresses from which nothing is fetched: link-local ones, and those of clouds' metadata.

A URL is its tenant's, but the daemon asks. A cloud has a service at a fixed link-local address.
From there the daemon would read data that the tenant may not, such as the credentials of the
machine. ``--allow-link-local`` allows that.
"""

import ipaddress
import socket
from typing import Final

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Beside 169.254.169.254 and fe80::/10, which are link-local.
_METADATA: Final[dict[_Address, str]] = {
    ipaddress.ip_address("100.100.100.200"): "Alibaba Cloud",
    ipaddress.ip_address("168.63.129.16"): "Azure",
    ipaddress.ip_address("192.0.0.192"): "Oracle Cloud",
    ipaddress.ip_address("fd00:ec2::254"): "AWS",
    ipaddress.ip_address("fd20:ce::254"): "Google Cloud",
}
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are IPv4


def flaw_of_address(text: str) -> str | None:
    """Why nothing is fetched from this address; None where it is allowed, or is a name."""
    address = _understood(text)
    if address is None:
        return None
    if address.is_link_local:
        return f"{address} is link-local; --allow-link-local allows it"
    if address in _METADATA:
        return f"{address} has metadata of {_METADATA[address]}; --allow-link-local allows it"
    return None


def _understood(text: str) -> _Address | None:
    try:
        return _plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        pass
    try:  # as the resolver does: 2852039166, 0xa9.254.43518
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def _plain(address: _Address) -> _Address:
    """The IPv4 address that is written as an IPv6 one, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
