"""Short names of sources: made of URLs, or given; never two the same."""

import click
import pytest
from emperord.daemon import source_names
from emperord.monitors.short_names import LONGEST, BadName, check, short_names
from hypothesis import given
from hypothesis import strategies as st

QUERY = "SELECT name,config,EXTRACT(epoch FROM ts) FROM vassals"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("dir:///etc/emperor/vassals", "dir:vassals"),
        ("dir:///", "dir:/"),
        ("glob:///home/*/apps/*.ini", "glob:apps/*.ini"),
        (f"pg://host=db1 user=x dbname=emperor;{QUERY}", "pg:emperor"),
        ("pg://host=db1;SELECT 1", "pg:db1"),
        (f"postgresql://u@h:5/db;{QUERY}", "postgresql:db"),
        ("mongodb://h1,h2/?replicaSet=x", "mongodb:h1,h2"),
        ("mongodb2://addr=1.2.3.4:27017,collection=emp.vassals", "mongodb2:emp.vassals"),
        ("amqp://guest@127.0.0.1:5672/emperor", "amqp:emperor"),
        ("zmq://tcp://127.0.0.1:5252", "zmq:127.0.0.1:5252"),
        ("zmq://ipc:///run/x.zmq", "zmq:x.zmq"),
        ("zoo://h1:2181,h2/emperor/vassals", "zoo:vassals"),
        ("ldap://ldap.example.com/ou=v,dc=x??sub?(a=b)", "ldap:ldap.example.com"),
        ("dir:///a\u202eb", "dir:a\\u202eb"),
        ("dir:///" + "x" * 100, "dir:" + "x" * (LONGEST - 7) + "..."),
        ("", "-"),
    ],
)
def test_a_name_is_made_of_a_url(url: str, name: str) -> None:
    assert short_names([url], {}) == {url: name}


def test_two_that_would_be_the_same_get_numbers() -> None:
    urls = ["dir:///a/v", "dir:///b/v", "dir:///c/v"]
    assert list(short_names(urls, {}).values()) == ["dir:v", "dir:v-2", "dir:v-3"]


def test_a_name_that_is_given_is_no_other_sources() -> None:
    assert short_names(["dir:///v", "dir:///w"], {"dir:///w": "dir:v"}) == {
        "dir:///v": "dir:v-2",
        "dir:///w": "dir:v",
    }


@given(st.lists(st.text(), unique=True))
def test_no_two_are_the_same_whatever_the_urls(urls: list[str]) -> None:
    names = short_names(urls, {})
    assert list(names) == urls
    assert len(set(names.values())) == len(urls)
    assert all(0 < len(name) <= LONGEST for name in names.values())


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "a\n", "x" * (LONGEST + 1), "ü", "a=b"])
def test_a_name_that_cannot_be_given(name: str) -> None:
    with pytest.raises(BadName):
        check(name)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("prod", "write MONITOR=NAME"),
        ("=prod", "write MONITOR=NAME"),
        ("dir:///b=prod", "dir:///b is none of the monitors"),
        ("dir:///a=a b", "'a b' is no name"),
        ("nope://x=prod", "there is no monitor nope://"),
    ],
)
def test_a_name_that_the_daemon_refuses(told: str, says: str) -> None:
    with pytest.raises(click.BadParameter, match=says):
        source_names.given([told], ["dir:///a"])


def test_names_are_given_by_url() -> None:
    told = ["dir:///a=prod", "pg://dbname=x;SELECT a=1=rows"]
    urls = ["dir:///a", "pg://dbname=x;SELECT a=1"]
    assert source_names.given(told, urls) == {urls[0]: "prod", urls[1]: "rows"}
    with pytest.raises(click.BadParameter, match="two monitors are named prod"):
        source_names.given(["dir:///a=prod", f"{urls[1]}=prod"], urls)
