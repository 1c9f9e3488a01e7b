"""Tyrant mode: what is read for a tenant is read with the tenant's rights, or not at all."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from emperord.daemon.main import open_monitors
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from emperord.monitors import listing, regular_file, resolving, rows
from emperord.monitors.amqp import paths as amqp_paths
from emperord.monitors.contract import Seen
from emperord.monitors.files import scan as files
from emperord.monitors.files.on_demand import Addresses, BadAddress
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from emperord.monitors.rows import Row
from emperord.monitors.tenant import Tenant, rights_of
from emperord.monitors.zeromq import monitor as zeromq
from support.tyrant import ALICE, ALICES, BOB, BOBS, account_in_a_group, common_ground

from .watching import watching

OF_ROOT = "[uwsgi]\nsecret = of-root\n"
PLAIN = "[uwsgi]\nplain = text\n"
PLACED = Spec(ts=1, path="a.ini")
ME = Tenant(ALICE, ALICES, (ALICES,))


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that all can reach, with a directory ``vassals`` that only root can write to."""
    with common_ground() as folder:
        (folder / "vassals").mkdir()
        yield folder


def file_of(path: Path, uid: int, gid: int, mode: int = 0o644, text: str = PLAIN) -> Path:
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, uid, gid)
    return path


def closed(ground: Path) -> Path:
    """A directory that only root can search."""
    (ground / "closed").mkdir(mode=0o700)
    return ground / "closed"


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    os.chown(path, ALICE, ALICES)
    return path


def device(path: Path) -> Path:
    os.mknod(path, 0o20666, os.makedev(1, 5))  # as /dev/zero
    return path


# The targets of links, and whether alice may see them.
Make = Callable[[Path], Path | str]
TEXT, DENIED, NOTHING = "text", "denied", "nothing"
TARGETS: dict[str, tuple[Make, str]] = {
    "hers": (lambda ground: file_of(ground / "t", ALICE, ALICES, 0o400), TEXT),
    "everybody's": (lambda ground: file_of(ground / "t", 0, 0), TEXT),
    "her group's": (lambda ground: file_of(ground / "t", 0, ALICES, 0o640), TEXT),
    "root's alone": (lambda ground: file_of(ground / "t", 0, 0, 0o600, OF_ROOT), DENIED),
    "root's group's": (lambda ground: file_of(ground / "t", BOB, 0, 0o640, OF_ROOT), DENIED),
    "bob's alone": (lambda ground: file_of(ground / "t", BOB, BOBS, 0o600, OF_ROOT), DENIED),
    "not hers to read": (lambda ground: file_of(ground / "t", ALICE, ALICES, 0o200), DENIED),
    "all but her group's": (lambda ground: file_of(ground / "t", 0, ALICES, 0o604), DENIED),
    "behind a closed door": (lambda ground: file_of(closed(ground) / "t", 0, 0), DENIED),
    "not even there": (lambda ground: closed(ground) / "t", DENIED),
    "a closed directory": (closed, NOTHING),
    "not there": (lambda ground: ground / "t", NOTHING),
    "/proc/kmsg": (lambda _: "/proc/kmsg", DENIED),
    "/proc/version": (lambda _: "/proc/version", DENIED),
    "/sys": (lambda _: "/sys/kernel/notes", DENIED),
    "the daemon's environment": (lambda _: f"/proc/{os.getpid()}/environ", DENIED),
    "nothing in /proc": (lambda _: "/proc/none", DENIED),
    "FIFO": (lambda ground: fifo(ground / "t"), NOTHING),
    "device": (lambda ground: device(ground / "t"), NOTHING),
}


def link_of(ground: Path, target: Path | str, uid: int = ALICE, gid: int = ALICES) -> Path:
    link = ground / "vassals" / "a.ini"
    link.symlink_to(target)
    os.lchown(link, uid, gid)
    return link


TYRANT = MonitorOptions(tyrant=True)
BY_LINK = MonitorOptions(tyrant=True, tyrant_nofollow=True)


def look(path: Path, cwd: Path | None = None, options: MonitorOptions = TYRANT) -> files.Sight:
    """A config as a monitor of files sees it."""
    reader = files.Reader(options, None if cwd is None else str(cwd))
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        name = str(path) if cwd is None else path.name
        return reader.look(name, (directory, str(path.parent), path.name), None, lambda _: None)
    finally:
        os.close(directory)


def by_dir(path: Path) -> files.Sight:
    return look(path, path.parent, BY_LINK)


