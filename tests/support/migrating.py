"""The cases: a folder each, by the kind of their files."""

import os
import subprocess
from pathlib import Path

from emperord.daemon.host import world
from emperord.daemon.migrating import run
from emperord.monitors import settings, shell_words

HERE = Path(__file__).resolve().parents[1] / "daemon" / "migrating"
KINDS = ("supervisord", "procfile", "unit")
CASES = sorted(path for kind in KINDS for path in (HERE / kind).iterdir())
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/home/op", "STAGE": "live"}
# Of a case with several files; the others are read by it.
TOP = ("supervisord.conf", "Procfile", "Procfile.dev")
FORMATIONS = {"scaled": {"web": 2, "worker": 3, "all": 0}}  # by the name of a case


def given(case: Path) -> list[str]:
    """The files that the command line would name."""
    files = [path.name for path in sorted((case / "given").iterdir()) if path.is_file()]
    services = [name for name in files if name.endswith(".service")]
    return [name for name in TOP if name in files] or services or files


def request(case: Path, folder: Path, written: Path) -> run.Request:
    """The request to migrate a case, whose files are in a folder."""
    files = tuple(str(folder / name) for name in given(case))
    return run.Request(files, str(written), formation=FORMATIONS.get(case.name, {}))


def printed(config: Path, code: int = 0) -> str:
    """The output of a config's program, which is started with its settings as a vassal is.

    It has to end with this exit code.
    """
    found, flaw = settings.read(config.name, config.read_bytes())
    assert flaw is None
    done = subprocess.run(
        [*world.before(None, ""), *shell_words.split(found["command"])],
        env={"PATH": os.environ["PATH"], **world.variable(found)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout
