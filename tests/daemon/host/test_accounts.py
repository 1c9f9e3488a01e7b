"""A user database that does not answer: the vassals of others start meanwhile."""

import contextlib
import os
import re
import shutil
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.daemon.host.accounts import (
    PATIENCE,
    SHORT,
    Account,
    Accounts,
    NotAnswered,
    account_of,
)
from emperord.daemon.host.users import NoAccount, User
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.ports import free_port
from support.root import need_root
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon, common_ground, status_of
from support.vassals import SLEEPER, program, shell

from ..conftest import QUICK

SLEEP = "exec sleep 1000"
WITHOUT_THREADS = """
import trio
from emperord.daemon.host.accounts import Accounts, NotAnswered
from emperord.journal.events import Spec
from emperord.journal.policy import Policy

async def main():
    try:
        await Accounts().user_of(Spec(ts=1, settings={"user": "root"}), Policy())
    except NotAnswered as error:
        print(error)

trio.run(main)
"""
LATE = "the user database gives no answer|the owner of its sockets was not looked up"
OWNED = [
    pytest.param({"user": str(ALICE)}, id="user"),
    pytest.param({"listen_owner": "nobody"}, id="listen-owner"),
]
ENTER = 'mount --bind "$0" /etc && exec "$@"'
NAMED = Spec(ts=1, settings={"user": "alice", "group": "web"})
OF_ALICE = Spec(ts=1, uid=ALICE, gid=ALICES)


@pytest.mark.parametrize(
    ("spec", "policy", "account"),
    [
        pytest.param(Spec(ts=1), Policy(), None, id="the daemon's own"),
        pytest.param(OF_ALICE, Policy(), None, id="a file of another user's"),
        pytest.param(NAMED, Policy(), Account("alice", "web"), id="user"),
        pytest.param(Spec(ts=1), Policy(user=(BOB, BOBS)), Account(BOB, BOBS), id="--user"),
        pytest.param(OF_ALICE, Policy(tyrant=True), Account(ALICE, ALICES), id="tyrant mode"),
    ],
)
def test_which_account_is_looked_up(spec: Spec, policy: Policy, account: Account | None) -> None:
    assert account_of(spec, policy) == account


async def test_a_late_answer_delays_its_own_account_alone() -> None:
    answers = threading.Event()

    def look(spec: Spec, _: Policy) -> User | None:
        if spec.settings["user"] == "alice":
            answers.wait()
        return User(BOB, BOBS, (BOBS,), {})

    accounts = Accounts(look, patience=0.05)
    bobs = Spec(ts=1, settings={"user": "bob"})
    shared = trio.to_thread.current_default_thread_limiter()

    async def late() -> None:
        with pytest.raises(NotAnswered, match=r"gives no answer within 0\.05 s"):
            await accounts.user_of(NAMED, Policy())

    try:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for _ in range(100):  # at once: one of them gets a thread
                    nursery.start_soon(late)
            assert (await accounts.user_of(bobs, Policy()) or NAMED) is not NAMED
            assert await accounts.user_of(Spec(ts=1), Policy()) is None  # without a lookup
            assert shared.borrowed_tokens == 0
    finally:
        answers.set()


class Lookups:
    """Lookups that hang until each is told to end. Each account is that of its name."""

    def __init__(self, patience: float, short: float = SHORT) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._answers: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self.accounts = Accounts(self._look, patience, short)

    def _look(self, spec: Spec, _: Policy) -> User | None:
        name = spec.settings["user"]
        self.begun.append(name)
        self._answers[name].wait()
        self.ended.append(name)
        if name == "unknown":
            raise NoAccount("there is no such account")
        return User(BOB, BOBS, (BOBS,), {"USER": name})

    def end(self, *names: str) -> None:
        for name in names:
            self._answers[name].set()

    async def of(self, name: str, of: str = "") -> str:
        """The name that a lookup for the vassal ``of`` tells."""
        user = await self.accounts.user_of(Spec(ts=1, path=of, settings={"user": name}), Policy())
        assert user is not None
        return user.account["USER"]

    async def is_late(self, name: str) -> None:
        with pytest.raises(NotAnswered, match="the user database gives no answer within"):
            await self.of(name)


