"""docs/how-to.md: each task is done as it stands there, and prints what the page says."""

import os
import sys
from pathlib import Path

from support.pages import Shell, sections
from support.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "how-to.md"
APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from shop\\n"]
"""
TASKS = 12


def test_the_tasks_go_as_they_say(tmp_path: Path) -> None:
    tasks = sections(PAGE.read_text())
    assert len(tasks) == TASKS
    for folder in ("vassals", "shop/shop", "state"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "shop/shop/wsgi.py").write_text(APP)
    here = {
        "/etc/emperor": str(tmp_path),
        "/srv": str(tmp_path),
        "/run/shop.sock": str(tmp_path / "shop.sock"),
        "/var/lib/emperord": str(tmp_path / "state"),
        "command = gunicorn": f"command = {sys.executable} -m gunicorn",
        "8102": str(free_port()),
        "seq 100": "seq 3",  # a round of a rollout takes a second
        "rollout=10": "rollout=2",
    }
    environ = {**os.environ, "EMPEROR_JOURNAL": str(tmp_path / "state" / "journal.db")}
    with Shell(tmp_path, environ, here) as shell:
        shell.run("emperor --as-root --throttle 60s vassals 2>emperor.log &")
        shell.run("until emperor-ctl status >/dev/null 2>&1; do sleep 1; done")
        for title, steps in tasks.items():
            assert steps, title
            shell.follow(steps, codes=(0, 1))  # grep counts none, and check warns
