"""Between findings and what is said: the owner's budget holds back statistics, never rules."""

from detectors.base import DAY_SECONDS
from ingest.records import Signal, Step
from stream.agent.agent_state import AgentState, new_agent
from stream.agent.breaker import Tripped
from stream.agent.finding import Finding
from stream.agent.saying import Saying
from stream.stopping.commanding import Commanding
from stream.stopping.withholding import Withholding
from tests.pipe import AGENT, START, TENANT, TRACE, VERIFIER, signals


def step(tool: str = "crm.find") -> Step:
    return Step(
        step_id="s", phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE, span_id="x",
        action="tool", tool=tool, request_id="e-1", result_id="e-2",
    )  # fmt: skip


def statistical(rarity: float = 4.0) -> Finding:
    evidence = {"observed": 9.0, "score": rarity, "threshold": 3.0, "n": 300, "status": "live"}
    return Finding("error_baseline", "Words.", evidence)


class Owner:
    """The owner of one agent, to whom findings come one after another."""

    def __init__(self) -> None:
        self.agent: AgentState = new_agent(f"{TENANT}/{AGENT}")
        self.agent.run(TRACE)
        self._saying = Saying(0)
        self._commanding = Commanding(self._saying, VERIFIER, Withholding(self._saying))
        self._n = 0

    def found(self, finding: Finding, at: float = 0.0, tool: str = "crm.find") -> list[Signal]:
        self._n += 1
        self._saying.begin(self._n, START + at)
        self._commanding.found(self.agent, step(tool), finding)
        return signals(self._saying.collected())


def test_an_episode_is_said_once_and_with_its_budget() -> None:
    """The same tool within the hour is no second signal; another tool is one."""
    owner = Owner()
    said = [owner.found(statistical(), 0.0), owner.found(statistical(), 600.0)]
    other = owner.found(statistical(), 700.0, tool="crm.update")

    assert [len(one) for one in (*said, other)] == [1, 0, 1]
    assert said[0][0].evidence["budget"]["level"] == "ticket"
    assert (
        other[0].evidence["budget"]["threshold"] > said[0][0].evidence["budget"]["threshold"] - 0.01
    )


def test_rules_are_outside_the_budget() -> None:
    """However often a rule finds something, it is told and it acts."""
    owner = Owner()
    for i in range(60):
        owner.found(statistical(), 3700.0 * i)
    evidence = {"observed": 4, "score": 4.0, "threshold": 4.0, "n": 4}
    [signal] = owner.found(
        Finding("exact_loop", "Words.", evidence, "run", Tripped(auto_close=False))
    )
    warned = [
        owner.found(Finding("exact_loop", "Words.", evidence, warning=True)) for _ in range(5)
    ]

    assert signal.scope == f"run:{TENANT}/{AGENT}/{TRACE}" and signal.cmd_id
    assert [len(one) for one in warned] == [1] * 5
    assert "exact_loop" not in owner.agent.alarms.accounts


def test_what_is_muted_holds_no_call() -> None:
    """A step-up that the budget does not let through is no reason to make a write wait."""
    owner = Owner()
    for _ in range(200):
        owner.agent.alarms.offer("error_baseline", "x", 99.0 + _, "ticket", START)
    owner.found(statistical())

    assert owner.agent.run(TRACE).signals == {}


def test_an_ill_detector_is_only_logged_and_operators_hear_of_it() -> None:
    """After days of noise its findings suggest nothing; one signal says so."""
    owner, said = Owner(), list[Signal]()
    for hour in range(24 * 5):
        said += owner.found(statistical(4.0 + hour / 8), hour * DAY_SECONDS / 24)
    health = [one for one in said if one.detector == "detector_health"]
    after = said[said.index(health[0]) + 1 :]

    assert [one.evidence["subject"] for one in health] == ["error_baseline"]
    assert "only logged" in health[0].sentence
    assert after
    assert {(one.action, one.severity) for one in after} == {("log", "info")}


def scores(owner: Owner, p: float, count: int) -> None:
    """So many p-values of the error baseline, ten seconds apart."""
    for _ in range(count):
        owner.agent.at += 10.0
        owner.agent.scored("error_baseline", p)


def test_a_detector_whose_p_values_pile_up_is_only_logged() -> None:
    """Its next finding is logged and suggests nothing; the signal names the check; then it counts again."""
    owner = Owner()
    owner.agent.at = START
    scores(owner, 0.5, 1000)
    before = owner.found(statistical(), 0.0)
    scores(owner, 0.001, 1000)
    after = owner.found(statistical(), 30_000.0)
    scores(owner, 0.5, 500)
    well = owner.found(statistical(6.0), 60_000.0)

    assert [one.detector for one in before] == ["error_baseline"]
    assert [(one.detector, one.action) for one in after] == [
        ("detector_health", "annotate"), ("error_baseline", "log"),
    ]  # fmt: skip
    assert after[0].evidence["check"] in after[0].sentence != ""
    assert "muted" in after[0].evidence and "last_score_s" in after[0].evidence
    assert [(one.detector, one.action) for one in well] == [
        ("detector_health", "annotate"), ("error_baseline", "annotate"),
    ]  # fmt: skip
    assert "again" in well[0].sentence


def test_p_values_pile_up_of_one_detector_alone() -> None:
    """Another detector of the same agent goes on as before."""
    owner = Owner()
    owner.agent.at = START
    scores(owner, 0.001, 1000)
    evidence = {"observed": 9.0, "score": 5.0, "threshold": 4.0, "n": 300, "status": "live"}
    (signal,) = owner.found(Finding("latency_baseline", "Words.", evidence))

    assert signal.action == "annotate"
