"""How many examples the tests that search for a failure try: EFFORT times the usual number.

``tools/test`` and ``tools/test fast`` set a fraction, ``tools/test slow`` a multiple. Such a test
has the mark ``search``, by which the slow run finds it.
"""

import os

EFFORT = float(os.environ.get("EFFORT", "1"))


def examples(usual: int) -> int:
    """How many to try in this run."""
    return max(1, round(usual * EFFORT))
