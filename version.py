"""The version, where both the package and its journal can read it."""

from typing import Final

VERSION: Final = "0.2.0.dev0"
