"""Many agents alarm on one node: one cause is likelier than chance, and one incident is enough (D35). Pure.

alarms of agents ──► node (tool, model, bundle, or the tenant and rule) ──► more than chance explains?

Chance is a Poisson law at the rate at which alarms come anyway. It finds what agents have in common, not what
is broken: nothing is stopped by it.
"""

from math import exp, inf

import msgspec

from detectors import CATALOGUE
from ingest.records import Incident, Signal
from stream.stopping.brake import obeys

PREFIX = "node:"
WINDOW = 300.0  # alarms that are weighed together: the brake's window
AGENTS_MIN = 3  # D35
# A tenant's agents have less in common than those that use one tool: two small faults at once are no cause.
TENANT_SHARE = 0.2
# An alarm is weighed at up to three nodes; at a few hundred alarms a day this is wrong less than once a day.
CHANCE = 1e-3
DAY = 86_400.0
# Expected of each agent before anything is known: the budget of tickets, one a day (detection.md §5).
ALARMS_A_DAY = 1.0
# Longer than three of the longest waits of a breaker (300 s): what is still broken has alarmed again.
OPEN_SECONDS = 900.0
AGENTS_MAX = 64  # names in a node's window; beyond it the one heard of longest ago goes
NODES_MAX = 2000  # nodes with an alarm in the last day; a new one beyond it is not weighed
ROUTES_MAX = 32  # of one incident


class NodeState(msgspec.Struct, array_like=True, tag="node"):
    """One node: agents that alarmed on it lately, and how often that happens anyway. At most 8 kB."""

    first: float = 0.0  # its first alarm
    newest: float = 0.0
    window: dict[str, tuple[float, str]] = {}  # by agent: when, which incident; the oldest first
    learned: float = 0.0  # alarms that have left the window, halved a day
    learned_at: float = 0.0
    incident: Incident | None = None  # while it is open
    joined: int = 0  # alarms that it has taken in
    last: int = 0
    deadline: float = inf

    def take(self, agent_id: str, incident_id: str, now: float) -> None:
        """An agent alarms. Twice in a window it counts once."""
        self.first = self.first or now
        self.newest = now
        self.expire(now)
        self.window.pop(agent_id, None)
        self.window[agent_id] = (now, incident_id)
        if len(self.window) > AGENTS_MAX:
            del self.window[next(iter(self.window))]
        self.arm()

    def expire(self, now: float) -> None:
        """What has left the window teaches how often alarms come anyway."""
        for agent_id, (at, _) in list(self.window.items()):
            if at + WINDOW > now:
                break
            del self.window[agent_id]
            self.learned = self._learned(now) + 1
            self.learned_at = now

    def expected(self, active: int, now: float) -> float:
        """Alarms of a window by chance: Gamma-Poisson, with a day of the prior."""
        seen = min(now - self.first, DAY)
        prior = ALARMS_A_DAY * max(active, len(self.window))
        return (prior + self._learned(now)) / (DAY + seen) * WINDOW

    def chance(self, active: int, now: float) -> float:
        """How often chance alone brings so many agents together."""
        return poisson_tail(len(self.window), self.expected(active, now))

    def shared(self, node: str, active: int, now: float) -> bool:
        """Whether chance does not explain it."""
        least = float(AGENTS_MIN)
        if node.startswith("tenant:"):
            least = max(least, TENANT_SHARE * active)
        return len(self.window) >= least and self.chance(active, now) < CHANCE

    def over(self, now: float) -> bool:
        """Whether an open incident ends: nobody has joined for long enough."""
        return self.incident is not None and self.newest + OPEN_SECONDS <= now

    def idle(self, now: float) -> bool:
        return self.incident is None and not self.window and self.newest + DAY <= now

    def arm(self) -> None:
        """Set the timer to the next moment at which time alone changes something."""
        due = [self.newest + DAY]
        if self.window:
            due.append(next(iter(self.window.values()))[0] + WINDOW)
        if self.incident is not None:
            due.append(self.newest + OPEN_SECONDS)
        self.deadline = min(due)

    def _learned(self, now: float) -> float:
        return self.learned * exp(-(now - self.learned_at) / DAY) if self.learned else 0.0


def poisson_tail(count: int, mean: float) -> float:
    """Probability of `count` or more.

    >>> round(poisson_tail(3, 0.1), 6), poisson_tail(0, 0.1)
    (0.000155, 1.0)
    """
    term, below = exp(-mean), 0.0
    for k in range(count):
        below += term
        term *= mean / (k + 1)
    return max(0.0, 1.0 - below)


def counts(signal: Signal) -> bool:
    """Whether an alarm may be one of many: found by a detector, not critical, waiting for nobody's answer."""
    return (
        signal.detector in CATALOGUE
        and signal.severity != "critical"
        and signal.action != "step-up"
        and signal.status != "metrics_only"
    )


def waits(signal: Signal) -> bool:
    """Whether its incident may wait a moment for others': it was judged by a share or by habit."""
    return CATALOGUE[signal.detector].soft


def nodes(signal: Signal) -> list[str]:
    """What an alarm may share with others, the narrowest first.

    A whole agent's stop by a soft rule is the brake's to count for the tenant.

    >>> said = dict(signal_id="s", tenant="acme", agent_id="a", detector="error_rate",
    ...     evidence_class="rule", severity="medium", action="open", sentence="", at=0.0)
    >>> nodes(Signal(tool="crm.find", scope="tool:acme/a/crm.find", bundle="b1", **said))
    ['tool:crm.find', 'bundle:b1', 'tenant:error_rate']
    """
    kind, _, rest = signal.scope.partition(":")
    found = []
    if kind == "tool" and signal.tool:
        found.append(f"tool:{signal.tool}")
    if signal.model:
        found.append(f"model:{signal.model}")
    bundle = rest.rpartition("/")[2] if kind == "bundle" else signal.bundle
    if bundle:
        found.append(f"bundle:{bundle}")
    if not obeys(signal.detector, signal.severity, signal.scope):
        found.append(f"tenant:{signal.detector}")
    return found


def scope(tenant: str, node: str) -> str:
    """The wide scope by which a person can stop a node; empty for what has none."""
    kind, _, name = node.partition(":")
    return {"tool": f"shared_tool:{tenant}/{name}", "tenant": f"tenant:{tenant}"}.get(kind, "")
