"""Which config of each vassal may be started, by the record alone: its last that was not refused.

A change with a preflight may run when that has passed. Until then the vassal goes on with the
config from before, or does not start.
"""

from typing import Any, Final

from emperord.journal.chain import digest

from .trouble import must

REFUSED: Final = "a refused config never serves"
COMES_BACK: Final = "a rolled back config comes back only by a change"


class Approvals:
    """Follows announcements, checks and their verdicts."""

    def __init__(self) -> None:
        self.may: dict[str, dict[str, Any]] = {}  # vassal -> the spec that may be started
        self._wanted: dict[str, dict[str, Any]] = {}
        self._checks: dict[str, int] = {}  # under way, by the event that ordered them
        self._orders: dict[str, tuple[int, str | None]] = {}  # the last: attempt and config
        self._refused: set[tuple[str, str]] = set()  # vassal and config
        self._back: set[str] = set()  # vassals whose wanted spec is rolled back
        self._ran: dict[str, dict[str, Any]] = {}  # of the last starts or reloads
        self._tried: dict[str, dict[str, Any]] = {}  # of those that run beside, to replace it
        self.unsure: set[str] = set()  # refused ones that may be tried again or not

    def announced(
        self, vassal: str, spec: dict[str, Any], *, same_owner: bool, waits: bool = False
    ) -> bool:
        """Its source says so; whether that may be started at once. ``waits``: for its turn."""
        self._wanted[vassal] = spec
        self._back.discard(vassal)
        self.unsure.discard(vassal)
        self._tried.pop(vassal, None)
        if "preflight" not in spec.get("settings", {}) and not waits:
            self._approve(vassal)
            return True
        if not same_owner:
            self.may.pop(vassal, None)  # it was another's
        return False

    def ordered(self, action: dict[str, Any]) -> None:
        """A check is ordered, or ended."""
        vassal = action["vassal"]
        if action["do"] == "check":
            wanted = self._wanted[vassal].get("config")
            must(action.get("config") == wanted, "checks what is wanted", f"{action}: not {wanted}")
            self._checks[vassal] = action["attempt"]
        elif action["do"] == "uncheck":
            self._checks.pop(vassal, None)

    def judged(self, vassal: str, check: int, *, passed: bool) -> bool:
        """A preflight has ended; whether that approves a spec."""
        if self._checks.get(vassal) != check:
            return False
        del self._checks[vassal]
        if passed:
            self._approve(vassal)
        else:
            self._refused.add((vassal, self._wanted[vassal].get("config", "")))
        return passed

    def has_turn(self, vassal: str) -> None:
        """Its change has its turn in a rollout, and no preflight."""
        if "preflight" not in self._wanted[vassal].get("settings", {}):
            self._approve(vassal)

    def goes_on_with(self, vassal: str, spec: dict[str, Any]) -> None:
        """This spec had its turn in a rollout, before its source changed it again."""
        self.may[vassal] = spec

    def _approve(self, vassal: str) -> None:
        self.may[vassal] = spec = self._wanted[vassal]
        self._refused.discard((vassal, spec.get("config", "")))

    def rolled_back(self, vassal: str, spec: dict[str, Any]) -> None:
        """Its wanted spec has failed, and this one is started in its place."""
        self._back.add(vassal)
        self._refused.add((vassal, self._wanted[vassal].get("config", "")))
        self.may[vassal] = spec

    def removed(self, vassal: str) -> None:
        """It is no longer wanted. Its approved spec is known until it is forgotten."""
        self._wanted.pop(vassal, None)

    def released(self, vassal: str) -> None:
        """It is forgotten."""
        self._back.discard(vassal)
        self.unsure.discard(vassal)
        self.may.pop(vassal, None)
        self._checks.pop(vassal, None)

    def wanted_or_none(self, vassal: str) -> dict[str, Any] | None:
        """The spec that its source gives."""
        return self._wanted.get(vassal)

    def of_start(self, vassal: str) -> dict[str, Any]:
        """The spec of the start that was ordered last."""
        return self._tried.get(vassal) or self.may[vassal]

    def runs_wanted(self, vassal: str) -> bool:
        """Whether it was started or reloaded last with the spec that its source gives."""
        return vassal in self._wanted and self._ran.get(vassal) is self._wanted[vassal]

    def ran(self, vassal: str) -> None:
        """Its own process is started or reloaded with the spec that may be started."""
        if vassal in self.may:  # else it was another's, and is reloaded with what it runs
            self._ran[vassal] = self.may[vassal]

    def tries(self, vassal: str) -> None:
        """A start beside the one that runs: until it takes over, that is what may be started."""
        tried, ran = self.may[vassal], self._ran[vassal]
        same = (tried["ts"], tried.get("config"), tried.get("settings"))
        if same != (ran["ts"], ran.get("config"), ran.get("settings")) and self.holds(vassal):
            self._tried[vassal], self.may[vassal] = tried, ran

    def settled(self, vassal: str, *, took_over: bool, failed: bool = False) -> None:
        """It has taken over, or is ended; ``failed``: its config may not run any more."""
        tried = self._tried.pop(vassal, None)
        if tried is None:
            return
        if took_over:
            self.may[vassal] = self._ran[vassal] = tried
        elif not failed:
            self.may[vassal] = tried
        elif tried.get("config") != self._ran[vassal].get("config"):
            self._refused.add((vassal, tried.get("config", "")))

    def asked(self, vassal: str, *, surely: bool = True) -> None:
        """An operator wants it to be tried again: what was refused for its failure may run.

        Not ``surely``: the next start shows whether it does. One that is being tried goes on.
        """
        wanted = self._wanted.get(vassal)
        replaced = wanted is not None and wanted.get("settings", {}).get("reload") == "replace"
        if wanted is None or not replaced or "preflight" in wanted["settings"]:
            return
        if vassal in self._tried or self.holds(vassal):
            return
        if surely:
            self.unsure.discard(vassal)
            self._approve(vassal)
        else:
            self.unsure.add(vassal)

    def holds(self, vassal: str) -> bool:
        """Whether its wanted spec may be started."""
        return vassal in self.may and self.may[vassal] is self._wanted.get(vassal)

    def to_run(self, vassal: str, action: dict[str, Any]) -> None:
        """A process is ordered to run a config. One that it runs may be loaded again."""
        order, config = action["do"], action.get("config")
        again = order == "reload" and self._orders.get(vassal) == (action["attempt"], config)
        self._orders[vassal] = action["attempt"], config
        if again:
            return
        if vassal in self.unsure:
            self.unsure.discard(vassal)
            if config == self._wanted[vassal].get("config"):
                self._approve(vassal)
        approved = self.may.get(vassal, {}).get("config")
        rule = "starts what is wanted" if self.holds(vassal) else self._rule(vassal)
        must(config == approved, rule, f"{order} of {vassal} with {config}, not {approved}")

    def runs(self, vassal: str, text: str) -> None:
        """A process has loaded this text."""
        refused = (vassal, digest(text.encode())) in self._refused
        must(not refused, self._rule(vassal), f"{vassal} runs {text!r}, which was refused")

    def _rule(self, vassal: str) -> str:
        return COMES_BACK if vassal in self._back else REFUSED
