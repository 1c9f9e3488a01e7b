"""The witness of a daemon that was given none."""

from typing import Final


class NoWitness:
    """Writes nothing, so it has no trouble."""

    trouble: str | None = None
    since: int | None = None

    async def run(self) -> None:
        """Return at once."""

    async def end(self) -> None:
        """Return at once."""


NO_WITNESS: Final = NoWitness()
