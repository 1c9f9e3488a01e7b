"""The benchmarks; ``tools/bench`` runs them.

Each line of the table says what was measured and what it is to be.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import answers
import deploys
import fleets
import floors
import journals
import neighbours
import replays
import sources
import verifying
from dropped import measure
from hour import main as hour
from measuring import BENCHES
from peers import growth
from peers import main as peers

# Each has put its own into BENCHES.
FILES = (sources, fleets, journals, neighbours, replays, floors, deploys, answers)


def main() -> None:
    if sys.argv[1:2] == ["--requests"]:
        sys.exit(measure.main(sys.argv[2:]))
    if sys.argv[1:2] == ["--peers"]:
        sys.exit(peers.main(sys.argv[2:]))
    if sys.argv[1:2] == ["--growth"]:
        sys.exit(growth.main(sys.argv[2:]))
    if sys.argv[1:2] == ["--hour"]:
        sys.exit(hour.main(sys.argv[2:]))
    if sys.argv[1:2] == ["--verify"]:
        sys.exit(verifying.main(sys.argv[2:]))
    names = sys.argv[1:] or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        sys.exit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    missed = False
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            for what, measured, goal, good in BENCHES[name](folder):
                missed |= not good
                print(
                    f"{what:<55} {measured:>20}  {goal:<22} {'' if good else 'MISSED'}", flush=True
                )
        finally:
            shutil.rmtree(folder)
    sys.exit(missed)


if __name__ == "__main__":
    main()
