"""Emperors that a command line starts: in a unit, in a job of Upstart, in a script, on its own."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from emperord.daemon.main import main
from support.ports import free_port
from support.serving import serving
from support.vassals import Application

from ..conftest import MakeDaemon

PLACES = {
    "unit.service": """\
[Unit]
Description=Sites

[Service]
Environment=REGION=north
WorkingDirectory={folder}
ExecStart=/opt/venv/bin/uwsgi --master --emperor ${SITES} --die-on-term \\
    --vassal-set greeting=hello
Environment=SITES={folder}/vassals
KillSignal=SIGQUIT
Type=notify
""",
    "job.conf": """\
description "sites"
start on runlevel [2345]
env SITES={folder}/vassals
env REGION="north"
pre-start script
    uwsgi --emperor /nowhere
end script
respawn
exec uwsgi --emperor "$SITES/*.ini" --vassals-set greeting=hello
""",
    "programs.conf": """\
[program:sites]
command = /opt/venv/bin/uwsgi -M --emperor=%(here)s/vassals --vassal-set greeting=hello
environment = REGION="north"
""",
    "start.sh": """\
#!/bin/sh
SITES={folder}
REGION=north nohup uwsgi \\
    --emperor "$SITES/vassals" \\
    --vassal-set greeting=hello > /dev/null 2>&1 &
nginx -g 'daemon off;'
""",
}


INIT = """\
#!/bin/sh
DAEMON=/usr/bin/uwsgi
OPTS='--emperor /v --master'
WHO=web
case $1 in
start)
    start-stop-daemon -S -q -c $WHO -x $DAEMON -- $OPTS
    ;;
stop)
    start-stop-daemon --stop -x $DAEMON
    ;;
esac
"""


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["--check", *arguments])


@pytest.mark.parametrize("name", PLACES)
def test_an_emperor_starts_from_the_file_that_started_it(
    name: str, make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(PLACES[name].replace("{folder}", str(tmp_path)))
    daemon = make_daemon("--from", str(path), monitors=[])
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("%(greeting)"))
    daemon.start()
    assert serving(daemon, app, "hello").environ["REGION"] == "north"
    daemon.stop()


def test_a_command_line_is_enough(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    line = (
        f"sudo uwsgi --master --die-on-term --emperor {tmp_path}/vassals --pcre-jit"
        f" --emperor-stats 127.0.0.1:{free_port()} --logto {tmp_path}/log --touch-reload /x"
        " --vassal-set greeting=hello &"
    )
    daemon = make_daemon("--from", line, monitors=[])
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("%(greeting)"))
    daemon.start()
    serving(daemon, app, "hello")
    told = "--from: command line: touch-reload = /x: use emperor-ctl reload"
    assert told in (tmp_path / "log").read_text()
    daemon.stop()


def test_migrate_writes_the_options_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "sites.service"
    path.write_text(
        "[Service]\n"
        "ExecStartPre=/bin/mkdir -p /run/sites\n"
        "ExecStart=/usr/bin/uwsgi --emperor /srv/*/uwsgi.ini --uid=http --vassals-inherit /b.ini\n"
        "User=web\nGroup=www\nRestart=always\n"
    )
    done = CliRunner().invoke(main, ["--migrate", str(path)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
# The options of {path}, by 'emperor --migrate'.
monitor:
# {path}:3: emperor = /srv/*/uwsgi.ini
- "/srv/*/uwsgi.ini"
# {path}:3: uid = http
# {path}:4: uid = web
# {path}:5: gid = www
user: web:www
vassals-inherit:
# {path}:3: vassals-inherit = /b.ini
- /b.ini
# {path}:2: ExecStartPre = …
#   warned of: keep the unit, and have its ExecStart run 'emperor --from' with the command line
"""
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("uwsgi --emperor", "command line: --emperor has no value"),
        ("uwsgi --emperor /v -W", "command line: -W is no option of uWSGI"),
        ("uwsgi --emperor /v/a /v/b", "/v/b is no option, and no config: quote a pattern"),
        ("uwsgi --ini /none.ini", "command line: /none.ini cannot be read"),
        ("uwsgi --http :80 --module x", "command line starts no emperor of uWSGI"),
        ("uwsgi --emperor /a; uwsgi --emperor /b", "command line starts 2 emperors"),
        ("uwsgi --emperor $NOT_SET_HERE/v", "$NOT_SET_HERE is not set here; set it"),
        ("uwsgi --emperor $(pwd)/v", "its command line runs another command"),
        ("uwsgi --emperor /v --cron '1 2 3 4 5 x'", "cron = 1 2 3 4 5 x: make it a systemd timer"),
        ("uwsgi --emperor /v --unshare ipc", "write namespaces into the unit"),
        ("uwsgi --emperor '/v", "a quote in its command line has no end: uwsgi --emperor '/v"),
        ('uwsgi --emperor /v "$@"', "$@ is not known here; give the command line itself"),
        ("uwsgi --emperor ${SITES%/}", "${SITES%/} is not known here; give the command line"),
    ],
)
def test_a_line_that_cannot_be_taken_is_told(line: str, told: str) -> None:
    done = check("--from", line)
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_file_without_an_emperor_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.ini"
    path.write_text("[uwsgi]\nmaster = true\n[other]\nemperor = /v\n")
    told = f"{path} has no line emperor = in this section; FILE:SECTION reads another one"
    assert told in check("--from", str(path)).stderr
    (tmp_path / "notes").write_text("nothing\n")
    assert "starts no emperor of uWSGI" in check("--from", str(tmp_path / "notes")).stderr


