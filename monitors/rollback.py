"""The setting ``rollback`` of ``[emperor]``: after how many failures a change is taken back.

| key | |
|---|---|
| `rollback` | failures in a row after which the last good config is back; 0 is never |

The fold counts, and decides what follows (``daemon/core/rollback.py``).
"""

import re
from typing import Final

KEYS: Final = ("rollback",)
MOST: Final = 100


def flaw(text: str) -> str | None:
    """Why the setting cannot have this value; None if it can."""
    if re.fullmatch(r"0|[1-9][0-9]{0,2}", text, re.ASCII) and int(text) <= MOST:
        return None
    return f"is no number of failures; write 1 to {MOST}, or 0 for no rollback"
