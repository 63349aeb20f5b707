"""The people of the demo: they answer calls that wait, stop an agent, ask for a promotion.

Each deed goes through the code behind the command that a person would type, in a thread of its own, since
a person takes longer than a look into a journal.
"""

import asyncio
import logging
import threading
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

from dashboards.commands import promote
from dashboards.demo_facts import Deed
from dashboards.output import Output
from ingest.keys import Keys
from ingest.records import Wanted
from ingest.settings import Settings
from ingest.simulate.roles import Role
from stream.people import approvals, orders, rollout
from tracefuse.clock import now_us
from tracefuse.control import agent_scope

# Each look reads the whole topic of approvals, as `tracefuse approvals list` does.
LOOK_S = 1.0
_WHO, _WHY = "shift lead", "demo"

T = TypeVar("T")

log = logging.getLogger(__name__)


class Person:
    """Does what the scenarios say, from the moment that their faults begin; a context manager.

    Parameters
    ----------
    settings, keys
        Of the running stack; the keys hold the human one.
    tenant
        Of the demo: calls of others are none of its business.
    roles
        Who plays; what to do about each stands in its scenario.
    """

    def __init__(self, settings: Settings, keys: Keys, tenant: str, roles: Iterable[Role]):
        self._settings, self._keys, self._tenant = settings, keys, tenant
        self._does = {
            role.agent: role.fault for role in roles if role.fault is not None and role.fault.person
        }
        self._due: SimpleQueue[str] = SimpleQueue()
        self._done: SimpleQueue[Deed] = SimpleQueue()
        self._answers: set[str] = set()  # agents whose calls are answered
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="person", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(approvals.ANSWER_SECONDS + orders.SEND_SECONDS)

    def begins(self, agent: str) -> None:
        """The fault of an agent has begun."""
        if agent in self._does:
            self._due.put(agent)

    def deeds(self) -> list[Deed]:
        """What was done since the last look."""
        return _drained(self._done)

    def _live(self) -> None:
        while not self._over.wait(LOOK_S):
            for agent in _drained(self._due):
                what = self._does[agent].person
                if what == "kills":
                    self._do(agent, what, self._kill)
                elif what == "promotes":
                    self._do(agent, what, self._promote)
                else:
                    self._answers.add(agent)
            for one in self._waiting():
                self._do(one.agent_id, self._does[one.agent_id].person, partial(self._answer, one))

    def _do(self, agent: str, what: str, deed: Callable[[str], Deed]) -> None:
        """One deed; one that fails is on the record too, in its own words."""
        at = now_us()
        try:
            done = deed(agent)
        except Exception as error:
            log.exception("%s: %s failed", agent, what)
            done = Deed(agent, what, f"{type(error).__name__}: {error}", at)
        self._done.put(done)

    def _waiting(self) -> list[Wanted]:
        if not self._answers:
            return []
        try:
            waiting = asyncio.run(approvals.waiting(self._settings, now_us() / 1e6))
        except Exception:  # the next look will do
            log.exception("what waits could not be read")
            return []
        return [o for o in waiting if o.tenant == self._tenant and o.agent_id in self._answers]

    def _answer(self, one: Wanted, agent: str) -> Deed:
        what, at = self._does[agent].person, now_us()
        by = one.approvers[0] if one.approvers else _WHO
        outcome = asyncio.run(
            approvals.answer(
                self._settings, self._keys, one.approval_id, what == "approves", by, _WHY
            )
        )
        text = f"{outcome.tool} is {outcome.outcome} by {by}"
        return Deed(agent, what, outcome.outcome, at, text=text)

    def _kill(self, agent: str) -> Deed:
        scope = agent_scope(self._tenant, agent)
        stop = asyncio.run(orders.force(self._settings, self._keys, scope, _WHY))
        words = f"{scope} is stopped"
        return Deed(agent, "kills", stop.state, stop.issued_at, stop.cmd_id, words)

    def _promote(self, agent: str) -> Deed:
        """Ask, and look whether the file in force is still what it was."""
        place, heard, at = self._does[agent].elsewhere, _Heard(), now_us()
        before = asyncio.run(rollout.current(self._settings, self._keys, self._tenant, agent))
        asked = Namespace(agent=f"{self._tenant}/{agent}", to=place, by=_WHO, reason=_WHY)
        code = promote.run(asked, self._settings, heard)
        after = asyncio.run(rollout.current(self._settings, self._keys, self._tenant, agent))
        kept = code == promote.NO and after == before
        return Deed(agent, "promotes", "refused" if kept else "granted", at, text=heard.text)


class _Heard(Output):
    """What a command answers, kept instead of printed."""

    text = ""

    def record(self, record: Mapping[str, Any], text: str) -> None:
        self.text = text


def _drained(queue: "SimpleQueue[T]") -> list[T]:
    found: list[T] = []
    while True:
        try:
            found.append(queue.get_nowait())
        except Empty:
            return found
