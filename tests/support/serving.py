"""Whether an application answers, and what this build of uWSGI understands."""

import subprocess

from .daemon import Daemon
from .vassals import UWSGI, Answer, Application


def understands(option: str) -> bool:
    """Whether this build of uWSGI has an option; which formats it reads depends on the machine."""
    told = subprocess.run([UWSGI, "--help"], capture_output=True, text=True, check=False)
    return f"--{option} " in told.stdout


def serving(daemon: Daemon, app: Application, says: str) -> Answer:
    """The answer of the application, when it says this."""

    def asked() -> Answer | None:
        answer = app.answers()
        return answer if answer is not None and answer.says == says else None

    return daemon.until(asked, f"the application says {says}")
