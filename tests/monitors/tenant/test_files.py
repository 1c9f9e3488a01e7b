"""Tyrant mode: a tenant's file is read with the tenant's rights, or not at all."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from emperord.journal.locked_files import NO_JOURNAL, LockedFile, LockedFiles
from emperord.monitors import listing, regular_file, rows
from emperord.monitors.amqp import paths as amqp_paths
from emperord.monitors.files import file_state as files
from emperord.monitors.files.on_demand import Addresses, BadAddress
from emperord.monitors.files.reader import Reader
from emperord.monitors.options import MonitorOptions
from support.tyrant import ALICE, ALICES, BOB, BOBS, account_in_a_group

from .files import ME, PLACED, PLAIN, TYRANT, by_row, closed, file_of, listed

OF_ROOT = "[uwsgi]\nsecret = of-root\n"


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


BY_LINK = MonitorOptions(tyrant=True, tyrant_nofollow=True)


def look(path: Path, cwd: Path | None = None, options: MonitorOptions = TYRANT) -> files.FileState:
    """A config as a monitor of files sees it."""
    reader = Reader(options, None if cwd is None else str(cwd))
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        name = str(path) if cwd is None else path.name
        return reader.look(name, (directory, str(path.parent), path.name), None, lambda _: None)
    finally:
        os.close(directory)


def by_dir(path: Path) -> files.FileState:
    return look(path, path.parent, BY_LINK)


def by_glob(path: Path) -> files.FileState:
    return look(path, None, BY_LINK)


def by_amqp(path: Path) -> files.FileState:
    return amqp_paths.look(Reader(BY_LINK, None), str(path))


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("see", [by_dir, by_glob, by_amqp])
@pytest.mark.parametrize(("make", "sees"), TARGETS.values(), ids=TARGETS)
def test_where_a_link_leads(
    ground: Path, make: Make, sees: str, see: Callable[[Path], files.FileState]
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
    sights.append(amqp_paths.look(Reader(options, None), str(link)))
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
    sight = amqp_paths.look(Reader(TYRANT, None), path)
    assert sight == files.Unreadable(into_proc(link))
    # A directory that was opened before the link was made is no way either.
    if there:
        directory = os.open(hidden / "sub", os.O_PATH)
        step = (directory, str(link), "t.ini")
        found = Reader(TYRANT, None).look(path, step, None, lambda _: None)
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


def text_of(sight: files.FileState) -> bytes | None:
    return sight.content if isinstance(sight, files.Found) else None


def test_a_fifo_in_the_files_place_is_not_opened(ground: Path) -> None:
    """Not for a moment: the other end would see it."""
    pipe = str(fifo(ground / "t"))
    with (
        pytest.raises(regular_file.NotRegular),
        regular_file.opened(pipe, ME, locked=NO_JOURNAL),
    ):
        pass
    with pytest.raises(OSError, match="No such device or address"):  # no process reads
        os.open(ground / "t", os.O_WRONLY | os.O_NONBLOCK)


def test_the_journal_is_known_where_the_tenant_cannot_look(ground: Path) -> None:
    """Its files are looked for with the daemon's own rights."""
    journal = file_of(closed(ground) / "journal.db", 0, 0, mode=0o644)
    (ground / "a.ini").hardlink_to(journal)
    with (
        pytest.raises(LockedFile),
        regular_file.opened(str(ground / "a.ini"), ME, locked=LockedFiles.of(str(journal))),
    ):
        pass
