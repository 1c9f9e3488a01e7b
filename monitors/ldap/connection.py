"""libldap, in a way that never blocks: requests go out, messages come in.

It works on one end of a socket pair (``ldap_wire``) that does not block. Asked for a message, it
hands over one that is whole, or says that there is none yet.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import ldap  # type: ignore[import-untyped]
import msgspec
import trio
from ldap.controls import RequestControl  # type: ignore[import-untyped]
from ldap.ldapobject import SimpleLDAPObject  # type: ignore[import-untyped]

from .. import names
from ..polling import SourceFailed
from .transport import Transport

PAGED: Final = "1.2.840.113556.1.4.319"  # RFC 2696
Control = tuple[str, bool, bytes | None]  # name, criticality, value

_CHUNK: Final = 100  # messages that are taken in before others have their turn


class Message(msgspec.Struct, frozen=True):
    """A message of the server about a request. Entries come one by one."""

    kind: int  # ldap.RES_...
    number: int  # of the request; 0: it is about none
    data: Sequence[Any] = ()
    controls: Sequence[Control] = ()
    error: Exception | None = None

    @property
    def is_last(self) -> bool:
        return self.kind not in (
            ldap.RES_SEARCH_ENTRY,
            ldap.RES_SEARCH_REFERENCE,
            ldap.RES_INTERMEDIATE,
        )


class _Library(SimpleLDAPObject):  # type: ignore[misc]
    def take(self) -> tuple[Any, ...]:
        """The next message, with its controls as they are; Nones if there is none.

        python-ldap's own result4 fails when it is to decode the controls of no message.
        """
        found: tuple[Any, ...] = self._ldap_call(self._l.result4, ldap.RES_ANY, 0, 0.0, 1, 1)
        return found


class LdapConnection:
    """A connection. Errors that libldap sees at once are raised as ldap.LDAPError."""

    def __init__(self, wire: Transport) -> None:
        self._wire = wire
        self._descriptor = wire.take()
        self._taken = 0
        # The URL is there for its scheme; who the server is was settled by the wire.
        self._ldap = _Library("ldap://", fileno=self._descriptor)
        self._ldap.set_option(ldap.OPT_REFERRALS, 0)
        # ldap.conf(5) may have other wishes.
        self._ldap.set_option(ldap.OPT_DEREF, ldap.DEREF_NEVER)
        self._ldap.set_option(ldap.OPT_TIMELIMIT, 0)

    def bind(self, name: str, password: str) -> int:
        """Ask to log in; the request's number."""
        number: int = self._ldap.simple_bind(name, password)
        return number

    def search(
        self,
        base: str,
        scope: int,
        wanted: str,
        attributes: Sequence[str],
        *controls: RequestControl,
    ) -> int:
        """Ask for entries; the request's number."""
        number: int = self._ldap.search_ext(
            base, scope, wanted, list(dict.fromkeys(attributes)), serverctrls=list(controls)
        )
        return number

    def abandon(self, number: int) -> None:
        """Tell the server that we do not want to know any more."""
        self._ldap.abandon(number)

    def take_now(self) -> Message | None:
        """The next message, if it is here. Raises SourceFailed if no more can come."""
        try:
            kind, data, number, controls = self._ldap.take()
        except ldap.LDAPError as error:
            number = _details(error).get("msgid")
            if isinstance(error, ldap.SERVER_DOWN):  # libldap gives up, too, on what it cannot read
                raise SourceFailed(self._wire.why_lost or "what answers speaks no LDAP") from None
            if number is None:
                raise SourceFailed(self._wire.why_lost or error_text(error)) from None
            return Message(ldap.RES_SEARCH_RESULT, number, error=error)
        except UnicodeDecodeError:
            raise SourceFailed("the server sent a DN or an attribute that is not UTF-8") from None
        if kind is None:
            return None
        return Message(kind, number, data or (), controls or ())

    async def take(self) -> Message:
        """The next message. Raises SourceFailed if no more can come."""
        # Others have their turn before one is taken: a cancelled task then has lost none.
        if self._taken % _CHUNK == _CHUNK - 1:
            await trio.lowlevel.checkpoint()
        while (message := self.take_now()) is None:
            await trio.lowlevel.wait_readable(self._descriptor)
        self._taken += 1
        return message

    async def close(self) -> None:
        """Take leave and hang up."""
        # If the other side was faster, libldap's end is closed all the same.
        with contextlib.suppress(ldap.LDAPError):
            self._ldap.unbind_ext()
        await self._wire.close()


def control_value(controls: Iterable[Control], name: str) -> bytes | None:
    """The value of the control of this name, None if it is not there."""
    return next((value or b"" for kind, _, value in controls if kind == name), None)


def _details(error: ldap.LDAPError) -> dict[str, Any]:
    found = error.args[0] if error.args else None
    return found if isinstance(found, dict) else {}


def code_of(error: Exception | None) -> int:
    """The result code of RFC 4511 that an error stands for; 0 if there is none."""
    return 0 if error is None else int(_details(error).get("result", -1))


def error_text(error: ldap.LDAPError) -> str:
    """The server's account of an error, as one line."""
    told = _details(error)
    parts = [str(told[key]) for key in ("desc", "info") if told.get(key)]
    text = ": ".join(parts) or str(error) or type(error).__name__
    return names.shown(" ".join(text.split()))[:500]