async def test_a_cancelled_start_is_not_taken_for_a_late_answer() -> None:
    """All that wait for an account share one lookup, whose caller may be gone."""
    lookups = Lookups(patience=20)
    told: list[str] = []

    async def start(number: int) -> None:
        told.append(await lookups.of("alice", f"{number}.ini"))

    try:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as removed:
                    removed.start_soon(start, 0)
                    await until(lambda: lookups.begun)
                    removed.start_soon(start, 1)
                    nursery.start_soon(start, 2)
                    await trio.testing.wait_all_tasks_blocked()
                    removed.cancel_scope.cancel()
                nursery.start_soon(start, 3)
                await trio.testing.wait_all_tasks_blocked()
                lookups.end("alice")
    finally:
        lookups.end("alice")
    assert told == ["alice"] * 2
    assert lookups.begun == ["alice"]


async def test_an_error_is_for_all_that_wait() -> None:
    errors: list[NoAccount] = []
    accounts = Accounts()
    unknown = Spec(ts=1, settings={"user": "no-such-account"})

    async def start() -> None:
        with pytest.raises(NoAccount) as raised:
            await accounts.user_of(unknown, Policy())
        errors.append(raised.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(start)
    assert {str(error) for error in errors} == {
        "[emperor] user = no-such-account: there is no such account"
    }


async def test_many_accounts_that_hang_delay_others_little() -> None:
    lookups = Lookups(patience=1, short=0.2)
    names = [f"a{number}" for number in range(200)]
    lookups.end("bob")
    began = trio.current_time()
    try:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(lookups.is_late, name)
                await trio.testing.wait_all_tasks_blocked()
                assert await lookups.of("bob") == "bob"
            # The first 64 take 1 s, and then each 64 0.2 s.
            assert trio.current_time() - began < 2.5
    finally:
        lookups.end(*names)


async def test_an_answer_that_came_too_late_is_for_the_next_try() -> None:
    lookups = Lookups(patience=0.2, short=0.1)
    lookups.end("carol")
    try:
        with trio.fail_after(10):
            await lookups.is_late("alice")
            await lookups.is_late("bob")  # after 0.1 s
            lookups.end("bob")
            await until(lambda: "bob" in lookups.ended)
            assert await lookups.of("carol") == "carol"
            assert await lookups.of("bob") == "bob"
            assert lookups.begun == ["alice", "bob", "carol"]
            assert await lookups.of("bob") == "bob"
            assert lookups.begun[3:] == ["bob"]  # it is for one try
    finally:
        lookups.end("alice")


@pytest.mark.parametrize(
    ("short", "begun"),
    [
        pytest.param(0.05, 1, id="while another hangs"),
        pytest.param(1.0, 2, id="after its own patience"),
    ],
)
async def test_that_there_is_no_account_is_told_by_the_next_try(short: float, begun: int) -> None:
    """After the patience, the directory service may just not have been reached."""
    lookups = Lookups(patience=1, short=short)
    try:
        with trio.fail_after(10):
            await lookups.is_late("alice")
            await lookups.is_late("unknown")
            lookups.end("unknown")
            await until(lambda: "unknown" in lookups.ended)
            lookups.end("carol")
            assert await lookups.of("carol") == "carol"
            with pytest.raises(NoAccount):
                await lookups.of("unknown")
        assert lookups.begun.count("unknown") == begun
    finally:
        lookups.end("alice", "unknown")


async def until(condition: Callable[[], object]) -> None:
    """Wait for a thread."""
    while not condition():
        await trio.lowlevel.checkpoint()


async def test_no_lookup_is_made_on_the_event_loop() -> None:
    """At the limit of processes there are no more threads; root has no such limit."""
    need_root("run as another user")
    caps = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    as_alice = ["setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups", *caps]
    argv = [*as_alice, "prlimit", "--nproc=1", sys.executable, "-P", "-c", WITHOUT_THREADS]
    told = await trio.run_process(argv, capture_stdout=True)
    assert told.stdout == b"the user database gives no answer, as there are no more threads\n"


class Roots(TyrantDaemon):
    """A daemon of root's, in whose /etc/passwd no lookup ends: it is a FIFO without a writer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, *QUICK)
        self.environ["UWSGI_VASSAL_PIDFILE"] = f"{folder}/%n.pid"  # needs no name of an account
        # Not the file alone: useradd, by another test, replaces it and ends a mount on it.
        etc = folder / "etc"
        etc.mkdir()
        for name in ("group", "nsswitch.conf", "ld.so.cache"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"/etc/{name}", etc)
        self._passwd = etc / "passwd"
        os.mkfifo(self._passwd)
        self.before = ["unshare", "-m", "sh", "-c", ENTER, str(etc)]

    def hang(self) -> None:
        """Have no lookup end from now on."""
        os.mkfifo(f"{self._passwd}.new")
        os.rename(f"{self._passwd}.new", self._passwd)

    def answer(self) -> None:
        """Have the user database answer from now on."""
        writer = os.open(self._passwd, os.O_RDWR | os.O_NONBLOCK)
        Path(shutil.copy("/etc/passwd", f"{self._passwd}.new")).rename(self._passwd)
        os.close(writer)  # ends the lookup that is late


@pytest.fixture
def roots() -> Iterator[Roots]:
    """Such a daemon, not started yet."""
    with common_ground() as folder, Roots(folder) as made:
        yield made


@pytest.mark.parametrize("owned", OWNED)
def test_other_vassals_start_and_a_stop_does_not_wait(roots: Roots, owned: dict[str, str]) -> None:
    listens = f"127.0.0.1:{free_port()}"
    roots.put("a.ini", program("sleep", "1000", listen=listens, **owned), 0, 0)
    roots.put("b.ini", shell(SLEEP, preflight="true", user=str(BOB)), 0, 0)
    roots.start()
    roots.phase("a.ini", "starting")
    roots.put("c.ini", SLEEPER, 0, 0)
    roots.phase("c.ini", "ready")
    roots.put("d.ini", shell(SLEEP, preflight="true"), 0, 0)
    roots.phase("d.ini", "ready")
    roots.stop()
    told = roots.event("spawn_failed", "a.ini").body
    assert told["reason"] == "it was to end before its account was looked up"
    assert roots.events("deploy_refused") == []


@pytest.mark.slow
def test_many_accounts_that_hang_keep_no_slots(roots: Roots) -> None:
    for uid in range(ALICE, ALICE + 16):
        roots.put(f"a{uid}.ini", program("sleep", "1000", user=str(uid)), 0, 0)
    roots.start("--max-starting", "4")
    roots.event("vassal_added", count=16)
    roots.put("b.ini", SLEEPER, 0, 0)
    added = roots.event("vassal_added", "b.ini").at
    assert (roots.event("spawned", "b.ini").at - added) / 1e9 < 2 * PATIENCE
    roots.stop()


@pytest.mark.slow
def test_starts_and_preflights_are_tried_again(roots: Roots) -> None:
    roots.put("a.ini", program("sleep", "1000", user=str(ALICE)), 0, 0)
    roots.put("b.ini", shell(SLEEP, preflight="true", user=str(BOB)), 0, 0)
    roots.start()
    failed = roots.event("spawn_failed", "a.ini").body
    late = f"the user database gives no answer within {PATIENCE:g} s"
    assert (failed["reason"], failed["fault"]) == (f"cannot start it now: {late}", "resources")
    waits = f"b.ini: cannot start its preflight now: {late}; trying again in 1 s"
    roots.until(lambda: waits in roots.log(), "the check is late")
    roots.answer()
    for name, uid in (("a.ini", ALICE), ("b.ini", BOB)):
        roots.executed(name)
        assert status_of(roots.pid_of(name))["Uid"] == [str(uid)] * 4
    assert roots.events("deploy_refused") == []
    roots.stop()


@pytest.mark.slow
@pytest.mark.parametrize("owned", OWNED)
def test_a_start_has_failed_before_it_is_late(roots: Roots, owned: dict[str, str]) -> None:
    """Otherwise the vassal itself is blamed, as for a death."""
    timeout = {"ready": "exec:true", "ready_timeout": "1s"}
    settings = {"listen": f"127.0.0.1:{free_port()}", **owned, **timeout}
    roots.put("a.ini", program("sleep", "1000", **settings), 0, 0)
    roots.start()
    failed = roots.event("spawn_failed", "a.ini").body
    assert failed["fault"] == "resources"
    assert re.fullmatch(r"cannot start it now: the .* within 0\.[0-9]+ s", failed["reason"])
    roots.answer()
    roots.phase("a.ini", "accepting")
    roots.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    "timeout", [{}, {"ready": "exec:true", "ready_timeout": "3s"}], ids=["", "ready-timeout"]
)
@pytest.mark.parametrize("owned", OWNED)
def test_a_replacement_waits_for_the_user_database(
    roots: Roots, owned: dict[str, str], timeout: dict[str, str]
) -> None:
    """A change is not refused for it, and a stop does not wait."""
    listens = f"127.0.0.1:{free_port()}"
    settings = {"reload": "replace", "listen": listens, **owned, **timeout}
    roots.put("a.ini", shell(SLEEP, replace_settle="0s", **settings), 0, 0)
    roots.answer()
    roots.start()
    roots.phase("a.ini", "accepting" if timeout else "ready")
    first = roots.pid_of("a.ini")
    roots.hang()
    roots.put("a.ini", shell("exec sleep 1001", replace_settle="0s", **settings), 0, 0)
    failed = roots.event("spawn_failed", "a.ini", count=2).body
    assert failed["fault"] == "interrupted"
    assert re.search(LATE, failed["reason"])
    vassal = roots.vassal("a.ini")
    assert vassal is not None
    assert (vassal.pid, vassal.refused) == (first, None)
    roots.answer()
    roots.event("exited", "a.ini")
    assert [roots.pid_of("a.ini")] == roots.running_for("a.ini") != [first]
    roots.hang()
    roots.put("a.ini", shell("exec sleep 1002", replace_settle="0s", **settings), 0, 0)
    roots.event("spawn_failed", "a.ini", count=3)
    roots.stop()


@pytest.mark.slow
def test_health_that_cannot_be_checked_is_not_lost(roots: Roots) -> None:
    """Checks by command of other vassals go on, however many are late."""
    sick = roots.folder / "sick"
    check = {"health": f"exec:test ! -e {sick}", "health_interval": "1s"}
    text = shell(SLEEP, user=str(ALICE), health_failures="1", **check)
    names = [f"a{number}.ini" for number in range(40)]
    for name in names:
        roots.put(name, text, 0, 0)
    roots.answer()
    roots.start()
    pids = [roots.executed(name) for name in names]
    roots.hang()
    roots.put("b.ini", program("sleep", "1000", user=str(ALICE)), 0, 0)
    roots.event("spawn_failed", "b.ini", count=6)  # in 3 s, so a check was late
    assert roots.events("health_lost") == []
    assert [roots.pid_of(name) for name in names] == pids
    roots.put("c.ini", shell(SLEEP, ready="exec:true"), 0, 0)
    roots.phase("c.ini", "accepting")
    roots.answer()
    sick.touch()
    roots.event("health_lost")
    roots.stop()
