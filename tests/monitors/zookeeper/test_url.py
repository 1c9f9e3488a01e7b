"""zoo:// URLs: what they say, what they never show."""

import subprocess
import sys

import pytest
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError, without_secrets
from emperord.monitors.zookeeper import url as zoo_url


@pytest.mark.parametrize(
    ("rest", "hosts", "path", "shown"),
    [
        pytest.param("h/v", [("h", 2181)], "/v", "h:2181/v", id="default port"),
        pytest.param(
            "A:1,b,[::1]:3,[fe80::1]/v/w/",
            [("a", 1), ("b", 2181), ("::1", 3), ("fe80::1", 2181)],
            "/v/w",
            "a:1,b:2181,[::1]:3,[fe80::1]:2181/v/w",
            id="several",
        ),
        pytest.param("h:1, h:1/v", [("h", 1)], "/v", "h:1/v", id="twice"),
        pytest.param("h/", [("h", 2181)], "/", "h:2181/", id="root"),
        pytest.param("h/a%20%3f%2540é", [("h", 2181)], "/a ?%40é", None, id="escapes"),
    ],
)
def test_hosts_and_path(
    rest: str, hosts: list[tuple[str, int]], path: str, shown: str | None
) -> None:
    place = zoo_url.read(rest)
    assert (list(place.hosts), place.path) == (hosts, path)
    assert shown is None or place.shown == f"zoo://{shown}"
    assert open_monitor(place.shown).url == place.shown
    assert open_monitor(f"zookeeper://{rest}").url == place.shown


@pytest.mark.parametrize(
    ("query", "credentials", "announce", "shown"),
    [
        pytest.param("", [], None, "", id="none"),
        pytest.param("auth=digest:u:p", ["u:p"], None, "auth=digest:u:***", id="auth"),
        pytest.param(
            "announce=/e&auth=digest:u:p:q/@%26&auth=digest:v:%25",
            ["u:p:q/@&", "v:%"],
            "/e",
            "auth=digest:u:***&auth=digest:v:***&announce=/e",
            id="all",
        ),
        pytest.param("announce=%2fe%20f/", [], "/e f/", "announce=/e%20f/", id="folder"),
        pytest.param("auth=digest:%C3%A9:p", ["é:p"], None, "auth=digest:%C3%A9:***", id="é"),
    ],
)
def test_query(query: str, credentials: list[str], announce: str | None, shown: str) -> None:
    place = zoo_url.read(f"h/v?{query}")
    assert (list(place.credentials), place.announce) == (credentials, announce)
    assert place.shown == "zoo://h:2181/v" + (f"?{shown}" if shown else "")
    assert open_monitor(place.shown).url == place.shown


@pytest.mark.parametrize(
    ("rest", "advice"),
    [
        pytest.param("", "is no server", id="empty"),
        pytest.param("h", "it has no path", id="no path"),
        pytest.param("h:2181", "it has no path", id="no path, port"),
        pytest.param("/v", "is no server", id="no host"),
        pytest.param("h:x/v", "is no server", id="port"),
        pytest.param("h:0/v", "is no server", id="port 0"),
        pytest.param("h:99999/v", "is no server", id="port too high"),
        pytest.param("h,,i/v", "is no server", id="empty host"),
        pytest.param("::1/v", "in brackets", id="IPv6"),
        pytest.param("h/v//w", "a part of its path", id="empty part"),
        pytest.param("h/v/../w", "a part of its path", id=".."),
        pytest.param("h/%0a", "control character", id="control character"),
        pytest.param("h/%ff", "not UTF-8", id="no UTF-8"),
        pytest.param("u:hidden@h/v", "?auth=digest:USER:PASSWORD", id="userinfo"),
        pytest.param("u:hid/den@h/v", "?auth=digest:USER:PASSWORD", id="userinfo, slash"),
        pytest.param("h/v?auth=u:hidden", "?auth= must be digest:USER:", id="no scheme"),
        pytest.param("h/v?auth=sasl:u:hidden", "?auth= must be digest:USER:", id="other scheme"),
        pytest.param("h/v?auth=digest:hidden", "?auth= must be digest:USER:", id="no user"),
        pytest.param("h/v?auth=digest:u:", "?auth= must be digest:USER:", id="no password"),
        pytest.param("h/v?auth=digest:u:a&hidden", "write & as %26", id="& in it"),
        pytest.param("h/v?auth=digest:u:%ff&hidden", "not UTF-8", id="no UTF-8 in it"),
        pytest.param("h/v?hidden=1", "there are auth=digest:", id="unknown"),
        pytest.param("h/v?announce=e", "?announce= must be a path, as /PATH", id="announce"),
        pytest.param(
            "h/v?announce=/e&announce=/f", "?announce= is there twice", id="announce twice"
        ),
        pytest.param("h/v?announce=/e/../f", "a part of its path", id="announce .."),
    ],
)
def test_what_cannot_be_understood_is_refused_without_a_secret(rest: str, advice: str) -> None:
    with pytest.raises(MonitorURLError) as refused:
        open_monitor(f"zoo://{rest}")
    assert advice in str(refused.value)
    assert "hid" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["zooo://h/v?auth=digest:u:hid&den", "zoo://h/v?auth=digest:hid\n"]
)
def test_what_is_refused_before_it_is_read_shows_no_secret_either(text: str) -> None:
    with pytest.raises(MonitorURLError) as refused:
        open_monitor(text)
    assert "hid" not in str(refused.value)
    assert "den" not in str(refused.value)
    assert "hid" not in without_secrets(text)


def test_kazoo_is_imported_for_such_a_monitor_only() -> None:
    code = (
        "import sys; import emperord.daemon.main; from emperord.monitors import registry;"
        "registry.open_monitor('/tmp');"
        "print([name for name in sys.modules if name.startswith('kazoo')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
