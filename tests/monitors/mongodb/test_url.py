"""The rest of a mongodb:// URL: how its commas are told apart, and what of it is shown."""

from typing import Any

import bson
import pytest
from bson.json_util import object_hook
from emperord.monitors.mongodb.url import MongoUrl, read, without
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError

DEFAULT = "uwsgi.emperor.vassals"

# rest -> hosts, database, collection, filter
READ: dict[str, tuple[str, str, str, Any]] = {
    "": ("127.0.0.1:27017", "uwsgi", "emperor.vassals", {}),
    "h": ("h", "uwsgi", "emperor.vassals", {}),
    "h:1,a.b": ("h:1", "a", "b", {}),
    "h:1,a.b,": ("h:1", "a", "b", {}),
    "h , a.b , {x:1} ": ("h ", "a", "b", {"x": 1}),
    ",a.b,{}": ("127.0.0.1:27017", "a", "b", {}),
    "127.0.0.1:27107,emperor.vassals,{enabled:1}": (
        "127.0.0.1:27107", "emperor", "vassals", {"enabled": 1},
    ),
    "h1:1,h2:2,h3,a.b.c,{x:{$in:[1,2]},y:'a,b.c,{'}": (
        "h1:1,h2:2,h3", "a", "b.c", {"x": {"$in": [1, 2]}, "y": "a,b.c,{"},
    ),
    "a.example.com,b.example.com,emperor.vassals": (
        "a.example.com,b.example.com", "emperor", "vassals", {},
    ),
    "[::1]:1,a.b": ("[::1]:1", "a", "b", {}),
    "%2Ftmp%2Fx.sock,a.b": ("%2Ftmp%2Fx.sock", "a", "b", {}),
    "u:p,w@h1,h2/d?replicaSet=r&readPreferenceTags=dc:ny,rack:1,a.b,{x:'u@v'}": (
        "u:p,w@h1,h2/d?replicaSet=r&readPreferenceTags=dc:ny,rack:1", "a", "b", {"x": "u@v"},
    ),
    "addr=h:1,collection=a.b,json={x:1}": ("h:1", "a", "b", {"x": 1}),
    "json={x:1\\,y:'a\\\\\\\\b'},coll=a.b,server=h": ("h", "a", "b", {"x": 1, "y": "a\\b"}),
    "address=h1:1,h2:2,json={x:1,y:2}": ("h1:1,h2:2", "uwsgi", "emperor.vassals", {"x": 1, "y": 2}),
    "collection=a.b": ("127.0.0.1:27017", "a", "b", {}),
    "addr=h,db=admin,username=me@x,password=s:e\\,c": (
        "me%40x:s%3Ae%2Cc@h/?authSource=admin", "uwsgi", "emperor.vassals", {},
    ),
    "addr=h/?tls=true,db=admin,username=me,password=x": (
        "me:x@h/?tls=true&authSource=admin", "uwsgi", "emperor.vassals", {},
    ),
    "addr=h,db=admin": ("h", "uwsgi", "emperor.vassals", {}),
}  # fmt: skip

SHOWN = {
    "": f"127.0.0.1:27017,{DEFAULT}",
    "h,a.b,": "h,a.b",
    "h, a.b , {x:1} ": "h,a.b,{x:1}",
    "u@h,a.b": "u@h,a.b",
    "u:hidden@h,a.b,{x:'y@z'}": "u:***@h,a.b,{x:'y@z'}",
    "u:hidden%40hidden,hidden@h1,h2/?tls=true,a.b": "u:***@h1,h2/?tls=true,a.b",
    "h/?tls=true&tlsCertificateKeyFile=/etc/hosts&tlsCertificateKeyFilePassword=hidden,a.b": (
        "h/?tls=true&tlsCertificateKeyFile=/etc/hosts&tlsCertificateKeyFilePassword=***,a.b"
    ),
    "u:hidden@h/?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:hidden,a.b": (
        "u:***@h/?authMechanism=GSSAPI&authMechanismProperties=***,a.b"
    ),
    "addr=h,username=u,password=hidden,db=x,json={x:1}": (
        f"u:***@h/?authSource=x,{DEFAULT},{{x:1}}"
    ),
}

