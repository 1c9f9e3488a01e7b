"""As much of BER (X.690) as LDAP's controls need. libldap decodes all that is large.

Lengths are definite and tags one byte, as RFC 4511, 5.1 has it.
"""

from collections.abc import Iterator
from typing import Final

_LONGEST_HEAD: Final = 2 + 0x7F  # bytes of a tag and a length


class BadMessage(Exception):
    """Bytes that are not what they should be."""


def element(tag: int, *content: bytes) -> bytes:
    """One element."""
    whole = b"".join(content)
    if len(whole) < 0x80:
        return bytes((tag, len(whole))) + whole
    length = len(whole).to_bytes((len(whole).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + whole


def length_of(data: bytes) -> int | None:
    """How many bytes the first element has, tag and length included; None: not known yet."""
    if len(data) < 2:
        return None
    length = data[1]
    if length < 0x80:
        return 2 + length
    more = length & 0x7F
    if len(data) < 2 + more:
        return None
    return 2 + more + int.from_bytes(data[2 : 2 + more], "big")


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of all elements in ``data``. Raises BadMessage."""
    at = 0  # not cut off at the front: a message may have a million elements
    while at < len(data):
        head = data[at : at + _LONGEST_HEAD]
        length = length_of(head)
        if length is None or at + length > len(data) or head[1] == 0x80:
            raise BadMessage
        start = 2 if head[1] < 0x80 else 2 + (head[1] & 0x7F)
        yield head[0], data[at + start : at + length]
        at += length


def sequence(data: bytes) -> list[tuple[int, bytes]]:
    """The elements of the one SEQUENCE that is there. Raises BadMessage."""
    found = list(elements(data))
    if len(found) != 1 or found[0][0] != 0x30:
        raise BadMessage
    return list(elements(found[0][1]))
