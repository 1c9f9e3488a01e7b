"""The bytes between libldap and a directory server.

libldap can connect, look up hosts and shake hands for TLS by itself. But it blocks meanwhile, for
as long as a server is silent, and cannot be told to stop. So it is given one end of a socket pair,
which never keeps it waiting, and encodes and decodes messages there. All that takes time is done
here by trio: looking up, connecting, StartTLS, and TLS. It carries the bytes between the pair's
other end and the server.

The pair and the sockets have small buffers and nothing else is kept: who sends faster than we
take is held up by TCP.
"""

import contextlib
import os
import socket
import ssl
from typing import Final

import ldap  # type: ignore[import-untyped]
import trio

from .. import names
from ..polling import SourceFailed
from .ber import BadMessage, element, elements, length_of
from .url import LdapUrl

_CHUNK: Final = 1 << 16  # bytes
_FAREWELL: Final = 0.5  # seconds for a server to take the last that we say
MOST_MESSAGE: Final = 1 << 20  # bytes; libldap allocates what a message claims to have
_LONGEST_ANSWER: Final = 1 << 16  # bytes, to StartTLS

_START_TLS: Final = element(  # RFC 4511, 4.14
    0x30, element(0x02, b"\x01"), element(0x77, element(0x80, b"1.3.6.1.4.1.1466.20037"))
)
_NEVER: Final = (ldap.OPT_X_TLS_NEVER, ldap.OPT_X_TLS_ALLOW)  # check no certificate


class Transport:
    """A connection to a server; ``descriptor`` is libldap's end of it, until it is taken."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.why_lost = ""
        self._stream = stream
        near, far = socket.socketpair()
        far.setblocking(False)
        self._near = trio.socket.from_stdlib_socket(near)
        self._far: socket.socket | None = far
        self._scope = trio.CancelScope()
        self._over = trio.Event()

    def take(self) -> int:
        """Hand out libldap's end. The caller closes it."""
        assert self._far is not None
        descriptor = self._far.detach()
        self._far = None
        return descriptor

    async def carry(self) -> None:
        """Carry bytes both ways until either end is closed. Raises nothing."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry_out)
                    await self._carry_in()
        finally:
            self._near.close()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
            self._over.set()

    async def close(self) -> None:
        """Let the last words go out, if that is possible at once; then hang up."""
        if self._far is not None:
            self._far.close()
        with trio.move_on_after(_FAREWELL):
            await self._over.wait()
        self._scope.cancel()
        await self._over.wait()

    async def _carry_out(self) -> None:
        with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._near.recv(_CHUNK):
                await self._stream.send_all(data)
            self._scope.cancel()  # libldap has hung up

    async def _carry_in(self) -> None:
        try:
            measure = _Measure()
            while data := await self._stream.receive_some(_CHUNK):
                if flaw := measure.flaw(data):
                    self.why_lost = flaw
                    break
                view = memoryview(data)
                while view:
                    view = view[await self._near.send(view) :]
            self.why_lost = self.why_lost or "the server closed the connection"
        except (OSError, trio.BrokenResourceError) as error:
            self.why_lost = f"the connection was lost: {error_text(error)}"
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_WR)
        await trio.sleep_forever()  # until libldap has read the rest and hangs up


class _Measure:
    """Looks at how long messages claim to be."""

    def __init__(self) -> None:
        self._head = b""  # the known bytes of a message's tag and length
        self._left = 0  # bytes of the message

    def flaw(self, data: bytes | bytearray) -> str:
        """The flaw of the messages that these bytes belong to, "" if there is none."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            self._head += data[at : at + 1]
            at += 1
            if self._head[0] != 0x30:
                return "what answers speaks no LDAP"
            length = length_of(self._head)
            if length is None:
                continue
            if length > MOST_MESSAGE:
                return f"the server sends a message of {length} bytes, {MOST_MESSAGE} are allowed"
            self._left, self._head = length - len(self._head), b""
        return ""


async def connect(ldap_url: LdapUrl) -> Transport:
    """Connect to the server, with TLS if the URL says so. Raises SourceFailed."""
    try:
        stream: trio.abc.Stream = await trio.open_tcp_stream(ldap_url.host, ldap_url.port)
    except OSError as error:
        where = f"{ldap_url.host}:{ldap_url.port}"
        raise SourceFailed(f"no connection to {where}: {error_text(error)}") from None
    try:
        if ldap_url.starttls:
            await _start_tls(stream)
        if ldap_url.starttls or ldap_url.scheme == "ldaps":
            context = await trio.to_thread.run_sync(
                _context, ldap_url.cacert, abandon_on_cancel=True
            )
            stream = trio.SSLStream(stream, context, server_hostname=ldap_url.host)
            await stream.do_handshake()
        return Transport(stream)
    except BaseException as error:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
        if isinstance(error, OSError | trio.BrokenResourceError | ValueError):
            raise SourceFailed(f"no TLS with {ldap_url.host}: {error_text(error)}") from None
        raise


async def _start_tls(stream: trio.abc.Stream) -> None:
    """Have the server agree to TLS. Raises SourceFailed: there is no going on without."""
    await stream.send_all(_START_TLS)
    answer = b""
    while (length := length_of(answer)) is None or len(answer) < length:
        data = await stream.receive_some(_CHUNK)
        if not data:
            raise SourceFailed("the server hung up instead of starting TLS")
        answer += data
        if len(answer) > _LONGEST_ANSWER:
            raise SourceFailed("the server's answer to StartTLS makes no sense")
    if len(answer) > length:  # the excess came before TLS, so it may be forged
        raise SourceFailed("the server sent more than its answer to StartTLS")
    try:
        code, reason = _result(answer)
    except BadMessage:
        raise SourceFailed("the server's answer to StartTLS makes no sense") from None
    if code != 0:
        told = f": {names.shown(reason)[:200]}" if reason else ""
        raise SourceFailed(f"the server does not start TLS (result {code}{told})")


def _result(message: bytes) -> tuple[int, str]:
    """The code and the diagnostic text of an answer. Raises BadMessage."""
    ((_, content),) = elements(message)
    _, (tag, answer), *_ = elements(content)
    parts = list(elements(answer))
    if tag != 0x78 or len(parts) < 3:
        raise BadMessage
    return int.from_bytes(parts[0][1], "big"), parts[2][1].decode(errors="replace")


def _context(cacert: str) -> ssl.SSLContext:
    """The authorities: ``cacert``, else those of ldap.conf(5), else the system's. Blocks."""
    directory = None
    if not cacert:
        cacert = ldap.get_option(ldap.OPT_X_TLS_CACERTFILE) or ""
        directory = ldap.get_option(ldap.OPT_X_TLS_CACERTDIR)
    try:
        context = ssl.create_default_context(cafile=cacert or None, capath=directory)
    except OSError as error:
        raise SourceFailed(
            f"the certificates in {names.shown(cacert or directory or '')} cannot be read:"
            f" {error_text(error)}"
        ) from None
    if ldap.get_option(ldap.OPT_X_TLS_REQUIRE_CERT) in _NEVER:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    own = ldap.get_option(ldap.OPT_X_TLS_CERTFILE)
    if own:
        # A key with a passphrase is an error, and no question on a terminal.
        context.load_cert_chain(own, ldap.get_option(ldap.OPT_X_TLS_KEYFILE), password="")
    return context


def error_text(error: BaseException) -> str:
    """The failure, as one short line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__
    if cause is not None and not getattr(error, "strerror", None):
        return error_text(cause)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and error.errno:
        text = os.strerror(error.errno)  # trio says more, which is known already
    return names.shown(" ".join(text.split()))[:300]
