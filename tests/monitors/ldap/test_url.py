"""URLs of ldap:// and ldaps://: what they say, how they are shown, what is refused."""

import logging

import pytest
from emperord.monitors.ldap.monitor import open_secured, open_url
from emperord.monitors.ldap.url import ATTRIBUTES, FILTER, LdapUrl, read
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError

BASE = "ou=vassals,dc=example,dc=com"


def test_all_that_can_be_said() -> None:
    place = read(
        "ldap",
        "h:1389/ou=a%20b,dc=x?commonName,description,,gid,sock?One?(%26(cn=%3F*)(o=x%20y))"
        "?!x-starttls,bindname=cn=r%2Cdc=x,x-bindpw-file=/p%2Cq,x-tls-cacert=/ca,x-poll",
    )
    assert place == LdapUrl(
        scheme="ldap",
        host="h",
        port=1389,
        base="ou=a b,dc=x",
        attributes=("commonName", "description", "uidNumber", "gid", "sock"),
        scope="one",
        filter="(&(cn=?*)(o=x y))",
        starttls=True,
        bindname="cn=r,dc=x",
        password_file="/p,q",  # noqa: S106
        cacert="/ca",
        poll=True,
    )


def test_what_is_not_said() -> None:
    place = read("ldaps", f"h/{BASE}")
    assert place == LdapUrl("ldaps", "h", 636, BASE, ATTRIBUTES, "sub", FILTER)


SHOWN = {
    f"ldap://h/{BASE}": f"ldap://h/{BASE}",
    f"LDAP://h:389/{BASE}????": f"ldap://h/{BASE}",
    f"ldap://h:1389/{BASE}?cn?sub?(objectClass=emperorVassal)": f"ldap://h:1389/{BASE}",
    f"ldap:///{BASE}": f"ldap://localhost/{BASE}",
    f"ldap://[::1]:390/{BASE}??one": f"ldap://[::1]:390/{BASE}??one",
    f"ldaps://h:636/{BASE}": f"ldaps://h/{BASE}",
    "ldap://h/o=a%3fb%2Cdc=c?uid,,uidNumber,gid": "ldap://h/o=a%3Fb,dc=c?uid,,,gid",
    "ldap://h/o=x???(cn=%3f)": "ldap://h/o=x???(cn=%3F)",
    "ldap://h/o=x????x-tls-cacert=/ca,x-poll": "ldap://h/o=x",
    "ldap://h/o=x????!X-StartTLS=": "ldap://h/o=x????!x-starttls",
    "ldap://h/o=x????!bindname=cn=r%2cdc=x,!x-bindpw-file=/p": "ldap://h/o=x????"
    "bindname=cn=r%2Cdc=x",
    "ldap://h/o=é????x-bindpw-file=/p": "ldap://h/o=%C3%A9",
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.items(), ids=SHOWN)
def test_shown(text: str, shown: str) -> None:
    monitor = open_monitor(text)
    assert monitor.url == shown
    assert monitor.trusts_content
    assert open_monitor(shown.replace("bindname", "x-bindpw-file=/p,bindname")).url == shown


HIDDEN = "hidden"
REFUSED = {
    "ldap://": "ldap://: names no place to search in; write"
    " ldap://HOST/ou=vassals,dc=example,dc=com",
    "ldap://h": "ldap://: names no place to search in; write"
    " ldap://HOST/ou=vassals,dc=example,dc=com",
    "ldaps://h/?cn": "ldaps://: names no place to search in; write"
    " ldaps://HOST/ou=vassals,dc=example,dc=com",
    f"ldap://u:{HIDDEN}@h/o=x": "ldap://: a URL of LDAP has no user and password before its host;"
    " write ????bindname=DN,x-bindpw-file=PATH behind it",
    "ldap://h:x/o=x": "ldap://: the host is followed by : and no port, a number from 1 to 65535",
    "ldap://::1/o=x": "ldap://: the host is not understood; write HOST, HOST:PORT or [IPv6]:PORT",
    "ldap://h:0/o=x": "ldap://: the port must be from 1 to 65535",
    "ldap://h:65536/o=x": "ldap://: the port must be from 1 to 65535",
    "ldap://h/o=x?cn?sub?(cn=?)?": "ldap://: there is more than"
    " BASE?ATTRIBUTES?SCOPE?FILTER?EXTENSIONS; a ? in one of them is written %3F",
    "ldap://h/o=x?a,b,c,d,e,f": "ldap://: there are more than five attributes:"
    " name,config,uid,gid,socket",
    "ldap://h/o=x?a b": "ldap://: no attribute can be called a b",
    "ldap://h/o=x?1": "ldap://: no attribute can be called 1",
    "ldap://h/o=x??children": "ldap://: the scope is children, it must be one of base one sub",
    "ldap://h/o=%ff": "ldap://: the base is not UTF-8",
    "ldap://h/o=x???(cn=%00)": "ldap://: the filter has a NUL character; in a filter write \\00",
    "ldap://h/vassals": "ldap://h/vassals: the base is no DN, such as ou=vassals,dc=example,dc=com",
    "ldap://h/o=x???(cn=a": "ldap://h/o=x???(cn=a: the filter is none, such as"
    " (objectClass=emperorVassal); within a value, ( is written \\28, ) is \\29, * is \\2a and \\"
    " is \\5c",
    "ldap://h/o=x????bindname=cn=r": "ldap://: there is a bindname but no password, and without one"
    " a server takes us for nobody; name its file: x-bindpw-file=PATH",
    f"ldap://h/o=x????bindname=cn=r,x-bindpw={HIDDEN}": "ldap://: a password is not written into"
    " the URL; name its file: x-bindpw-file=PATH",
    f"ldap://h/o=x????!password={HIDDEN}": "ldap://: a password is not written into the URL;"
    " name its file: x-bindpw-file=PATH",
    "ldap://h/o=x????starttls": "ldap://: there is no extension starttls, there are bindname"
    " x-bindpw-file x-starttls x-tls-cacert x-poll; in a DN or a path write , as %2C and ? as %3F",
    "ldap://h/o=x????bindname=cn=r,!dc=x": "ldap://: there is no extension dc, there are bindname"
    " x-bindpw-file x-starttls x-tls-cacert x-poll; in a DN or a path write , as %2C and ? as %3F",
    "ldaps://h/o=x????x-starttls": "ldaps://: x-starttls is for ldap://; ldaps:// speaks TLS from"
    " the start",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(MonitorURLError) as caught:
        open_monitor(text)
    assert str(caught.value) == message


def test_an_extension_that_need_not_be_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_url("h/o=x????x-new=1", MonitorOptions()).url == "ldap://h/o=x"
        assert open_secured("h/o=x????e=1", MonitorOptions()).url == "ldaps://h/o=x"
    assert caplog.messages == [
        "ldap://h/o=x: the extension x-new is not known, and ignored; in a DN write , as %2C",
        "ldaps://h/o=x: the extension e is not known, and ignored; in a DN write , as %2C",
    ]
