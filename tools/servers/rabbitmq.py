"""A private RabbitMQ.

Debian's wrapper would run it as the one system service; the scripts under ``/usr/lib/rabbitmq``
run a node of its own as whoever calls them. Erlang registers each node with an ``epmd`` that
otherwise all nodes of the machine share, and that outlives them. This node has its own, on its own
port, which dies with it.
"""

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from support.ports import free_port

from .base import Server, answers, find_program

_GUEST = "guest"
# Tests for users and virtual hosts connect with these; "/" and "@" must survive a URL.
_USER, _PASSWORD, _VHOST = "deployer", "s3cr/t@of deployer", "team/blue"


class RabbitMQ(Server):
    """User ``guest`` on vhost ``/``, and another user who may use only the vhost of its own."""

    name = "rabbitmq"
    packages = ("rabbitmq-server", "openssl")
    user = "rabbitmq"

    def prepare(self) -> None:
        self._epmd_port = free_port()
        self._distribution_port = free_port()
        self._tls_port = free_port()
        self._certificate = self.folder / "certificate.pem"
        key = self.folder / "key.pem"
        self.run(
            *("openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(self._certificate)),
        )
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "definitions.json").write_text(json.dumps(_definitions()))
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self._tls_port}\n"
            f"ssl_options.certfile = {self._certificate}\n"
            f"ssl_options.keyfile = {key}\n"
            "ssl_options.verify = verify_none\n"
            f"load_definitions = {self.folder}/definitions.json\n"
            "heartbeat = 10\n"
            # A full disk or a small memory limit would make it refuse to be published to.
            "disk_free_limit.absolute = 1MB\n"
            "log.console = true\nlog.file = false\n"
        )
        (self.folder / "rabbitmq-env.conf").touch()

    def command(self) -> list[str]:
        program = find_program("/usr/lib/rabbitmq/bin/rabbitmq-server")
        epmd = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        # In the node's group, so that it is stopped and frozen with it.
        script = f"setpriv --pdeathsig KILL {shlex.join(epmd)} & exec {program}"
        return ["sh", "-c", script]

    def environment(self) -> Mapping[str, str]:
        folder = self.folder
        return {
            "RABBITMQ_NODENAME": f"emperor{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            # The script then becomes the node instead of waiting for it.
            "RABBITMQ_ALLOW_INPUT": "1",
            # One scheduler that does not spin: a test machine has better to do.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -noinput",
            "RABBITMQ_IO_THREAD_POOL_SIZE": "4",
        }

    def is_ready(self) -> bool:
        return answers(self.port) and answers(self._tls_port)

    def address(self) -> dict[str, Any]:
        return {
            "port": self.port,
            "url": f"amqp://127.0.0.1:{self.port}",
            "user": _USER,
            "password": _PASSWORD,
            "vhost": _VHOST,
            "tls_port": self._tls_port,
            "certificate": str(self._certificate),
        }


def _definitions() -> dict[str, Any]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [
            {"name": _GUEST, "password_hash": _hashed(_GUEST), "tags": "administrator"},
            {"name": _USER, "password_hash": _hashed(_PASSWORD), "tags": ""},
        ],
        "vhosts": [{"name": "/"}, {"name": _VHOST}],
        "permissions": [
            {"user": _GUEST, "vhost": "/", **everything},
            {"user": _GUEST, "vhost": _VHOST, **everything},
            {"user": _USER, "vhost": _VHOST, **everything},
        ],
    }


def _hashed(password: str) -> str:
    """As RabbitMQ stores it: four bytes of salt, then SHA-256 over them and the password."""
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
