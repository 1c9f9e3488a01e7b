"""zmq:// with CURVE: only clients with the key connect, and the key file must be secret."""

import contextlib
import os
from pathlib import Path

import pytest
import trio
import zmq
import zmq.auth
from emperord.monitors.contract import (
    Failed,
    Recovered,
)
from support.pushing import Pusher
from support.waiting import until

from .listening import Keys, listening

pytestmark = pytest.mark.usefixtures("here")


# CURVE


@pytest.mark.parametrize("plain", [False, True], ids=["certificate", "key alone"])
async def test_a_client_that_knows_the_key_comes_in(plain: bool, keys: Keys, endpoint: str) -> None:
    if plain:
        keys.write(keys.secret + b"\n")
    async with listening(f"{endpoint}?curve_secretkey_file={keys.file}") as watch:
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


async def test_others_get_nowhere(keys: Keys, endpoint: str) -> None:
    wrong = (zmq.curve_keypair()[0], *keys.client[1:])
    async with listening(f"{endpoint}?curve_secretkey_file={keys.file}") as watch:
        with (
            Pusher(endpoint, patience=0) as plain,
            Pusher(endpoint, patience=0, keys=wrong) as mistaken,
            Pusher(endpoint, keys=keys.client) as good,
        ):
            for other in (plain, mistaken):
                with contextlib.suppress(zmq.Again):  # it was sent away already
                    other.touch("other.ini", "x")
                await trio.to_thread.run_sync(until, other.sent_away, "it is sent away")
            good.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
            assert list(watch.seen) == ["a.ini"]


@pytest.mark.parametrize("kind", ["file", "certificate", "directory"])
async def test_only_known_clients_come_in(kind: str, keys: Keys, endpoint: str, here: Path) -> None:
    allowed = here / "allowed"
    if kind == "directory":
        allowed.mkdir()
    else:
        allowed.write_text("# nobody yet\n")

    def allow(key: bytes) -> None:
        certificate = f'curve\n    public-key = "{key.decode()}"\n'
        match kind:
            case "directory":
                (allowed / "me.key").write_text(certificate)
            case "certificate":
                allowed.write_text(certificate)
            case _:
                allowed.write_text(f"# us\n\n{key.decode()} me\n")

    url = f"{endpoint}?curve_secretkey_file={keys.file}&curve_allowed_keys_file={allowed}"
    async with listening(url) as watch:
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "early")
            await watch.until(lambda: watch.refused)
            assert watch.refused == {"client 127.0.0.1": f"its public key is not in {allowed}"}
            assert watch.seen == {}
            allow(keys.client[1])
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


async def test_without_the_list_of_clients_nobody_comes_in(
    keys: Keys, endpoint: str, here: Path
) -> None:
    url = f"{endpoint}?curve_secretkey_file={keys.file}&curve_allowed_keys_file={here}/none"
    async with listening(url) as watch:
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.until(lambda: watch.refused)
            reason = f"{here}/none cannot be read: No such file or directory"
            assert watch.refused == {"client 127.0.0.1": reason}


BAD_KEYS = {
    "others read": (0o604, None, "others can read or change it; chmod 600"),
    "group reads": (0o640, None, "others can read or change it; chmod 600"),
    "others write": (0o602, None, "others can read or change it; chmod 600"),
    "empty": (0o600, b"", "holds no secret key"),
    "no key": (0o600, b"SECRET" * 10, "holds no secret key"),
    "not Z85": (0o600, b"\xff\x00 ~" * 10, "holds no secret key"),
    "public only": (0o600, b'curve\n public-key = "%(public)s"\n', "holds no secret key"),
    "bad certificate": (0o600, b'curve\n secret-key = "SECRET"\n', "holds no secret key"),
}


@pytest.mark.parametrize(("mode", "content", "reason"), BAD_KEYS.values(), ids=BAD_KEYS)
async def test_a_key_that_is_none_or_not_secret(
    mode: int, content: bytes | None, reason: str, keys: Keys, endpoint: str
) -> None:
    if content is not None:
        keys.write(content.replace(b"%(public)s", keys.server))
    os.chmod(keys.file, mode)
    async with listening(f"{endpoint}?curve_secretkey_file={keys.file}") as watch:
        await watch.until(lambda: len(watch.failures()) > 1)
        assert watch.told == [Failed(watch.failures()[0])] * len(watch.told)
        assert reason in watch.failures()[0]
        assert "SECRET" not in watch.failures()[0]
        assert keys.secret.decode() not in watch.failures()[0]
        keys.write(keys.secret)
        os.chmod(keys.file, 0o600)
        await watch.until(lambda: Recovered() in watch.told)
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


async def test_a_key_that_is_not_there(endpoint: str, here: Path) -> None:
    async with listening(f"{endpoint}?curve_secretkey_file=none") as watch:
        reason = f"curve_secretkey_file {here}/none: cannot be read: No such file or directory"
        assert watch.failures()[0] == reason
