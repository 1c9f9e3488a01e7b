"""The text after ``mongodb://``: which servers, which collection, which documents.

    HOSTS[,DB.COLLECTION[,FILTER]]

Commas are told apart from the right, because hosts may have any number of them. FILTER begins with
a brace after a comma, and DB.COLLECTION is the last part before it. The rest is HOSTS, a MongoDB
connection string without its scheme:

    user:password@h1:27017,h2:27017/?replicaSet=rs0&authSource=admin

User and password end at the last ``@`` of HOSTS. There, a brace and the characters that MongoDB
wants percent-encoded (``: / ? # [ ] @``) are refused if they are not. Otherwise a part of a
password could be taken for something that may be shown.

With ``mongodb+srv://`` HOSTS is one name without a port. DNS is asked at each connecting which
servers it stands for, and not before.

uWSGI's other spelling, ``mongodb2://KEY=VALUE,…``, is known by its keys. There a backslash takes
the next character as it is; other than upstream, a comma needs one only before another key.
"""

import re
import warnings
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from ...journal import quantities
from .. import names
from ..urls import MonitorURLError
from .filters import FilterError, parse

HOSTS: Final = "127.0.0.1:27017"  # upstream's defaults
COLLECTION: Final = "uwsgi.emperor.vassals"

_FILTER: Final = re.compile(r",\s*(?=\{)")
_NAMESPACE: Final = re.compile(r"([^\s/\\.\"$*<>:|?,]{1,63})\.([^$.][^$]*(?<!\.))")
# A host with its port, or the path of a UNIX socket.
_SERVER: Final = re.compile(r"(?:\[[^\s\[\]]+\]|[^\s:\[\]]+)(?::([0-9]+))?|\S*%2[Ff]\S*")
_SECRET_OPTION: Final = re.compile(r"(?i)password|secret|token|properties")
_OPTION: Final = re.compile(r"([^=&;]*)(=[^&;]*)?")
_KEYS: Final = {
    "addr": "hosts", "address": "hosts", "server": "hosts",
    "collection": "collection", "coll": "collection",
    "json": "filter",
    "database": "database", "db": "database",
    "username": "username", "password": "password",
    "predigest": "predigest",
}  # fmt: skip
_SETTINGS: Final = [key for key in _KEYS if key != "predigest"]  # that is of old servers
_ASSIGNMENT: Final = re.compile(rf"(?:{'|'.join(_KEYS)})=")
_NEXT_KEY: Final = re.compile(rf"(?<!\\),(?={_ASSIGNMENT.pattern})")


class MongoUrl(msgspec.Struct, frozen=True):
    """Where vassals are. ``uri`` has the secrets; ``shown``, the monitor's name, has none."""

    uri: str
    database: str
    collection: str
    filter: dict[str, Any]
    shown: str
    options: dict[str, Any]  # of the uri, times in seconds
    secrets: tuple[str, ...]


def read(rest: str, *, srv: bool = False) -> MongoUrl:
    """Parse a URL, given the text after its scheme. Raises MonitorURLError."""
    scheme = "mongodb+srv" if srv else "mongodb"
    hosts, namespace, text = _pairs(rest) if _ASSIGNMENT.match(rest) else _parts(rest)
    hosts = hosts or ("" if srv else HOSTS)
    userinfo, shown_hosts = _userinfo(hosts)
    _check_hosts(scheme, hosts, shown_hosts)
    namespace, text = namespace or COLLECTION, text.strip()
    shown = f"{scheme}://{shown_hosts},{namespace}" + (f",{text}" if text else "")
    named = _NAMESPACE.fullmatch(namespace)
    if named is None:
        raise _error(shown, f"{names.shown(namespace)!r} is no collection: write DATABASE.NAME")
    try:
        wanted = parse(text) if text else {}
    except FilterError as error:
        raise _error(shown, f"in the filter, {error}") from None
    secrets = _secrets(userinfo, hosts)
    try:
        parsed = _understood(_without_srv(hosts) if srv else hosts)
    except OSError as error:  # of a certificate's file
        raise _error(shown, without(secrets, error.strerror or str(error))) from None
    except (PyMongoError, ValueError, TypeError, Warning) as error:
        text = str(error).removesuffix(" Refer to docstring.")
        raise _error(shown, without(secrets, _culprit(hosts) + text)) from None
    if parsed["password"]:
        secrets += (parsed["password"],)
    uri = f"{scheme}://{hosts}"
    return MongoUrl(uri, named[1], named[2], wanted, shown, dict(parsed["options"]), secrets)


def _understood(hosts: str) -> dict[str, Any]:
    """A connection string as pymongo reads it; warnings are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return dict(parse_uri(f"mongodb://{hosts}", warn=False))


def _without_srv(hosts: str) -> str:
    """The hosts without options that only mongodb+srv:// has, to be understood without DNS."""
    address, mark, options = hosts.partition("?")
    kept = [each for each in re.split("[&;]", options) if not each.lower().startswith("srv")]
    return address + mark + "&".join(kept)


