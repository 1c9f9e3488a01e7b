"""The OpenLDAP that tests share is started again after a crash, with its entries."""

from support.ldap import LdapSource, shared, talk


def test_the_next_test_has_a_server() -> None:
    source = LdapSource()
    source.put("a.ini", "one")
    shared()("kill")
    talk()
    assert source.directory.has(source.dn("a.ini"))
    assert not shared().is_down
