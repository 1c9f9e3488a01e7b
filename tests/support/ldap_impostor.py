"""A server that speaks just enough LDAP to be believed, for as long as it likes."""

from collections.abc import Callable
from typing import Final

from emperord.monitors.ldap.ber import element, length_of, sequence

from .hostile_servers import Behaviour, Peer, endless
from .impostors import BARRED, names

_SYNC: Final = b"1.3.6.1.4.1.4203.1.9.1.1"


def _ldap(number: bytes, tag: int, *content: bytes) -> bytes:
    return element(0x30, element(0x02, number), element(tag, *content))


def _ldap_result(number: bytes, tag: int, code: int = 0) -> bytes:
    return _ldap(number, tag, element(0x0A, bytes([code])), element(0x04, b""), element(0x04, b""))


def ldap_entry(number: bytes, name: str, config: bytes) -> bytes:
    """An entry as the default URL asks for it."""
    values = {
        "cn": name.encode(),
        "emperorConfig": config,
        "modifyTimestamp": b"20260101000000Z",
    }
    attributes = (
        element(0x30, element(0x04, key.encode()), element(0x31, element(0x04, value)))
        for key, value in values.items()
    )
    dn = element(0x04, f"cn={name},dc=x".encode())
    return _ldap(number, 0x64, dn, element(0x30, *attributes))


def ldap_request(peer: Peer) -> tuple[bytes, int, bytes]:
    """The number of the next request, its kind, and all of it."""
    data = peer.take(2)
    while (length := length_of(data)) is None or len(data) < length:
        data += peer.take(1 if length is None else length - len(data))
    (_, number), (kind, _), *_ = sequence(data)
    return number, kind, data


def directory(search: Callable[[Peer, bytes], None]) -> Behaviour:
    """Has no synchronization; ``search`` answers a request, whose number is given, for entries."""

    def behave(peer: Peer) -> None:
        while True:
            number, kind, request = ldap_request(peer)
            if kind == 0x60:
                peer.send(_ldap_result(number, 0x61))
            elif kind == 0x63 and _SYNC in request:
                peer.send(_ldap_result(number, 0x65, 12))
            elif kind == 0x63 and b"emperorVassal" in request:
                search(peer, number)
            elif kind == 0x63:
                peer.send(_ldap_result(number, 0x65))
            elif kind == 0x42:
                return

    return behave


def ldap_sane(peer: Peer, number: bytes) -> None:
    """One entry is found."""
    peer.send(ldap_entry(number, "a.ini", BARRED) + _ldap_result(number, 0x65))


def ldap_entries(config: bytes) -> Callable[[Peer, bytes], None]:
    """Entries are found without end."""

    def search(peer: Peer, number: bytes) -> None:
        for name in names():
            peer.send(ldap_entry(number, name, config))

    return search


def ldap_huge(peer: Peer, number: bytes) -> None:
    """A search is answered with 2 GiB."""
    endless(b"\x30\x84\x7f\xff\xff\xff\x02\x01" + number)(peer)


def ldap_many_values(peer: Peer, number: bytes) -> None:
    """Entries whose attribute has as many values as a message holds."""
    values = element(0x31, element(0x04) * 500_000)
    attribute = element(0x30, element(0x04, b"cn"), values)
    dn = element(0x04, b"cn=a.ini,dc=x")
    while True:
        peer.send(_ldap(number, 0x64, dn, element(0x30, attribute)))


def ldap_referrals(peer: Peer, number: bytes) -> None:
    """Referrals without end."""
    many = _ldap(number, 0x73, element(0x04, b"ldap://x")) * 500
    while True:
        peer.send(many)


LDAP_GREETING: Final = _ldap_result(b"\1", 0x65)
