"""Command lines of uWSGI among those of a shell: their words, their user, folder and environment.

Nothing is run. A shell script is read line by line, without its conditions and functions.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

CALL: Final = re.compile(r"(?:^|[\s/\"'(])uwsgi\S*\s")
ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_PROGRAM: Final = re.compile(r"uwsgi([-_.0-9].*)?")
_LITERAL: Final = "\0"  # a dollar sign between single quotes
_QUOTED: Final = "\1"  # a dollar sign between double quotes: the shell does not split the value
_QUOTES: Final = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_VARIABLE: Final = re.compile(
    r"[$\1](?:\{([A-Za-z_]\w*)(?::?-([^}]*))?\}|([A-Za-z_]\w*)|([@*#?!0-9-]|\{[^}]*\})|[(`])|`"
)
_LONE: Final = re.compile(r"\$(?:\w+|\{\w+\})")
_ELSEWHERE: Final = "its command line runs another command; give it with its output"
_OF_SHELL: Final = ("then", "else", "do", "{", "!", "if", "elif", "while", "time", "command")
# Commands that have no effect on what follows, and words that are none.
_QUIET: Final = frozenset((
    "", "[", "[[", "test", "true", "false", ":", "echo", "printf", "exit", "return", "case", "esac",
    "for", "fi", "done", "}", "set", "export", "local", "readonly", "shift", "sleep", "wait",
    "log_daemon_msg", "log_end_msg", "break", "continue", "log_action_msg", "fi;", "in",
))  # fmt: skip
_SAYS: Final = {
    "umask": "write UMask= into the unit",
    "ulimit": "write LimitNOFILE= and its like into the unit",
}
_OTHER: Final = "it is not run; let ExecStartPre= of the unit do it"
_LONGEST: Final = 20  # lines over which a quote goes on
_SHELLS: Final = ("sh", "bash", "dash")
# Programs that run the command behind their own options: the letters that take a value.
_RUNNERS: Final = {
    "exec": "a", "nohup": "", "env": "uC", "setsid": "", "nice": "n", "ionice": "cnpPu",
    "sudo": "ugDpChTrtR", "runuser": "ug", "gosu": "", "su-exec": "", "setuidgid": "",
}  # fmt: skip
_BY_NAME: Final = ("gosu", "su-exec", "setuidgid")  # their first word is the user
_LONG: Final = {"--user": "u", "--group": "g", "--chdir": "D"}
_MEANS: Final = {"u": "uid", "g": "gid", "D": "chdir", "C": "chdir"}
_DAEMON: Final = {
    "c": "chuid", "g": "group", "x": "exec", "a": "startas", "d": "chdir", "p": "pidfile",
    "n": "name", "u": "user", "N": "nicelevel", "k": "umask", "s": "signal", "R": "retry",
    "P": "procsched", "I": "iosched", "r": "chroot", "O": "output",
}  # fmt: skip


class Around(NamedTuple):
    """A line beside the command: an option of uWSGI with the same effect, or advice."""

    line: int
    key: str
    value: str
    option: str = ""
    says: str = ""


class Started(NamedTuple):
    """A command line of uWSGI, without the program, and what stands around it."""

    line: int
    words: tuple[str, ...]
    around: tuple[Around, ...] = ()


class Script:
    """Commands of a shell, in their order; ``known`` has the variables.

    It begins in the ``folder``, and tells other commands with those of a script ``outside`` of it.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        folder: Around | None = None,
        outside: "Script | None" = None,
    ) -> None:
        self.known = dict(known)
        self.beside: dict[str, Around] = {} if outside is None else outside.beside
        self._folder = folder
        self._brackets = 0  # open ones

    def read(self, text: str, *, line: int = 0) -> list[Started]:
        """The calls of uWSGI in a script, or in its ``line``. Raises ValueError."""
        calls: list[Started] = []
        lines, at, open_ = [*text.splitlines(), ""], 0, ""
        while at < len(lines):
            begins, whole = at + 1, lines[at]
            at += 1
            while whole.endswith("\\") and at < len(lines):
                whole, at = f"{whole[:-1]} {lines[at]}", at + 1
            commands, end = _commands(whole), at
            if commands is None and CALL.search(f"{whole} "):
                last, longer = min(len(lines), at + _LONGEST), whole
                while commands is None and end < last:
                    longer, end = f"{longer}\n{lines[end]}", end + 1
                    commands = _commands(longer)
                open_ = open_ or (whole if commands is None else "")
            if commands is not None:
                at = end
            for words in commands or ():
                calls += self.command(words, line or begins)
        if open_ and not calls:
            raise ValueError(f"a quote in its command line has no end: {open_}")
        return calls

    def command(self, given: list[str], line: int) -> Iterator[Started]:
        """The calls of uWSGI in one command. Raises ValueError."""
        words = self._without_brackets(given)
        pairs = [pair for each in words if (pair := ASSIGNMENT.fullmatch(each))]
        if len(pairs) == len(words) - (words[:1] == ["export"]):
            for pair in pairs:
                self._set(pair[1], pair[2])
            return
        call = _Call(self._split(words))
        if call.script is not None:
            inner = Script(self.known, self._folder, self)
            text = call.script
            if CALL.search(f"{text} "):
                text = _expanded([text], self.known)[0]
            for each in inner.read(text, line=line):
                yield each._replace(around=(*each.around, *call.around(line, self.known)))
        elif call.words is not None:
            folder = [self._folder] if self._folder else []
            around = (*folder, *call.around(line, self.known))
            yield Started(line, tuple(_expanded(call.words, self.known)), around)
        elif call.rest:
            self._other(call.rest, line)

    def _other(self, words: list[str], line: int) -> None:
        """A command beside: the folder counts for what follows, and the rest is told."""
        name = os.path.basename(words[0])
        if name in ("cd", "pushd", "chdir"):
            target = next((each for each in words[1:] if not each.startswith("-")), "~")
            try:
                path = os.path.expanduser(_expanded([target], self.known)[0])
            except ValueError as flaw:
                says = f"{flaw}; relative paths begin where emperor starts"
                self.beside.setdefault(name, Around(line, name, target, says=says))
                return
            path = os.path.join(self._folder.value if self._folder else "", path)
            self._folder = Around(line, name, path, "chdir")
        elif name not in _QUIET and not name.endswith(")") and not _PROGRAM.fullmatch(name):
            says = _SAYS.get(name, _OTHER)
            self.beside.setdefault(name, Around(line, name, shlex.join(words), says=says))

    def _set(self, name: str, value: str) -> None:
        try:
            self.known[name] = _expanded([value], self.known)[0]
        except ValueError:
            self.known.pop(name, None)

    def _without_brackets(self, words: list[str]) -> list[str]:
        """The words without the brackets of a subshell."""
        first = words[0].lstrip("(")
        self._brackets += len(words[0]) - len(first)
        words = [each for each in (first, *words[1:]) if each]
        while self._brackets and words and words[-1].endswith(")"):
            self._brackets -= 1
            words[-1] = words[-1][:-1]
        return [each for each in words if each]

    def _split(self, words: list[str]) -> list[str]:
        """The words, with those split that are a variable without quotes, as a shell does."""
        found: list[str] = []
        for word in words:
            value = self.known.get(word.strip("${}")) if _LONE.fullmatch(word) else None
            found += [word] if value is None else value.replace("$", _LITERAL).split()
        return found


