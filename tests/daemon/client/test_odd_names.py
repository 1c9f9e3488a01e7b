"""emperor-ctl: names that are not UTF-8, and names in a locale that has no letters for them."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from support.asking import refused
from support.kept import Emperor
from support.vassals import SLEEPER

from ..conftest import QUICK

ODD = os.fsdecode(b"b\xff\xe9d.ini")
THERE_IS_NONE = r"there is no vassal b\xff\xe9d.ini: its name is not UTF-8"
ACCENTED = "sp ace ü.ini"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    """An emperor with two vassals, and a file that is none because of its name."""
    with Emperor(tmp_path_factory.mktemp("odd"), *QUICK, keeper=False) as emperor:
        for name in ("a.ini", ACCENTED, ODD):
            (emperor.vassals / name).write_text(SLEEPER)
        emperor.start()
        emperor.up("a.ini", ACCENTED)
        yield emperor
        emperor.stop()


@pytest.mark.parametrize(
    "command",
    [
        ("events",), ("explain",), ("list",), ("logs",), ("reload",), ("restart",), ("retry",),
        ("rollback",), ("show",), ("start",), ("stop",), ("wait",), ("why",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_name_that_is_not_utf_8_is_of_no_vassal(fleet: Emperor, command: tuple[str]) -> None:
    seq = fleet.last_seq()
    assert refused(fleet, *command, ODD) == THERE_IS_NONE
    assert refused(fleet, *command, "a.ini", ODD) == THERE_IS_NONE
    assert fleet.last_seq() == seq


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param(
            ("reopen", "--reason", ODD), r"reason: b\xff\xe9d.ini is not UTF-8", id="reason"
        ),
        pytest.param(
            ("rollout", "--monitor", ODD), "b��d.ini is none of the daemon's sources", id="source"
        ),
        pytest.param(("list", "--monitor", ODD), "there is no source b��d.ini", id="listed"),
        pytest.param(("backup", f"/{ODD}"), r"file: /b\xff\xe9d.ini is not UTF-8", id="file"),
    ],
)
def test_a_request_names_the_text_that_is_not_utf_8(
    fleet: Emperor, words: tuple[str, ...], error: str
) -> None:
    assert refused(fleet, *words).partition(";")[0] == error


@pytest.mark.parametrize("command", ["show", "why", "wait", "list", "reload"])
@pytest.mark.parametrize("output", ["utf-8", "latin-1"])
def test_any_locale_finds_a_vassal(fleet: Emperor, command: str, output: str) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": output}
    done = subprocess.run(
        [*fleet.ctl_argv, command, ACCENTED], capture_output=True, env={**fleet.environ, **locale}
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert ACCENTED.encode(output) in done.stdout


def test_a_reason_is_recorded_in_any_locale(fleet: Emperor) -> None:
    seq = fleet.last_seq()
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0"}
    argv = [*fleet.ctl_argv, "reopen", "--reason", "für ü"]
    subprocess.run(argv, check=True, env={**fleet.environ, **locale})
    assert fleet.event("operator_requested", after=seq).body["reason"] == "für ü"
