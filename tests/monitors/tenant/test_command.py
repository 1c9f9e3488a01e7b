"""Tyrant mode: config commands run as the tenant."""

from pathlib import Path

import pytest
from emperord.daemon.given_monitors import open_monitors
from emperord.journal.policy import Policy
from emperord.monitors.files import on_demand
from emperord.monitors.files.on_demand import Addresses, BadAddress, NoAnswer
from emperord.monitors.options import MonitorOptions
from emperord.monitors.tenant import Tenant
from support.tyrant import ALICE, ALICES, BOB, BOBS, account_in_a_group

from ..watching import watching
from .files import ME, PLACED, file_of


def test_the_command_runs_as_the_tenant(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given a path that the tenant may have made lead anywhere."""
    monkeypatch.setenv("ROOTS_SECRET", "x")
    command = "sh -c 'echo /$(id -u).$(id -g).$(id -G | tr \" \" .).$ROOTS_SECRET'"
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_exec=command))
    found = addresses.find("a.ini", PLACED, -1, "a.ini", Tenant(ALICE, ALICES, (ALICES, BOBS)))
    assert found == f"/{ALICE}.{ALICES}.{ALICES}.{BOBS}."


async def test_the_command_has_a_vassals_environment(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the account, and what the daemon has for all vassals."""
    for key, value in {"ROOTS_SECRET": "x", "UWSGI_VASSAL_FOO": "%n", "HOME": "/root"}.items():
        monkeypatch.setenv(key, value)
    with account_in_a_group() as account:
        file_of(ground / "vassals" / "a.ini", account.pw_uid, account.pw_gid)
        command = (
            "sh -c 'echo /$HOME,$USER,$LOGNAME,$SHELL,$UWSGI_FOO,$ROOTS_SECRET$EMPERORD_ATTEMPT'"
        )
        policy = Policy(tyrant=True, on_demand_exec=command)
        (monitor,), _ = open_monitors((f"dir://{ground}/vassals",), policy)
        async with watching(monitor) as watch:
            found = watch.seen["a.ini"].spec.socket
    its = (account.pw_dir, account.pw_name, account.pw_name, account.pw_shell, "a", "")
    assert found == "/" + ",".join(its)


def test_what_the_command_says_is_the_tenants_word() -> None:
    """A user may trace, and so alter, what runs as that user."""
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_exec="sh -c 'echo :80'"))
    with pytest.raises(BadAddress, match=f"uid {ALICE} may not listen at :80"):
        addresses.find("a.ini", PLACED, -1, "a.ini", ME)


@pytest.mark.parametrize("tenant", [ME, None], ids=["a tenant's", "the daemon's own"])
def test_a_command_that_prints_without_end_is_ended_soon(tenant: Tenant | None) -> None:
    """A tenant could fill the daemon's memory by a FIFO that the command reads."""
    addresses = Addresses(
        MonitorOptions(tyrant=tenant is not None, on_demand_exec="sh -c 'exec cat /dev/zero'")
    )
    with pytest.raises(NoAnswer, match=r"--on-demand-exec sh printed more than 64 KiB$"):
        addresses.find("a.ini", PLACED, -1, "a.ini", tenant)


def test_commands_that_hang_are_not_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held up the files of all other users for five seconds."""
    monkeypatch.setattr(on_demand, "LIMIT", 0.5)
    monkeypatch.setattr(on_demand, "BURST", 0)
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_exec="sh -c 'exec sleep 1000'"))
    bob = Tenant(BOB, BOBS, (BOBS,))

    def reason(tenant: Tenant) -> str:
        with pytest.raises(NoAnswer) as raised:
            addresses.find("a.ini", PLACED, -1, "a.ini", tenant)
        return str(raised.value).removeprefix("--on-demand-exec sh ")

    late = "did not end within 0.5 s"
    held = f"took too long for configs of uid {ALICE}; it is asked later"
    assert [reason(each) for each in (ME, ME, ME, bob)] == [late, held, held, late]


def test_quick_commands_are_asked_as_often_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "BURST", 0)
    monkeypatch.setattr(on_demand, "QUICK", on_demand.LIMIT)
    addresses = Addresses(MonitorOptions(tyrant=True, on_demand_exec="sh -c 'echo /s'"))
    for _ in range(3):
        assert addresses.find("a.ini", PLACED, -1, "a.ini", ME) == "/s"