def _culprit(hosts: str) -> str:
    """Which option pymongo does not take; it does not say so itself."""
    for option in re.split("[&;]", hosts.rpartition("@")[2].partition("?")[2]):
        try:
            _understood(f"h/?{option}")
        except (PyMongoError, ValueError, TypeError, Warning, OSError):
            return f"?{option.partition('=')[0]}=: "
    return ""


def _check_hosts(scheme: str, hosts: str, shown: str) -> None:
    """Refuse what is no server. Raises MonitorURLError."""
    _, at, others = hosts.rpartition("@")
    servers = [each.strip() for each in re.split("[/?]", others)[0].split(",")]
    for server in filter(None, servers):
        found = _SERVER.fullmatch(server)
        if found is None and not at:  # it may be a password
            what = "a host is followed by : and no port, a number from 1 to 65535"
            if "[" in server or server.count(":") > 1:
                what = "an IPv6 address is written in brackets"
            raise MonitorURLError(f"{scheme}://…: {what}; a user and a password end with an @")
        if found is None or (found[1] and quantities.port(found[1]) is None):
            raise _error(
                f"{scheme}://{shown}",
                f"{names.shown(server)!r} is no server: write HOST:PORT, with a port from 1 to"
                " 65535 and an IPv6 address in brackets",
            )
        if scheme == "mongodb+srv" and (found[1] or len(servers) > 1):
            raise _error(
                f"{scheme}://{shown}", "give one name without a port: DNS says which servers it has"
            )
    if scheme == "mongodb+srv" and not servers[0]:
        raise _error(f"{scheme}://", "names no host: write mongodb+srv://HOST,DATABASE.COLLECTION")


def without(secrets: tuple[str, ...], text: str) -> str:
    """The text on one line, with ``***`` in place of every secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return names.shown(" ".join(text.split()))


def _error(shown: str, what: str) -> MonitorURLError:
    return MonitorURLError(f"{names.shown(shown)}: {what}")


def _unescaped(hosts: str) -> MonitorURLError:
    return _error(
        f"mongodb://***@{hosts}",
        "in user and password, write : / ? # [ ] @ { } percent-encoded, as %3A %2F and so on",
    )


def _parts(rest: str) -> tuple[str, str, str]:
    """Hosts, collection and filter, told apart by commas; "" where there is none."""
    found = _FILTER.search(rest)
    head, text = (rest[: found.start()], rest[found.end() :]) if found else (rest, "")
    if re.match(r"[^'\"/]*@", text):  # no filter has that, so a password is cut in two
        raise _unescaped("***")
    userinfo, at, others = head.rpartition("@")
    parts = others.split(",")
    if len(parts) > 1 and not found and not parts[-1].strip():
        parts.pop()  # an empty filter
    namespace = parts.pop().strip() if len(parts) > 1 else ""
    return userinfo + at + ",".join(parts), namespace, text


def _pairs(rest: str) -> tuple[str, str, str]:
    """The same of uWSGI's ``addr=…,collection=…,json=…``. Raises MonitorURLError."""
    given: dict[str, str] = {}
    for pair in _NEXT_KEY.split(rest):
        key, _, value = pair.partition("=")
        given[_KEYS[key]] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    if "predigest" in given:
        raise MonitorURLError(
            "mongodb://: predigest was of MONGODB-CR, which servers no longer have; give the"
            " password itself"
        )
    for setting in ("hosts", "collection", "username", "database"):
        stray = re.search(r",([^,=?@/]*)=", given.get(setting, "").partition("?")[0])
        if stray:
            raise MonitorURLError(
                f"mongodb://: {names.shown(stray[1])} is no setting, there are"
                f" {', '.join(_SETTINGS)}"
            )
    hosts = given.get("hosts") or HOSTS
    if "username" in given:
        hosts = hosts.rpartition("@")[2]
        userinfo = quote_plus(given["username"])
        if "password" in given:
            userinfo += ":" + quote_plus(given["password"])
        hosts = f"{userinfo}@{hosts}"
        # Upstream logs in at this database.
        if "database" in given and "authsource=" not in hosts.lower():
            joint = "&" if "?" in hosts else "?" if "/" in hosts else "/?"
            hosts += f"{joint}authSource={quote_plus(given['database'])}"
    return hosts, given.get("collection", "").strip(), given.get("filter", "")


def _userinfo(hosts: str) -> tuple[str, str]:
    """User and password as they stand there, and the hosts without secrets."""
    userinfo, at, others = hosts.rpartition("@")
    address, mark, options = others.partition("?")
    masked = address + mark + _OPTION.sub(_masked, options)
    if not at:
        return "", masked
    user, colon, password = userinfo.partition(":")
    if re.search(r"[:/?#\[\]@{}]", user + password):
        raise _unescaped(masked)
    return userinfo, f"{user}{':***' if colon else ''}@{masked}"


def _masked(option: re.Match[str]) -> str:
    if option[2] and _SECRET_OPTION.search(option[1]):
        return f"{option[1]}=***"
    return option[0]


def _secrets(userinfo: str, hosts: str) -> tuple[str, ...]:
    options = hosts.rpartition("@")[2].partition("?")[2]
    found = [
        option[2][1:]
        for option in _OPTION.finditer(options)
        if option[2] and _SECRET_OPTION.search(option[1])
    ]
    return tuple(filter(None, (userinfo.partition(":")[2], *found)))
