"""A socket that listens is found by its file, and by no other's name."""

import os
import socket
from pathlib import Path

from support.clients import listened_at, socket_at


def test_a_listener_is_found_by_its_file(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    with socket.socket(socket.AF_UNIX) as bound, socket.socket(socket.AF_UNIX) as listening:
        for end, folder in ((bound, ours), (listening, others)):
            folder.mkdir()
            number = os.open(folder, os.O_PATH)
            end.bind(f"/proc/self/fd/{number}/x.sock")  # as the daemon does
            os.close(number)
        listening.listen()
        assert not listened_at(f"{ours}/x.sock")
        assert socket_at(f"{others}/x.sock") == os.fstat(listening.fileno()).st_ino
        bound.listen()
        assert socket_at(f"{ours}/x.sock") == os.fstat(bound.fileno()).st_ino
    assert not listened_at(f"{ours}/x.sock")
    assert not listened_at(f"{ours}/none.sock")