REFUSED = {
    "h1:1,h2:2": "mongodb://h1:1,h2:2: 'h2:2' is no collection: write DATABASE.NAME",
    "h,vassals,{}": "mongodb://h,vassals,{}: 'vassals' is no collection: write DATABASE.NAME",
    "h,.x": "mongodb://h,.x: '.x' is no collection: write DATABASE.NAME",
    "h,a.b.": "mongodb://h,a.b.: 'a.b.' is no collection: write DATABASE.NAME",
    "h,a.$b": "mongodb://h,a.$b: 'a.$b' is no collection: write DATABASE.NAME",
    "h,a.b,x:1": "mongodb://h,a.b,x:1: 'x:1' is no collection: write DATABASE.NAME",
    "h,a.b,{x:1},[]": "in the filter, nothing more was expected at character 6, before ',[]'",
    "h,a.b,{x:hello}": "in the filter, a value was expected (texts need quotes, other types are",
    "h:x,a.b": "mongodb://…: a host is followed by : and no port, a number from 1 to 65535;",
    "h:99999,a.b": "'h:99999' is no server: write HOST:PORT, with a port from 1 to 65535",
    "u:hidden,a.b": "a user and a password end with an @",
    "::1,a.b": "an IPv6 address is written in brackets",
    "[::1,a.b": "an IPv6 address is written in brackets",
    "h/?nonsense=1,a.b": "mongodb://h/?nonsense=1,a.b: ?nonsense=: Unknown option",
    "h/?w=1&w=2,a.b": "Duplicate URI option 'w'",
    "u:hidden@h/?tls=true&tlsCAFile=/x,a.b": "tlsCAFile=/x,a.b: ",
    "h/?tls=maybe,a.b": "tls must be 'true' or 'false'",
    "u:hidden@h:x,a.b": "mongodb://u:***@h:x: 'h:x' is no server: write HOST:PORT",
    "u:hidden@hidden@h": "mongodb://***@h: in user and password, write : / ? # [ ] @ { } percent",
    "u:hidden/hidden@h,a.b": "mongodb://***@h: in user and password, write",
    "u:hidden?hidden@h,a.b": "mongodb://***@h: in user and password, write",
    "u:hidden:hidden@h,a.b": "mongodb://***@h: in user and password, write",
    "u:hidden,{hidden@h,a.b": "mongodb://***@***: in user and password, write",
    "u:1,{hidden@h,a.b,{x:'@'}": "mongodb://***@***: in user and password, write",
    "u:hidden%zz@h,a.b": "Username and password must be escaped",
    ":hidden@h,a.b": "not valid username",
    "addr=h,username=u,predigest=hidden": "give the password itself",
    "addr=h,pasword=hidden,coll=a.b": "pasword is no setting, there are addr, address,",
    "addr=h,coll=a.b,username=u,passwd=hidden": "passwd is no setting, there are addr,",
}


def test_the_seeds_example_is_a_monitor() -> None:
    monitor = open_monitor("mongodb://127.0.0.1:27107,emperor.vassals,{enabled:1}")
    assert monitor.url == "mongodb://127.0.0.1:27107,emperor.vassals,{enabled:1}"
    assert not monitor.trusts_content


@pytest.mark.parametrize(("rest", "meaning"), READ.items(), ids=READ)
def test_read(rest: str, meaning: tuple[str, str, str, Any]) -> None:
    place = read(rest)
    hosts, database, collection, wanted = meaning
    assert (place.uri, place.database, place.collection) == (
        f"mongodb://{hosts}",
        database,
        collection,
    )
    expected = {
        key: object_hook(value) if isinstance(value, dict) else value
        for key, value in wanted.items()
    }
    assert bson.encode(place.filter) == bson.encode(expected)


@pytest.mark.parametrize(("rest", "shown"), SHOWN.items(), ids=SHOWN)
def test_shown(rest: str, shown: str) -> None:
    place = read(rest)
    assert place.shown == f"mongodb://{shown}"
    assert_nothing_hidden_in(place)


def assert_nothing_hidden_in(place: MongoUrl) -> None:
    if "hidden" in place.uri:
        assert without(place.secrets, place.uri).count("hidden") == 0


def test_both_spellings_are_one_monitor() -> None:
    spellings = (
        "mongodb://u:a@h:1,a.b,{x:1}",
        "mongodb://u:b@h:1,a.b,{x:1}",
        "mongodb://addr=h:1,coll=a.b,json={x:1},username=u,password=c",
        "mongodb2://collection=a.b,address=h:1,json={x:1},username=u,password=d",
    )
    assert {open_monitor(text).url for text in spellings} == {"mongodb://u:***@h:1,a.b,{x:1}"}


@pytest.mark.parametrize(("rest", "message"), REFUSED.items(), ids=REFUSED)
def test_refused(rest: str, message: str) -> None:
    with pytest.raises(MonitorURLError) as caught:
        open_monitor(f"mongodb://{rest}")
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)
