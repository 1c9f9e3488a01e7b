"""URLs of ldap:// and ldaps:// as RFC 4516 has them: HOST/BASE?ATTRIBUTES?SCOPE?FILTER?EXTENSIONS.

Two defaults are not RFC 4516's, since with them no URL would be of use here: the scope is
``sub`` and the filter ``(objectClass=emperorVassal)``. The attributes are, in this order, those
that hold name, config, uid, gid and socket.
"""

import logging
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

from .. import names
from ..urls import MonitorURLError

ATTRIBUTES: Final = ("cn", "emperorConfig", "uidNumber", "gidNumber", "emperorSocket")
FILTER: Final = "(objectClass=emperorVassal)"
SCOPES: Final = ("base", "one", "sub")
PORTS: Final = {"ldap": 389, "ldaps": 636}
EXTENSIONS: Final = ("bindname", "x-bindpw-file", "x-starttls", "x-tls-cacert", "x-poll")

_DESCRIPTION: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9-]+)*")
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:\[\]]*))(?::(\d{1,5}))?")
_TLS: Final = re.compile(r"tls|ssl", re.IGNORECASE)
_PASSWORDS: Final = re.compile(r"pass|pw|secret|cred", re.IGNORECASE)
# Characters that need no escape in a DN or a filter, beyond letters, digits and _.-~
_PLAIN: Final = "=,+:;@!$'()*/&<>| "

_log: Final = logging.getLogger("emperor")


class LdapUrl(msgspec.Struct, frozen=True):
    """The parts of a URL. ``shown`` is the source's identity: the URL in one spelling.

    The files that passwords and certificates are in do not belong to it.
    """

    scheme: str
    host: str
    port: int
    base: str
    attributes: tuple[str, ...]  # of name, config, uid, gid, socket
    scope: str
    filter: str
    starttls: bool = False
    bindname: str = ""
    password_file: str = ""
    cacert: str = ""
    poll: bool = False  # never by syncrepl

    @property
    def shown(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        extensions = ["!x-starttls"] if self.starttls else []
        if self.bindname:
            # Between extensions a comma would end it.
            extensions.append(f"bindname={quote(self.bindname, safe=_PLAIN.replace(',', ''))}")
        parts = [
            quote(self.base, safe=_PLAIN),
            ",".join(_unless(ATTRIBUTES, self.attributes)).rstrip(","),
            self.scope if self.scope != "sub" else "",
            quote(self.filter, safe=_PLAIN) if self.filter != FILTER else "",
            ",".join(extensions),
        ]
        return f"{self.scheme}://{host}{port}/" + "?".join(parts).rstrip("?")


def _unless(defaults: tuple[str, ...], given: tuple[str, ...]) -> Iterator[str]:
    return ("" if each == default else each for each, default in zip(given, defaults, strict=True))


def read(scheme: str, rest: str) -> LdapUrl:
    """Parse ``scheme://rest``. Raises MonitorURLError."""
    try:
        return _read(scheme, rest)
    except _Wrong as wrong:
        raise MonitorURLError(f"{scheme}://: {wrong}") from None


class _Wrong(Exception):
    """An error that says what is wrong with a URL, and what to do. It quotes nothing that could be
    a password."""


def _read(scheme: str, rest: str) -> LdapUrl:
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise _Wrong(
            "a URL of LDAP has no user and password before its host; write"
            " ????bindname=DN,x-bindpw-file=PATH behind it"
        )
    host, port = _host(authority, PORTS[scheme])
    parts = path.split("?")
    if len(parts) > 5:
        raise _Wrong(
            "there is more than BASE?ATTRIBUTES?SCOPE?FILTER?EXTENSIONS; a ? in one of them is"
            " written %3F"
        )
    base, attributes, scope, wanted, extensions = parts + [""] * (5 - len(parts))
    if not base:
        raise _Wrong(
            f"names no place to search in; write {scheme}://HOST/ou=vassals,dc=example,dc=com"
        )
    ldap_url = LdapUrl(
        scheme=scheme,
        host=host,
        port=port,
        base=_decoded("base", base),
        attributes=_attributes(attributes),
        scope=_scope(scope),
        filter=_decoded("filter", wanted) or FILTER,
    )
    return _extended(ldap_url, extensions)


def _host(authority: str, port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(authority)
    if found is None:
        if re.fullmatch(r"[^\s:\[\]]*:[^:]*", authority):
            raise _Wrong("the host is followed by : and no port, a number from 1 to 65535")
        raise _Wrong("the host is not understood; write HOST, HOST:PORT or [IPv6]:PORT")
    if found[3] is not None:
        port = int(found[3])
        if not 0 < port < 0x10000:
            raise _Wrong("the port must be from 1 to 65535")
    return found[1] or found[2] or "localhost", port


def _decoded(what: str, text: str) -> str:
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise _Wrong(f"the {what} is not UTF-8") from None
    if "\0" in decoded:
        raise _Wrong(f"the {what} has a NUL character; in a filter write \\00")
    return decoded


def _attributes(text: str) -> tuple[str, ...]:
    given = [_decoded("list of attributes", each).strip() for each in text.split(",")]
    if len(given) > len(ATTRIBUTES):
        raise _Wrong("there are more than five attributes: name,config,uid,gid,socket")
    for each in given:
        if each and not _DESCRIPTION.fullmatch(each):
            raise _Wrong(f"no attribute can be called {names.shown(each)}")
    given += [""] * (len(ATTRIBUTES) - len(given))
    return tuple(each or default for each, default in zip(given, ATTRIBUTES, strict=True))


def _scope(text: str) -> str:
    scope = text.lower() or "sub"
    if scope not in SCOPES:
        raise _Wrong(f"the scope is {names.shown(text)[:40]}, it must be one of {' '.join(SCOPES)}")
    return scope


def _extended(ldap_url: LdapUrl, text: str) -> LdapUrl:
    """The URL with what its extensions say."""
    given: dict[str, str] = {}
    for each in filter(None, text.split(",")):
        key, _, value = each.partition("=")
        critical = key.startswith("!")
        key = _decoded("list of extensions", key.removeprefix("!")).lower()
        if key in EXTENSIONS:
            given[key] = _decoded(key, value)
        elif _PASSWORDS.search(key):
            raise _Wrong(
                "a password is not written into the URL; name its file: x-bindpw-file=PATH"
            )
        elif critical or _TLS.search(key):  # to ignore that would show the password to all
            raise _Wrong(
                f"there is no extension {names.shown(key)[:40]}, there are {' '.join(EXTENSIONS)};"
                " in a DN or a path write , as %2C and ? as %3F"
            )
        else:
            # RFC 4516: it must be ignored. But it may be a slip of the pen.
            _log.warning(
                "%s: the extension %s is not known, and ignored; in a DN write , as %%2C",
                ldap_url.shown,
                names.shown(key)[:40],
            )
    return _checked(
        msgspec.structs.replace(
            ldap_url,
            starttls="x-starttls" in given,
            bindname=given.get("bindname", ""),
            password_file=given.get("x-bindpw-file", ""),
            cacert=given.get("x-tls-cacert", ""),
            poll="x-poll" in given,
        )
    )


def _checked(ldap_url: LdapUrl) -> LdapUrl:
    if ldap_url.bindname and not ldap_url.password_file:
        raise _Wrong(
            "there is a bindname but no password, and without one a server takes us for nobody;"
            " name its file: x-bindpw-file=PATH"
        )
    if ldap_url.starttls and ldap_url.scheme == "ldaps":
        raise _Wrong("x-starttls is for ldap://; ldaps:// speaks TLS from the start")
    return ldap_url
