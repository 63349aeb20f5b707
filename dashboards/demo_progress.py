"""What people read while the demo plays: who was stopped, why, how fast, and where to look. Pure."""

from dashboards.demo_facts import Deed
from dashboards.output import clock
from ingest.simulate.journal import Change, Refusal, Told

_WORDS = {
    "open": "STOPPED",
    "forced_open": "STOPPED",
    "throttled": "SLOWED",
    "half_open": "PROBED",
    "closed": "FREE AGAIN",
}


class Progress:
    """Turns changes of gates and alarms into lines; what repeats is said once.

    Examples
    --------
    >>> change = Change(1_040_000, "run:demo/loop/5f", "open", "c1", "exact_loop", "Thrice.", 1_000_000)
    >>> for line in Progress().changed("loop", change):
    ...     print(line)
    00:00:01.040  loop                   STOPPED after 40 ms, this run only. Thrice.
                                         tracefuse trace 5f
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()

    def changed(self, agent: str, change: Change) -> list[str]:
        """Lines about a gate that changed; none for another run of the same agent."""
        kind, _, rest = change.scope.partition(":")
        if self._repeats(agent, kind, change.state, change.rule):
            return []
        narrow = rest.split("/", 2)[-1]
        took = (change.at_us - change.last_emitted_at) / 1e3
        after = f" after {took:.0f} ms" if change.last_emitted_at else ""
        what = {
            "run": ", this run only", "tool": f", only {narrow}", "bundle": f", only bundle {narrow}",
        }.get(kind, "")  # fmt: skip
        words = _WORDS.get(change.state, change.state)
        line = _line(change.at_us, agent, f"{words}{after}{what}. {change.text}".rstrip())
        look = f"tracefuse trace {narrow}" if kind == "run" else "tracefuse breaker list"
        return [line, _line(None, "", look)] if change.last_emitted_at else [line]

    def refused(self, agent: str, refusal: Refusal) -> list[str]:
        """Lines about a call that did not run; none for the next one by the same gate."""
        if self._repeats("refused", agent, refusal.gate, refusal.tool):
            return []
        took = (refusal.at_us - refusal.asked_us) / 1e3
        words = f"REFUSED `{refusal.tool}` after {took:.0f} ms. {refusal.reason}"
        return [_line(refusal.at_us, agent, words.rstrip())]

    def told(self, agent: str, told: Told) -> list[str]:
        """Lines about an answer that was replaced; none for the next one."""
        if not told.replaced or self._repeats("told", agent):
            return []
        words = f"REPLACED a malformed answer: the user got {told.said}"
        return [_line(told.at_us, agent, words)]

    def did(self, deed: Deed) -> list[str]:
        """Lines about what a person did; none for the next deed of the kind."""
        if self._repeats("did", deed.agent_id, deed.what, deed.outcome):
            return []
        return [_line(deed.at_us, deed.agent_id, f"PERSON: {deed.text or deed.outcome}")]

    def alarm(self, agent: str, detector: str, sentence: str, at_us: int) -> list[str]:
        """Lines about an incident that stopped nobody."""
        if self._repeats("alarm", agent, detector):
            return []
        return [_line(at_us, agent, f"ALARM. {sentence}")]

    def _repeats(self, *key: str) -> bool:
        known = key in self._said
        self._said.add(key)
        return known


def _line(at_us: int | None, agent: str, text: str) -> str:
    moment = "" if at_us is None else clock(at_us)
    return f"{moment:<14}{agent:<23}{text}"
