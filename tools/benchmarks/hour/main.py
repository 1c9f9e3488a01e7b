"""Puts a daemon under load for long, and shows by numbers whether anything of it grows.

One run is an hour in virtual time: the real shell, fold and journal in the world of
tools/simulate, looked at from inside. The other is a real daemon with tiny vassals, in real time,
looked at by /proc. It exits 1 if something grows.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers import page, running, table
from peers.sitting import machine

from . import live, simulated
from .samples import Sample, grown, settled

VIRTUAL, REAL = 3600.0, 600.0  # seconds
COLUMNS = 4
RUNS: dict[str, Any] = {"simulated": simulated, "live": live}


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench --hour", description=__doc__)
    parser.add_argument("--virtual", type=float, default=VIRTUAL, metavar="SECONDS")
    parser.add_argument("--real", type=float, default=REAL, metavar="SECONDS", help="0: not at all")
    running.add_output(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write what was asked for."""
    asked = _asked(arguments)
    found = running.figures(asked, lambda folder: _measured(folder, asked))
    if found is None:
        return 130
    samples = {name: [Sample(*each) for each in found[name]] for name in RUNS if found.get(name)}
    for name, some in samples.items():
        print(f"{name}\n{table.aligned(_table(some))}\n{_verdict(name, some)}\n")
    running.keep(found, asked)
    if asked.write:
        page.put(Path(asked.docs) / "performance.md", "hour", _markdown(found, samples))
    return any(_grown(name, some) for name, some in samples.items())


def _measured(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"made": time.strftime("%Y-%m-%d"), "machine": machine(folder)}
    for name, seconds in (("simulated", asked.virtual), ("live", asked.real)):
        if seconds:
            running.say(f"{name}: {seconds:g} s")
            found[name] = RUNS[name].run(folder, seconds)
    return found


def _grown(name: str, samples: Sequence[Sample]) -> list[str]:
    return grown(samples, RUNS[name].BOUNDS, RUNS[name].OTHER)


def _table(samples: Sequence[Sample]) -> list[list[str]]:
    """A few of the samples, the last one among them; containers are not shown one by one."""
    step = len(samples) // COLUMNS
    some = samples[step - 1 :: step]
    names = [name for name in some[-1].figures if not name.startswith(simulated.CONTAINERS)]
    head = ["after", *(_minutes(each.seconds) for each in some)]
    return [head, *([name, *(_figure(each.figures[name]) for each in some)] for name in names)]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _verdict(name: str, samples: Sequence[Sample]) -> str:
    """The figures that grow, or how many do not."""
    found = _grown(name, samples)
    if found:
        return f"These grow: {'; '.join(found)}."
    begin = _minutes(settled(samples)[0].seconds)
    names = {name for each in samples for name in each.figures}
    own = sum(each.startswith(simulated.CONTAINERS) for each in names)
    of = f"None of these, and none of {own} containers of its own," if own else "None of these"
    return f"{of} grows from {begin} on."


def _markdown(found: dict[str, Any], samples: dict[str, list[Sample]]) -> str:
    parts = [f"{page.measured(found)}."]
    for name, some in samples.items():
        parts += [TITLES[name], page.grid(_table(some)), _verdict(name, some)]
    return "\n\n".join(parts)


TITLES = {
    "simulated": "In virtual time, the daemon alone, with 24 vassals:",
    "live": f"A real daemon, with {live.VASSALS} vassals:",
}
