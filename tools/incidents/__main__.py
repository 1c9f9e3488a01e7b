"""Makes an incident with real processes, and leaves its journal: tools/incidents NAME FOLDER.

    .venv/bin/python tools/incidents held /tmp/held

An incident is a file here with a function ``make(folder)``. Its name is the file's, with hyphens.
The first line of its docstring says what happens. It starts vassals and a daemon in FOLDER, and
ends all of them. The journal stays: FOLDER/state/journal.db. Read it by ``emperor-replay``.

The function returns what the script itself and the vassals saw: pids, times, texts. That is kept as
FOLDER/truth.json. No journal was asked for it.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1] / "tests")]  # tests/support has the daemon


def incidents() -> dict[str, ModuleType]:
    """The incidents by name."""
    files = sorted(_HERE.glob("[a-z]*.py"))
    return {file.stem.replace("_", "-"): importlib.import_module(file.stem) for file in files}


def main() -> int:
    """Make the incident that the command line names."""
    known = incidents()
    if len(sys.argv) != 3 or sys.argv[1] not in known:
        print("usage: tools/incidents NAME FOLDER\n", file=sys.stderr)
        for name, module in known.items():
            print(f"  {name:12} {(module.__doc__ or '').splitlines()[0]}", file=sys.stderr)
        return 2
    folder = Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"tools/incidents: {folder} is not empty; name another folder", file=sys.stderr)
        return 1
    truth = known[sys.argv[1]].make(folder)
    (folder / "truth.json").write_text(json.dumps(truth, indent=1))
    print(folder / "state" / "journal.db")
    return 0


if __name__ == "__main__":
    sys.exit(main())
