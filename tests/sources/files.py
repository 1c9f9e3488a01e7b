"""dir:// as a row. It has no server and no secret."""

from pathlib import Path

from support.services import Service

from .row import Row


class DirRow(Row):
    """A folder."""

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        self._vassals = folder / "of_row"
        self._vassals.mkdir()

    @property
    def url(self) -> str:
        return f"dir://{self._vassals}"

    def put(self, name: str, config: str) -> None:
        new = self._vassals / f"{name}.new"
        new.write_text(config)
        new.rename(self._vassals / name)

    def remove(self, name: str) -> None:
        (self._vassals / name).unlink()
