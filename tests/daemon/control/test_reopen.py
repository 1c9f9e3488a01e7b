"""Logs are reopened by a request, as by SIGUSR1; and the version of the protocol."""

import json
import os
import socket
from typing import Any

import pytest
from support.kept import Emperor


def answered(emperor: Emperor, **request: Any) -> dict[str, Any]:
    emperor.catch_up()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(emperor.control))
        client.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(client.makefile().readline())
        return answer


def test_the_fleet_is_logged_and_the_request_recorded(running: Emperor) -> None:
    running.catch_up()
    lines = running.log().count("a.ini: ready")
    assert answered(running, do="reopen", reason="rotated") == {"ok": True, "renamed_logs": {}}
    running.until(lambda: running.log().count("a.ini: ready") == lines + 1, "it is logged")
    event = running.event("operator_requested")
    assert event.vassal is None
    told = event.body["request"], event.body["reason"], event.body["uid"]
    assert told == ("reopen", "rotated", os.getuid())
    assert event.actions == []
    running.stop()


@pytest.mark.parametrize(
    ("version", "ok"), [(1, True), (2, True), (3, False), ("2", False)], ids=str
)
def test_a_request_for_a_later_protocol_is_refused(
    running: Emperor, version: object, ok: bool
) -> None:
    answer = answered(running, do="status", protocol=version)
    assert answer["ok"] is ok
    assert ok or "the daemon knows version 2 of the protocol" in answer["error"]
    running.stop()