@pytest.mark.parametrize("section", ["other", "nosec"])
@pytest.mark.parametrize("option", ["--ini ", "--ini=", ""], ids=["option", "equals", "argument"])
def test_a_command_line_whose_config_has_no_emperor_is_told(
    tmp_path: Path, option: str, section: str
) -> None:
    path = tmp_path / "app.ini"
    path.write_text("[uwsgi]\nemperor = /v\n[other]\nempror = /v\n")
    told = f"{path}:{section} has no line emperor = in this section; FILE:SECTION reads another one"
    done = check("--from", f"uwsgi {option}{path}:{section}")
    assert done.exit_code == 2
    assert f"command line starts no emperor of uWSGI: {told}" in done.stderr


def test_an_emperor_beside_other_programs_becomes_no_vassal(tmp_path: Path) -> None:
    path = tmp_path / "all.conf"
    path.write_text(
        "[program:sites]\ncommand=uwsgi --emperor /v\n[program:queue]\ncommand=/srv/queue\n"
    )
    done = CliRunner().invoke(main, ["--migrate", str(path), "-o", str(tmp_path / "v")])
    assert done.exit_code == 0
    assert sorted(each.name for each in (tmp_path / "v").iterdir()) == [
        "queue.ini",
        "sites.ini.off",
    ]
    assert "this is an emperor of uWSGI, and no vassal; 'emperor --from'" in done.stderr


def test_a_comment_behind_a_value_is_told(tmp_path: Path) -> None:
    path = tmp_path / "emperor.ini"
    path.write_text("[uwsgi]\nemperor = /v  ; the sites\nemperor-stats = 127.0.0.1:1  ; numbers\n")
    told = "uWSGI takes the comment as a part of the value; move it to its own line"
    lines = check("--from", str(path)).stderr.splitlines()
    assert [line.count(told) for line in lines if str(path) in line] == [1, 1]  # each is told
    migrated = CliRunner().invoke(main, ["--migrate", str(path)]).stdout
    assert f'# {path}:2: emperor = /v  ; the sites\n#   {told}\n- "/v  ; the sites"\n' in migrated


def migrated(tmp_path: Path, text: str, name: str = "start.sh") -> list[str]:
    """The lines for --config that are no comments."""
    path = tmp_path / name
    path.write_text(text)
    done = CliRunner().invoke(main, ["--migrate", str(path)])
    assert done.exit_code == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    "text",
    [
        "cd {folder} && uwsgi --emperor v",
        "cd {folder}/x\ncd ..\nuwsgi --emperor v",
        "(cd {folder}; exec uwsgi --emperor v)",
        'HERE={folder}\ncd "$HERE" || exit 1\nuwsgi --ini emperor.ini',
        "su -c 'cd {folder} && exec uwsgi --emperor v' root",
        "start-stop-daemon -S --chdir {folder} -x /usr/bin/uwsgi -- --emperor v",
        "[Service]\nWorkingDirectory={folder}\nExecStart=/usr/bin/uwsgi --ini emperor.ini\n",
    ],
)
def test_relative_paths_begin_in_the_folder_of_the_script(text: str, tmp_path: Path) -> None:
    (tmp_path / "emperor.ini").write_text("[uwsgi]\nemperor = v\n")
    (tmp_path / "x").mkdir()
    name = "start.service" if text.startswith("[") else "start.sh"
    lines = migrated(tmp_path, text.replace("{folder}", str(tmp_path)), name)
    (monitor,) = (line for line in lines if line.startswith("- "))
    assert Path(os.path.normpath(monitor[2:].strip('"'))) == tmp_path / "v"


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("sudo -u web uwsgi --emperor /v", "web"),
        ("sudo -n -H --user=web -g www uwsgi --emperor /v", "web:www"),
        ("sudo -uweb -- uwsgi --emperor /v", "web"),
        ('su - web -c "uwsgi --emperor /v"', "web"),
        ("su -s /bin/sh -c 'exec uwsgi --emperor /v' web", "web"),
        ("runuser -u web -- uwsgi --emperor /v", "web"),
        ("nice -n 5 setuidgid web uwsgi --emperor /v", "web"),
        ("start-stop-daemon -S --chuid web:www --exec /usr/bin/uwsgi -- --emperor /v", "web:www"),
        (INIT, "web"),
    ],
)
def test_the_user_before_the_command_is_taken(text: str, user: str, tmp_path: Path) -> None:
    assert migrated(tmp_path, text) == ["monitor:", "- /v", f"user: {user}"]


