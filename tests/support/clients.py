"""HTTP clients that need no library: over TCP or a UNIX socket, with time to wait."""

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .listeners import listener_at

PATIENCE = 30.0  # seconds for an answer
REQUEST = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"


def dial(address: str) -> socket.socket:
    """A connection to an on-demand address as a vassal's source gives it. Raises OSError."""
    if address.startswith("@") or ":" not in address:
        path = "\0" + address[1:] if address.startswith("@") else address
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), PATIENCE)


def listened_at(address: str) -> bool:
    """Whether a process listens there, found out without connecting: that would start a vassal."""
    return socket_at(address) is not None


def socket_at(address: str) -> int | None:
    """The number of the socket that listens there; no two have the same."""
    if ":" in address and not address.startswith(("/", "@")):
        host, _, number = address.rpartition(":")
        port = f":{int(number):04X}"
        if host.count(".") == 3:  # two vassals may have one port, each at an address of its own
            port = socket.inet_aton(host)[::-1].hex().upper() + port
        tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table.splitlines()[1:]]
        listening = (int(row[9]) for row in rows if row[1].endswith(port) and row[3] == "0A")
        return next(listening, None)
    if not address.startswith("@"):
        return listener_at(address)
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        accepts = int(fields[3], 16) & 0x10000
        if accepts and len(fields) == 8 and fields[7] == address:
            return int(fields[6])
    return None


def ask(address: str) -> Any:
    """The JSON that an application answers. Raises OSError if it is refused or cut off."""
    with dial(address) as connection:
        return finish(connection)


def curl(path: str) -> Any:
    """The JSON that an application answers curl at a UNIX socket."""
    argv = ["curl", "-sSf", "--max-time", f"{PATIENCE:g}", "--unix-socket", path, "http://x/"]
    return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)


def finish(connection: socket.socket) -> Any:
    """Ask over a connection and read the answer to its end."""
    connection.sendall(REQUEST)
    return answer(connection)


def answer(connection: socket.socket) -> Any:
    """Read the answer to its end."""
    said = b""
    while chunk := connection.recv(65536):
        said += chunk
    head, _, body = said.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(f"answered {said[:200]!r}")
    return json.loads(body)


def ask_at_once(address: str, count: int) -> list[Any]:
    """The answers to that many clients that all connect before the first one is answered."""
    connections = [dial(address) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        try:
            return list(pool.map(finish, connections))
        finally:
            for connection in connections:
                connection.close()
