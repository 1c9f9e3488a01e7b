"""``tools/simulate``: runs of seeds, on all cores."""

import argparse
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256

from .script import write
from .shrink import shrunk, trouble
from .trouble import Violation
from .world import play

LONGEST = 60  # real seconds; a run takes a fiftieth of one


def run(seed: int) -> tuple[str, str]:
    """The digest of a seed's run; and, if it failed, the account of that."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    try:
        return play(write(seed)), ""
    except BaseException as error:
        signal.alarm(20 * LONGEST)
        if not isinstance(error, Exception):
            raise
        return "failed", account(seed, error)
    finally:
        signal.alarm(0)


def _too_long(*_: object) -> None:
    raise Violation("ends", f"it does not end within {LONGEST} s")


def account(seed: int, error: Exception) -> str:
    """How a seed fails, cut down to what it takes."""
    script = write(seed)
    found = trouble(script)
    if found is None:  # the machine was too busy for it, say
        return f"seed {seed}: {error}; again, it does not fail"
    return str(shrunk(script, found))


def run_many(first: int, end: int) -> int:
    """All these seeds; the number of those that failed."""
    began, failed, digests = time.monotonic(), 0, sha256()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for digest, said in pool.map(run, range(first, end), chunksize=10):
            digests.update(digest.encode())
            if said:
                failed += 1
                print(said, end="\n\n", flush=True)
    took = time.monotonic() - began
    print(f"{end - first} seeds, {failed} failed, {took:.1f} s", file=sys.stderr)
    print(f"digest of all: {digests.hexdigest()}")
    return failed


def run_one(seed: int, only: str | None, record: bool) -> int:
    """One seed in full view; 1 if it fails."""
    script = write(seed)
    if only is not None:
        script = script.only([int(number) for number in only.split(",") if number])
    for number, step in enumerate(script.steps):
        print(f"{number:3} {step}")
    rows: list[str] = []
    try:
        print(f"digest: {play(script, note=rows.append)}")
    except Violation as violation:
        print("\n".join(rows[-40:] if not record else rows))
        print(f"\nseed {seed}: {violation}")
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
    parser.add_argument("--record", action="store_true", help="with --seed: print the journal")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return run_one(chosen.seed, chosen.only, chosen.record)
    first, dots, end = chosen.seeds.partition("..")
    if not (dots and first.isdigit() and end.isdigit()):
        parser.error(f"--seeds {chosen.seeds}: write two numbers, as in 0..2000")
    return 1 if run_many(int(first), int(end)) else 0
