"""``listen`` of a config: which addresses there are, and what is said of others."""

import pytest
from emperord.journal import quantities
from emperord.monitors import defaults, settings

ADDRESSES = {
    "one": (":8000", (":8000",)),
    "commas": ("127.0.0.1:8000, /run/a.sock,@a", ("127.0.0.1:8000", "/run/a.sock", "@a")),
    "blanks": ("[::1]:8000  *:8001", ("[::1]:8000", "*:8001")),
}


@pytest.mark.parametrize(("text", "found"), ADDRESSES.values(), ids=ADDRESSES)
def test_addresses(text: str, found: tuple[str, ...]) -> None:
    told, flaw = settings.read("a.ini", f"[emperor]\nlisten = {text}\n".encode())
    assert flaw is None
    assert quantities.addresses(told["listen"]) == found


def test_several_lines_and_lists_add_up() -> None:
    lines = b"[emperor]\nlisten = :80\nlisten = :81\n"
    a_list = b"emperor:\n  listen: [':80', ':81']\n"
    for name, text in (("a.ini", lines), ("a.yml", a_list)):
        told, flaw = settings.read(name, text)
        assert flaw is None
        assert quantities.addresses(told["listen"]) == (":80", ":81")


FLAWS = {
    "no port": (
        "listen = 127.0.0.1",
        "listen: 127.0.0.1 is no address; write HOST:PORT, /PATH or @NAME",
    ),
    "a relative path": (
        "listen = run/a:80",
        "listen: run/a:80 is no address; write HOST:PORT, /PATH or @NAME",
    ),
    "nothing": ("listen = ,", "listen: names no address"),
    "twice": ("listen = :80\nlisten = :80", "listen: has :80 twice"),
    "too many": (
        f"listen = {','.join(f':{port}' for port in range(1, 18))}",
        "listen: has 17 addresses, 16 are allowed",
    ),
    "a mode that is none": (
        "listen = :80\nlisten-mode = 9",
        "listen-mode: 9 is no mode; write it in octal, as 660",
    ),
    "an owner that is none": (
        "listen = :80\nlisten-owner = :www",
        "listen-owner: :www is no owner; write USER or USER:GROUP",
    ),
    "a backlog that is none": (
        "listen = :80\nlisten-backlog = 0",
        "listen-backlog: 0 is no backlog; write a whole number from 1 to 65535",
    ),
    "a mode alone": ("listen-mode = 660", "listen-mode: needs listen as well"),
}


@pytest.mark.parametrize(("lines", "flaw"), FLAWS.values(), ids=FLAWS)
def test_flaws(lines: str, flaw: str) -> None:
    told = settings.read("a.ini", f"[emperor]\n{lines}\n".encode())
    assert told == ({}, f"[emperor] {flaw}")


def test_an_address_is_no_default(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "defaults.ini"
    path.write_text("[emperor]\nlisten = :80\n")
    with pytest.raises(defaults.BadDefaults, match="two vassals cannot have one address"):
        defaults.read([str(path)])


def test_its_mode_is_a_default_of_those_that_listen() -> None:
    given = {"listen-mode": "600"}
    assert defaults.merged({"listen": ":80"}, given) == {"listen": ":80", "listen-mode": "600"}
    assert defaults.merged({"command": "x"}, given) == {"command": "x"}
