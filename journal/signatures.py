"""Signatures by Ed25519 (RFC 8032), with the package ``cryptography``, which is imported when used.

Keys are PEM files: a private one as ``openssl genpkey -algorithm ed25519`` makes it, a public one
as ``openssl pkey -pubout`` does.
"""

from collections.abc import Callable
from typing import Final

from .errors import JournalError

Sign = Callable[[bytes], str]
"""The signature of some bytes, hex."""
Check = Callable[[bytes, str], bool]
"""Whether a signature is that of these bytes."""

_MISSING: Final = (
    "the package cryptography is not installed; install emperord with its extra 'witness'"
)
_MAKE_ONE: Final = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


def signer(path: str) -> Sign:
    """Sign with the private key in this file. Raises JournalError."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise JournalError(f"{path}: {_MISSING}") from None
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        raise JournalError(f"{path}: no private key in PEM; {_MAKE_ONE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise JournalError(f"{path}: not a key of Ed25519; {_MAKE_ONE}")
    return lambda content: key.sign(content).hex()


def checker(path: str) -> Check:
    """Check by the public key in this file, or by that of a private one. Raises JournalError."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (
            Ed25519PrivateKey,
            Ed25519PublicKey,
        )
        from cryptography.hazmat.primitives.serialization import (
            load_pem_private_key,
            load_pem_public_key,
        )
    except ImportError:
        raise JournalError(f"{path}: {_MISSING}") from None
    content = _read(path)
    try:
        if b"PRIVATE KEY" in content:
            private = load_pem_private_key(content, password=None)
            key = private.public_key() if isinstance(private, Ed25519PrivateKey) else None
        else:
            public = load_pem_public_key(content)
            key = public if isinstance(public, Ed25519PublicKey) else None
    except (ValueError, TypeError):
        key = None
    if key is None:
        raise JournalError(f"{path}: no key of Ed25519 in PEM; {_MAKE_ONE}")

    def check(signed: bytes, signature: str) -> bool:
        try:
            key.verify(bytes.fromhex(signature), signed)
        except (InvalidSignature, ValueError):
            return False
        return True

    return check


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
