"""Messages over ``NOTIFY_SOCKET``: what is read of them, and what is passed over."""

import pytest
from emperord.daemon.host.notify_messages import LONGEST, Message, parsed

MESSAGES = {
    "ready": (b"READY=1", Message(ready=True)),
    "with an end of line": (b"READY=1\n", Message(ready=True)),
    "not ready": (b"READY=0", Message()),
    "the last one counts": (b"READY=1\nREADY=0", Message()),
    "a heartbeat": (b"WATCHDOG=1", Message(beat=True)),
    "both": (b"READY=1\nWATCHDOG=1", Message(ready=True, beat=True)),
    "a status": (b"STATUS=3 of 5 = 60 %", Message(status="3 of 5 = 60 %")),
    "no status": (b"STATUS=", Message(status="")),
    "a long status": (b"STATUS=" + b"x" * 1000, Message(status="x" * 256)),
    "a status that is not UTF-8": (b"STATUS=\xff\x1b[31m", Message(status="\ufffd\x1b[31m")),
    "it hangs": (b"WATCHDOG=trigger", Message(hangs=True)),
    "it reloads": (b"RELOADING=1\nMONOTONIC_USEC=17", Message(reloading=True, at=17)),
    "no time": (b"MONOTONIC_USEC=-1\nEXTEND_TIMEOUT_USEC=1e6", Message()),
    "it stops": (b"STOPPING=1", Message(stopping=True)),
    "it needs more time": (b"EXTEND_TIMEOUT_USEC=5000000", Message(more=5_000_000)),
    "a day at most": (b"EXTEND_TIMEOUT_USEC=" + b"9" * 20, Message(more=86_400_000_000)),
    "a number without end": (b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000, Message()),
    "its main process": (b"MAINPID=17", Message(main_pid=17)),
    "no pid": (b"MAINPID=-17", Message()),
    "others": (b"FDSTORE=1\nFDNAME=x\nBARRIER=1\nERRNO=2\nX-READY=1", Message()),
    "nothing": (b"", Message()),
    "no assignment": (b"READY\n\n=\n", Message()),
    "junk": (bytes(range(256)), Message()),
    "a NUL": (b"READY=1\n\0", Message()),
    "too long": (b"READY=1\n".ljust(LONGEST + 1, b"\n"), Message()),
    "as long as may be": (b"READY=1\n".ljust(LONGEST, b"\n"), Message(ready=True)),
}


@pytest.mark.parametrize(("data", "message"), MESSAGES.values(), ids=MESSAGES)
def test_messages(data: bytes, message: Message) -> None:
    assert parsed(data) == message
