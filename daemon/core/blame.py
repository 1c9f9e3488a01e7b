"""Which vassal the fold was deciding about when it raised."""

from types import TracebackType

from ...journal.errors import NewerFormat


class VassalFault(Exception):
    """The fold raised while it decided about one vassal. The cause is what it raised."""

    def __init__(self, vassal: str) -> None:
        super().__init__(vassal)
        self.vassal = vassal


class Blame:
    """Name this vassal in an error raised within, unless the error names one already."""

    __slots__ = ("_vassal",)

    def __init__(self, vassal: str) -> None:
        self._vassal = vassal

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, VassalFault | NewerFormat):
            raise VassalFault(self._vassal) from error


def original(error: BaseException) -> BaseException:
    """The error as the fold raised it, without the name of the vassal."""
    if isinstance(error, VassalFault) and error.__cause__ is not None:
        return error.__cause__
    return error
