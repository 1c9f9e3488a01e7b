"""Tests that share a server run in one process; the names in the schedule are those of files."""

from pathlib import Path

import pytest
from support.schedule import FIRST, SERVERS, scope_of, turn_of

TESTS = Path(__file__).parents[1]
FILES = [str(path.relative_to(TESTS.parent)) for path in TESTS.rglob("test_*.py")]


@pytest.mark.parametrize("server", SERVERS)
def test_each_file_that_uses_the_shared_server_is_in_its_group(server: str) -> None:
    """A file that names one server. A test of all sources is told apart by its parameter."""
    users = {
        file
        for file in FILES
        if f"from support.{MODULES.get(server, server)} import" in (TESTS.parent / file).read_text()
        and "shared" in (TESTS.parent / file).read_text()
        and file.startswith("tests/monitors")
    }
    assert users
    assert {file for file in users if scope_of(f"{file}::test_it") != server} == set()


MODULES = {"openldap": "ldap"}


@pytest.mark.parametrize("folder", ["postgres", "mongodb", "amqp", "ldap"])
def test_all_files_of_a_source_are_in_one_group(folder: str) -> None:
    """Its conftest gives them the shared server."""
    scopes = {scope_of(f"{file}::test_it") for file in FILES if f"monitors/{folder}/" in file}
    assert len(scopes & SERVERS.keys()) == len(scopes) == 1


@pytest.mark.parametrize("kind", [kind for kind in FIRST if kind.endswith("/")])
def test_each_folder_of_the_order_is_there(kind: str) -> None:
    assert (TESTS / kind).is_dir()


def test_the_contract_goes_by_source() -> None:
    node = "tests/monitors/test_contract.py::test_it[{}]"
    scopes = {source: scope_of(node.format(source)) for source in ("pg-thread", "zoo", "dir")}
    assert scopes == {
        "pg-thread": "postgres",
        "zoo": "zookeeper",
        "dir": "monitors/test_contract.py",
    }


def test_the_suite_over_every_source_goes_by_row() -> None:
    node = "tests/sources/test_daemon.py::test_it[{}]"
    rows = ("stop-zoo", "pg", "amqp-while reading")
    assert {row: scope_of(node.format(row)) for row in rows} == {
        "stop-zoo": "sources/zoo",
        "pg": "sources/pg",
        "amqp-while reading": "sources/amqp",
    }


def test_heavy_folders_begin() -> None:
    files = ["tests/fold/test_a.py", "tests/daemon/test_b.py", "tests/crash/test_c.py"]
    assert sorted(files, key=turn_of) == files[::-1]
