"""Settings of ``[emperor]`` that all vassals get: ``--vassal-defaults FILE``.

A monitor's specs get them on their way to the daemon. ``settings`` of such a spec are those by
which the vassal runs, and ``own_settings`` those of its config. A monitor that is told what is
known gets its own specs back. So neither the monitors nor the fold know of defaults.

A config's own setting wins, with two exceptions:

- A limit can only be lowered: the smaller one of both counts.
- Variables of ``environment`` add up; of two with one name the config's counts.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..journal.events import Spec
from . import health, listening, preflight, replacing, settings, world
from .contract import Announcer, Failed, Listing, Monitor, Observation, Seen, Tell, Touched

LIMITS: Final = (*settings.LIMITS, *world.CGROUP_LIMITS)


class BadDefaults(Exception):
    """A file of defaults cannot be used; the text names the file and the reason."""


def read(paths: Sequence[str]) -> dict[str, str]:
    """The settings of all files; a later one wins. Raises BadDefaults."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadDefaults(f"--vassal-defaults {path} cannot be read: {reason}") from None
        given, flaw = settings.read(path, content, whole=False)
        if flaw is None and "command" in given:
            flaw = "[emperor] command: each vassal needs its own; remove it"
        if flaw is None and "listen" in given:
            flaw = "[emperor] listen: two vassals cannot have one address; remove it"
        if flaw is None and not given:
            flaw = "it has no settings; write a section [emperor] into a file .ini, .yml or .json"
        if flaw is not None:
            raise BadDefaults(f"--vassal-defaults {path}: {flaw}")
        found |= given
    return found


def merged(own: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """The settings of a vassal whose config has its ``own``."""
    found = {**defaults, **own}
    for key in own.keys() & defaults.keys():
        if key in LIMITS:
            found[key] = _smaller(own[key], defaults[key])
        elif key == "environment":
            found[key] = f"{defaults[key]} {own[key]}"
    if "command" not in own:  # uWSGI has chdir, and says by itself when it accepts
        for key in ("directory", "ready", "ready-timeout"):
            found.pop(key, None)
    if "health" not in found:
        for key in health.KEYS:
            found.pop(key, None)
    if "listen" not in own:
        for key in listening.KEYS:
            found.pop(key, None)
    if "command" in own and found.get("preflight") == preflight.BUILT_IN:
        found.pop("preflight")  # it checks configs of uWSGI
    if "preflight" not in found:
        found.pop("preflight-timeout", None)
    if found.get("reload") != replacing.REPLACE:
        for key in replacing.KEYS:
            found.pop(key, None)
    if "user" in own and "group" not in own:
        found.pop("group", None)  # that of the account counts
    return found


def _smaller(one: str, other: str) -> str:
    return min(one, other, key=lambda text: settings.amount(text) or 0)


def limits(defaults: Mapping[str, str]) -> dict[str, str]:
    """Those of these settings that a config can only lower."""
    return {key: value for key, value in defaults.items() if key in LIMITS}


def lowered(spec: Spec, most: Mapping[str, str]) -> Spec:
    """The spec with no limit above ``most``, those of the present defaults.

    A former spec that is started again has the defaults of its day.
    """
    own = spec.settings
    kept = {key: _smaller(own[key], most[key]) if key in own else most[key] for key in most}
    found = {**own, **kept}
    return spec if found == own else msgspec.structs.replace(spec, settings=found)


def with_defaults(spec: Spec, defaults: Mapping[str, str]) -> Spec:
    """The spec by which the vassal runs. A config that cannot be read has no settings."""
    if spec.bar is not None:
        return spec
    found = merged(spec.settings, defaults)
    if found == spec.settings:
        return spec
    return msgspec.structs.replace(spec, settings=found, own_settings=spec.settings)


def without_defaults(spec: Spec) -> Spec:
    """The spec as its source gave it."""
    if spec.own_settings is None:
        return spec
    return msgspec.structs.replace(spec, settings=spec.own_settings, own_settings=None)


class WithDefaults:
    """A monitor whose vassals have defaults."""

    def __init__(self, monitor: Monitor, defaults: Mapping[str, str]) -> None:
        self._monitor = monitor
        self._defaults = defaults

    @property
    def url(self) -> str:
        return self._monitor.url

    @property
    def trusts_content(self) -> bool:
        return self._monitor.trusts_content

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the source. Vassals that it announced before get the defaults of today."""
        own = {name: without_defaults(spec) for name, spec in known.items()}
        renewed = [
            Touched(name, Seen(spec))
            for name in known
            if (spec := with_defaults(own[name], self._defaults)) != known[name]
            and spec.config is not None
        ]

        async def tell_with_defaults(*observations: Observation) -> None:
            told = [self._complete(each) for each in observations]
            if renewed and not all(isinstance(each, Failed) for each in told):
                # A listing has them all.
                told = told if isinstance(told[0], Listing) else [*renewed, *told]
                renewed.clear()
            await tell(*told)

        await self._monitor.run(tell_with_defaults, own)

    def _complete(self, observation: Observation) -> Observation:
        match observation:
            case Touched(name, seen):
                return Touched(name, self._seen(seen))
            case Listing(found, refused):
                return Listing({name: self._seen(each) for name, each in found.items()}, refused)
        return observation

    def _seen(self, seen: Seen) -> Seen:
        spec = with_defaults(seen.spec, self._defaults)
        return seen if spec is seen.spec else Seen(spec, seen.content)


class AnnouncerWithDefaults(WithDefaults):
    """The same of a source that announces its vassals."""

    def __init__(self, monitor: Monitor, defaults: Mapping[str, str]) -> None:
        super().__init__(monitor, defaults)
        assert isinstance(monitor, Announcer)
        self._announcer = monitor

    async def reach(self) -> None:
        await self._announcer.reach()


def given(monitor: Monitor, defaults: Mapping[str, str]) -> Monitor:
    """The monitor whose vassals have these defaults; itself where there are none."""
    if not defaults:
        return monitor
    kind = AnnouncerWithDefaults if isinstance(monitor, Announcer) else WithDefaults
    return kind(monitor, defaults)