@pytest.mark.parametrize(
    "text",
    [
        "cat <<EOF\nit isn't uwsgi alone\nEOF\nuwsgi --emperor /v\n",
        "uwsgi --emperor /v --procname 'a\nb'\n",
        "# don't run uwsgi twice\nuwsgi \\\n  --emperor /v",
    ],
)
def test_a_quote_may_go_on_or_be_none(text: str, tmp_path: Path) -> None:
    assert migrated(tmp_path, text)[:2] == ["monitor:", "- /v"]


def test_commands_beside_are_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "start.sh"
    path.write_text(
        "umask 077\nulimit -n 9000\n. /etc/default/sites\n[ -d /v ] || exit 1\n"
        "cd $(dirname $0)\nmkdir -p /run/s && uwsgi --emperor /v && touch /run/up\n"
    )
    told = CliRunner().invoke(main, ["--migrate", str(path)]).stdout
    found = [line for line in told.splitlines() if line.startswith(f"# {path}:")]
    names = [line.removeprefix(f"# {path}:").partition(" = ")[0] for line in found]
    assert names == [
        "6: emperor", "1: umask", "2: ulimit", "3: .", "5: cd", "6: mkdir", "6: touch",
    ]  # fmt: skip
    assert "#   warned of: write UMask= into the unit\n" in told
    assert "#   warned of: it is not run; let ExecStartPre= of the unit do it\n" in told
    assert "relative paths begin where emperor starts" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/usr/bin/uwsgi --ini /etc/uwsgi/none.ini", "/etc/uwsgi/none.ini cannot be read"),
        ("/usr/bin/uwsgi --emperor /v $NOT_SET_HERE", "$NOT_SET_HERE is not set here"),
        ("/bin/sh -c 'exec uwsgi --emperor \"$1\"'", "$1 is not known here"),
        ("uwsgi --emperor /a ; uwsgi --emperor /b", "starts 2 emperors"),
    ],
)
def test_a_unit_of_an_emperor_with_a_flaw_becomes_no_vassal(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sites.service").write_text(f"[Service]\nExecStart={line}\n")
    done = CliRunner().invoke(main, ["--migrate", "sites.service"])
    assert done.exit_code == 2
    assert told in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sites.service"]
    assert told in check("--from", "sites.service").stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"uwsgi": {"emperor": "/v",\n"emperor-freq": 3.5,\n"x": [{"a": 1}]}}'),
        ("a.yml", "uwsgi:\n  emperor: /v\n  emperor-freq: {a: 1}\n  x: [[1]]\n"),
    ],
)
def test_a_value_of_a_kind_that_uwsgi_ignores_is_told(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    told = CliRunner().invoke(main, ["--migrate", str(path)]).stdout
    found = [line.partition(" = ")[0] for line in told.splitlines() if f"{path}:" in line]
    line = 1 if name == "a.json" else 2
    names = ("emperor", "emperor-freq", "x")
    assert found == [f"# {path}:{line + at}: {key}" for at, key in enumerate(names)]
    assert told.count("warned of: uWSGI ignores a value of this kind; write a text") == 2


def test_a_line_that_a_loop_repeats_is_told_once(tmp_path: Path, make_daemon: MakeDaemon) -> None:
    path = tmp_path / "a.ini"
    loop = "for = 1 2 3\ntouch-reload = /%(_)\nend\n"
    path.write_text(f"[uwsgi]\nemperor = {tmp_path}/vassals\n{loop}")
    daemon = make_daemon("--from", str(path), monitors=[])
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert daemon.log().count(f"{path}:4: touch-reload") == 1
    written = CliRunner().invoke(main, ["--migrate", str(path)]).output
    assert written.count(f"{path}:4: touch-reload") == 1
    path.write_text(f"[uwsgi]\n{loop}for = 1 2\ncron = %(_) 1 1 1 1 x\nend\n")
    refused = check("--from", str(path)).stderr
    assert [refused.count(f"{path}:{line}: ") for line in (3, 6)] == [1, 1]
