"""Preflights in tyrant mode: a tenant's command has the tenant's rights and limits."""

import os

from support import processes
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon
from support.vassals import SLEEPER, shell

SLEEP = "exec sleep 1000"


def test_it_runs_as_the_owner_of_its_file(tyrant: TyrantDaemon) -> None:
    """Its copy is for that user alone. No other user gets to its text by it."""
    told = tyrant.folder / "told"
    told.write_text("")
    os.chown(told, ALICE, ALICES)
    script = f"id -u > {told}; id -G >> {told}; stat -c %u:%a $EMPERORD_CONFIG >> {told}"
    tyrant.put("a.ini", shell(SLEEP, preflight=f"sh -c '{script}'"))
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    assert told.read_text().split() == [str(ALICE), str(ALICES), f"{ALICE}:400"]
    tyrant.stop()


def test_a_runtime_directory_in_a_closed_folder_is_named(tyrant: TyrantDaemon) -> None:
    closed = tyrant.folder / "closed"
    closed.mkdir(mode=0o700)
    tyrant.environ["RUNTIME_DIRECTORY"] = str(closed / "run")
    tyrant.put("a.ini", shell(SLEEP, preflight="true"))
    tyrant.start()
    reason = tyrant.event("deploy_refused", "a.ini").body["reason"]
    wanted = f"uid {ALICE} cannot reach the copy of its config, as it may not pass {closed}:"
    assert wanted in reason
    tyrant.stop()


def test_the_checks_of_one_user_do_not_hold_up_anothers(tyrant: TyrantDaemon) -> None:
    """Those that never end leave their slots in time, whatever they ask for."""
    hangs = shell(SLEEP, preflight="sleep 1000", preflight_timeout="1h")
    tyrant.start()
    for number in range(6):
        tyrant.put(f"a{number}.ini", hangs)
    tyrant.until(lambda: len(sleepers(tyrant)) == 4, "as many run as may")
    tyrant.put("b.ini", shell(SLEEP, preflight="true"), BOB, BOBS)
    tyrant.phase("b.ini", "ready")
    assert len(sleepers(tyrant)) == 4
    for number in range(6):
        tyrant.put(f"a{number}.ini", SLEEPER)  # a change without a preflight ends the checks
        tyrant.phase(f"a{number}.ini", "ready")
    assert sleepers(tyrant) == []
    tyrant.stop()


def test_checks_of_many_users_that_hang_leave_a_place_for_another_one(
    tyrant: TyrantDaemon,
) -> None:
    """Four of each of four users would be all of them, for 30 s."""
    hangs = shell(SLEEP, preflight="sleep 1000")
    tyrant.start()
    for number in range(16):
        uid = ALICE + 10 + number // 4
        tyrant.put(f"a{number}.ini", hangs, uid, uid)
    tyrant.until(lambda: len(sleepers(tyrant)) >= 13, "as many run as may")
    tyrant.put("b.ini", shell(SLEEP, preflight="true"), BOB, BOBS)
    tyrant.phase("b.ini", "ready")
    assert len(sleepers(tyrant)) >= 13
    assert tyrant.events("deploy_refused") == []  # none of them had to be killed for that
    tyrant.stop()


def sleepers(tyrant: TyrantDaemon) -> list[int]:
    """The checks that sleep."""
    marks = {pid: its.get("EMPERORD_CONFIG") for pid, its in tyrant.environments().items()}
    found = [pid for pid, config in marks.items() if config is not None]
    return [pid for pid in found if processes.argv_of(pid)[:1] == ["sleep"]]
