"""The preflights of the simulated host: a check ends as the vassal's setting says."""

from collections.abc import Callable

import trio
from emperord.daemon.core.actions import Action
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.core.inputs import HostEvent
from emperord.journal import quantities
from emperord.journal.events import DeployRefused, PreflightPassed

from .mailbox import Mailbox


class Preflights(Mailbox):
    """Checks changes. A daemon that is killed leaves no verdict, and the next one checks again."""

    _pause: Callable[[], float]
    _nursery: trio.Nursery | None
    _checks: dict[str, trio.CancelScope]

    def _check(self, vassal: Vassal, action: Action) -> None:
        self._end_check(vassal.name)
        if action.attempt is None or vassal.check != action.attempt:
            return  # another one was ordered since
        assert self._nursery is not None
        scope = self._checks[vassal.name] = trio.CancelScope()
        settings = vassal.spec.settings
        self._nursery.start_soon(self._judge, vassal.name, action.attempt, settings, scope)

    def _end_check(self, name: str) -> None:
        """Without a verdict."""
        scope = self._checks.pop(name, None)
        if scope is not None:
            scope.cancel()

    async def _judge(
        self, name: str, check: int, settings: dict[str, str], scope: trio.CancelScope
    ) -> None:
        command = settings["preflight"]
        reason, code = "its preflight ended with exit code 1", 1 if command == "fails" else None
        with scope:
            await trio.sleep(20 * self._pause())
            if command == "hangs":
                await trio.sleep(float(quantities.duration(settings["preflight-timeout"]) or 0))
                reason = "its preflight took longer than that, and was killed"
        if scope.cancelled_caught or self._checks.get(name) is not scope:
            return
        del self._checks[name]
        if command == "passes":
            draft = Draft("preflight_passed", PreflightPassed(check=check), None, name, check)
        else:
            refused = DeployRefused(check=check, reason=reason, code=code)
            draft = Draft("deploy_refused", refused, None, name, check)
        self._say(HostEvent(draft))
