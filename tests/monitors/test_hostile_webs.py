"""Web servers of configs that mean harm: a real ``emperor`` stays small, and others are served.

A broker announces more URLs of the hostile server than are fetched at a time, and then one of an
honest server.
"""

import re
import struct
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import pytest
from support import impostors as fake
from support.daemon import Daemon
from support.hostile_servers import (
    Behaviour,
    HostileServer,
    Peer,
    drip,
    endless,
    flood,
    garbage,
    half_of_tls,
    silence,
)
from support.others import Others, are_prompt, most_memory
from support.web import Web

MOST: Final = 150  # MiB of the daemon's memory
SLOW: Final = 90.0  # seconds for all fetches to have met their time limit
LOOK: Final = 1.0  # seconds for which it is looked at afterwards
URLS: Final = 20  # of the hostile server
_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Case(NamedTuple):
    """How the server answers, and what is told of it; the scheme of its URLs."""

    behave: Behaviour
    reason: str
    scheme: str = "http"


def _again_and_again(beginning: bytes, part: bytes) -> Behaviour:
    many = part * (1 + 50_000 // len(part))

    def behave(peer: Peer) -> None:
        peer.send(beginning)
        while True:
            peer.send(many)

    return behave


def _redirects(peer: Peer) -> None:
    """Send each request to the same address."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: /%s.ini\r\nContent-Length: 0\r\n\r\n"
    while True:
        while peer.take(1) != b"\n":
            pass
        peer.send(answer % (b"x" * 1000))


def _announced(port: int, scheme: str, honest: str) -> Behaviour:
    urls = [f"{scheme}://127.0.0.1:{port}/v{number}.ini" for number in range(URLS)]

    def deliver(peer: Peer, consumer: str) -> None:
        for tag, url in enumerate([*urls, honest], 1):
            peer.send(fake.amqp_message(consumer, "", url.encode(), tag))

    return fake.amqp(deliver)


_LATE: Final = "it took longer than 10 s"
_NO_HTTP: Final = (
    "illegal status line|illegal header|Server disconnected|the connection broke: Connection reset"
)
_HEAD: Final = "it sends more than 32 KiB before a config"
_LONG: Final = "the config has more than 65535 bytes"
_PIECES: Final = "the config came in more than 1000 pieces"
CASES: Final = {
    "silence": Case(silence, _LATE),
    "drip": Case(drip(_OK + b"Content-Length: 9\r\n\r\n[uwsgi]\n"), _LATE),
    "garbage": Case(garbage, _NO_HTTP),
    "flood": Case(flood, f"{_NO_HTTP}|{_HEAD}"),
    "endless line": Case(endless(b"HTTP/1.1 200 "), _HEAD),
    "endless header": Case(endless(_OK + b"X: "), _HEAD),
    "endless headers": Case(_again_and_again(_OK, b"X: y\r\n"), _HEAD),
    "endless interim": Case(_again_and_again(b"", b"HTTP/1.1 102 \r\n\r\n"), f"{_LATE}|{_HEAD}"),
    "claimed length": Case(endless(_OK + b"Content-Length: %d\r\n\r\n" % (1 << 60)), _LONG),
    "claimed length alone": Case(
        drip(_OK + b"Content-Length: %d\r\n\r\n" % (1 << 60)), f"{_LATE}|{_LONG}"
    ),
    "no length": Case(endless(_OK + b"\r\n"), _LONG),
    "endless chunks": Case(_again_and_again(_CHUNKED, b"1000\r\n" + bytes(4096) + b"\r\n"), _LONG),
    "endless small chunks": Case(_again_and_again(_CHUNKED, b"1\r\nx\r\n"), _PIECES),
    "claimed chunk": Case(endless(_CHUNKED + b"fffffffffffffff\r\n"), _LONG),
    "endless extension": Case(
        endless(_CHUNKED + b"1;x="), "Receive buffer too long|illegal chunk header|peer closed"
    ),
    "endless trailer": Case(
        _again_and_again(_CHUNKED + b"0\r\n", b"X: y\r\n"), "Receive buffer too long|peer closed"
    ),
    "endless redirects": Case(_redirects, "redirects too often"),
    "half of TLS": Case(half_of_tls, _LATE, "https"),
    "garbage for TLS": Case(garbage, "TLS failed|no trusted", "https"),
    "flood for TLS": Case(flood, "TLS failed|no trusted", "https"),
    "endless TLS": Case(
        endless(b"\x16\x03\x03" + struct.pack("!H", 16_000) + b"\x0b\xff\xff\xff"),
        f"TLS failed|{_LATE}",
        "https",
    ),
}


@pytest.mark.few(6)
@pytest.mark.parametrize("what", CASES)
def test_a_hostile_web_server_harms_nobody_else(what: str, tmp_path: Path) -> None:
    case, vassals = CASES[what], tmp_path / "vassals"
    with HostileServer(case.behave) as server, Web() as web:
        honest = web.says("/honest.ini", fake.BARRED)
        with (
            HostileServer(_announced(server.port, case.scheme, honest)) as broker,
            Daemon(tmp_path, monitors=[vassals, f"amqp://127.0.0.1:{broker.port}"]) as daemon,
        ):
            daemon.start()
            with Others(vassals) as others:
                daemon.event("vassal_added", honest, patience=SLOW)
                rejected = daemon.event("observation_rejected", count=URLS, patience=SLOW)
                server.wait(LOOK)
            late = daemon.until(lambda: others.late(daemon), "all files are told")
            print(
                f"\n| http-{what} | {most_memory(daemon):.0f} MiB | {median(late) * 1000:.0f} ms,"
                f" at most {max(late) * 1000:.0f} | {rejected.body['reason']}"
            )
            assert re.search(case.reason, rejected.body["reason"]), rejected.body["reason"]
            assert daemon.events("monitor_failed") == []
            assert most_memory(daemon) < MOST
            assert are_prompt(late, daemon, vassals, others.disk)
            daemon.stop()
