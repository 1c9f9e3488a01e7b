"""The command line, environment and config of a vassal if it were started now, and the reasons."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...journal.announcements import Announcements
from ...journal.policy import Policy
from ...monitors.settings import LIMITS
from ...monitors.world import CGROUP_LIMITS
from ..core.fleet import Vassal
from ..core.records import deafness
from ..core.replacement import obstacle
from ..core.running import unchecked_text
from ..core.starts import bar_reason
from ..core.target import unkept_text
from ..host import command, magic, uwsgi_plugins, world
from ..host.exposed import exposed_now
from ..host.listen_address import binds_itself
from ..host.procfs import IDENTITY, MARK
from ..host.users import NoAccount, user_of

Explain = Callable[[Vassal], dict[str, Any]]

_LIMITS = (*LIMITS, *CGROUP_LIMITS)
_SETTING = "environment in its [emperor] section"
_OURS = (
    MARK,
    IDENTITY,
    "EMPERORD_VASSAL",
    "EMPERORD_INSTANCE",
    "UWSGI_EMPEROR_FD",
    "UWSGI_EMPEROR_FD_CONFIG",
)


class Explainer:
    """Explains vassals. ``config_text`` finds a text by its digest, ``former`` those of before."""

    def __init__(
        self,
        policy: Policy,
        config_text: Callable[[str], bytes | None],
        environ: Mapping[str, str],
        former: Announcements | None = None,
    ) -> None:
        self.former = former
        self.config_text = config_text
        self._policy = policy
        self._environ = dict(environ)
        self._inherited = command.Inherited(environ)

    def __call__(self, vassal: Vassal) -> dict[str, Any]:
        """The vassal in the shape of docs/control.md. Blocks: it asks for accounts."""
        spec = vassal.spec
        text = None if spec.config is None else self.config_text(spec.config)
        answer: dict[str, Any] = {
            "name": vassal.name,
            "monitor": vassal.monitor,
            "argv": [],
            "cwd": spec.settings.get("directory", spec.cwd),
            "user": None,
            "environment": [],
            "socket": spec.socket,
            "limits": {key: spec.settings[key] for key in _LIMITS if key in spec.settings},
            "path": spec.path,
            "config": spec.config,
            "text": None if text is None else text.decode(errors="replace"),
            "notes": [],
        }
        reason = bar_reason(spec, self._policy, vassal.monitor)
        try:
            answer |= self._run(vassal, text, barred=reason is not None)
        except (command.CannotRun, NoAccount) as error:
            answer["notes"].append(f"cannot be run: {error}")
        if reason is not None:
            answer["notes"].append(f"barred: {reason}")
        elif (exposed := exposed_now(spec, self._policy)) is not None:
            answer["notes"].append(f"cannot be started now: {exposed}")
        if text is not None and spec.socket is not None and binds_itself(text, spec.socket):
            answer["notes"].append(
                f"its config binds {spec.socket} itself, which would take the address away from the"
                " socket on demand: remove that line"
            )
        for file in world.files(spec.settings):
            answer["notes"].append(f"each start reads its environment from {file.lstrip('-')} also")
        if (deaf := deafness(vassal)) is not None:
            answer["notes"].append(f"{deaf}. uWSGI reads them if it has master = true")
        answer["notes"] += _of_target(vassal, self._policy)
        if vassal.running not in (None, spec) and not vassal.is_open:
            answer["notes"].append("what runs now was told something else; it gets this next")
        return answer

    def _run(self, vassal: Vassal, text: bytes | None, *, barred: bool) -> dict[str, Any]:
        """The program that is executed. Raises CannotRun, NoAccount."""
        spec, policy = vassal.spec, self._policy
        user = None if barred else user_of(spec, policy)
        asked = uwsgi_plugins.asked_by(spec, text, policy)
        chosen = uwsgi_plugins.choose(spec, asked, policy)
        arguments = command.arguments(vassal.name, spec, policy, uwsgi=chosen)
        its = command.environment(
            self._inherited, vassal.name, spec, "(which one)", None, None, user, "(the journal's)"
        )
        inherited = magic.inherited(self._inherited.settings, vassal.name, spec, user)
        own = world.variables(spec.settings)
        its |= {name: own[name] for name in own if name not in _OURS}
        if user is None and policy.tyrant:
            its = {}  # a barred vassal gets nothing, least of all the daemon's own environment
        named = None if user is None else {"uid": user.uid, "gid": user.gid, "groups": user.groups}
        return {
            "argv": [{"word": text, "from": origin} for text, origin in arguments],
            "user": named,
            "environment": [
                {
                    "name": name,
                    "value": value,
                    "from": _SETTING if name in own else self._origin(name, value, inherited),
                }
                for name, value in sorted(its.items())
            ],
        }

    def _origin(
        self, name: str, value: str, inherited: Mapping[str, magic.InheritedSetting]
    ) -> str:
        if name in _OURS:
            return "emperor"
        if name in inherited and inherited[name].value == value:
            return inherited[name].origin
        return "environment" if self._environ.get(name) == value else "account"


def _of_target(vassal: Vassal, policy: Policy) -> Iterator[str]:
    """Notes on a wanted config that may not run, and on one that could not be kept."""
    unchecked = unchecked_text(vassal, {})
    if unchecked is not None:
        yield unchecked
    checked = "preflight" in vassal.spec.settings
    until = "until a preflight passes" if checked else "until it changes, or a retry succeeds"
    if vassal.waits_in is not None:
        yield f"its change waits for its turn in rollout {vassal.waits_in}, or is held back"
        until = "until then"
    if vassal.is_open:
        kept = vassal.kept
        if kept is None:
            yield f"{until}, nothing can be started"
        else:
            where = "a copy of " if kept.copy else ""
            if vassal.refused is not None and vassal.refused.rolled_back:
                until = "until it changes, or 'emperor-ctl rollback --cancel'"
            yield f"{until}, a start uses {where}config {kept.config}"
    if vassal.spec.settings.get("reload") == "replace":
        why = obstacle(vassal)
        if why is not None:
            yield f"a change restarts it, as it cannot be replaced: {why}"
    if (unkept := unkept_text(vassal, policy)) is not None:
        yield unkept
