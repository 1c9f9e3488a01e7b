"""From where configs are fetched, and what is said when they are not."""

import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import trio
import trio.testing
from emperord.monitors.amqp.fetching import (
    ConfigText,
    Fetcher,
    NoReply,
    NoSuchConfig,
    Outcome,
    UnusableReply,
)
from emperord.monitors.amqp.paced_answers import MOST, MOST_HEAD, SHARE, Pace
from emperord.monitors.link_local import flaw_of_address
from support.web import Web


def fetch(url: str, fetcher: Fetcher | None = None) -> Outcome:
    async def main() -> Outcome:
        async with fetcher or Fetcher(5.0) as used:
            return await used.fetch(url)

    return trio.run(main)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        pytest.param("169.254.169.254", "link-local", id="metadata of most clouds"),
        pytest.param("fe80::1", "link-local", id="IPv6"),
        pytest.param("fe80::1%eth0", "link-local", id="IPv6 with a scope"),
        pytest.param("::ffff:169.254.169.254", "link-local", id="mapped"),
        pytest.param("64:ff9b::a9fe:a9fe", "link-local", id="NAT64"),
        pytest.param("2002:a9fe:a9fe::1", "link-local", id="6to4"),
        pytest.param("fd00:ec2::254", "AWS", id="AWS"),
        pytest.param("100.100.100.200", "Alibaba", id="Alibaba"),
        pytest.param("168.63.129.16", "Azure", id="Azure"),
        pytest.param("::ffff:168.63.129.16", "Azure", id="Azure, mapped"),
        pytest.param("2852039166", "link-local", id="a number"),
        pytest.param("0xa9.254.43518", "link-local", id="numbers"),
        pytest.param("127.0.0.1", None, id="loopback"),
        pytest.param("10.1.2.3", None, id="private"),
        pytest.param("192.0.2.1", None, id="another"),
        pytest.param("2001:db8::1", None, id="another, IPv6"),
        pytest.param("config.example", None, id="a name"),
    ],
)
def test_addresses(address: str, says: str | None) -> None:
    flaw = flaw_of_address(address)
    assert flaw is None if says is None else flaw is not None and says in flaw


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://169.254.169.254/latest/meta-data/", id="IPv4"),
        pytest.param("http://[fe80::1]/a.ini", id="IPv6"),
        pytest.param("http://[::ffff:a9fe:a9fe]/a.ini", id="mapped"),
        pytest.param("http://2852039166/a.ini", id="as a number"),
    ],
)
def test_nothing_is_fetched_from_a_link_local_address(url: str) -> None:
    outcome = fetch(url)
    assert isinstance(outcome, UnusableReply), outcome
    assert "--allow-link-local" in outcome.reason


def test_an_address_behind_a_name_is_looked_at_before_anything_is_asked() -> None:
    """A name may lead elsewhere each time that it is resolved."""
    with Web() as web:
        web.says("/a.ini", "[uwsgi]\n")
        url = f"http://localhost:{web.port}/a.ini"
        assert fetch(url) == ConfigText(b"[uwsgi]\n")
        asked = len(web.asked)
        outcome = fetch(url, Fetcher(5.0, lambda address: "no" if address[0] in "1:" else None))
        assert outcome == UnusableReply("no")
        assert len(web.asked) == asked


def test_another_port_of_the_same_host_is_elsewhere() -> None:
    with Web() as web, Web() as other:
        other.says("/a.ini", "secret")
        url = web.says("/a.ini", "", 302, Location=other.url("/a.ini"))
        outcome = fetch(url)
        assert outcome == NoSuchConfig("answered 302, a redirect to another scheme, host or port")
        assert other.asked == []


