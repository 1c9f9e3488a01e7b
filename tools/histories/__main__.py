"""Records histories of real runs: tools/histories FOLDER [NAME ...].

    .venv/bin/python tools/histories tests/histories slots upgrade

Each run is a function in a file here. Its docstring says what happens. It starts a daemon, vassals
and the server that it needs in a folder of its own, and ends all of them. Its journal becomes
FOLDER/NAME.history. Without a NAME all runs are recorded.

A history of a machine has its paths. They become /srv/emperord here, and its pids stay.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1] / "tests")]  # tests/support has the daemon

Run = Callable[[Path], None]


def runs() -> dict[str, Run]:
    """The runs by name."""
    import of_daemons
    import of_files
    import of_modes
    import of_servers

    found = (*of_files.RUNS, *of_modes.RUNS, *of_daemons.RUNS, *of_servers.RUNS)
    return {run.__name__.replace("_", "-"): run for run in found}


def main() -> int:
    """Record the runs that the command line names."""
    from recording import record

    known = runs()
    names = sys.argv[2:] or list(known)
    if len(sys.argv) < 2 or not set(names) <= known.keys():
        print("usage: tools/histories FOLDER [NAME ...]\n", file=sys.stderr)
        for name, run in known.items():
            print(f"  {name:18} {(run.__doc__ or '').splitlines()[0]}", file=sys.stderr)
        return 2
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="emperord-history-") as folder:
            known[name](Path(folder))
            path = target / f"{name}.history"
            path.write_text(record(Path(folder), name, known[name].__doc__ or ""))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
