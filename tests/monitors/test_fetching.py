"""From where configs are fetched, and what is said when they are not."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from emperord.monitors.fetching import Fetcher, Nothing, Outcome, Silence, Text, Useless
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
    assert isinstance(outcome, Useless), outcome
    assert "--allow-link-local" in outcome.reason


def test_an_address_behind_a_name_is_looked_at_before_anything_is_asked() -> None:
    """A name may lead elsewhere each time that it is resolved."""
    with Web() as web:
        web.says("/a.ini", "[uwsgi]\n")
        url = f"http://localhost:{web.port}/a.ini"
        assert fetch(url) == Text(b"[uwsgi]\n")
        asked = len(web.asked)
        outcome = fetch(url, Fetcher(5.0, lambda address: "no" if address[0] in "1:" else None))
        assert outcome == Useless("no")
        assert len(web.asked) == asked


def test_another_port_of_the_same_host_is_elsewhere() -> None:
    with Web() as web, Web() as other:
        other.says("/a.ini", "secret")
        url = web.says("/a.ini", "", 302, Location=other.url("/a.ini"))
        outcome = fetch(url)
        assert outcome == Nothing("answered 302, a redirect to another scheme, host or port")
        assert other.asked == []


@contextmanager
def serving(answer: bytes) -> Iterator[int]:
    """A port that reads once, answers this, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


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
    assert isinstance(outcome, Silence)
    assert outcome.reason.startswith("TLS failed: "), outcome


def test_openssl_counts_its_errors_for_itself() -> None:
    """As a number of the system's, this one says ``Exec format error``."""
    assert ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF").errno == 8
