"""The file of a socket that is taken from a vassal's process: root removes it later."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.daemon.host.reclaimed import socket_file
from support.root import need_root

NOBODY = 65534


@pytest.fixture
def listener() -> Iterator[str]:
    """A socket's file in a directory that only root can change."""
    need_root("own directories")
    with tempfile.TemporaryDirectory(dir="/run") as folder, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{folder}/app.sock")
        yield f"{folder}/app.sock"


def is_known(path: str) -> bool:
    file = socket_file(path)
    assert file is not None
    return file.inode == os.lstat(path).st_ino


def test_a_socket_in_a_directory_of_root_is_known(listener: str) -> None:
    assert is_known(listener)


def test_no_other_file_is(listener: str) -> None:
    os.unlink(listener)
    Path(listener).touch()
    assert not is_known(listener)


def test_none_in_a_directory_of_a_tenant_is(listener: str) -> None:
    os.chown(os.path.dirname(listener), NOBODY, NOBODY)
    assert not is_known(listener)


def test_none_behind_a_symlink_is(listener: str) -> None:
    link = os.path.join(os.path.dirname(listener), "link")
    os.symlink(".", link)
    assert not is_known(f"{link}/app.sock")
