"""Requests to ZooKeeper: znodes are read and watched, and the announcement is written.

A request whose answer is lost with the connection is asked again, where that can do no harm.
"""

from typing import Any

from kazoo.exceptions import (  # type: ignore[import-untyped]
    BadVersionError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
)
from kazoo.security import (  # type: ignore[import-untyped]
    CREATOR_ALL_ACL,
    OPEN_ACL_UNSAFE,
    READ_ACL_UNSAFE,
)

from .connection import Connection, Down, Refused, look_up

__all__ = [
    "BadVersionError",
    "Client",
    "Down",
    "NoAuthError",
    "NoChildrenForEphemeralsError",
    "NoNodeError",
    "NodeExistsError",
    "Refused",
    "look_up",
]


class Client(Connection):
    """Requests of a session. Each may raise SourceFailed, Down, or the error with which ZooKeeper
    refuses.
    """

    async def get(self, path: str) -> tuple[bytes | None, Any]:
        """A znode's data and its ZnodeStat; both are watched. Raises NoNodeError, NoAuthError."""
        data, stat = await self._ask("get_async", path, watch=self._on_event)
        return data, stat

    async def children(self, path: str) -> tuple[list[str], Any]:
        """The children of a znode, which is watched, and its ZnodeStat. Raises as ``get``."""
        found, stat = await self._ask(
            "get_children_async", path, watch=self._on_event, include_data=True
        )
        return found, stat

    async def exists(self, path: str) -> Any:
        """A znode's ZnodeStat, or None; that it is there, and its data, is watched."""
        return await self._ask("exists_async", path, watch=self._on_event)

    async def create(self, path: str, data: bytes) -> None:
        """Make a znode that ends with the session. Raises NoNodeError, NodeExistsError ..."""
        await self._ask("create_async", path, data, acl=self._acl(), ephemeral=True)

    async def make_folder(self, path: str) -> None:
        """Make a znode that stays, and those above it, where there is none. Raises NoAuthError."""
        await self._ask("ensure_path_async", path, acl=OPEN_ACL_UNSAFE)

    async def set(self, path: str, data: bytes, version: int) -> bool:
        """Give a znode of that version other data; whether the answer came.

        Asked once: asked again, it could change a znode that took its place. Raises NoNodeError,
        BadVersionError, NoAuthError.
        """
        return await self._ask_once("set_async", path, data, version)

    async def delete(self, path: str, version: int) -> bool:
        """Delete a znode of that version. As ``set``."""
        return await self._ask_once("delete_async", path, version)

    def _acl(self) -> list[Any]:
        """All clients may read the znodes that we make; clients with our credentials may do all
        with them."""
        return [*CREATOR_ALL_ACL, *READ_ACL_UNSAFE] if self._credentials else [*OPEN_ACL_UNSAFE]
