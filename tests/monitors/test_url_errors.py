"""An error about a URL names the flaw that it has, and gives the advice that fits."""

import pytest
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError

REFUSED = {
    "pg, port of letters": (
        "pg://host=1 port=abc",
        "pg://: the port 'abc' is no number from 1 to 65535",
    ),
    "pg, port too high": (
        "pg://port=65536",
        "pg://: the port '65536' is no number from 1 to 65535",
    ),
    "pg, port zero": (
        "pg://port=0",
        "pg://: the port '0' is no number from 1 to 65535",
    ),
    "pg, port negative": (
        "pg://port=-1",
        "pg://: the port '-1' is no number from 1 to 65535",
    ),
    "pg, port in other digits": (
        "pg://port=٣",
        "pg://: the port '٣' is no number from 1 to 65535",
    ),
    "pg, port endless": (
        f"pg://port={'9' * 5000}",
        f"pg://: the port '{'9' * 20}' is no number from 1 to 65535",
    ),
    "pg, port that begins as one": (
        "pg://port=000054321",
        "pg://: the port '000054321' is no number from 1 to 65535",
    ),
    "mongodb, port that begins as one": (
        "mongodb://h:000054321",
        (
            "mongodb://h:000054321: 'h:000054321' is no server: write HOST:PORT, with a port"
            " from 1 to 65535 and an IPv6 address in brackets"
        ),
    ),
    "zmq, port endless": (
        f"zmq://tcp://h:{'9' * 5000}",
        f"zmq://tcp://h:{'9' * 5000}: the port must be from 1 to 65535",
    ),
    "pg, second port": (
        "pg://host=a,b port=5432,x",
        "pg://: the port 'x' is no number from 1 to 65535",
    ),
    "pg, port beside a password": (
        "pg://password=hidden port=hidden",
        "pg://: the port is no number from 1 to 65535",
    ),
    "pg, unknown key": (
        "pg://host=h prot=1",
        (
            "pg://: the connection cannot be understood (invalid connection option"
            ' "prot"); write it as for psql: pg://host=… user=… dbname=…;SELECT … or'
            " postgresql://user@host/db;SELECT …"
        ),
    ),
    "pg, no equals sign": (
        "pg://host",
        (
            'pg://: the connection cannot be understood (missing "=" after "host" in'
            " connection info string); write it as for psql: pg://host=… user=…"
            " dbname=…;SELECT … or postgresql://user@host/db;SELECT …"
        ),
    ),
    "pg, the URI's port": (
        "pg://postgresql://u:hidden@h:x/d",
        "pg://: the port is no number from 1 to 65535",
    ),
    "postgresql, port of letters": (
        "postgresql://u:hidden@h:x/d",
        "postgresql://: the port is no number from 1 to 65535",
    ),
    "postgresql, no host": (
        "postgresql://u:hidden/d",
        (
            "postgresql://: in the URI a host is followed by : and no port, a number"
            " from 1 to 65535; a user and a password end with an @, and within them : is"
            " %3A, / is %2F, ; is %3B"
        ),
    ),
    "postgres, @ in the password": (
        "postgres://u:hid@den@h/d",
        (
            "postgresql://: the URI has an @ in a wrong place; in a user name, a"
            " password or a database name write @ as %40, / as %2F, : as %3A and ; as %3B"
        ),
    ),
    "postgresql, ; in the password": (
        "postgresql://u:hid;den@h/d",
        (
            "postgresql://: in the URI a host is followed by : and no port, a number"
            " from 1 to 65535; a user and a password end with an @, and within them : is"
            " %3A, / is %2F, ; is %3B"
        ),
    ),
    "mongodb, port of letters": (
        "mongodb://h:x,a.b",
        (
            "mongodb://…: a host is followed by : and no port, a number from 1 to 65535;"
            " a user and a password end with an @"
        ),
    ),
    "mongodb, port behind a password": (
        "mongodb://u:hidden@h:x,a.b",
        (
            "mongodb://u:***@h:x: 'h:x' is no server: write HOST:PORT, with a port from"
            " 1 to 65535 and an IPv6 address in brackets"
        ),
    ),
    "mongodb, value of an option": (
        "mongodb://h/?maxPoolSize=1&tls=perhaps,a.b",
        (
            "mongodb://h/?maxPoolSize=1&tls=perhaps,a.b: ?tls=: The value of tls must be"
            " 'true' or 'false'"
        ),
    ),
    "mongodb2, unknown setting": (
        "mongodb2://addr=h,hots=x",
        (
            "mongodb://: hots is no setting, there are addr, address, server,"
            " collection, coll, json, database, db, username, password"
        ),
    ),
    "mongodb+srv, a port": (
        "mongodb+srv://u:hidden@h:27017,a.b",
        (
            "mongodb+srv://u:***@h:27017: give one name without a port: DNS says which"
            " servers it has"
        ),
    ),
    "mongodb+srv, two hosts": (
        "mongodb+srv://h,i,a.b",
        "mongodb+srv://h,i: give one name without a port: DNS says which servers it has",
    ),
    "mongodb+srv, no host": (
        "mongodb+srv://",
        "mongodb+srv://: names no host: write mongodb+srv://HOST,DATABASE.COLLECTION",
    ),
    "mongodb+srv, no collection": (
        "mongodb+srv://h,ab",
        "mongodb+srv://h,ab: 'ab' is no collection: write DATABASE.NAME",
    ),
    "amqp, port of letters": (
        "amqp://h:x",
        (
            "amqp://…: the host is followed by : and no port, a number from 1 to 65535;"
            " write amqp://user:password@host:port/vhost"
        ),
    ),
    "amqp, no host": (
        "amqp://u:hidden",
        (
            "amqp://…: the host is followed by : and no port, a number from 1 to 65535;"
            " write amqp://user:password@host:port/vhost"
        ),
    ),
    "amqp, port behind a password": (
        "amqp://u:hidden@h:x",
        (
            "amqp://…: the host is followed by : and no port, a number from 1 to 65535;"
            " write amqp://user:password@host:port/vhost"
        ),
    ),
    "amqp, @ in the password": (
        "amqp://u:hid@den@h:x",
        "amqp://…: in user and password write @ as %40, : as %3A, / as %2F",
    ),
    "amqp, IPv6": (
        "amqp://u:hidden@::1",
        ("amqp://…: an IPv6 address is written in brackets: amqp://user:password@[::1]:5672/vhost"),
    ),
    "amqp, a blank": (
        "amqp://h h",
        "amqp://…: write amqp://user:password@host:port/vhost",
    ),
    "amqp, port zero": (
        "amqp://h:0",
        "amqp://h:0: the port is 0, it must be from 1 to 65535",
    ),
    "zmq, port of letters": (
        "zmq://tcp://h:x",
        (
            "zmq://tcp://h:x: not an address and a port; write"
            " zmq://tcp://127.0.0.1:5252 or zmq://ipc:///run/emperor.zmq, an IPv6"
            " address in brackets"
        ),
    ),
    "zoo, a setting that is none": (
        "zoo://h/v?hidden=1",
        (
            "zoo://h/v: what follows ? is no setting, there are"
            " auth=digest:USER:PASSWORD and announce=/PATH"
        ),
    ),
    "zoo, & in the password": (
        "zoo://h/v?auth=digest:u:a&hidden",
        (
            "zoo://h/v: what follows the password is no setting: there are auth= and"
            " announce=, with & between them; in a password write & as %26 and % as %25"
        ),
    ),
    "ldap, port of letters": (
        "ldap://h:x/o=x",
        "ldap://: the host is followed by : and no port, a number from 1 to 65535",
    ),
}


@pytest.mark.parametrize(("url", "message"), REFUSED.values(), ids=REFUSED)
def test_the_reason_names_the_flaw(url: str, message: str) -> None:
    with pytest.raises(MonitorURLError) as caught:
        open_monitor(url)
    assert str(caught.value) == message
    assert "hid" not in message