class _Call:
    """A command: the call of uWSGI in it, if there is one, and what stands before the program."""

    def __init__(self, words: list[str]) -> None:
        self.words: list[str] | None = None  # behind uWSGI
        self.script: str | None = None  # that a shell runs
        self.rest = list(words)
        self._pairs: list[str] = []
        self._options: list[tuple[str, str, str]] = []  # the runner, uWSGI's option, the value
        while self.rest and self.words is None and self.script is None:
            word = self.rest[0]
            name = os.path.basename(word)
            if _PROGRAM.fullmatch(name):
                self.words = self.rest[1:]
            elif ASSIGNMENT.fullmatch(word):
                self._pairs.append(self.rest.pop(0))
            elif word in _OF_SHELL:
                self.rest.pop(0)
            elif name in ("su", "runuser", *_SHELLS) and self._by_shell(name):
                return
            elif name in _RUNNERS:
                self._run_by(name)
            elif name == "start-stop-daemon":
                self._daemon(name)
                return
            else:
                return

    def around(self, line: int, known: Mapping[str, str]) -> list[Around]:
        """The user, the folder and the variables before it, as options of uWSGI.

        Raises ValueError.
        """
        found = [Around(line, "environment", each, "env") for each in _expanded(self._pairs, known)]
        return found + [
            Around(line, runner, _expanded([value], known)[0], option)
            for runner, option, value in self._options
        ]

    def _by_shell(self, name: str) -> bool:
        """Take ``su - USER -c TEXT`` or ``sh -c TEXT``; False if there is no text."""
        rest, users, text = iter(self.rest[1:]), list[str](), None
        of_shell = name in _SHELLS
        for word in rest:
            if word in ("-c", "--command", "-lc", "-ec", "-xc", "-exc"):
                text = next(rest, None)
            elif word.startswith("--command="):
                text = word.partition("=")[2]
            elif word in ("-s", "--shell", "-g", "-G", "-w") and not of_shell:
                next(rest, None)
            elif word in ("-u", "--user"):
                users.append(next(rest, ""))
            elif not word.startswith("-"):
                users.append(word)
                if of_shell:
                    break  # a file, or the name of the shell
        if text is None:
            return False
        self.script = text
        if not of_shell:
            self._options.append((name, "uid", (*users, "root")[0]))
        return True

    def _run_by(self, name: str) -> None:
        """Take a program with its options, before the command that it runs."""
        self.rest.pop(0)
        letters = _RUNNERS[name]
        while self.rest and self.rest[0].startswith("-"):
            word = self.rest.pop(0)
            if word == "--":
                break
            key, equals, value = word.partition("=")
            if word.startswith("--"):
                letter = _LONG.get(key, "")
                value = value if equals or not letter or not self.rest else self.rest.pop(0)
            else:
                at = next((at for at, each in enumerate(word) if each in letters), 0)
                letter, value = (word[at], word[at + 1 :]) if at else ("", "")
                value = value or (self.rest.pop(0) if at and self.rest else "")
            if name in ("sudo", "runuser", "env") and not (name == "env" and letter == "u"):
                self._means(name, letter, value)
        if name in _BY_NAME and self.rest:
            self._user(name, self.rest.pop(0))

    def _means(self, name: str, letter: str, value: str) -> None:
        if letter in _MEANS and not (letter == "C" and name != "env"):
            self._options.append((name, _MEANS[letter], value.removeprefix("#")))

    def _user(self, name: str, value: str) -> None:
        """Take ``USER:GROUP``."""
        user, _, group = value.replace(".", ":").partition(":")
        self._options.append((name, "uid", user))
        if group:
            self._options.append((name, "gid", group))

    def _daemon(self, name: str) -> None:
        """Take the options of start-stop-daemon, to its ``--``."""
        rest, found = self.rest[1:], dict[str, str]()
        starts = True
        while rest:
            word = rest.pop(0)
            key, equals, value = word.partition("=")
            if word == "--" or not word.startswith("-"):
                rest = rest if word == "--" else [word, *rest]
                break
            starts = starts and word not in ("--stop", "-K", "--status", "-T")
            key = key[2:] if word.startswith("--") else _DAEMON.get(word[-1], "")
            if key in _DAEMON.values():
                found[key] = value if equals else rest.pop(0) if rest else ""
        program = os.path.basename(found.get("startas") or found.get("exec", ""))
        if not starts or not _PROGRAM.fullmatch(program):
            return
        self.words = rest
        if "chuid" in found:
            self._user(name, found["chuid"])
        if "group" in found:
            self._options.append((name, "gid", found["group"]))
        if "chdir" in found:
            self._options.append((name, "chdir", found["chdir"]))


