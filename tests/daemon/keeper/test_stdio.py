"""Standard error of keeper and daemon: a log is not worth its writer."""

import subprocess
import sys

SCRIPT = """
import logging, resource, sys
from emperord.daemon.keeper import stdio
from emperord.daemon.loop import daemon_log
daemon_log.set_up("text", None)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # poll(2) takes no descriptor now
stdio.log("emperor", "lost")
logging.getLogger("emperor").error("lost")
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
logging.getLogger("emperor").error("told")
"""


def test_a_line_is_lost_where_the_kernel_cannot_tell_whether_there_is_room() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (line,) = run.stderr.splitlines()
    assert line.endswith("emperor: told (1 lines before this one are lost, as stderr was not read)")
