"""No two tests that run at once get the same port."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import ports
from support.ports import free_port

_TESTS = Path(__file__).resolve().parents[1]


def test_another_process_gets_other_ports() -> None:
    mine = {free_port() for _ in range(50)}
    ask = "from support.ports import free_port; print(*[free_port() for _ in range(50)])"
    asked = subprocess.run(
        [sys.executable, "-c", ask],
        env=os.environ | {"PYTHONPATH": str(_TESTS)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    theirs = {int(port) for port in asked.stdout.split()}
    assert len(mine | theirs) == 100


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(ports, "_ports", lambda: iter([taken, free]))
        assert free_port() == free