def by_glob(path: Path) -> files.Sight:
    return look(path, None, BY_LINK)


def by_amqp(path: Path) -> files.Sight:
    return amqp_paths.look(files.Reader(BY_LINK, None), str(path))


@pytest.fixture(params=["openat2", "older kernel"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels before 5.6 have no openat2(2), and answer what this one says to another number."""
    if request.param == "older kernel":
        monkeypatch.setattr(resolving, "_OPENAT2", 100_000)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("see", [by_dir, by_glob, by_amqp])
@pytest.mark.parametrize(("make", "sees"), TARGETS.values(), ids=TARGETS)
def test_where_a_link_leads(
    ground: Path, make: Make, sees: str, see: Callable[[Path], files.Sight]
) -> None:
    """--tyrant-nofollow: the vassal is the link's owner's, who can read the file or cannot."""
    link = link_of(ground, make(ground))
    sight = see(link)
    if sees == NOTHING:
        assert isinstance(sight, files.Absent)
        return
    assert isinstance(sight, files.Found)
    spec = sight.record.seen.spec
    assert (spec.uid, spec.gid) == (ALICE, ALICES)
    if sees == TEXT:
        assert (sight.content, spec.bar) == (PLAIN.encode(), None)
        return
    assert (sight.content, spec.config, spec.settings) == (None, None, {})
    reasons = {
        "/proc/": into_proc(link),
        "/sys/": f"tyrant mode: {link} is one of the kernel's own",
    }
    assert spec.bar is not None
    assert spec.bar.removesuffix(" files, as those in /proc are") == next(
        (reason for way, reason in reasons.items() if os.readlink(link).startswith(way)),
        f"tyrant mode: uid {ALICE} may not read {link}",
    )
    # It is looked at again by each rescan: a directory on the way may be opened to her.
    assert sight.record.signature is None
    assert spec.ts == os.lstat(link).st_mtime_ns


@pytest.mark.parametrize("there", [True, False], ids=["there", "missing"])
@pytest.mark.parametrize("whose", ["alice's", "root's, over alice's"])
def test_what_is_there_is_not_told(ground: Path, whose: str, there: bool) -> None:
    """Where the file's owner counts, root has to look first: as the one who chose the file."""
    target = closed(ground) / "t"
    if there:
        file_of(target, BOB, BOBS)
    if whose == "alice's":
        link = link_of(ground, target)
    else:
        (ground / "home").mkdir()
        (ground / "home" / "x.ini").symlink_to(target)
        os.chown(ground / "home", ALICE, ALICES)
        link = link_of(ground, ground / "home" / "x.ini", 0, 0)
    for sight in (look(link), look(link, link.parent)):
        assert isinstance(sight, files.Found)
        spec = sight.record.seen.spec
        assert (spec.uid, spec.bar) == (ALICE, f"tyrant mode: uid {ALICE} may not read {link}")


def test_a_users_own_file_behind_a_group(ground: Path) -> None:
    """The groups on the way count, too: a file's group is its vassal's."""
    team = ground / "team"
    team.mkdir(mode=0o750)
    os.chown(team, 0, BOBS)
    (team / "home").mkdir()
    os.chown(team / "home", ALICE, ALICES)
    file_of(team / "home" / "x.ini", ALICE, BOBS, 0o400)
    sight = look(link_of(ground, team / "home" / "x.ini", 0, 0))
    assert isinstance(sight, files.Found)
    assert (sight.record.seen.spec.uid, sight.content) == (ALICE, PLAIN.encode())


@pytest.mark.usefixtures("kernel")
def test_links_to_links(ground: Path) -> None:
    """Over directories, absolute and relative, up and down, but not for ever."""
    (ground / "sub").mkdir()
    file_of(ground / "sub" / "t", ALICE, ALICES, 0o400)
    (ground / "sub" / "up").symlink_to("..")
    (ground / "there").symlink_to(ground / "sub")
    link = link_of(ground, "..//./there/up/sub/../there/t")
    assert text_of(by_dir(link)) == PLAIN.encode()
    (ground / "sub" / "t").unlink()
    (ground / "sub" / "t").symlink_to("t")
    assert by_dir(link) == files.Unreadable("Too many levels of symbolic links")
    (ground / "sub" / "t").unlink()
    (ground / "sub" / "t").symlink_to("../vassals/x/y")
    assert by_dir(link) == files.ABSENT


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("options", [TYRANT, BY_LINK], ids=["the file's owner", "the link's"])
@pytest.mark.parametrize("way", ["fd/{}", "cwd/t", "root{}/t", "../{pid}/cwd/t", "task/none"])
@pytest.mark.parametrize("whose", [0, ALICE, None], ids=["root's", "alice's", "missing"])
def test_what_the_daemon_has_open_is_not_within_reach(
    ground: Path,
    monkeypatch: pytest.MonkeyPatch,
    whose: int | None,
    way: str,
    options: MonitorOptions,
) -> None:
    """Links of /proc lead past the permissions of directories; all have the same reason."""
    hidden = closed(ground)
    monkeypatch.chdir(hidden)
    descriptor = 999
    if whose is not None:
        file = file_of(hidden / "t", whose, whose, 0o644, OF_ROOT)
        descriptor = os.open(file, os.O_RDONLY)
    told = descriptor if way.startswith("fd") else hidden
    link = link_of(ground, "/proc/self/" + way.format(told, pid=os.getpid()))
    sights = [look(link, link.parent, options), look(link, None, options)]
    sights.append(amqp_paths.look(files.Reader(options, None), str(link)))
    if whose is not None:
        os.close(descriptor)
    for sight in sights:
        assert isinstance(sight, files.Found)
        spec = sight.record.seen.spec
        assert (spec.uid, spec.bar, sight.content) == (ALICE, into_proc(link), None)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("there", [True, False], ids=["there", "missing"])
def test_a_directory_behind_proc_leads_nowhere(
    ground: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """On the way to a config and when names are listed: the daemon's directory is its own."""
    hidden = closed(ground)
    if there:
        (hidden / "sub").mkdir()
        file_of(hidden / "sub" / "t.ini", ALICE, ALICES, 0o400)
    monkeypatch.chdir(hidden)
    link = link_of(ground, "/proc/self/cwd/sub")
    assert listed(link) == into_proc(f"{link}/")
    path = f"{link}/t.ini"
    sight = amqp_paths.look(files.Reader(TYRANT, None), path)
    assert sight == files.Unreadable(into_proc(link))
    # A directory that was opened before the link was made is no way either.
    if there:
        directory = os.open(hidden / "sub", os.O_PATH)
        step = (directory, str(link), "t.ini")
        found = files.Reader(TYRANT, None).look(path, step, None, lambda _: None)
        os.close(directory)
        assert isinstance(found, files.Found)
        assert (found.record.seen.spec.bar, found.content) == (into_proc(path), None)


@pytest.mark.parametrize("there", [True, False], ids=["there", "missing"])
def test_a_directory_that_a_user_cannot_search_is_not_told(ground: Path, there: bool) -> None:
    """Behind a user's link, whether a closed directory has something in it is not told."""
    hidden = closed(ground)
    if there:
        (hidden / "sub").mkdir()
    link = link_of(ground, hidden / "sub")
    assert listed(link) == f"tyrant mode: uid {ALICE} may not read {link}/"


@pytest.mark.parametrize("there", [True, False], ids=["there", "missing"])
@pytest.mark.parametrize("target", ["closed/t", "/proc/self/cwd/t"])
def test_the_end_of_an_announced_file_is_not_told(
    ground: Path, monkeypatch: pytest.MonkeyPatch, there: bool, target: str
) -> None:
    """A rescan looks for the file behind a user's link as that user."""
    hidden = closed(ground)
    if there:
        file_of(hidden / "t", 0, 0)
    monkeypatch.chdir(hidden)
    link = link_of(ground, os.path.join(ground, target))
    with pytest.raises(regular_file.Denied):
        listing.status(str(link), tyrant=True, follow=True)
    assert listing.status(str(link), tyrant=True, follow=False).st_uid == ALICE


def into_proc(path: Path | str) -> str:
    return f"tyrant mode: {path} leads over a symlink into /proc, the kernel's own files"


@pytest.mark.parametrize("initgroups", [False, True])
def test_supplementary_groups(ground: Path, initgroups: bool) -> None:
    """They count where the vassal has them, too."""
    with account_in_a_group() as account:
        uid, gid = account.pw_uid, account.pw_gid
        (other,) = set(os.getgrouplist(account.pw_name, gid)) - {gid}
        link = link_of(ground, file_of(ground / "t", 0, other, 0o640), uid, gid)
        options = msgspec.structs.replace(BY_LINK, tyrant_initgroups=initgroups)
        sight = look(link, None, options)
    assert isinstance(sight, files.Found)
    assert sight.content == (PLAIN.encode() if initgroups else None)


@pytest.mark.parametrize(
    ("uid", "gid"), [(0, 0), (0, ALICES), (ALICE, 0)], ids=["root's", "uid 0", "gid 0"]
)
@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
def test_nothing_is_read_for_root(ground: Path, uid: int, gid: int, link: bool) -> None:
    """No vassal may run as root, so no config of root's is kept."""
    path = ground / "vassals" / "a.ini"
    if link:
        link_of(ground, file_of(ground / "t", ALICE, ALICES), uid, gid)
    else:
        file_of(path, uid, gid)
    sight = by_dir(path)
    assert isinstance(sight, files.Found)
    assert (sight.content, sight.record.seen.spec.config) == (None, None)
    assert (sight.record.seen.spec.uid, sight.record.seen.spec.gid) == (uid, gid)


@pytest.mark.parametrize(("mode", "reads"), [(0o755, True), (0o700, False)])
def test_the_way_to_a_file_that_is_matched(ground: Path, mode: int, reads: bool) -> None:
    """Its vassal gets the path, so its user must reach it; dir:// has it run in the directory."""
    path = file_of(ground / "vassals" / "a.ini", ALICE, ALICES, 0o600)
    ground.chmod(mode)
    for sight in (look(path), by_amqp(path)):
        assert isinstance(sight, files.Found)
        assert sight.content == (PLAIN.encode() if reads else None)
        bar = None if reads else f"tyrant mode: uid {ALICE} may not read {path}"
        assert sight.record.seen.spec.bar == bar
    within = look(path, path.parent)
    assert isinstance(within, files.Found)
    assert within.content == PLAIN.encode()


# Directories


def listed(path: Path) -> list[str] | str:
    """The names in a directory, or why they are not told."""
    try:
        descriptor = listing.open_directory(f"{path}/", tyrant=True)
    except regular_file.Denied as error:
        return str(error)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("over", ["link", "over/vassals"])
@pytest.mark.parametrize(
    ("whose", "mode", "lists"), [(ALICE, 0o755, True), (ALICE, 0o700, False), (0, 0o700, True)]
)
def test_a_directory_behind_a_link(
    ground: Path, whose: int, mode: int, lists: bool, over: str
) -> None:
    """Alice's leads only to what she can list; root's to anything."""
    (ground / "theirs").mkdir(mode=mode)
    (ground / "theirs").chmod(mode)
    (ground / "theirs" / "vassals").mkdir()
    (ground / "link").symlink_to("theirs/vassals" if over == "link" else "theirs")
    (ground / "over").symlink_to("theirs")
    for link in ("link", "over"):
        os.lchown(ground / link, whose, whose)
    path = ground / over
    denied = f"tyrant mode: uid {ALICE} may not read {path}/"
    assert listed(path) == ([] if lists else denied)


@pytest.mark.usefixtures("kernel")
def test_a_directory_without_links_is_roots_to_list(ground: Path) -> None:
    """Alice's mistake with her own directory does not end what runs."""
    closed(ground)
    os.chown(ground / "closed", ALICE, ALICES)
    (ground / "closed").chmod(0)
    assert listed(ground / "closed") == []


async def test_a_pattern_over_anothers_directory(ground: Path) -> None:
    """Its names are not told, and the others' vassals are."""
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        home = ground / "home" / name
        (home / "vassals").mkdir(parents=True)
        file_of(home / "vassals" / "own.ini", uid, uid)
        os.chown(home / "vassals", uid, uid)
        os.chown(home, uid, uid)
    file_of(closed(ground) / "secret-name.ini", 0, 0, 0o600)
    (ground / "home" / "alice" / "vassals").rename(ground / "home" / "alice" / "aside")
    link = ground / "home" / "alice" / "vassals"
    link.symlink_to(ground / "closed")
    os.lchown(link, ALICE, ALICES)
    monitor = open_monitor(f"glob://{ground}/home/*/vassals/*.ini", TYRANT)
    async with watching(monitor) as watch:
        assert list(watch.seen) == [f"{ground}/home/bob/vassals/own.ini"]
        denied = f"tyrant mode: uid {ALICE} may not read {link}/"
        assert watch.refused == {f"{link}/": denied}
        link.unlink()
        link.symlink_to("aside")
        os.lchown(link, ALICE, ALICES)
        await watch.until(lambda: len(watch.seen) == 2)


# Sources that give a path with the user


def by_row(path: Path, uid: int | None, gid: int | None) -> Seen:
    row = Row(str(path), None, 1, uid, gid)
    return rows.seen_of_file(row, TYRANT)[1]


def by_message(path: Path, uid: int | None, gid: int | None) -> Seen:
    spec = Spec(ts=1, uid=uid, gid=gid)
    name = f"{path.parent.name}/{path.name}"
    return zeromq.see_file(str(path.parents[1]), name, spec, TYRANT)


@pytest.mark.parametrize("see", [by_row, by_message])
@pytest.mark.parametrize(
    ("uid", "gid", "mode", "reads"),
    [
        pytest.param(ALICE, ALICES, 0o644, True, id="everybody's"),
        pytest.param(ALICE, ALICES, 0o600, False, id="root's alone"),
        pytest.param(None, None, 0o644, False, id="no user"),
        pytest.param(0, 0, 0o644, False, id="root"),
        pytest.param(ALICE, None, 0o644, False, id="no group"),
        pytest.param(ALICE, 0, 0o640, False, id="root's group"),
    ],
)
def test_a_path_with_a_user(
    ground: Path,
    see: Callable[[Path, int | None, int | None], Seen],
    uid: int | None,
    gid: int | None,
    mode: int,
    reads: bool,
) -> None:
    path = file_of(ground / "vassals" / "a.ini", 0, 0, mode)
    seen = see(path, uid, gid)
    assert (seen.spec.uid, seen.spec.gid) == (uid, gid)
    assert seen.content == (PLAIN.encode() if reads else None)
    assert (seen.spec.config is not None) == reads
    denied = f"tyrant mode: uid {ALICE} may not read {path}"
    assert seen.spec.bar == (denied if uid and gid and not reads else None)


# Addresses


@pytest.mark.parametrize(
    ("mode", "address"), [(0o644, ":8000"), (0o600, None)], ids=["everybody's", "root's alone"]
)
def test_the_file_beside(ground: Path, mode: int, address: str | None) -> None:
    """In a directory of alice's, who can give a file of root's another name."""
    os.chown(ground / "vassals", ALICE, ALICES)
    file_of(ground / "vassals" / "a.ini.socket", 0, 0, mode, ":8000\n")
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_extension=".socket"))
    directory = os.open(ground / "vassals", os.O_PATH)
    try:
        if address is not None:
            assert addresses.find("a.ini", PLACED, directory, "a.ini", ME) == address
            return
        with pytest.raises(BadAddress, match=rf"uid {ALICE} may not read a\.ini\.socket$"):
            addresses.find("a.ini", PLACED, directory, "a.ini", ME)
    finally:
        os.close(directory)


def test_the_command_runs_as_the_tenant(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given a path that the tenant may have made lead anywhere."""
    monkeypatch.setenv("ROOTS_SECRET", "x")
    command = "sh -c 'echo /$(id -u).$(id -g).$(id -G | tr \" \" .).$ROOTS_SECRET'"
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_exec=command))
    found = addresses.find("a.ini", PLACED, -1, "a.ini", Tenant(ALICE, ALICES, (ALICES, BOBS)))
    assert found == f"/{ALICE}.{ALICES}.{ALICES}.{BOBS}."


async def test_the_command_has_a_vassals_environment(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the account, and what the daemon has for all vassals."""
    for key, value in {"ROOTS_SECRET": "x", "UWSGI_VASSAL_FOO": "%n", "HOME": "/root"}.items():
        monkeypatch.setenv(key, value)
    with account_in_a_group() as account:
        file_of(ground / "vassals" / "a.ini", account.pw_uid, account.pw_gid)
        command = (
            "sh -c 'echo /$HOME,$USER,$LOGNAME,$SHELL,$UWSGI_FOO,$ROOTS_SECRET$EMPERORD_ATTEMPT'"
        )
        policy = Policy(tyrant=True, on_demand_exec=command)
        (monitor,), _ = open_monitors((f"dir://{ground}/vassals",), policy)
        async with watching(monitor) as watch:
            found = watch.seen["a.ini"].spec.socket
    its = (account.pw_dir, account.pw_name, account.pw_name, account.pw_shell, "a", "")
    assert found == "/" + ",".join(its)


def test_what_the_command_says_is_the_tenants_word() -> None:
    """A user may trace, and so alter, what runs as that user."""
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_exec="sh -c 'echo :80'"))
    with pytest.raises(BadAddress, match=f"uid {ALICE} may not listen at :80"):
        addresses.find("a.ini", PLACED, -1, "a.ini", ME)


