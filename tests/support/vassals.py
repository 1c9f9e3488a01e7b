"""Small vassals to run: programs, a speaker of the protocol, and real uWSGI applications."""

import http.client
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from .ports import free_port

_SPEAKER = Path(__file__).with_name("speaker.py")
UWSGI = os.path.join(os.path.dirname(sys.executable), "uwsgi")


def program(*words: str, **settings: str) -> str:
    """The .ini of a vassal that is any program; settings are ``reload_signal`` and such."""
    import shlex

    lines = [f"{key.replace('_', '-')} = {value}" for key, value in settings.items()]
    return "\n".join(["[emperor]", f"command = {shlex.join(words)}", *lines, ""])


def shell(script: str, **settings: str) -> str:
    """The .ini of a vassal that is a shell script of one line."""
    return program("sh", "-c", script, **settings)


SLEEPER = program("sleep", "1000")
DEAF = shell("trap '' TERM; while :; do sleep 1000 & wait $!; done")


def speaker_path(folder: Path) -> str:
    """A program for ``--uwsgi`` that runs ``speaker.py``."""
    path = folder / "speaker"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {_SPEAKER} "$@"\n')
    path.chmod(0o755)
    return str(path)


def notes(folder: Path, name: str, what: str) -> list[str]:
    """The lines of what a speaker has ``heard`` or ``loaded``."""
    path = folder / f"{name}.{what}"
    return path.read_text().splitlines() if path.exists() else []


APP = """
import json, os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "pid": os.getpid(), "parent": os.getppid(), "says": os.environ.get("SAYS"),
        "environ": {k: v for k, v in os.environ.items()},
    }).encode()]
"""


class Answer(NamedTuple):
    """The application's answer: its pid, its master's, and the text from its config."""

    pid: int
    master: int
    says: str
    environ: dict[str, str]


class Application:
    """A WSGI application under real uWSGI, served over HTTP at a port of its own."""

    def __init__(self, folder: Path, code: str = APP) -> None:
        self.port = free_port()
        self.module = folder / f"app{self.port}.py"
        self.module.write_text(code)

    def options(self, says: str, **more: str) -> dict[str, str]:
        """Its uWSGI options."""
        return {
            "http-socket": f"127.0.0.1:{self.port}",
            "wsgi-file": str(self.module),
            "master": "true",
            "need-app": "true",
            "env": f"SAYS={says}",
            **{key.replace("_", "-"): value for key, value in more.items()},
        }

    def config(self, says: str, extension: str = ".ini", **more: str) -> str:
        """Its config in the format of this extension."""
        options = self.options(says, **more)
        if extension == ".ini":
            return "[uwsgi]\n" + "".join(f"{k} = {v}\n" for k, v in options.items())
        if extension in (".yml", ".yaml"):
            return "uwsgi:\n" + "".join(f"  {k}: {v}\n" for k, v in options.items())
        if extension in (".json", ".js"):
            return json.dumps({"uwsgi": options})
        assert extension == ".xml"
        return "<uwsgi>" + "".join(f"<{k}>{v}</{k}>" for k, v in options.items()) + "</uwsgi>"

    def answers(self) -> Answer | None:
        """Its answer over HTTP; None if no process answers, or it ends within its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return None
        finally:
            connection.close()
        return Answer(answer["pid"], answer["parent"], answer["says"], answer["environ"])
