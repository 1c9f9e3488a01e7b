"""Before an upgrade, the new version sees whether it would start with the daemon's options."""

import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from support.kept import Emperor
from support.vassals import SLEEPER

from ..conftest import MakeEmperor


class Case(NamedTuple):
    """A file of options, a text that starts, one that does not, and the end of the error."""

    option: str
    file: str
    good: str
    bad: str
    error: str


CASES = {
    "--config": Case(
        "--config", "e.yml", "freq: 0.2\n", "frequency: 0.2\n",
        "Invalid value for --config: {path}: there is no option frequency; did you mean freq?",
    ),
    "--from": Case(
        "--from", "r.ini", "[uwsgi]\nemperor-freq = 1\n",
        "[uwsgi]\nemperor-freq = 1\nchroot = /x\n",
        "; {path}:3: chroot = /x: write RootDirectory= into the unit, and start by --config"
        " (rights)",
    ),
    "--vassal-defaults": Case(
        "--vassal-defaults", "d.yml", "emperor:\n  nofile: 100\n", "nofile: 100\n",
        ": --vassal-defaults {path}: it has no settings; write a section [emperor] into a file"
        " .ini, .yml or .json",
    ),
}  # fmt: skip


class Site(NamedTuple):
    """An emperor that runs a vassal, and the file of its options."""

    emperor: Emperor
    file: Path
    case: Case


@pytest.fixture(params=CASES.values(), ids=[*CASES])
def site(request: pytest.FixtureRequest, make_emperor: MakeEmperor, tmp_path: Path) -> Site:
    case: Case = request.param
    file = tmp_path / case.file
    file.write_text(case.good)
    emperor = make_emperor(case.option, str(file))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return Site(emperor, file, case)


def test_the_daemon_stays_where_the_next_one_would_not_start(site: Site) -> None:
    emperor, case = site.emperor, site.case
    daemon = emperor.daemon_pid()
    site.file.write_text(case.bad)
    refused = emperor.ctl("upgrade")
    assert refused.returncode == 1
    assert refused.stderr.startswith("emperor-ctl: the installed version does not start: ")
    assert refused.stderr.endswith(f"{case.error.format(path=site.file)}\n")
    emperor.send(signal.SIGUSR2)
    refusal = "SIGUSR2: not replaced: the installed version does not start: "
    emperor.until(lambda: refusal in emperor.log(), "it says so")
    assert emperor.daemons() == [daemon]
    assert emperor.ctl("status").returncode == 0
    site.file.write_text(case.good)
    done = emperor.ctl("upgrade")
    assert (done.returncode, done.stderr) == (0, "")
    assert emperor.daemon_pid() != daemon