# Races


def test_what_is_swapped_while_it_is_read_is_never_anothers(ground: Path) -> None:
    """File, link, FIFO and directory take each other's place, between all looks."""
    file_of(closed(ground) / "a.ini", 0, 0, 0o644, OF_ROOT)
    home = ground / "home"
    home.mkdir()
    file_of(home / "a.ini", ALICE, ALICES)
    os.chown(home, ALICE, ALICES)
    (home / "link").symlink_to("../closed/a.ini")
    fifo(home / "fifo")
    (ground / "way").symlink_to("closed")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for other in ("link", "fifo"):
                os.rename(home / "a.ini", home / "own")
                os.rename(home / other, home / "a.ini")
                os.rename(home / "a.ini", home / other)
                os.rename(home / "own", home / "a.ini")
            os.rename(home, ground / "aside")
            os.rename(ground / "way", home)
            os.rename(home, ground / "way")
            os.rename(ground / "aside", home)

    swapper = threading.Thread(target=swap)
    swapper.start()
    told = set()
    try:
        for _ in range(3000):
            try:
                told |= {text_of(look(home / "a.ini", cwd)) for cwd in (None, home)}
                told.add(by_row(home / "a.ini", ALICE, ALICES).content)
            except (OSError, rows.Flaw):
                continue
    finally:
        over.set()
        swapper.join()
    assert told == {PLAIN.encode(), None}


