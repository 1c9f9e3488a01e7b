"""Servers that mean harm, each at a real ``emperor``: it stays small, and others are served.

A row of the table is a source and what its server does. Files of a dir:// source beside it come
all the time meanwhile; the time from each to its event shows how others got on.
"""

import re
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import pytest
from support import impostors as fake
from support import ldap_impostor as fake_ldap
from support.daemon import Daemon
from support.hostile_servers import (
    Behaviour,
    HostileServer,
    Peer,
    drip,
    flood,
    garbage,
    half_of_tls,
    silence,
)
from support.others import Others, are_prompt, most_memory
from support.postgres import conninfo_of, shared

MOST: Final = 150  # MiB of the daemon's memory
SLOW: Final = 90.0  # seconds for an outage that only a time limit shows
LOOK: Final = 1.0  # seconds for which it is looked at after the outage
TLS: Final = "half of TLS"

_DOCUMENT: Final = {"name": "a.ini", "config": fake.BARRED.decode(), "ts": 1}
_LARGE: Final = {"name": "a.ini", "config": fake.LARGE.decode(), "ts": 1}


class Case(NamedTuple):
    """A server's behaviour, and the reason that is told of it."""

    what: str
    behave: Behaviour
    reason: str


class Source(NamedTuple):
    """A URL without and with TLS, how a sane server behaves, and the cases."""

    url: str
    tls: str
    sane: Behaviour
    cases: tuple[Case, ...]


def _quiet(greeting: bytes, reason: str) -> tuple[Case, ...]:
    return Case("silence", silence, reason), Case("drip", drip(greeting), reason)


def _names(count: int) -> list[bytes]:
    return [b"v%d.ini" % number for number in range(count)]


POSTGRES: Final = Source(
    "pg://host=127.0.0.1 port={port} user=u dbname=d",
    "pg://host=127.0.0.1 port={port} user=u dbname=d sslmode=require",
    fake.postgres([fake.pg_row(b"a.ini", fake.BARRED, b"1")]),
    (
        *_quiet(fake.PG_GREETING, "timeout expired|took longer|invalid response to SSL"),
        Case("garbage", garbage, "invalid response to SSL negotiation|server"),
        Case("flood", flood, "invalid response to SSL negotiation|server"),
        Case("claimed length", fake.postgres([], fake.pg_huge), "claims a message that is longer"),
        Case("endless row", fake.postgres([], fake.pg_endless_row), "2 MiB that were no row"),
        Case("endless rows", fake.postgres(fake.pg_rows(b"x")), "than 100,000 rows|than 10 s"),
        Case("endless texts", fake.postgres(fake.pg_rows(fake.LARGE)), "than 256 MiB|than 10 s"),
        Case("endless settings", fake.postgres([], fake.pg_parameters), "libpq more than|no row"),
        Case("endless notices", fake.postgres([], fake.pg_notices), "2 MiB that were no row"),
        Case(TLS, fake.pg_half_of_tls, "timeout expired|took longer"),
    ),
)
MONGO: Final = Source(
    "mongodb://127.0.0.1:{port}/,d.c",
    "mongodb://127.0.0.1:{port}/?tls=true,d.c",
    fake.mongo(fake.mongo_documents(_DOCUMENT)),
    (
        *_quiet(fake.MONGO_GREETING, "takes connections and does not answer"),
        Case("garbage", garbage, "message of|Message length|opcode|id"),
        Case("flood", flood, "message of|Message length|opcode|id"),
        Case("claimed length", fake.mongo(fake.mongo_huge), "2147483647 bytes, 4194304 are"),
        Case("claimed at once", fake.mongo_huge_hello, "2147483647 bytes, 16384 are"),
        Case(
            "endless documents",
            fake.mongo(fake.mongo_documents(*[_DOCUMENT] * 30, more=True)),
            "than 50000 documents|than 10 s",
        ),
        Case(
            "endless texts",
            fake.mongo(fake.mongo_documents(*[_LARGE] * 30, more=True)),
            "than 256 MiB|than 10 s",
        ),
        Case(
            "endless empty batches",
            fake.mongo(fake.mongo_documents(more=True)),
            "batches without a document",
        ),
        Case("many members", fake.mongo_members(100_000), "bytes, 16384 are allowed"),
        Case(TLS, half_of_tls, "takes connections and does not answer"),
    ),
)
AMQP: Final = Source(
    "amqp://127.0.0.1:{port}",
    "amqps://127.0.0.1:{port}",
    fake.amqp(fake.amqp_sane),
    (
        *_quiet(fake.AMQP_GREETING, "took longer than 10 s"),
        Case("garbage", garbage, "does not speak AMQP|frame of|connection was lost"),
        Case("flood", flood, "does not speak AMQP|frame of"),
        Case("claimed length", fake.amqp(fake.amqp_huge), "2147483647 bytes, 131072 are allowed"),
        Case("endless body", fake.amqp(fake.amqp_endless_body), "announces a message of"),
        Case("endless messages", fake.amqp(fake.amqp_endless), "more than the 200 messages"),
        Case("endless heartbeats", fake.amqp(fake.amqp_heartbeats), "1 MiB that are neither"),
        Case(TLS, half_of_tls, "took longer than 10 s"),
    ),
)
ZOO: Final = Source(
    "zoo://127.0.0.1:{port}/v",
    "",
    fake.zookeeper(),
    (
        *_quiet(fake.ZOO_GREETING, "gives no session"),
        Case("garbage", garbage, "is no ZooKeeper"),
        Case("flood", flood, "is no ZooKeeper"),
        Case("claimed length", fake.zookeeper(fake.zoo_huge), "it claims 2147483647 bytes"),
        Case("half a list", fake.zookeeper(fake.zoo_half_a_list), "did not answer|lost time and"),
        Case(
            "endless events",
            fake.zookeeper(fake.zoo_flood(fake.zoo_event(b"/v"))),
            "did not answer for 10 s, and sent",
        ),
        Case(
            "endless pings",
            fake.zookeeper(fake.zoo_flood(fake.ZOO_PING)),
            "did not answer for 10 s, and sent",
        ),
        Case(
            "many names", fake.zookeeper(fake.zoo_list(_names(150_000))), "more than 100,000 znodes"
        ),
        Case(
            "endless texts",
            fake.zookeeper(fake.zoo_list(_names(50_000)), fake.LARGE),
            "more than 256 MiB",
        ),
    ),
)
LDAP: Final = Source(
    "ldap://127.0.0.1:{port}/dc=x",
    "ldaps://127.0.0.1:{port}/dc=x",
    fake_ldap.directory(fake_ldap.ldap_sane),
    (
        *_quiet(fake_ldap.LDAP_GREETING, "took longer than 10 s"),
        Case("garbage", garbage, "speaks no LDAP|bytes, 1048576 are"),
        Case("flood", flood, "speaks no LDAP|bytes, 1048576 are"),
        Case(
            "claimed length",
            fake_ldap.directory(fake_ldap.ldap_huge),
            "2147483653 bytes, 1048576 are",
        ),
        Case(
            "endless entries",
            fake_ldap.directory(fake_ldap.ldap_entries(fake.BARRED)),
            "100,000 entries|64 MiB",
        ),
        Case(
            "endless texts",
            fake_ldap.directory(fake_ldap.ldap_entries(fake.LARGE)),
            "more than 64 MiB",
        ),
        Case("many values", fake_ldap.directory(fake_ldap.ldap_many_values), "more than 64 MiB"),
        Case(
            "endless referrals", fake_ldap.directory(fake_ldap.ldap_referrals), "10,000 referrals"
        ),
        Case(TLS, half_of_tls, "took longer than 10 s"),
    ),
)
SOURCES: Final = {"pg": POSTGRES, "mongodb": MONGO, "amqp": AMQP, "zoo": ZOO, "ldap": LDAP}
CASES: Final = [
    pytest.param(source, case, id=f"{name}-{case.what.replace(' ', '-')}")
    for name, source in SOURCES.items()
    for case in source.cases
]


