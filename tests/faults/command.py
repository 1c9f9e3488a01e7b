"""``tools/faults``: makes system calls of keeper and daemon fail, one after the other.

A real emperor with some vassals goes through a script. A vassal comes, changes, crashes, goes, is
asked for by a client, stopped and started by an operator. The daemon is killed, all is renewed, all
is stopped. A first pass counts the calls of each step. Then each call fails with each error that it
may have, once and for ever. When the fault is over, all has to be well again. No vassal is doubled,
lost or ended without an event. The log has no traceback, no pause stays, the journal verifies, and
the record says what runs.
"""

import argparse
import concurrent.futures
import multiprocessing
import random
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from support.waiting import NeverHappened, breathe

from .cases import Case, all_cases, each_site, is_site, sampled
from .plan import FOR_EVER, Plan, compiled
from .realm import STEPS, Broken, Realm

_MEETS: Final = 2.0  # seconds in which a step comes to the call
_LASTS: Final = 0.6  # seconds that a fault for ever lasts
_LIFE: Final = 10  # cases of one realm: a longer record takes long to check
_SPARE: Final = 20  # more cases, for a sample of which none came to its call


class Result(NamedTuple):
    """The outcome of a case. ``failure`` is empty where all held."""

    case: Case
    struck: int
    failure: str


def count(folder: Path) -> dict[str, dict[str, int]]:
    """How often each call site is called in each step, where nothing fails."""
    counts: dict[str, dict[str, int]] = {}
    plan = _plan(folder)
    with Realm(folder, plan) as realm:
        for name, step in STEPS.items():
            if not step.starts:
                step.before(realm)
                realm.settle()
            plan.count()
            step.do(realm)
            if step.ends:
                realm.stopped()
            else:
                step.after(realm)
                realm.settle()
                for _ in range(60):  # time for later effects
                    breathe()
            counts[name] = plan.counted()
    return counts


def _plan(folder: Path, library: Path | None = None) -> Plan:
    return Plan(library or compiled(folder), folder / "plan", folder)


def run(cases: Sequence[Case], library: Path | None = None) -> list[Result]:
    """These cases, one after the other in one realm, a new one after a failure.

    ``library`` is a compiled ``strike.c``; without it, each realm compiles one.
    """
    results: list[Result] = []
    left = list(cases)
    while left:
        with tempfile.TemporaryDirectory(prefix="faults-") as name:
            folder = Path(name).resolve()
            with Realm(folder, _plan(folder, library)) as realm:
                while left:
                    case = left.pop(0)
                    results.append(tried(realm, case))
                    if results[-1].failure:
                        break
    return results


def tried(realm: Realm, case: Case) -> Result:
    """One case."""
    try:
        _try(realm, case)
    except Exception as error:
        known = isinstance(error, Broken | NeverHappened)
        failure = str(error) if known else traceback.format_exc()
        said = realm.emperor.log()
        last = "\n".join(said.splitlines()[-30:])
        return Result(case, realm.plan.struck, f"{failure}\n--- log\n{last}")
    return Result(case, realm.plan.struck, "")


def _try(realm: Realm, case: Case) -> None:
    step = STEPS[case.step]
    if realm.ended() is not None or realm.emperor.process is None:
        if not step.starts:
            realm.start()
    elif step.starts:
        STEPS["stop"].do(realm)
        realm.stopped()
    if not step.starts:
        step.before(realm)
        realm.settle()
    realm.plan.strike(case.targets, case.number, case.mode, case.first)
    step.do(realm)
    _meet(realm, case)
    realm.plan.clear()
    if step.ends:
        realm.stopped()
        realm.verify()
        return
    if step.starts:
        _restart(realm)
    step.after(realm)
    realm.settle()
    realm.check()


def _meet(realm: Realm, case: Case) -> None:
    """Let the fault come, and last."""
    until = time.monotonic() + _MEETS
    while not realm.plan.struck and time.monotonic() < until and realm.ended() is None:
        breathe()
    until = time.monotonic() + (_LASTS if case.mode == FOR_EVER else 0.0)
    while time.monotonic() < until and realm.ended() is None:
        breathe()


def _restart(realm: Realm) -> None:
    """An emperor that could not start has said why in one line, and can be started again."""
    for _ in range(100):
        if realm.ended() is not None:
            break
        try:
            realm.ask(do="status")
        except (OSError, ValueError):
            breathe()
        else:
            return
    code = realm.ended()
    if code is None:
        return
    said = realm.said()
    if code not in (2, 3) or "Traceback" in said or not said.strip():
        raise Broken(f"ended with {code} at its start:\n{said}")
    realm.emperor.launch()


def _shares(cases: list[Case], jobs: int) -> list[list[Case]]:
    """Parts of a realm's life each."""
    size = max(1, min(_LIFE, -(-len(cases) // jobs)))
    return [cases[at : at + size] for at in range(0, len(cases), size)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tools/faults", description=(__doc__ or "").strip())
    parser.add_argument(
        "--sample", type=int, metavar="N",
        help="so many cases, and more until one comes to its call; all unless told",
    )  # fmt: skip
    parser.add_argument(
        "--each-site", action="store_true", help="one fault of every call site; the seed chooses"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", action="append", metavar="CASE", help="this case, as printed")
    parser.add_argument("--match", metavar="TEXT", help="cases whose words hold this")
    parser.add_argument("--jobs", type=int, default=1, help="realms at once")
    parser.add_argument("--list", action="store_true", help="print the cases, run none")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    if options.only:
        cases = [Case.parsed(text) for text in options.only]
    else:
        with tempfile.TemporaryDirectory(prefix="faults-") as name:
            counts = count(Path(name).resolve())
        sites = sum(is_site(step, target) for step, found in counts.items() for target in found)
        cases = all_cases(counts)
        print(f"{sites} call sites, {len(cases)} cases", flush=True)
    if options.match:
        cases = [case for case in cases if options.match in str(case)]
    if options.each_site:
        cases = each_site(cases, options.seed)
    spare: list[Case] = []
    if options.sample or not (options.only or options.list):
        size = options.sample or len(cases)
        chosen = sampled(cases, size + _SPARE, options.seed)
        cases, spare = chosen[:size], chosen[size:]
    if options.list:
        print(*cases, sep="\n")
        return 0
    if not options.only:
        print(f"seed {options.seed}, {len(cases)} of them", flush=True)
    return _report(cases, spare, options.jobs, began)


def _report(cases: list[Case], spare: list[Case], jobs: int, began: float) -> int:
    """Run the cases; then the spare ones, one by one, while none has met its call.

    A busy machine may come to no call of a small sample in time.
    """
    total: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool,
    ):
        library = compiled(Path(folder).resolve())
        for some in (cases, *([case] for case in spare)):
            if total["struck"]:
                break
            tasks = [pool.submit(run, share, library) for share in _shares(some, jobs)]
            for task in concurrent.futures.as_completed(tasks):
                for result in task.result():
                    total["run"] += 1
                    total["struck"] += result.struck > 0
                    if result.failure:
                        total["failed"] += 1
                        print(f"FAILED {result.case}\n{result.failure}\n", flush=True)
    print(
        f"{total['run']} cases, {total['struck']} met their call, {total['failed']} failed, in"
        f" {time.monotonic() - began:.0f} s"
    )
    return 1 if total["failed"] or not total["struck"] else 0
