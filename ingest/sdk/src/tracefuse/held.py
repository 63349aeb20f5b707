"""Calls that wait for their verdict: who asked, and the answer when it comes. Any thread asks.

Call ──ask──► Held ◄──tell── reader of `agent.verdicts.v1`, on the background thread
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from tracefuse.errors import ApprovalRequired, Refused, ToolDenied
from tracefuse.grants import SHADOW, Grants
from tracefuse.verdicts import Verdict

# Calls that wait at once in one process; more than threads or tasks that hold one.
WAITING_MAX = 4096

# How long a call waits at most for the first commands of a starting agent, and for the agent's file.
SNAPSHOT_SECONDS = 2.0

# No verdict asks for a longer pause; one that does must not hang the agent.
DELAY_MAX = 2.0

Asked = tuple[str, int]  # call id, attempt; of a person's answer: approval id, 0
Waiting = tuple["Future[Verdict]", float]  # for what, and how many seconds


class Held:
    """The calls of one process that are held.

    Parameters
    ----------
    boot_id
        Of the process: verdicts name it.
    described
        By tool, SHA-256 of what it says of itself now.
    granted
        Told each version of the file that comes into force.
    grants
        The file that the parent of a forked process knew: its calls are held from the first one on.

    Examples
    --------
    >>> held = Held("b")
    >>> held.listening = True
    >>> answer = held.ask("c", 1)
    >>> held.tell(Verdict(call_id="c", attempt=1, tenant="acme", agent_id="refunds", trace_id="t",
    ...                   boot_id="b", word="deny", gate="budget"))
    >>> answer.result(0).gate
    'budget'
    """

    def __init__(
        self,
        boot_id: str,
        described: dict[str, str] | None = None,
        granted: Callable[[Grants], None] | None = None,
        grants: Grants | None = None,
    ) -> None:
        self.boot_id = boot_id
        self._granted = granted
        self._told: Grants | None = None  # what this process has said that it obeys
        self.described = {} if described is None else described
        self.grants = grants  # None until a signed file was read
        self.listening = False  # whether an answer would be heard
        self._waiting: dict[Asked, Future[Verdict]] = {}
        self._lock = threading.Lock()

    def obey_file(self, grants: Grants) -> None:
        """A version of the agent's file comes into force in this process."""
        told, self.grants, self._told = self._told, grants, grants
        if self._granted is not None and grants != told:
            self._granted(grants)

    def admit(self, tool: str, environment: str, bundle: str = "") -> None:
        """Ask the gates that need no state: answered here, at once.

        Raises
        ------
        ToolDenied
            To the agent's author: the agent's file does not list the tool, or not this environment, or
            the tool describes itself otherwise than when it was approved, or the run's bundle was
            withdrawn.
        """
        grants = self.grants
        if grants is None:
            return
        if not grants.runs_in(environment):
            raise ToolDenied(tool, f"{environment} is not granted", "environment")
        if tool not in grants.tools:
            raise ToolDenied(tool, "the agent's file does not list it", "allowlist")
        if not grants.knows(tool, self.described.get(tool, "")):
            raise ToolDenied(tool, "its description is not the one that was approved", "descriptor")
        if not grants.carries(bundle):
            raise ToolDenied(tool, f"bundle {bundle or 'without a name'} was withdrawn", "version")
        # What is held gets its verdict first, which says what would have become of the call.
        if not grants.holds(tool):
            self.stay_apart(tool, bundle)

    def stay_apart(self, tool: str, bundle: str, repeats: bool = False) -> None:
        """Raises `ToolDenied` for what a shadow may not do, whatever a verdict says and if none comes.

        A run that `repeats` another stays a shadow, though its bundle may be the canary by now.
        """
        grants = self.grants
        if grants is None or grants.access(tool) == "read":
            return
        if repeats or grants.shadows(bundle):
            raise ToolDenied(tool, "a shadow executes nothing", SHADOW)

    def obey(self, tool: str, verdict: Verdict | None) -> float:
        """Seconds that the call still waits.

        Raises
        ------
        ToolDenied, ApprovalRequired
            To the agent's author: it must not run.
        """
        if verdict is None:
            if self.grants is None or self.grants.goes_on(tool):
                return 0.0
            raise ToolDenied(tool, "no verdict came in time")
        if verdict.word == "deny":
            raise ToolDenied(tool, verdict.reason, verdict.gate)
        if verdict.word == "needs_approval":
            raise ApprovalRequired(tool, verdict.approval_id, verdict.reason)
        return min(verdict.delay_ms / 1000, DELAY_MAX) if verdict.word == "throttle" else 0.0

    def unanswered(self, tool: str, asked: Verdict, told: Verdict | None) -> Refused:
        """What the agent's author is told of a call to which nobody agreed."""
        if told is None:
            return ApprovalRequired(tool, asked.approval_id, "nobody has answered yet")
        return ToolDenied(tool, told.reason, told.gate)

    def holds(self, tool: str) -> bool:
        """Whether a call of a tool must wait for its verdict."""
        return self.grants is not None and self.grants.holds(tool)

    def ask(self, call_id: str, attempt: int) -> "Future[Verdict]":
        """Where the answer will be. It stays pending while nobody answers: wait with a timeout."""
        answer: Future[Verdict] = Future()
        with self._lock:
            if self.listening and len(self._waiting) < WAITING_MAX:
                self._waiting[call_id, attempt] = answer
                return answer
        answer.set_exception(TimeoutError())  # nobody would hear it: there is nothing to wait for
        return answer

    def forget(self, call_id: str, attempt: int) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._waiting.pop((call_id, attempt), None)

    def tell(self, verdict: Verdict) -> None:
        """Hand a verdict to the call that waits for it; a second one for the same asking is nothing."""
        if verdict.boot_id != self.boot_id:
            return
        with self._lock:
            answer = self._waiting.pop((verdict.call_id, verdict.attempt), None)
        if answer is not None and answer.set_running_or_notify_cancel():
            answer.set_result(verdict)


def wait(answer: "Future[Verdict]", seconds: float) -> Verdict | None:
    """The verdict, or None when the time is over. Blocks the thread."""
    try:
        return answer.result(seconds)
    except TimeoutError:
        return None


async def wait_async(answer: "Future[Verdict]", seconds: float) -> Verdict | None:
    """The same for a task; its loop goes on meanwhile."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(answer), seconds)
    except TimeoutError:
        return None
