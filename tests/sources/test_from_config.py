"""Every source, named by a config of uWSGI's Emperor: a vassal starts from it, and ends with it.

The plugins are those by which uWSGI reads the source. ``{url}`` is the row's.
"""

from pathlib import Path

import pytest
from support.vassals import SLEEPER

from .conftest import MakeDaemon
from .row import Row
from .table import over, over_all_but

FORMATS = {
    "ini": "[uwsgi]\nplugins = emperor_pg,emperor_amqp\nmaster = true\nemperor = {url}\n",
    "yml": "uwsgi:\n  plugins: emperor_zeromq\n  emperor: '{url}'\n",
    "json": '{"uwsgi": {"plugins": ["emperor_ldap"], "emperor": ["{url}"]}}',
    "xml": "<uwsgi><plugin>emperor_mongodb</plugin><emperor>{url}</emperor></uwsgi>",
}


def written(folder: Path, ending: str, url: str) -> str:
    """The path of a config that names this source."""
    path = folder / f"emperor.{ending}"
    url = url.replace("%", "%%")  # a single one begins a magic variable
    if ending == "xml":
        url = url.replace("&", "&amp;").replace("<", "&lt;")
    path.write_text(FORMATS[ending].replace("{url}", url))
    return str(path)


def runs(make_daemon: MakeDaemon, row: Row, path: str) -> None:
    """A vassal of the source starts, and it ends when it is taken away."""
    daemon = make_daemon("--from", path, monitors=[])
    row.put("a.ini", SLEEPER)
    daemon.start()
    row.put("b.ini", SLEEPER)  # messages reach only those who listen
    assert daemon.phase("b.ini", "ready").pid
    row.remove("b.ini")
    daemon.gone("b.ini")
    daemon.stop()


@over_all_but("dir")
def test_a_vassal_starts(make_daemon: MakeDaemon, row: Row, tmp_path: Path) -> None:
    runs(make_daemon, row, written(tmp_path, "ini", row.url))


@over("mongodb")
@pytest.mark.parametrize("ending", ["yml", "json", "xml"])
def test_each_format_names_it(
    ending: str, make_daemon: MakeDaemon, row: Row, tmp_path: Path
) -> None:
    runs(make_daemon, row, written(tmp_path, ending, row.url))


@over("mongodb")
@pytest.mark.parametrize("scheme", ["mongodb", "mongodb2"])
def test_the_form_with_keys_of_mongodb(
    scheme: str, make_daemon: MakeDaemon, row: Row, tmp_path: Path
) -> None:
    hosts, collection, query = row.url.removeprefix("mongodb://").split(",", 2)
    url = f"{scheme}://addr={hosts},collection={collection},json={query}"
    runs(make_daemon, row, written(tmp_path, "ini", url))


@over("pg")
def test_the_query_of_postgres_has_blanks_and_a_variable(
    make_daemon: MakeDaemon, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are those of libpq, and SQL follows the semicolon."""
    url, _, _ = row.url.partition(";")
    monkeypatch.setenv("WHICH", "%.ini")
    query = "SELECT name, config, ts FROM vassals WHERE name LIKE '$(WHICH)'"
    runs(make_daemon, row, written(tmp_path, "ini", f"{url};{query}"))


@over("pg", "zmq")
def test_a_command_line_names_it(make_daemon: MakeDaemon, row: Row) -> None:
    runs(make_daemon, row, f'uwsgi --plugin emperor_pg --emperor "{row.url}" --master')
