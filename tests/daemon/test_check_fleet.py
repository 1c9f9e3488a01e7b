"""--check tells which vassals would run, and runs none."""

from pathlib import Path

import pytest
from support.daemon import Daemon
from support.options import run

# --check

CONFIGS = {
    "a.ini": "[uwsgi]\nmaster = true\n",
    "b.ini": "[emperor]\ncommand = sleep '1 0'\n",
    "notes.txt": "no config",
}


def test_check_tells_what_would_run_and_runs_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--uwsgi", "/bin/true", "--check") as daemon:
        for name, text in CONFIGS.items():
            (daemon.vassals / name).write_text(text)
        daemon.launch()
        assert daemon.wait() == 0, daemon.account()
        assert daemon.log().splitlines() == [
            f"dir://{daemon.vassals}",
            f"  a.ini: /bin/true --ini a.ini  (in {daemon.vassals})",
            f"  b.ini: sleep '1 0'  (in {daemon.vassals})",
        ]
        assert not daemon.journal.exists()
        assert daemon.running() == []


def test_check_shows_the_wrapper_that_would_run(tmp_path: Path) -> None:
    (tmp_path / "wrap").touch(0o755)
    (tmp_path / "vassals").mkdir()
    (tmp_path / "vassals" / "a\u202e.ini").touch()
    for told, code, said in (
        ("./wrap", 0, f"  a\\u202e.ini: {tmp_path}/wrap --ini 'a\\u202e.ini'"),
        ("./nosuch", 1, "  a\\u202e.ini: barred: --wrapper ./nosuch: there is no such program"),
    ):
        with Daemon(tmp_path, "--wrapper", told, "--check") as daemon:
            daemon.launch()
            assert daemon.wait() == code, daemon.account()
            assert said in daemon.log()


def test_check_tells_who_is_on_demand(tmp_path: Path) -> None:
    options = ("--uwsgi", "/bin/true", "--on-demand-extension", ".at", "--check")
    with Daemon(tmp_path, *options) as daemon:
        for name, config in (("a.ini", ""), ("b.ini", "[uwsgi]\nsocket = 0.0.0.0:80\n")):
            (daemon.vassals / name).write_text(config)
            (daemon.vassals / f"{name}.at").write_text(":80")
        daemon.launch()
        assert daemon.wait() == 0, daemon.account()
        assert daemon.log().splitlines()[1:] == [
            f"  a.ini: /bin/true --ini a.ini  (on demand at :80)  (in {daemon.vassals})",
            (
                "  b.ini: /bin/true --ini b.ini  (on demand at :80, which its config must not bind"
                f" itself: remove that line)  (in {daemon.vassals})"
            ),
        ]


def test_check_names_flaws(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.ini").write_text("")
    with Daemon(tmp_path, "--uwsgi", "/no/uwsgi", "--check") as daemon:
        daemon.monitors += [other, tmp_path / "missing"]
        (daemon.vassals / "a.ini").write_text("")
        (daemon.vassals / "b.ini").write_text("[emperor]\ncolour = blue\n")
        (daemon.vassals / "c\n.ini").write_text("")
        (daemon.vassals / "d.ini").write_text("[emperor]\ncommand = ./no-such-program\n")
        daemon.launch()
        assert daemon.wait() == 1, daemon.account()
        said = daemon.log()
    assert "a.ini: barred: --uwsgi /no/uwsgi" in said
    assert "b.ini: barred: [emperor] colour" in said
    assert "c\\n.ini: rejected: the name has a control character" in said
    assert "d.ini: barred: cannot be executed: ./no-such-program: No such file" in said
    assert f"a.ini: rejected: the name belongs to dir://{daemon.vassals}" in said
    assert "cannot be read: " in said.partition("missing")[2]


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        pytest.param("²", "there is no user ²", id="a digit that is no number"),
        pytest.param(":www-data", ":www-data names no user; write USER or USER:GROUP", id="none"),
        pytest.param("61001:²", "there is no group ²", id="a group that is no number"),
        pytest.param("61001:0", "61001:0 has root's group; write USER:GROUP", id="root's gid"),
        pytest.param("61001:root", "61001:root has root's group", id="root's group"),
        pytest.param("0:61001", "0:61001 is root; if that is meant, give --as-root", id="root"),
        pytest.param("-5", "there is no user -5", id="a negative number"),
    ],
)
def test_why_a_user_is_refused(user: str, reason: str) -> None:
    result = run("--user", user, "dir:///v", standalone=True)
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())
