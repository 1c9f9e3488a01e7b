"""A refusal of the machine is about no vassal, and is not taken for a bug."""

import errno
import os
from collections.abc import Callable

import pytest
import trio
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.host.recovery import survey
from emperord.daemon.host.spawn import error_text
from emperord.daemon.keeper.refusals import Refused, about_no_vassal, refusal
from emperord.journal.errors import Damaged, JournalError
from emperord.journal.events import Spec


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        *((number, "resources") for number in (
            errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE,
            errno.ENOSPC, errno.EAGAIN,
        )),
        *((number, "exec") for number in (
            errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.E2BIG,
        )),
        (errno.ENOTCONN, "interrupted"),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value,
)  # fmt: skip
def test_a_start_that_the_machine_refuses_is_tried_again(number: int, fault: str) -> None:
    """A disk that fails for a moment would bar a vassal until its config changes."""
    assert error_text(os_error(number))[1] == fault


@pytest.mark.parametrize(
    ("missing", "fault"), [("/srv/vassals", "resources"), ("/srv/app", "exec")]
)
def test_a_sources_directory_that_is_away_bars_nobody(missing: str, fault: str) -> None:
    """A vassal that died while it was not mounted stayed barred when it was back."""
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), missing)
    assert error_text(error, "/srv/vassals")[1] == fault


def of_the_loop() -> BaseException:
    """As trio has it, where epoll_ctl(2) refuses its own socket."""
    try:
        try:
            try:
                raise os_error(errno.ENOMEM)
            except OSError:
                raise os_error(errno.EEXIST)  # noqa: B904
        except OSError as error:
            raise trio.TrioInternalError from ExceptionGroup("", [error, AssertionError()])
    except trio.TrioInternalError as error:
        return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        pytest.param(of_the_loop(), errno.ENOMEM, id="loop"),
        pytest.param(ExceptionGroup("", [os_error(errno.EMFILE)]), errno.EMFILE, id="group"),
        pytest.param(os_error(errno.ENOENT), None, id="no such file"),
        pytest.param(ExceptionGroup("", [KeyError("a")]), None, id="bug"),
    ],
)
def test_the_refusal_that_led_to_an_error(error: BaseException, number: int | None) -> None:
    found = refusal(error)
    assert (None if found is None else found.errno) == number


def test_another_error_is_no_refusal() -> None:
    with pytest.raises(FileNotFoundError), about_no_vassal():
        raise os_error(errno.ENOENT)
    with pytest.raises(Refused), about_no_vassal():
        raise os_error(errno.ENFILE)


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        pytest.param(lambda: JournalError("cannot be read: disk I/O error"), True, id="unread"),
        pytest.param(lambda: os_error(errno.EIO), True, id="machine"),
        pytest.param(lambda: Damaged("not what was written", 1), False, id="damaged"),
        pytest.param(lambda: KeyError("a.ini"), False, id="bug"),
    ],
)
def test_a_journal_that_cannot_be_read_now_is_no_vassals_fault(
    error: Callable[[], Exception], fatal: bool
) -> None:
    """It was stopped and barred for that."""
    vassal = Vassal("a.ini", "dir:///v", Spec(ts=1), "starting", 1, 1, attempt=1)
    fleet = Fleet(vassals={"a.ini": vassal}, boot="now")

    def time_of(_: int) -> int:
        raise error()

    unclear: dict[str, Exception] = {}
    if fatal:
        with pytest.raises((JournalError, OSError)):
            survey(fleet, "now", time_of, unclear=unclear)
        assert unclear == {}
    else:
        survey(fleet, "now", time_of, unclear=unclear)
        assert unclear.keys() == {"a.ini"}
