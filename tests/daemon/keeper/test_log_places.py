"""Where root does not write its own log: places in which a tenant decides."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.kept import Emperor
from support.root import need_root
from support.tyrant import ALICE, ALICES

from ..conftest import MakeEmperor


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of root's."""
    need_root("give files to another user")
    path = tmp_path / "place"
    path.mkdir()
    return path


def give(path: Path) -> Path:
    os.chown(path, ALICE, ALICES, follow_symlinks=False)
    return path


def theirs(place: Path) -> Path:
    return give(place) / "x"


def below_theirs(place: Path) -> Path:
    (give(place) / "own").mkdir()
    return place / "own" / "x"


def of_all(place: Path) -> Path:
    place.chmod(0o777)
    return place / "x"


def their_link(place: Path) -> Path:
    (place / "own").mkdir()
    (place / "link").symlink_to("own")
    give(place / "link")
    return place / "link" / "x"


PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "their directory": (
        theirs, f"root writes no file below {{}}, which belongs to uid {ALICE}",
    ),
    "below their directory": (
        below_theirs, f"root writes no file below {{}}, which belongs to uid {ALICE}",
    ),
    "a directory of all": (
        of_all, "root writes no file below {}, which can be written to by all users",
    ),
    "behind their link": (their_link, "a symlink of another user is on the way"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "said"), PLACES.values(), ids=PLACES)
def test_a_place_where_a_tenant_decides_is_refused(
    make: Callable[[Path], Path], said: str, place: Path, make_emperor: MakeEmperor
) -> None:
    path = make(place)
    emperor = make_emperor("--log-file", str(path), keeper=False).launch()
    assert emperor.wait() == 3
    assert f"{path}: {said.format(place)}" in emperor.log()
    assert not path.exists()
    emperor.options.append("--check")
    emperor.launch()
    assert emperor.wait() == 1
    assert f"the log cannot be {path}: {said.format(place)}" in emperor.log()


def of_another(path: Path) -> None:
    path.touch()
    give(path)


def second_name(path: Path) -> None:
    path.with_name("other").touch()
    path.hardlink_to(path.with_name("other"))


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("other")


def listener(path: Path) -> None:
    folder = os.open(path.parent, os.O_PATH)  # the path is too long for an address
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


@pytest.mark.parametrize("make", [of_another, second_name, fifo, link, listener])
def test_a_file_of_another_kind_or_user_is_refused_in_a_shared_directory(
    make: Callable[[Path], None], place: Path, make_emperor: MakeEmperor
) -> None:
    place.chmod(0o1777)
    path = place / "x"
    make(path)
    with ExitStack() as stack:
        if make is fifo:  # its reader would get the log
            stack.callback(os.close, os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        emperor = make_emperor("--log-file", str(path), keeper=False).launch()
        assert emperor.wait() == 3
    assert f"{path}: " in emperor.log()


def test_what_is_taken(place: Path, make_emperor: MakeEmperor) -> None:
    (place / "own").mkdir()
    (place / "link").symlink_to("own")
    place.chmod(0o1777)  # as /tmp
    emperor = make_emperor("--log-file", str(place / "link" / "x"), keeper=False)
    emperor.start().stop()
    assert "stopped" in (place / "own" / "x").read_text()
    emperor.options[-1:] = ["/dev/null"]
    emperor.start().stop()


@pytest.fixture
def logging(place: Path, make_emperor: MakeEmperor) -> Iterator[Emperor]:
    """An emperor with its own log in the place, which was renamed."""
    emperor = make_emperor("--log-file", str(place / "x")).start()
    (place / "x").rename(place / "x.1")
    yield emperor
    emperor.stop()


def test_a_place_that_became_a_tenants_is_refused_when_the_log_is_opened_anew(
    logging: Emperor, place: Path
) -> None:
    theirs(place)
    os.kill(logging.pid, signal.SIGUSR1)

    def old() -> str:
        return (place / "x.1").read_text()

    refusal = f"{place}/x: root writes no file below {place}, which"
    logging.until(lambda: old().count(refusal) == 2, "keeper and daemon say so")
    assert not (place / "x").exists()
    status = json.loads(logging.ctl("status", "--json").stdout)
    (reason,) = [each["reason"] for each in status["attention"] if each["what"] == "own log"]
    assert f"root writes no file below {place}" in reason
    os.chown(place, 0, 0)
    os.kill(logging.pid, signal.SIGUSR1)
    logging.until((place / "x").exists, "the file is made anew")
    logging.until(
        lambda: not json.loads(logging.ctl("status", "--json").stdout)["attention"], "all is well"
    )
