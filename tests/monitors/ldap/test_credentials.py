"""ldap:// authenticates by a password file, and no error shows the password."""

import os
from pathlib import Path

import pytest
from support.ldap import (
    LdapSource,
    Request,
    result,
    scripted,
    shared,
)

from ..watching import failure_of, listing_of
from .readings import SELDOM, password_file, scripted_monitor


async def test_a_password_is_a_line_whatever_is_in_it(tmp_path: Path) -> None:
    password, asked = "a\x0bb\x85c\u2028d\re ", b""

    def answer(request: Request) -> bytes:
        nonlocal asked
        asked += request.whole
        return result(request.number, 53, tag=0x61)

    more = f"????bindname=cn=r,x-bindpw-file={password_file(tmp_path, password)}"
    async with scripted(answer) as port:
        await failure_of(scripted_monitor(port, more))
    assert password.encode() in asked


async def test_dn_and_password_from_one_file(tmp_path: Path) -> None:
    source = LdapSource()
    where = source.server.where
    source.put("a.ini", "one")
    file = password_file(tmp_path, f"cn=limited,{where['suffix']}\n{where['password']}\n", 0o640)
    monitor = source.hurried(SELDOM, 10, f"????x-bindpw-file={file}")
    assert list((await listing_of(monitor)).seen) == ["a.ini"]


WRONG: dict[str, tuple[str, int, str]] = {
    "another": ("s3cr3t no\n", 0o600, "does not take the DN or the password of cn=reader"),
    "open to others": ("s3cr3t\n", 0o604, "is open to others (mode 0604): chmod o= it"),
    "empty": ("", 0o600, "must have one line: the password"),
    "two lines": ("s3cr3t\nx\n", 0o600, "must have one line: the password"),
    "not UTF-8": ("s3cr3t\udcff\n", 0o600, "is not UTF-8"),
}


@pytest.mark.parametrize(("text", "mode", "reason"), WRONG.values(), ids=WRONG)
async def test_a_wrong_password(
    synchronized: LdapSource, tmp_path: Path, text: str, mode: int, reason: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    file.chmod(mode)
    extensions = f"bindname=cn=reader%2C{shared().where['suffix'].replace(',', '%2C')}"
    monitor = synchronized.hurried(SELDOM, 10, f"????{extensions},x-bindpw-file={file}")
    told = await failure_of(monitor)
    assert reason in told
    assert "s3cr3t" not in told + monitor.url


async def test_a_password_file_that_is_not_there(synchronized: LdapSource, tmp_path: Path) -> None:
    monitor = synchronized.hurried(SELDOM, 10, f"????x-bindpw-file={tmp_path}/none")
    assert "/none: no such file" in (await failure_of(monitor)).lower()
    os.mkfifo(tmp_path / "pipe")
    monitor = synchronized.hurried(SELDOM, 10, f"????x-bindpw-file={tmp_path}/pipe")
    assert "is no file" in await failure_of(monitor)


async def test_a_password_that_the_server_repeats_is_hidden(tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        return result(request.number, 53, "I will not take s3cr3t", tag=0x61)

    more = f"????bindname=cn=r,x-bindpw-file={password_file(tmp_path, 's3cr3t')}"
    async with scripted(answer) as port:
        reason = await failure_of(scripted_monitor(port, more))
    assert reason == "Server is unwilling to perform: I will not take ***"
