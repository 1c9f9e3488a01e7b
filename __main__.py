"""``python -m emperord``: the three commands, where they are not on ``PATH``.

It is ``emperor``. With a first word ``ctl`` it is ``emperor-ctl``, with ``replay``
``emperor-replay``.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that is meant. Only that one is imported: the keeper is to stay small."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in ("ctl", "replay"):
        sys.argv[:2] = [f"emperor-{word}"]
    if word == "ctl":
        from .daemon import ctl

        ctl.main()
    if word == "replay":
        from .replay import main as replay

        replay.main()
    from .daemon.keeper import main as keeper

    keeper.main()


if __name__ == "__main__":
    main()
