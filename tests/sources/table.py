"""Which sources the suite is run over, and how a test says over which."""

from typing import Final

import pytest

# The scheme of each, and its module and class here. They are imported when they are wanted, so
# that a daemon without python-ldap can be tested, too.
ROWS: Final = {
    "dir": "files:DirRow",
    "pg": "postgres:PostgresRow",
    "mongodb": "mongodb:MongoRow",
    "ldap": "ldap:LdapRow",
    "zoo": "zookeeper:ZooRow",
    "amqp": "amqp:AmqpRow",
    "zmq": "zeromq:ZmqRow",
}
SERVED: Final = ("pg", "mongodb", "ldap", "zoo", "amqp")  # by a server that may go away
OWN_TS: Final = ("pg", "mongodb")  # the client that writes a vassal says its ts

# Further ways of a source, which only tests of its client tell apart.
THREAD: Final = "-thread"  # the client runs in a thread of its own, as on the newest Pythons
WAYS: Final = {
    "ldap-plain": "ldap:PlainLdapRow",
    **{name + THREAD: ROWS[name] for name in ("pg", "mongodb", "amqp")},
}


def over(*names: str) -> pytest.MarkDecorator:
    """Run a test over these rows."""
    return pytest.mark.parametrize("running", names, indirect=True, scope="session")


def over_all_but(*names: str) -> pytest.MarkDecorator:
    """Run a test over the other rows."""
    return over(*(name for name in ROWS if name not in names))
