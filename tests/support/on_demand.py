"""Apps of uWSGI that a daemon starts on demand, and their clients."""

from support import clients
from support.daemon import Daemon
from support.vassals import APP

BESIDE = ("--on-demand-extension", ".socket")


class App:
    """A WSGI application on demand; its config has no socket of its own."""

    def __init__(self, daemon: Daemon, name: str = "web", code: str = APP) -> None:
        self.daemon = daemon
        self.name = f"{name}.ini"
        self.address = str(daemon.folder / f"{name}.sock")
        self.module = daemon.folder / f"{name}_app.py"
        self.module.write_text(code)

    def write(self, says: str = "hello", **options: str) -> None:
        """Write its config; a changed one reloads."""
        (self.daemon.vassals / self.name).write_text(self.config(says, **options))

    def config(self, says: str, **options: str) -> str:
        """Its config."""
        told = {
            "protocol": "http",
            "wsgi-file": str(self.module),
            "master": "true",
            "need-app": "true",
            "env": f"SAYS={says}",
            **{key.replace("_", "-"): value for key, value in options.items()},
        }
        lines = "".join(f"{key} = {value}\n" for key, value in told.items())
        return f"[uwsgi]\n{lines}"

    def listen(self, address: str | None = None) -> None:
        """Say where it is to be had, in the file beside its config."""
        self.address = address or self.address
        (self.daemon.vassals / f"{self.name}.socket").write_text(f"{self.address}\n")

    def start(self, says: str = "hello", **options: str) -> "App":
        """Have it listened for."""
        self.listen()
        self.write(says, **options)
        if self.daemon.process is None:
            self.daemon.start()
        self.wait()
        return self

    def wait(self) -> None:
        """Until it is listened for: an order is journaled before it is carried out."""
        self.daemon.phase(self.name, "listening")
        self.daemon.until(lambda: clients.listened_at(self.address), "it is listened for")

    def says(self) -> str:
        """The answer to a client."""
        return str(clients.ask(self.address)["says"])

    def running(self) -> list[int]:
        """Its processes."""
        return self.daemon.running_for(self.name)