def _commands(line: str) -> list[list[str]] | None:
    """The words of each command of a line, without redirections; None where a quote is open."""
    lexer = shlex.shlex(_QUOTES.sub(_marked, line), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    try:
        tokens = [*lexer, ";"]
    except ValueError:
        return None
    commands: list[list[str]] = []
    words: list[str] = []
    skip = False
    for token in tokens:
        if token and set(token) <= set("<>&|;"):
            skip = "<" in token or ">" in token
            if skip and words and words[-1].isdigit():
                words.pop()
            if not skip and words:
                commands.append(words)
                words = []
        elif skip:
            skip = False
        else:
            words.append(os.path.expanduser(token))
    return commands


def _marked(found: re.Match[str]) -> str:
    return found[0].replace("$", _LITERAL if found[0][0] == "'" else _QUOTED)


def _expanded(words: list[str], known: Mapping[str, str]) -> list[str]:
    """The words with their variables replaced. Raises ValueError."""

    def one(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if found[4]:
            raise ValueError(f"${found[4]} is not known here; give the command line itself")
        if not name:
            raise ValueError(_ELSEWHERE)
        if found[2] is not None:
            return known.get(name) or found[2]
        if name not in known:
            raise ValueError(f"${name} is not set here; set it, or give the command line itself")
        return known[name]

    return [_VARIABLE.sub(one, word).replace(_LITERAL, "$").replace(_QUOTED, "$") for word in words]
