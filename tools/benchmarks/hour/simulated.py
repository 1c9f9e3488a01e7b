"""An hour of load in virtual time, by ``tests/simulation/lasting.py``: the daemon from inside."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from .samples import Bound, Sample

SAMPLES = 24
CONTAINERS = "shell"  # the name of each container begins with it
BOUNDS = {
    "entries of all containers": Bound(0.2, 100),
    "Python objects": Bound(0.01, 0),
    "open files": Bound(0, 2),
    "tasks": Bound(0, 8),
    "KB of the snapshot": Bound(0.3, 2),
    "MB resident": Bound(0.03, 1),
    "us of processor time an event": Bound(0.3, 100),
    "events": Bound(9, 0),  # of the journal, which grows by design
}
OTHER = Bound(0.5, 40)  # of one container: a few more vassals happen to wait at times


def run(folder: Path, seconds: float) -> list[Sample]:
    """The samples of a run of so many virtual seconds."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))
    from simulation.lasting import lasting

    with tempfile.TemporaryDirectory(dir=folder) as inner:
        looks = lasting(Path(inner) / "journal.db", seconds, SAMPLES)
    return [Sample(look.seconds, _figures(look)) for look in looks]


def _figures(look: Any) -> dict[str, float]:
    return {
        "events": look.events,
        "entries of all containers": look.lengths.total(),
        "Python objects": look.objects.total(),
        "open files": look.files,
        "tasks": look.tasks,
        "KB of the snapshot": look.snapshot / 1024,
        "MB resident": look.resident / 2**20,
        "us of processor time an event": look.microseconds,
        **look.lengths,
    }
