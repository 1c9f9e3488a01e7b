"""A private MongoDB: ``mongod`` where there is one, else SecantusDB, which speaks its protocol."""

import os
import shutil
import sys
from typing import Any

from .base import Server, find_program


class MongoDB(Server):
    """No authentication on loopback. It has change streams, as SecantusDB or a replica set.

    Tests may make it fail (``configureFailPoint``).
    """

    name = "mongodb"
    standalone = False  # as a single server without change streams

    def prepare(self) -> None:
        self._data = self.folder / "data"
        self._data.mkdir()
        self._mongod = shutil.which("mongod")
        self._made = False

    def command(self) -> list[str]:
        port = str(self.port)
        if self._mongod is None:
            beside = os.path.join(os.path.dirname(sys.executable), "secantusd-py")
            return [
                *(find_program(beside, "secantusd-py"), "--enable-test-commands"),
                *("--storage-path", str(self._data), "--port", port),
                *(["--standalone"] if self.standalone else []),
            ]
        return [
            *(self._mongod, "--dbpath", str(self._data), "--port", port, "--bind_ip", "127.0.0.1"),
            *("--setParameter", "enableTestCommands=1"),
            *([] if self.standalone else ["--replSet", "rs0"]),
        ]

    def is_ready(self) -> bool:
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        # Directly: a replica set that was not made yet has no other member to ask.
        asking = MongoClient[dict[str, Any]](
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=1000
        )
        with asking as client:
            try:
                if self._mongod is not None and not self.standalone and not self._made:
                    members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                    self._made = True
                return bool(client.admin.command("hello")["isWritablePrimary"])
            except PyMongoError:
                return False

    def address(self) -> dict[str, Any]:
        return {"port": self.port, "hosts": f"127.0.0.1:{self.port}"}


class StandaloneMongoDB(MongoDB):
    """One that has no change streams."""

    name = "mongodb-standalone"
    standalone = True
