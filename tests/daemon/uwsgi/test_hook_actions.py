"""Hooks and mounts of uWSGI's Emperor as commands."""

import subprocess
from pathlib import Path

import pytest
from emperord.daemon.uwsgi import hook_actions, plan
from emperord.daemon.uwsgi.reader import Option

MOUNTS = {
    "proc none /proc": "mount -t proc -- none /proc",
    "tmpfs none /a nosuid,ro size=1m": "mount -o nosuid,ro,size=1m -t tmpfs -- none /a",
    "none /a /b bind": "mount --bind -- /a /b",
    "none /a /b bind,rec": "mount --rbind -- /a /b",
    "none /a /b bind,ro": "mount -o ro --bind -- /a /b",
    "none /a /b move": "mount --move -- /a /b",
    "none none / rec,private": "mount --make-rprivate -- /",
    "none none / shared": "mount --make-shared -- /",
    "none none /a remount,ro": "mount -o remount,ro -t none -- none /a",
    "tmpfs none /a;b": "mount -t tmpfs -- none '/a;b'",
    "tmpfs none -a": "mount -t tmpfs -- none -a",
}


@pytest.mark.parametrize(("line", "command"), MOUNTS.items())
def test_a_mount_is_mount_8(line: str, command: str) -> None:
    assert hook_actions.of_mount(line) == command
    assert hook_actions.of_hook(f"mount:{line}") == command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/a", "umount -- /a"),
        ("/a detach", "umount -l -- /a"),
        ("/a force,rec,recursive", "umount -f -R -- /a"),
        ("$(x)", "umount -- '$(x)'"),
    ],
)
def test_an_umount_is_umount_8(line: str, command: str) -> None:
    assert hook_actions.of_umount(line) == command


FILES = {
    "write": ("write:{} a $HOME b", "a $HOME b"),
    "writen": ("writen:{} it's so", "it's so\n"),
    "append": ("append:{} x%s", "oldx%s"),
    "appendn": ("appendn:{} x", "oldx\n"),
    "creat": ("creat:{}", ""),
    "exec": ("exec:printf x > {}", "x"),
    "safeexec": ("safeexec:printf x > {}; false", "x"),
    "safeexec with a comment": ("safeexec:printf x > {}; false # it may fail", "x"),
    "chmod": ("chmod:{} 600", "old"),
    "print": ("print:hello", "old"),
}


@pytest.mark.parametrize(("line", "text"), FILES.values(), ids=FILES)
def test_an_action_does_what_uwsgis_does(line: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "it"
    file.write_text("old")
    command = hook_actions.of_hook(line.format(file))
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert file.read_text() == text
    assert done.stdout == ("hello\n" if line.startswith("print") else "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("mount:proc none", "write TYPE WHAT WHERE"),
        ("mount:none /a /b bind,shared", "write a line each for bind and shared"),
        ("mount:none /a /b sticky", "'sticky' is no flag of a mount"),
        ("umount:/a ro", "'ro' is no flag of an umount"),
        ("write:/a", "write FILE TEXT"),
        ("chown:/a root", "write FILE USER GROUP"),
        ("chdir:/a", "write directory into [emperor]"),
        ("putenv:A=B", "write environment into [emperor]"),
        ("callint:setup 1", "no command can do that"),
        ("exec", "write ACTION:ARGUMENT"),
        ("!exec:log in", "a command that fails is told"),
    ],
)
def test_others_are_refused_with_advice(line: str, reason: str) -> None:
    with pytest.raises(hook_actions.NoCommand) as caught:
        hook_actions.of_hook(line)
    assert str(caught.value).startswith(reason)


def test_they_run_in_the_order_of_uwsgi() -> None:
    lines = [
        ("exec-as-vassal", "last"),
        ("umount-as-vassal", "/a"),
        ("mount-as-vassal", "proc none /proc"),
        ("hook-as-vassal", "exec:first"),
    ]
    made = plan.make(Option(key, value, "emperor.ini", 1, value) for key, value in lines)
    values = [entry.value for entry in made.values()["exec-as-vassal"]]
    assert values == ["first", "mount -t proc -- none /proc", "umount -- /a", "last"]
