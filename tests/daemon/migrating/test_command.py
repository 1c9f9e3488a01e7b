"""``emperor --migrate`` as a command: the files it writes, and the requests that it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from emperord.daemon.main import main

CONF = "[program:web]\ncommand=/srv/web --port 1\nstartretries=5\n"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "supervisord.conf"
    path.write_text(CONF)
    return path


def test_it_names_its_files_and_tells_each_line(conf: Path, tmp_path: Path) -> None:
    done = call("--migrate", conf, "-o", tmp_path / "v")
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path}/v/web.ini\n"
    assert done.stderr.splitlines()[-1] == (
        "supervisord.conf: 1 vassal, 3 taken, 0 changed, 1 not taken"
    )
    assert "startretries = 5: not taken: a vassal is tried for ever" in done.stderr
    assert "command = /srv/web --port 1\n" in (tmp_path / "v" / "web.ini").read_text()


def test_a_file_that_is_there_is_replaced_only_if_told(conf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    conf.write_text(f"{CONF}[program:other]\ncommand=/srv/other\n")
    assert call("--migrate", conf, "-o", folder).exit_code == 0
    (folder / "web.ini").write_text("[emperor]\ncommand = /mine\n")
    (folder / "other.ini").unlink()

    refused = call("--migrate", conf, "-o", folder)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {folder}/web.ini: there is such a file")
    assert [path.name for path in folder.iterdir()] == ["web.ini"]
    assert (folder / "web.ini").read_text() == "[emperor]\ncommand = /mine\n"

    done = call("--migrate", conf, "-o", folder, "--overwrite")
    assert done.exit_code == 0
    assert "command = /srv/web" in (folder / "web.ini").read_text()


def test_a_second_time_with_the_same_files_writes_nothing(conf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    assert call("--migrate", conf, "-o", folder).exit_code == 0
    there = (folder / "web.ini").stat()
    again = call("--migrate", conf, "-o", folder)
    assert (again.exit_code, again.stdout) == (0, "")
    assert (folder / "web.ini").stat() == there


def test_a_secret_is_as_private_as_it_was(conf: Path, tmp_path: Path) -> None:
    conf.chmod(0o640)
    assert call("--migrate", conf, "-o", tmp_path / "v").exit_code == 0
    assert (tmp_path / "v" / "web.ini").stat().st_mode & 0o777 == 0o640


def test_arguments_are_more_files(conf: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.conf"
    other.write_text("[program:other]\ncommand=/srv/other\n")
    done = call("--migrate", conf, other, "-o", tmp_path / "v")
    assert done.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == ["other.ini", "web.ini"]
    twice = tmp_path / "twice.conf"
    twice.write_text(CONF)
    assert "two of the files have such a vassal" in call("--migrate", conf, twice).stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "it is neither a supervisord.conf, nor a Procfile, nor", id="empty"),
        pytest.param("[uwsgi]\nemperor = /v\n", "it is neither", id="another kind"),
        pytest.param("[supervisord]\n", "there is no program in it", id="no program"),
        pytest.param("[program:a]\n=\n[", "contains", id="broken"),
        pytest.param("[program:a]\nnumprocs=2\ncommand=a", "process_name", id="one name for two"),
        pytest.param("[program:a]\nnumprocs=many\ncommand=a", "is no number", id="no number"),
        pytest.param("[program:a]\nnumprocs=99999\ncommand=a", "1000 at most", id="many"),
        pytest.param(
            "[program:a]\nprocess_name=%(x)s\ncommand=a", "%(x)s is not known", id="unknown name"
        ),
        pytest.param("[include]\nfiles=%(ENV_NO)s/a", "NO is not set here", id="include"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text(text)
    done = call("--migrate", path, "-o", tmp_path / "v")
    assert done.exit_code == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "v").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = call("--migrate", tmp_path / "none.conf")
    assert done.exit_code == 1
    assert done.stderr == f"Error: {tmp_path}/none.conf: No such file or directory\n"


def test_a_socket_stands_for_its_service(tmp_path: Path) -> None:
    service, socket = tmp_path / "a.service", tmp_path / "a.socket"
    service.write_text("[Service]\nExecStart=/srv/a\n")
    socket.write_text("[Socket]\nListenStream=@a\n")
    done = call("--migrate", socket, service, "-o", tmp_path / "v")
    assert done.stdout == f"{tmp_path}/v/a.ini\n"
    assert "\nlisten = @a\n" in (tmp_path / "v" / "a.ini").read_text()


@pytest.mark.parametrize(
    ("formation", "says"),
    [
        pytest.param("web", "is no formation; write web=2,worker=1", id="no number"),
        pytest.param("web=-1", "is no formation", id="below 0"),
        pytest.param("web=1000", "is no formation", id="too many"),
        pytest.param("wep=2", "Procfile has no wep; --formation names", id="mistyped"),
    ],
)
def test_a_formation_is_of_processes_that_are_there(
    formation: str, says: str, tmp_path: Path
) -> None:
    tmp_path.joinpath("Procfile").write_text("web: web\n")
    done = call("--migrate", tmp_path / "Procfile", "-m", formation, "-o", tmp_path / "v")
    assert done.exit_code in (1, 2)
    assert says in done.stderr
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("option", [("-o", "x"), ("--overwrite",), ("-m", "web=2")])
def test_its_options_alone_are_refused(option: tuple[str, ...], tmp_path: Path) -> None:
    done = call(*option, tmp_path)
    assert done.exit_code == 2
    assert "is for --migrate; give --migrate FILE, too" in done.stderr


@pytest.mark.parametrize("form", ["apart", "joined"])
def test_the_command_starts_no_keeper(form: str, conf: Path, tmp_path: Path) -> None:
    """As it is installed. A keeper would start the daemon again and again."""
    option = ("--migrate", str(conf)) if form == "apart" else (f"--migrate={conf}",)
    command = Path(sys.executable).parent / "emperor"
    done = subprocess.run(
        [command, *option, "-o", tmp_path / "v"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/v/web.ini\n")
    assert "keeper" not in done.stderr


def test_a_value_that_no_setting_can_have_is_named(conf: Path, tmp_path: Path) -> None:
    conf.write_text("[program:web]\ncommand=/srv/web\numask=999\nenvironment=LISTEN_FDS=1\n")
    done = call("--migrate", conf, "-o", tmp_path / "v")
    text = (tmp_path / "v" / "web.ini.off").read_text()
    assert "# not taken: umask = 999: umask: 999 is no mask" in text
    assert "LISTEN_FDS is set by the daemon" in text
    assert "web.ini.off: no daemon starts it as it is (environment, umask)" in done.stderr


@pytest.mark.parametrize("name", ["../up", ".hidden", "a b", "ü", "a/b"])
def test_a_name_leads_nowhere_else(name: str, conf: Path, tmp_path: Path) -> None:
    conf.write_text(f"[program:{name}]\ncommand=/srv/web\n")
    assert call("--migrate", conf, "-o", tmp_path / "v").exit_code == 0
    (made,) = (tmp_path / "v").iterdir()
    assert not made.name.startswith(".")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["supervisord.conf", "v"]