def account(case: str, daemon: Daemon, late: list[float], reason: str) -> None:
    """Print a row of the table; shown with ``pytest -s``."""
    print(
        f"\n| {case} | {most_memory(daemon):.0f} MiB | {median(late) * 1000:.0f} ms,"
        f" at most {max(late) * 1000:.0f} | {reason}"
    )


@pytest.mark.few(
    *(
        "pg-silence",
        "pg-garbage",
        "pg-endless-rows",
        "mongodb-flood",
        "mongodb-endless-empty-batches",
        "mongodb-endless-texts",
    ),
    *("amqp-drip", "amqp-endless-body", "zoo-claimed-length", "zoo-many-names"),
    *("ldap-endless-referrals", "ldap-half-of-TLS"),
)
@pytest.mark.parametrize(("source", "case"), CASES)
def test_a_hostile_server_harms_nobody_else(
    source: Source, case: Case, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with HostileServer(case.behave) as server:
        url = (source.tls if case.what == TLS else source.url).format(port=server.port)
        vassals = tmp_path / "vassals"
        with Daemon(tmp_path, monitors=[vassals, url]) as daemon:
            daemon.start()
            with Others(vassals) as others:
                failed = daemon.event("monitor_failed", patience=SLOW)
                server.wait(LOOK)
            late = daemon.until(lambda: others.late(daemon), "all files are told")
            account(request.node.callspec.id, daemon, late, failed.body["reason"])
            assert failed.monitor != f"dir://{vassals}"
            assert re.search(case.reason, failed.body["reason"]), failed.body["reason"]
            assert most_memory(daemon) < MOST
            if case.what != TLS:
                server.replace(source.sane)
                daemon.event("monitor_recovered", patience=SLOW)
                daemon.event("vassal_added", "a.ini")
            assert are_prompt(late, daemon, vassals, others.disk)
            daemon.stop()


def test_long_values_stay_at_an_honest_server(tmp_path: Path) -> None:
    query = (
        "SELECT n || '.ini', repeat('#', CASE n WHEN 3 THEN 9 ELSE 40000000 END), n"
        " FROM generate_series(1, 6) AS n"
    )
    with Daemon(tmp_path, monitors=[f"pg://{conninfo_of(shared())};{query}"]) as daemon:
        daemon.start()
        rejected = daemon.event("observation_rejected", count=5)
        assert rejected.body["reason"].startswith("the config has 40000000 bytes, 65535 fit")
        daemon.event("vassal_added", "3.ini")
        assert daemon.events("monitor_failed") == []
        assert most_memory(daemon) < MOST


def test_long_messages_of_an_honest_broker_are_rejected(tmp_path: Path) -> None:
    def deliver(peer: Peer, consumer: str) -> None:
        peer.send(fake.amqp_header(consumer, 200_000_000))
        for _ in range(2000):
            peer.send(fake.amqp_body(b"#" * 100_000))
        peer.send(fake.amqp_message(consumer, "b.ini", fake.BARRED, 2))

    with (
        HostileServer(fake.amqp(deliver)) as server,
        Daemon(tmp_path, monitors=[f"amqp://127.0.0.1:{server.port}"]) as daemon,
    ):
        daemon.start()
        rejected = daemon.event("observation_rejected", patience=SLOW)
        assert rejected.body["reason"].startswith("the config has 200000000 bytes, 65535 fit")
        daemon.event("vassal_added", "b.ini")
        assert daemon.events("monitor_failed") == []
        assert most_memory(daemon) < MOST
