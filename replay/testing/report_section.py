"""The section of pytest's report for a history that was written anew.

The file imports nothing, because ``collecting.py`` imports no fold, and ``running.py`` does.
"""

from typing import Final

REWRITTEN: Final = "history rewritten"
