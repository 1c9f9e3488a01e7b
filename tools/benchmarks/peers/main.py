"""Measures emperord beside its peers in one sitting; a table, JSON, and the page.

It installs the peers that it can into .venv/peers, and says which it cannot. Ctrl-C ends what it
started.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import apps, page, running, table
from .installing import CannotInstallError, install
from .least import Floor
from .marks import compiled
from .running import say
from .sitting import PEERS, Sitting, Sizes, machine, rows

QUICK = Sizes(vassals=100, runs=1, touches=1, idle=6.0, settled=2.0, apps=10, events=50_000)

PARTS = ("apps", "floor")  # tables of their own
ROWS = [*rows(Sizes()), *PARTS]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write what was asked for; 1 if no peer could be measured."""
    asked = _asked(arguments)
    found = running.figures(asked, lambda folder: _measured(folder, asked, _sizes(asked)))
    if found is None:
        return 130
    print(table.text(found))
    if asked.write:
        page.write(found, Path(asked.docs))
    running.keep(found, asked)
    return not table.has_figures(found)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench --peers", description=__doc__)
    parser.add_argument("--peer", action="append", choices=PEERS, help="all, unless given")
    parser.add_argument("--row", action="append", choices=ROWS, help="all, unless given")
    parser.add_argument("--quick", action="store_true", help="a short run with few vassals")
    parser.add_argument("--vassals", type=int, help="instead of 1,000")
    parser.add_argument("--runs", type=int, help="instead of 3")
    parser.add_argument("--apps", type=int, metavar="N", help="applications, instead of 100")
    parser.add_argument("--events", type=int, metavar="N", help="of the record; a million")
    parser.add_argument("--touches", type=int, metavar="N", help="of one, in each run; 3")
    parser.add_argument("--idle", type=float, metavar="SECONDS", help="instead of 21")
    parser.add_argument("--settled", type=float, metavar="SECONDS", help="before it; 12")
    parser.add_argument("--no-install", action="store_true", help="only the peers that are there")
    running.add_output(parser)
    asked = parser.parse_args(arguments)
    if asked.write and not asked.render and (asked.row or asked.peer or asked.quick):
        parser.error("--write takes all rows and peers, as a page of a few would lose the others")
    return asked


def _sizes(asked: argparse.Namespace) -> Sizes:
    sizes = QUICK if asked.quick else Sizes()
    if asked.runs == 1:
        sizes.app_runs = 1
    for name in ("vassals", "runs", "apps", "events", "touches", "idle", "settled"):
        value = getattr(asked, name)
        if value is not None:
            setattr(sizes, name, value)
    return sizes


def _measured(folder: Path, asked: argparse.Namespace, sizes: Sizes) -> dict[str, Any]:
    vassal, how = compiled(folder)
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in asked.peer or PEERS:
        try:
            versions[peer] = install(peer, may=not asked.no_install)
        except CannotInstallError as error:
            missing[peer] = str(error)
            say(f"{peer} cannot be installed: {error}")
    chosen = asked.row or [*rows(sizes), *PARTS]
    sitting = Sitting(vassal, sizes, list(versions), chosen, say)
    found: dict[str, Any] = {
        "made": time.strftime("%Y-%m-%d"), "machine": machine(folder), "vassal": how,
        "sizes": asdict(sizes), "versions": versions, "missing": missing,
    }  # fmt: skip
    if "floor" in chosen:
        say("the floor")
        floor = Floor(vassal, folder, sizes.vassals, sizes.runs).measure()
        found["floor"] = {name: asdict(row) for name, row in floor.items()}
    for turn in range(sizes.runs):
        for peer in versions:
            if turn >= sizes.other_runs and peer not in (table.OURS, table.THEIRS):
                continue
            sitting.turn(peer, turn)
    if "apps" in chosen:
        of_apps = apps.measured(list(versions), sizes.apps, sizes.app_runs, say)
        found["apps"] = {name: asdict(row) for name, row in of_apps.items()}
    if "verify" in chosen:
        say("verify")
        sitting.verify(folder)
    found["rows"] = {
        name: asdict(row) for name, row in sitting.rows.items() if name in sitting.chosen
    }
    found["parts"] = sitting.parts
    return found