@contextmanager
def serving(answer: bytes) -> Iterator[int]:
    """A port that reads once, answers this, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                with suppress(ConnectionError):  # the client has read enough
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def interim(size: int) -> bytes:
    """So many bytes, or a few less, of interim responses."""
    one = b"HTTP/1.1 102 Processing\r\n\r\n"
    return one * (size // len(one))


def chunked(chunk: bytes, count: int) -> bytes:
    """A whole answer of so many chunks."""
    each = b"%x\r\n%s\r\n" % (len(chunk), chunk)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + each * count + b"0\r\n\r\n"


def plain(content: bytes, *header: bytes) -> bytes:
    """A whole answer with a length and these headers."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(content), *header, b"", content]
    return b"\r\n".join(lines)


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        pytest.param(plain(b"a" * 65535), b"a" * 65535, id="the longest config"),
        pytest.param(
            plain(b"a", b"X: " + b"y" * 30_000), b"a", id="a long header, beyond what servers send"
        ),
        pytest.param(interim(30_000) + plain(b"a"), b"a", id="interim responses"),
        pytest.param(
            interim(30_000) + plain(b"a" * 65535), b"a" * 65535, id="interim responses, long config"
        ),
        pytest.param(chunked(b"a", 800), b"a" * 800, id="small chunks"),
        pytest.param(chunked(b"a" * 100, 650), b"a" * 65_000, id="many chunks"),
    ],
)
def test_an_answer_within_the_limits_is_a_config(answer: bytes, content: bytes) -> None:
    with serving(answer) as port:
        assert fetch(f"http://127.0.0.1:{port}/a.ini") == ConfigText(content)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(
            interim(MOST_HEAD) + plain(b"a", b"X: " + b"y" * 1000),
            NoReply("it sends more than 32 KiB before a config"),
            id="interim responses",
        ),
        pytest.param(
            plain(b"a", b"X: " + b"y" * MOST_HEAD),
            NoReply("it sends more than 32 KiB before a config"),
            id="a header",
        ),
        pytest.param(
            chunked(b"a", 1001),
            UnusableReply("the config came in more than 1000 pieces, such as chunks"),
            id="chunks",
        ),
        pytest.param(
            chunked(b"a;" + b"x" * 300, 1).replace(b"12e\r\n", b"12e;" + b"x" * MOST + b"\r\n"),
            NoReply("Receive buffer too long"),
            id="an extension",
        ),
        pytest.param(
            chunked(b"a", 900).replace(b"1\r\na", b"1;" + b"x" * 150 + b"\r\na"),
            NoReply("it sends more than 128 KiB"),
            id="extensions",
        ),
    ],
)
def test_an_answer_past_the_limits_is_an_error(answer: bytes, outcome: Outcome) -> None:
    with serving(answer) as port:
        assert fetch(f"http://127.0.0.1:{port}/a.ini") == outcome


def test_parsers_rest_in_proportion_to_the_work_of_all() -> None:
    """One after the other; those that did nothing yet wait as well."""
    turns: list[float] = []

    async def parse(pace: Pace) -> None:
        for _ in range(3):
            await pace.turn()
            turns.append(trio.current_time())
            pace.spent(0.25)

    async def main() -> None:
        pace = Pace()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(parse, pace)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    rests = [after - before for before, after in itertools.pairwise(turns)]
    assert rests == pytest.approx([0.25 * SHARE] * 11, abs=0.01)


def test_a_connection_that_breaks_was_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.recv(4096)
            connection.close()  # lets the kernel send RST

        thread = threading.Thread(target=serve)
        thread.start()
        outcome = fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/a.ini")
        thread.join()
    assert outcome == NoReply("the connection broke: Connection reset by peer")


def test_a_refused_connection_was_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert fetch(f"http://127.0.0.1:{port}/a.ini") == NoReply("cannot connect: Connection refused")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="no TLS"),
        pytest.param(b"", id="closed"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28", id="handshake failure"),
    ],
)
def test_a_failure_of_tls_is_called_one(answer: bytes) -> None:
    with serving(answer) as port:
        outcome = fetch(f"https://127.0.0.1:{port}/a.ini")
    assert isinstance(outcome, NoReply)
    assert outcome.reason.startswith("TLS failed: "), outcome


def test_openssl_counts_its_errors_for_itself() -> None:
    """As a number of the system's, this one says ``Exec format error``."""
    assert ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF").errno == 8
