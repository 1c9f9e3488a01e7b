"""``python -m emperord``: the three commands, where they are not on ``PATH``.

It is ``emperor``. With a first word ``ctl`` it is ``emperor-ctl``, with ``replay``
``emperor-replay``.
"""

import signal
import sys
from typing import NoReturn


def ctl() -> NoReturn:
    """The command ``emperor-ctl``."""
    _end_quietly()
    from .daemon import ctl

    ctl.main()


def replay() -> NoReturn:
    """The command ``emperor-replay``."""
    _end_quietly()
    from .replay import main as replay

    replay.main()


def _end_quietly() -> None:
    """Let ^C end the program without a traceback while its modules are imported.

    ``commandline.run`` takes that back. A shell's background job ignores the signal, and goes on
    ignoring it.
    """
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> NoReturn:
    """Run the command that is meant. Only that one is imported: the keeper is to stay small."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in ("ctl", "replay"):
        sys.argv[:2] = [f"emperor-{word}"]
    if word == "ctl":
        ctl()
    if word == "replay":
        replay()
    from .daemon.keeper import main as keeper

    keeper.main()


if __name__ == "__main__":
    main()
