"""Records histories of real runs: tools/histories FOLDER [NAME ...].

    .venv/bin/python tools/histories tests/histories slots upgrade

Each run is a function in a file here. Its docstring says what happens. It starts a daemon, vassals
and the server that it needs in a folder of its own, and ends all of them. Its journal becomes
FOLDER/NAME.history. The incidents of tools/incidents are runs, too. Without a NAME all of them are
recorded.

A history of a machine has its paths. They become /srv/emperord here, and its pids stay.
"""

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1] / "tests")]  # tests/support has the daemon

Run = Callable[[Path], None]
ALTERED = ("edited",)  # incidents whose journal does not verify


def runs() -> dict[str, tuple[Run, str]]:
    """The runs by name, and what happens in each."""
    import of_daemons
    import of_deploys
    import of_files
    import of_modes
    import of_servers

    found = (
        *of_files.RUNS, *of_modes.RUNS, *of_deploys.RUNS, *of_daemons.RUNS, *of_servers.RUNS,
    )  # fmt: skip
    told = {run.__name__.replace("_", "-"): (run, run.__doc__ or "") for run in found}
    return told | dict(_incidents())


def _incidents() -> Iterator[tuple[str, tuple[Run, str]]]:
    """The incidents, but for those whose journals are altered."""
    sys.path.insert(0, str(_HERE.parent / "incidents"))
    for path in sorted((_HERE.parent / "incidents").glob("[a-z]*.py")):
        module = importlib.import_module(path.stem)
        if path.stem not in ALTERED:
            yield f"incident-{path.stem.replace('_', '-')}", (module.make, module.__doc__ or "")


def main() -> int:
    """Record the runs that the command line names."""
    from recording import record

    known = runs()
    names = sys.argv[2:] or list(known)
    if len(sys.argv) < 2 or not set(names) <= known.keys():
        print("usage: tools/histories FOLDER [NAME ...]\n", file=sys.stderr)
        for name, (_, doc) in known.items():
            print(f"  {name:20} {doc.splitlines()[0]}", file=sys.stderr)
        return 2
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="emperord-history-") as folder:
            run, doc = known[name]
            run(Path(folder))
            path = target / f"{name}.history"
            path.write_text(record(Path(folder), name, doc))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
