"""A command's end while a thread that it abandoned is in a C library."""

import subprocess
import sys

import pytest

# Four threads load certificates until the process is gone.
_PROGRAM = """
import ssl, sys, threading
import click
from emperord.daemon.cli import commandline

def load():
    while True:
        ssl.create_default_context()

@click.command()
@click.option("--code", type=int)
def command(code):
    for _ in range(4):
        threading.Thread(target=load, daemon=True).start()
    click.echo("told", nl=False)
    sys.exit(code)

commandline.run(command, "command")
"""


@pytest.mark.parametrize("code", [0, 3], ids=lambda code: f"exit {code}")
def test_an_abandoned_thread_in_openssl_changes_no_exit_code(code: int) -> None:
    """Seven of ten such ends were a segmentation fault; the daemon's was one in CI."""
    arguments = [sys.executable, "-c", _PROGRAM, "--code", str(code)]
    for _ in range(5):
        done = subprocess.run(arguments, stdout=subprocess.PIPE, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (code, b"told")
