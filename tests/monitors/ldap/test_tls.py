"""ldaps:// and StartTLS: certificates, servers without TLS, and strange answers."""

import socket
import threading
from pathlib import Path

import pytest
from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.monitor import DirectoryService
from support.ldap import (
    LdapSource,
    result,
    scripted,
)

from ..watching import failure_of, watching
from .readings import SELDOM, scripted_monitor

# TLS


def secured(source: LdapSource, more: str, scheme: str = "ldap") -> DirectoryService:
    port = source.server.where["port" if scheme == "ldap" else "tls_port"]
    return DirectoryService(ldap_url.read(scheme, source.rest(more, port)), SELDOM)


@pytest.mark.parametrize(
    ("scheme", "more"), [("ldap", "!x-starttls,"), ("ldaps", "")], ids=["StartTLS", "ldaps"]
)
async def test_tls(synchronized: LdapSource, scheme: str, more: str) -> None:
    synchronized.put("a.ini", "one")
    certificate = synchronized.server.where["certificate"]
    monitor = secured(synchronized, f"????{more}x-tls-cacert={certificate}", scheme)
    async with watching(monitor) as watch:
        assert list(watch.seen) == ["a.ini"]
        synchronized.put("a.ini", "x" * 60_000)  # more than a record of TLS
        await watch.shows("a.ini", "x" * 60_000)
    reason = await failure_of(secured(synchronized, f"????{more}", scheme))
    assert reason == (
        "no TLS with 127.0.0.1: its certificate is not trusted (self-signed certificate)"
    )
    # Another name for the same address, of which the certificate does not know.
    port = synchronized.server.where["port" if scheme == "ldap" else "tls_port"]
    place = ldap_url.read(scheme, f"127.1:{port}/o=x????{more}x-tls-cacert={certificate}")
    reason = await failure_of(DirectoryService(place, SELDOM))
    assert "its certificate is not trusted" in reason
    assert "not valid for '127.1'" in reason


async def test_a_port_without_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        place = ldap_url.read("ldaps", f"127.0.0.1:{listener.getsockname()[1]}/o=x")
        reason = await failure_of(DirectoryService(place, SELDOM))
        thread.join()
    assert reason == "no TLS with 127.0.0.1: wrong version number"


def greet(listener: socket.socket) -> None:
    with listener.accept()[0] as link:
        link.sendall(b"220 mail.example.com ESMTP\r\n")
        link.recv(1 << 16)


async def test_certificates_that_cannot_be_read(synchronized: LdapSource, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, why in (
        ("no", "No such file or directory"),
        ("empty", "no certificate or crl found"),
    ):
        more = f"????x-starttls,x-tls-cacert={tmp_path}/{name}"
        reason = await failure_of(secured(synchronized, more))
        assert reason == f"the certificates in {tmp_path}/{name} cannot be read: {why}"


STRANGE = {
    "refused": (result(1, 2, "no TLS", 0x78), "does not start TLS (result 2: no TLS)"),
    "another answer": (result(1, 0, "", 0x61), "makes no sense"),
    "more than asked for": (
        result(1, 0, "", 0x78) + result(2, 0, "", 0x61),
        "sent more than its answer",
    ),
    "another protocol": (b"HTTP/1.0 400 Bad Request\r\n" + b" " * 200, "sent more than its"),
    "without end": (b"\x30\x84\x7f\xff\xff\xff" + b" " * 70_000, "makes no sense"),
    "no TLS after it": (result(1, 0, "", 0x78), "no TLS with 127.0.0.1: "),
}


@pytest.mark.parametrize(("said", "reason"), STRANGE.values(), ids=STRANGE)
async def test_strange_answers_to_starttls(said: bytes, reason: str) -> None:
    async with scripted(lambda request: said if request.tag == 0x77 else None) as port:
        assert reason in await failure_of(scripted_monitor(port, "????!x-starttls"))
