"""The command ``tools/faults``."""

import os
import sys

from .command import main

if __name__ == "__main__":
    os.environ.pop("EMPEROR_JOURNAL", None)
    sys.exit(main())
