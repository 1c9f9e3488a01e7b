"""Digests of config texts in tables and lines."""

from typing import Final

from ...monitors.names import shown

SHORT: Final = 12  # characters of a digest that tell it from any other in practice


def short(digest: str | None) -> str:
    """The beginning of a digest; ``-`` for None."""
    return "-" if digest is None else shown(digest[:SHORT])
