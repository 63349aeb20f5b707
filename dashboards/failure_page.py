"""The failure catalogue as a page, made from what the detectors, the simulator and the tests are. Pure.

`tracefuse failures page > docs/failures.md` writes it; a test fails while the page in the tree is another.
"""

from collections.abc import Iterable

from detectors import CATALOGUE, DETECTORS, Entry
from detectors.failures import ASI, ATLAS, FAILURES, WATCHED, Failure
from ingest.simulate.scenarios import SCENARIOS

_HEAD = """# What can go wrong, and who finds it

Every kind of failure that Tracefuse knows, made from `detectors/failures.py`, the catalogue of detectors, \
the scenarios of the simulator and the tests; `tracefuse failures page` prints this page. How often each \
was found, per agent: `tracefuse failures count`, or `tracefuse sql "SELECT * FROM failure_counts"`.

A signal of each carries the alarm record: observed against expected, n, status, the threshold in force, \
what the score is made of, first and last event, the suggested action, why it weighs so, and these ids. \
Risks are those of the [OWASP Top 10 for Agentic Applications 2026]\
(https://genai.owasp.org/resource/owasp-top-10-for-agentic-applications-for-2026/), techniques those of \
[MITRE ATLAS](https://atlas.mitre.org/techniques): what would leave the same trace, not who did it.
"""
_STREAMS = "tests/replay/test_detector_alarms.py"
# What no detector finds: who does, what follows, and which test shows it.
_OWNERS: dict[str, tuple[str, str, str, str]] = {
    "policy": (
        "call", "`block-call`, `step-up`", "stream/holding/policy.py",
        "tests/contract/test_policy.py",
    ),
    "unacknowledged": (
        "command", "`open`", "stream/stopping/commanding.py",
        "tests/unit/stream/test_detect.py",
    ),
    "registry": (
        "agent", "`annotate`, `log`", "stream/detect/registering.py",
        "tests/unit/stream/test_registering.py",
    ),
    "approval": (
        "call", "`step-up`, `log`", "stream/holding/asking.py",
        "tests/unit/stream/test_approving.py",
    ),
    "brake": (
        "tenant", "`step-up`", "stream/correlate/braking.py",
        "tests/unit/stream/test_brake.py",
    ),
    "shared_cause": (
        "tenant x node", "`log`", "stream/correlate/sharing.py",
        "tests/unit/stream/test_shared_cause.py",
    ),
    "review": (
        "call", "`log`", "stream/detect/reviewing.py",
        "tests/unit/stream/test_reviewing.py",
    ),
    "detector_health": (
        "agent x detector", "`annotate`", "stream/finding/budgeting.py",
        "tests/unit/stream/test_budgeting.py",
    ),
    "judgement": (
        "alarm", "`log`", "stream/detect/judging.py",
        "tests/unit/stream/test_judging.py",
    ),
}  # fmt: skip


def page() -> str:
    """The whole catalogue in Markdown."""
    parts = [_HEAD, "## What detectors find\n"]
    parts += [_found(name, entry, FAILURES[name]) for name, entry in CATALOGUE.items()]
    parts.append("## What the owner of an agent finds itself\n")
    parts += [_watched(name, kind) for name, kind in WATCHED.items()]
    return "\n".join(parts)


def _found(name: str, entry: Entry, kind: Failure) -> str:
    path = DETECTORS[name].__module__.replace(".", "/") + ".py"
    action = f"`{entry.action}` at severity {entry.severity}"
    if entry.warn_action:
        action += f"; before that `{entry.warn_action}` at {entry.warn_severity}"
    return _section(
        name, f", {entry.number}", kind, f"{_link(path)}, {entry.evidence_class}, of each {entry.key}",
        action, _STREAMS,
    )  # fmt: skip


def _watched(name: str, kind: Failure) -> str:
    key, action, path, test = _OWNERS[name]
    return _section(name, "", kind, f"{_link(path)}, rule, of each {key}", action, test)


def _section(name: str, number: str, kind: Failure, by: str, action: str, test: str) -> str:
    played = [one.name for one in SCENARIOS.values() if one.detector == name]
    return f"""### {kind.title} (`{name}`{number})

{kind.definition}

- found by: {by}; it looks at {kind.measures}, normal is: {kind.normal}
- default action: {action}. {kind.why}
- played by: {_listed(f"`{one}`" for one in played) or "no scenario of the simulator"}
- test: {_link(test)}
- risk: {_listed(f"{one} {ASI[one]}" for one in kind.owasp)}; technique: \
{_listed(f"{one} {ATLAS[one]}" for one in kind.atlas)}
"""


def _link(path: str) -> str:
    return f"[`{path}`](../{path})"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
