"""URLs of pg://: the conninfo and the query, and what of them may be shown."""

import os
import re
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import conninfo as libpq

from ...journal import quantities
from .. import names
from ..urls import MonitorURLError

SECRET: Final = re.compile(r"pass|secret|scram_", re.IGNORECASE)  # keys whose values are none of
_MAY_HIDE: Final = re.compile(r"pass|secret|scram_|@", re.IGNORECASE)
# dblink and its like take a conninfo inside SQL, where a quote may be doubled; or a URI.
_SECRET_IN_QUERY: Final = re.compile(
    r"(\b(?:\w*password|passwd|pwd|passfile)\s*=\s*)(?:''.*?''|'(?:[^'\\]|\\.)*'|[^\s;&']+)"
    r"|(\b\w+://[^\s:@/']*:)[^\s']*(?=@)",
    re.IGNORECASE,
)
_FIRST: Final = ("host", "hostaddr", "port", "user", "dbname")
_URI: Final = re.compile(r"\s*postgres(?:ql)?://")
# libpq takes what is before the first @ for user and password, unless a / comes first.
_MISPLACED_AT: Final = re.compile(r"\s*\w+://(?:[^@/]*@)?+[^?]*@")
_UNTIL_SEMICOLON: Final = re.compile(r"(?:=\s*'(?:[^'\\]|\\.)*'|\\.?|[^;\\])*", re.DOTALL)
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)
_STATEMENT: Final = re.compile(
    r"\s*(?:\(|--|/\*|(?:SELECT|WITH|TABLE|VALUES|SHOW|EXPLAIN|EXECUTE|FETCH|CALL|COPY|INSERT|UPDATE"
    r"|DELETE|MERGE|SET|DO|CREATE|DROP|ALTER|TRUNCATE|VACUUM|BEGIN|LISTEN|NOTIFY)\b)",
    re.IGNORECASE,
)


def split(rest: str) -> tuple[str, str]:
    """The conninfo and the query, which begins after the first ``;`` outside quotes."""
    if _URI.match(rest):
        conninfo, _, query = rest.partition(";")
    else:
        found = _UNTIL_SEMICOLON.match(rest)
        assert found is not None  # it matches the empty text
        conninfo, query = found[0], rest[found.end() + 1 :]
    return conninfo.strip(), query.strip().rstrip("; ")


def parse(conninfo: str, query: str = "") -> dict[str, str]:
    """The parameters in a conninfo, as libpq reads it.

    A conninfo that could show a piece of a password as a host, a port or a query is refused. No
    text that could have one is quoted. Raises MonitorURLError.
    """
    hidden = bool(_MAY_HIDE.search(conninfo))
    try:
        found = {key: str(value) for key, value in libpq.conninfo_to_dict(conninfo).items()}
    except (psycopg.Error, ValueError) as error:
        told = " ".join(str(error).split())
        told = _QUOTED.sub('"…"', told) if hidden else told
        raise MonitorURLError(
            f"pg://: the connection cannot be understood ({names.shown(told)}); write it as for"
            " psql: pg://host=… user=… dbname=…;SELECT … or postgresql://user@host/db;SELECT …"
        ) from None
    is_uri = _URI.match(conninfo)
    if is_uri and _MISPLACED_AT.match(conninfo):
        raise MonitorURLError(
            "pg://: the URI has an @ in a wrong place; in a user name, a password or a database"
            " name write @ as %40, / as %2F, : as %3A and ; as %3B"
        )
    _check_ports(found.get("port", ""), conninfo)
    if (hidden or is_uri) and query and not _STATEMENT.match(query):
        raise MonitorURLError(
            "pg://: the text after the first ; is no SQL statement; if the ; is of a password,"
            " write password='…' around it, or %3B for it in a URI"
        )
    return found


def _check_ports(ports: str, conninfo: str) -> None:
    """Refuse what is no port. Raises MonitorURLError.

    In a URI without an @ a port may be a password whose host is missing, so it is not quoted.
    """
    for port in filter(None, ports.split(",")):
        if _URI.match(conninfo) and "@" not in conninfo and not port.isdecimal():
            raise MonitorURLError(
                "pg://: in the URI a host is followed by : and no port, a number from 1 to 65535;"
                " a user and a password end with an @, and within them : is %3A, / is %2F, ; is %3B"
            )
        if quantities.port(port) is None:
            given = "" if _MAY_HIDE.search(conninfo) else f" {names.shown(port[:20])!r}"
            raise MonitorURLError(f"pg://: the port{given} is no number from 1 to 65535")


def with_service(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters, and what the service that they name adds to them.

    libpq would do it as well, but then look up the service's host while all of us wait. It is
    left to libpq to complain of a service that is not found.
    """
    name = parameters.get("service") or os.environ.get("PGSERVICE")
    if not name:
        return dict(parameters)
    own = os.environ.get("PGSERVICEFILE") or os.path.expanduser("~/.pg_service.conf")
    shared = os.environ.get("PGSYSCONFDIR") or "/etc/postgresql-common"
    for path in (own, os.path.join(shared, "pg_service.conf")):
        section = _section(path, name)
        if section is not None:
            rest = {key: value for key, value in parameters.items() if key != "service"}
            return section | rest
    return dict(parameters)


def _section(path: str, name: str) -> dict[str, str] | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return None
    found: dict[str, str] | None = None
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = found is None and line == f"[{name}]"
            found = {} if inside else found
        elif inside and found is not None and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, value)
    return found


def url_of(parameters: Mapping[str, str], query: str) -> str:
    """The source's identity: the same however the conninfo is spelled and the secrets change."""
    known = {key: value for key, value in parameters.items() if not SECRET.search(key)}
    first = [key for key in _FIRST if key in known]
    shown = (f"{key}={_quoted(known[key])}" for key in (*first, *sorted(known.keys() - {*first})))
    return f"pg://{' '.join(shown)};" + _SECRET_IN_QUERY.sub(r"\1\2***", query)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[^\s'\\;]+", value):
        return value
    return "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"
