"""Configs of real servers: each with a socket of its own, with ``listen``, and replaced."""

import importlib.util
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OWN_VENV = ROOT / ".venv" / "servers"  # of those that the project does not need
APP = """
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
# The program of docs/requests.md, for a port of its own as well.
DRAINED = """
import asyncio, sys
import uvicorn

class Server(uvicorn.Server):
    async def shutdown(self, sockets=None):
        for server in self.servers:
            server.close()
        await asyncio.sleep(0.2)
        await super().shutdown(sockets)

app, option, value = sys.argv[1:]
address = {option.removeprefix("--"): int(value)}
Server(uvicorn.Config(app, log_level="warning", **address)).run()
"""
MISSING = "nowhere"  # the module of a deploy that fails
VARIANTS = ("own socket", "listen", "listen, replace")
Config = Callable[[Path, int, str, str], str]


def python_with(package: str) -> str:
    """A Python that has a server: the one that runs, or one of a venv that is made for it."""
    if importlib.util.find_spec(package) is not None:
        return sys.executable
    python = OWN_VENV / "bin" / "python"
    if not python.exists():
        venv.create(OWN_VENV, with_pip=True)
    check = [str(python), "-c", f"import {package}"]
    if subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode:
        print(f"installs {package} into {OWN_VENV.relative_to(ROOT)}", file=sys.stderr)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, package], check=True)
    return str(python)


def _kept(variant: str, port: int) -> str:
    """The lines of ``[emperor]`` about the socket."""
    if variant == VARIANTS[0]:
        return ""
    replaced = "reload = replace\nreplace-settle = 500ms\n" if variant == VARIANTS[2] else ""
    return f"listen = 127.0.0.1:{port}\n{replaced}"


def _uwsgi(folder: Path, port: int, variant: str, module: str, *more: str) -> str:
    address = f"127.0.0.1:{port}" if variant == VARIANTS[0] else "fd://3"
    lines = (
        "[uwsgi]",
        f"http-socket = {address}",
        f"wsgi-file = {folder / module}.py",
        "master = true",
        "need-app = true",
        "processes = 2",
        "disable-logging = true",
        *more,
    )
    kept = _kept(variant, port)
    return "\n".join(lines) + "\n" + (f"\n[emperor]\n{kept}" if kept else "")


def uwsgi(folder: Path, port: int, variant: str, module: str) -> str:
    return _uwsgi(folder, port, variant, module)


def lazy_uwsgi(folder: Path, port: int, variant: str, module: str) -> str:
    return _uwsgi(folder, port, variant, module, "lazy-apps = true")


def _program(folder: Path, words: str, *settings: str) -> str:
    lines = ("[emperor]", f"command = {words}", f"directory = {folder}", *settings)
    return "\n".join(line for line in lines if line) + "\n"


def gunicorn(folder: Path, port: int, variant: str, module: str) -> str:
    """With --preload it notifies when the application is loaded, as a replacement needs."""
    words = f"{python_with('gunicorn')} -m gunicorn {module}:application -w 2"
    if variant == VARIANTS[0]:
        words += f" --bind 127.0.0.1:{port}"
    if variant == VARIANTS[2]:
        words += " --preload"
    return _program(folder, words, "ready = notify", _kept(variant, port))


def _uvicorn(folder: Path, port: int, variant: str, module: str, more: str, reload: str) -> str:
    """A kept socket is descriptor 3. A probe of its own tells when a new instance is ready."""
    address = f"--port {port}" if variant == VARIANTS[0] else "--fd 3"
    words = f"{python_with('uvicorn')} -m uvicorn {module}:asgi {address} --log-level warning{more}"
    # A check of a kept socket says nothing of a new instance beside an old one.
    ready = "ready = 2s" if variant == VARIANTS[2] else "ready = listen"
    kept = _kept(variant, port)
    return _program(folder, words, ready, kept, reload if variant == VARIANTS[1] else "")


def uvicorn(folder: Path, port: int, variant: str, module: str) -> str:
    """It has no reload: SIGHUP ends it, and with it each request that it has."""
    return _uvicorn(folder, port, variant, module, "", "reload = restart")


def uvicorn_drained(folder: Path, port: int, variant: str, module: str) -> str:
    """It reads the requests that it has accepted before it closes connections."""
    text = uvicorn(folder, port, variant, module)
    (folder / "serve.py").write_text(DRAINED)
    return text.replace("-m uvicorn", f"{folder}/serve.py").replace("--log-level warning", "")


def uvicorn_workers(folder: Path, port: int, variant: str, module: str) -> str:
    return _uvicorn(folder, port, variant, module, " --workers 2", "")


SERVERS: dict[str, Config] = {
    "uwsgi": uwsgi,
    "uwsgi-lazy": lazy_uwsgi,
    "gunicorn": gunicorn,
    "uvicorn": uvicorn,
    "uvicorn-drained": uvicorn_drained,
    "uvicorn-workers": uvicorn_workers,
}
