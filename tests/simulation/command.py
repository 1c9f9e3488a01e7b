"""``tools/simulate``: runs of seeds, on all cores."""

import argparse
import gc
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import sha256

from .script import Script, write
from .shrink import shrunk, trouble
from .trouble import Violation
from .world import play

LONGEST = 60  # real seconds; a run takes a fiftieth of one


def run(seed: int, *, hops: bool = False) -> tuple[str, str]:
    """The digest of a seed's run; and, if it failed, the account of that."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    failed: Exception | None = None
    try:
        return play(write(seed, hops=hops)), ""
    except BaseException as error:
        signal.alarm(20 * LONGEST)
        if not isinstance(error, Exception):
            raise
        failed = error
    finally:
        if failed is None:
            signal.alarm(0)
    # Not while the error is handled: errors of further runs would have it as their context.
    try:
        return "failed", account(write(seed, hops=hops), failed)
    finally:
        signal.alarm(0)


def _too_long(*_: object) -> None:
    raise Violation("ends", f"it does not end within {LONGEST} s")


def account(script: Script, error: Exception) -> str:
    """How a script fails, cut down to what it takes."""
    found = trouble(script)
    if found is None:  # the machine was too busy for it, say
        return f"seed {script.seed}: {error}; again, it does not fail"
    return str(shrunk(script, found))


def run_many(first: int, end: int, *, hops: bool) -> int:
    """All these seeds; the number of those that failed."""
    began, failed, digests = time.monotonic(), 0, sha256()
    # Frozen, what was imported is not looked at by each of the collector's runs.
    with ProcessPoolExecutor(os.cpu_count(), initializer=gc.freeze) as pool:
        for digest, said in pool.map(partial(run, hops=hops), range(first, end), chunksize=10):
            digests.update(digest.encode())
            if said:
                failed += 1
                print(said, end="\n\n", flush=True)
    took = time.monotonic() - began
    print(f"{end - first} seeds, {failed} failed, {took:.1f} s", file=sys.stderr)
    print(f"digest of all: {digests.hexdigest()}")
    return failed


def run_one(script: Script, only: str | None, record: bool) -> int:
    """One script in full view; 1 if it fails."""
    if only is not None:
        script = script.only([int(number) for number in only.split(",") if number])
    for number, step in enumerate(script.steps):
        print(f"{number:3} {step}")
    rows: list[str] = []
    try:
        print(f"digest: {play(script, note=rows.append)}")
    except Violation as violation:
        print("\n".join(rows[-40:] if not record else rows))
        print(f"\nseed {script.seed}: {violation}")
        return 1
    if record:
        print("\n".join(rows))
    return 0


def main(arguments: list[str]) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="tools/simulate",
        description="Runs the daemon's shell in a simulated world; docs/simulation.md.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, metavar="N", help="one run, its script and its digest")
    which.add_argument("--seeds", metavar="A..B", help="all from A up to, not including, B")
    parser.add_argument("--only", metavar="I,J", help="with --seed: these steps of its script")
    parser.add_argument(
        "--hops", action="store_true", help="add jobs in threads, so that events have another order"
    )
    parser.add_argument("--record", action="store_true", help="with --seed: print the journal")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        script = write(chosen.seed, hops=chosen.hops)
        return run_one(script, chosen.only, chosen.record)
    first, dots, end = chosen.seeds.partition("..")
    if not (dots and first.isdigit() and end.isdigit()):
        parser.error(f"--seeds {chosen.seeds}: write two numbers, as in 0..2000")
    return 1 if run_many(int(first), int(end), hops=chosen.hops) else 0