def text_of(sight: files.Sight) -> bytes | None:
    return sight.content if isinstance(sight, files.Found) else None


def test_a_fifo_in_the_files_place_is_not_opened(ground: Path) -> None:
    """Not for a moment: the other end would see it."""
    with pytest.raises(regular_file.NotRegular), regular_file.opened(str(fifo(ground / "t")), ME):
        pass
    with pytest.raises(OSError, match="No such device or address"):  # no process reads
        os.open(ground / "t", os.O_WRONLY | os.O_NONBLOCK)


# The rights themselves


class Rights(NamedTuple):
    uids: str
    gids: str
    groups: str
    capabilities: str

    @classmethod
    def here(cls) -> "Rights":
        """Those of this thread."""
        lines = Path("/proc/thread-self/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines)
        return cls(*(fields[key].strip() for key in ("Uid", "Gid", "Groups", "CapEff")))


def test_only_this_thread_has_them_and_only_for_the_block() -> None:
    before = Rights.here()
    others: list[Rights] = []
    taken = threading.Event()
    other = threading.Thread(target=lambda: others.append(Rights.here()) if taken.wait() else None)
    other.start()
    with rights_of(Tenant(ALICE, ALICES, (ALICES, BOBS))):
        during = Rights.here()
        taken.set()
        other.join()
    assert during.uids.split() == ["0", "0", "0", str(ALICE)]
    assert during.gids.split() == ["0", "0", "0", str(ALICES)]
    assert during.groups.split() == [str(ALICES), str(BOBS)]
    assert int(during.capabilities, 16) & 0b110 == 0
    assert others == [before]
    assert Rights.here() == before


def test_an_error_in_the_block_gives_them_up() -> None:
    before = Rights.here()
    with pytest.raises(ZeroDivisionError), rights_of(ME):
        raise ZeroDivisionError
    assert Rights.here() == before


def test_they_are_refused_where_root_would_stay_root() -> None:
    """SECBIT_NO_SETUID_FIXUP: the kernel leaves all capabilities."""
    code = (
        "import ctypes\n"
        "from emperord.monitors.tenant import Tenant, rights_of\n"
        "assert ctypes.CDLL(None).prctl(28, 4, 0, 0, 0) == 0\n"
        "try:\n"
        "    with rights_of(Tenant(5001, 5001, (5001,))):\n"
        "        print('taken')\n"
        "except OSError as error:\n"
        "    print(error)\n"
        "print(open('/proc/thread-self/status').read().split('Uid:')[1].split()[:4])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == (
        "cannot take on the rights of uid 5001: the daemon would keep root's capabilities\n"
        "['0', '0', '0', '0']\n"
    )


def test_a_thread_that_cannot_give_them_up_ends_the_daemon() -> None:
    """The keeper starts another one. A thread with a tenant's rights would fail at other work."""
    code = (
        "import ctypes\n"
        "from emperord.monitors.tenant import Tenant, rights_of\n"
        "with rights_of(Tenant(5001, 5001, (5001,))):\n"
        "    header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0\n"
        "print('goes on')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (-signal.SIGABRT, "")
    assert run.stderr.startswith("emperor: cannot give up the rights of uid 5001\n")
