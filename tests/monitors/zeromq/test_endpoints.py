"""zmq:// URLs: which endpoints the monitor takes, and how the others are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError

pytestmark = pytest.mark.usefixtures("here")


# URLs

OPENED = {
    "tcp://127.0.0.1:5252": "tcp://127.0.0.1:5252",
    "tcp://*:5252": "tcp://*:5252",
    "tcp://[::1]:5252": "tcp://[::1]:5252",
    "tcp://eth0:5252": "tcp://eth0:5252",
    "ipc:///run/emperor.zmq": "ipc:///run/emperor.zmq",
    "ipc://emperor.zmq": "ipc://{}/emperor.zmq",
    "ipc://@emperor": "ipc://@emperor",
    # Keys are no part of the name: vassals stay whose they are when keys are introduced.
    "tcp://*:5252?curve_secretkey_file=/k": "tcp://*:5252",
    "tcp://*:5252?curve_secretkey_file=k%26&curve_allowed_keys_file=/a": "tcp://*:5252",
}
NO_MONITOR = {
    "": "names no endpoint",
    "127.0.0.1:5252": "not an endpoint",
    "inproc://x": "not an endpoint",
    "udp://127.0.0.1:1": "not an endpoint",
    "ipc://": "not an endpoint",
    "ipc://*": "no client could find it",
    "ipc:///" + "x" * 107: "107 bytes",
    "tcp://": "not an address and a port",
    "tcp://127.0.0.1": "not an address and a port",
    "tcp://::1:5252": "brackets",
    "tcp://127.0.0.1:*": "not an address and a port",
    "tcp://u:hidden@127.0.0.1:1": "tcp://u:***@127.0.0.1:1: not an address and a port",
    "tcp://127.0.0.1:0": "from 1 to 65535",
    "tcp://127.0.0.1:65536": "from 1 to 65535",
    "tcp://*:1?curve=1": "no setting curve",
    "tcp://*:1?curve_secretkey_file": "curve_secretkey_file=PATH",
    "tcp://*:1?curve_allowed_keys_file=/a": "give both",
}


@pytest.mark.parametrize(("rest", "name"), OPENED.items(), ids=OPENED)
def test_opened(rest: str, name: str, here: Path) -> None:
    monitor = open_monitor(f"zmq://{rest}")
    assert monitor.url == "zmq://" + name.format(here)
    assert not monitor.trusts_content


@pytest.mark.parametrize(("rest", "reason"), NO_MONITOR.items(), ids=NO_MONITOR)
def test_not_opened(rest: str, reason: str) -> None:
    with pytest.raises(MonitorURLError) as caught:
        open_monitor(f"zmq://{rest}")
    assert reason in str(caught.value)


def test_other_daemons_do_without_libzmq() -> None:
    code = (
        "import sys; from emperord.monitors.registry import open_monitor;"
        " open_monitor('/tmp'); sys.exit('zmq' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
