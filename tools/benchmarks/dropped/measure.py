"""Measures each server in each variant over each event; a table, and JSON."""

import argparse
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import cut_over
from .clients import Clients, Count
from .emperor import EVENTS, Emperor
from .servers import SERVERS, VARIANTS

HEAD = ("server", "event", "socket", "requests", "failed", "refused", "cut", "longest gap")
# A vassal that is killed ends with the requests that it has accepted. So does a uWSGI that ends
# itself because it has lost its emperor. Only a refusal would be ours.
CUT_BY_NATURE = frozenset(("kill-vassal", "kill-both"))
# An operator's stop closes the kept socket, so that clients know: they are refused until the start.
# So does a stop of the emperor, where no service manager has the sockets.
CLOSED_BY_NATURE = frozenset(("stop-start", "service"))


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if a cell with ``listen`` lost a request that it need not lose."""
    asked = _asked(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends what it started
    if asked.cut_over:
        return _cut_over(asked)
    cells: list[dict[str, Any]] = []
    print(_line(HEAD), flush=True)
    for server in asked.server or SERVERS:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            cells += _of_server(folder, server, asked.event or EVENTS, asked)
        finally:
            shutil.rmtree(folder)
    if asked.json:
        Path(asked.json).write_text(json.dumps(cells, indent=1) + "\n")
    lost = [cell for cell in cells if cell["missed"]]
    print(f"{len(cells)} cells, {len(lost)} with 'listen' lost a request")
    return bool(lost)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench --requests", description=__doc__)
    parser.add_argument("--server", action="append", choices=SERVERS, help="all, unless given")
    parser.add_argument("--event", action="append", choices=EVENTS, help="all, unless given")
    parser.add_argument("--clients", type=int, default=2, help="clients of each port")
    parser.add_argument("--after", type=float, default=3, help="seconds from the event to its end")
    parser.add_argument(
        "--socket-unit", action="store_true", help="pass the sockets of 'listen', as systemd does"
    )
    parser.add_argument("--cut-over", action="store_true", help="from uWSGI's Emperor to ours")
    parser.add_argument("--json", metavar="FILE", help="write the cells there as well")
    return parser.parse_args(arguments)


def _cut_over(asked: argparse.Namespace) -> int:
    """Both ways from uWSGI's Emperor to ours; 1 if a client was refused while both ran."""
    migrates = Path("/proc/sys/net/ipv4/tcp_migrate_req")
    print(
        "net.ipv4.tcp_migrate_req:", migrates.read_text().strip() if migrates.exists() else "none"
    )
    counts: dict[str, Count] = {}
    for how in ("ours beside it", "ours after it"):
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            beside = how == "ours beside it"
            (port,) = _free_ports(1)
            counts[how] = cut_over.measure(folder, port, asked.clients, asked.after, beside=beside)
        finally:
            shutil.rmtree(folder)
        count = counts[how]
        told = f"{count.requests} requests, {count.refused} refused, {count.cut} cut"
        print(f"{how}: {told}, longest gap {count.gap:.2f} s", flush=True)
    if asked.json:
        cells = {how: asdict(count) for how, count in counts.items()}
        Path(asked.json).write_text(json.dumps(cells, indent=1) + "\n")
    return bool(counts["ours beside it"].refused)


def _of_server(
    folder: Path, server: str, events: Sequence[str], asked: argparse.Namespace
) -> list[dict[str, Any]]:
    ports = dict(zip(VARIANTS, _free_ports(len(VARIANTS)), strict=True))
    cells: list[dict[str, Any]] = []
    with ExitStack() as stack:
        sockets = []
        for port in [*ports.values()][1:] if asked.socket_unit else ():
            sockets.append(stack.enter_context(socket.create_server(("127.0.0.1", port))))
            sockets[-1].listen(4096)
        emperor = Emperor(folder, SERVERS[server], ports, sockets)
        emperor.start()
        stack.callback(emperor.stop)
        emperor.settled(lambda fleet: True)
        with ExitStack() as asking:
            clients = {
                variant: asking.enter_context(Clients(port, asked.clients))
                for variant, port in ports.items()
            }
            for event in events:
                cells += _of_event(emperor, clients, server, event, asked)
    return cells


def _of_event(
    emperor: Emperor,
    clients: dict[str, Clients],
    server: str,
    event: str,
    asked: argparse.Namespace,
) -> list[dict[str, Any]]:
    words, happen = EVENTS[event]
    after: float = asked.after
    time.sleep(min(after, 1.5))  # of two changes in one second uWSGI takes the second one late
    for of in clients.values():
        of.begin()
    happen(emperor)
    time.sleep(after)
    emperor.settled(lambda fleet: True)
    time.sleep(min(after, 0.5))
    cells = []
    for variant, of in clients.items():
        count = of.end()
        ours = count.failed - (count.cut if event in CUT_BY_NATURE else 0)
        if event in CLOSED_BY_NATURE and not (event == "service" and asked.socket_unit):
            ours = count.wrong
        cells.append(
            {
                "server": server, "event": event, "socket": variant,
                "requests": count.requests, "failed": count.failed, "refused": count.refused,
                "cut": count.cut, "wrong": count.wrong, "gap_s": round(count.gap, 3),
                "errors": count.errors,
                "missed": bool(ours) and variant != VARIANTS[0],
            }
        )  # fmt: skip
        told = (count.requests, count.failed, count.refused, count.cut, f"{count.gap:.2f} s")
        mark = "  MISSED" if cells[-1]["missed"] else ""
        print(_line((server, words, variant, *told)) + mark, flush=True)
    return cells


def _line(cells: Sequence[object]) -> str:
    widths = (16, 29, 16, 9, 7, 8, 5, 12)
    return "".join(
        f"{cell!s:<{width}}" if number < 3 else f"{cell!s:>{width}}"
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
