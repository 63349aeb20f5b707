"""How sure an agent is of its calls: from what it thinks to a write that waits, through both cores."""

from typing import Any

import pytest

from ingest.records import Ref, Signal, Step
from stream.agent.agent_state import VERSIONS_MAX, new_agent
from stream.finding import unsure
from stream.outputs import Answer
from tests.pipe import Pipe, Told, commands, registered, signals, trace_id
from tracefuse.verdicts import Verdict

FIND, PAY = "crm.find", "bank.pay"
FILE: dict[str, Any] = {
    # The tests' runs are not like each other: what others find in their order is not the matter here.
    "owner": {"name": "Payouts"},
    "metrics_only": ["sequence_surprise", "skipped_habit"],
    "tools": {FIND: {"access": "read"}, PAY: {"access": "irreversible"}},
}
RUNS = 130  # of three calls


class Agent:
    """Runs of two reads and a payment, each after a thought that tells how sure it is."""

    def __init__(self, **file: Any) -> None:
        self.pipe, self.runs = Pipe(), 0
        self.pipe.tell(registered(**(FILE | file)))

    def begin(self, bundle: str = "") -> None:
        self.runs, self.bundle = self.runs + 1, bundle
        self.told = Told(trace_id=trace_id(self.runs))
        self.pipe.send(self.told("run.start", bundle=bundle))

    def call(
        self, tool: str, *sure: float | None, status: str = "ok", **asked_too: Any
    ) -> tuple[Verdict | None, list[Signal]]:
        """A call after thoughts, its verdict where it waits for one, and what is said of its sureness."""
        for confidence in sure:
            self.pipe.send(self.told("thought", confidence=confidence))
        asked, answered = self.told.call(
            self.told.seq, tool, result_hash=f"{self.told.trace_id}/{self.told.seq}", status=status
        )
        asked.bundle = answered.bundle = self.bundle
        asked.attempt, asked.deadline_ms = (0, 0) if tool == FIND else (1, 1000)
        for name, value in asked_too.items():
            setattr(asked, name, value)
        out = self.pipe.send(asked)
        verdicts = [one.verdict for one in out if isinstance(one, Answer)]
        if not verdicts or verdicts[0].word == "allow":
            self.pipe.send(answered)
        said = [one for one in signals(out) if one.detector == "low_confidence"]
        return (verdicts[0] if verdicts else None), said

    def end(self) -> None:
        self.pipe.send(self.told("run.end", status="ok"))
        self.pipe.now += 1.0

    def works(self, meant: bool = True, bundle: str = "", runs: int = RUNS) -> list[Signal]:
        """One run in ten has a call that fails; `meant`: it was a little less sure of that."""
        said: list[Signal] = []
        for n in range(runs):
            bad = n % 10 == 9
            self.begin(bundle)
            for tool in (FIND, FIND, PAY):
                sure = 0.75 if n % 3 == 0 or (bad and meant) else 0.85
                status = "error" if bad and tool == PAY else "ok"
                said += self.call(tool, sure, status=status)[1]
            self.end()
        return said

    def doubts(self, tool: str = PAY, bundle: str = "") -> tuple[Verdict | None, list[Signal]]:
        """A run whose last call it hardly believes in."""
        self.begin(bundle)
        self.call(FIND, 0.9)
        self.call(FIND, 0.9)
        return self.call(tool, 0.2)


@pytest.fixture
def worked() -> Agent:
    made = Agent()
    assert made.works() == []
    return made


def test_an_unsure_write_waits_for_a_person(worked: Agent) -> None:
    """The payment waits; the sentence names the call, how rare it is, and what its doubts have meant."""
    verdict, (signal,) = worked.doubts()

    assert verdict is not None and verdict.word == "needs_approval"
    assert (signal.action, signal.evidence_class, signal.severity, signal.tool) == (
        "step-up", "statistical", "low", PAY,
    )  # fmt: skip
    assert signal.evidence["observed"] == 0.2
    assert 0.8 < signal.evidence["expected"]["median"] < 0.9
    assert signal.evidence["usual"][0][0] == PAY
    assert signal.sentence.startswith(
        "`bank.pay` is asked for with confidence 0.20, and the level of the run has fallen by"
    ) or signal.sentence.startswith("`bank.pay` is asked for with confidence 0.20: so unsure")
    assert "the one that ended badly had been the less sure in" in signal.sentence
    assert commands(worked.pipe.out) == []


def test_a_sure_write_beside_it_goes_on(worked: Agent) -> None:
    """The twin: the same run, believed in as usual."""
    worked.begin()
    worked.call(FIND, 0.9)
    verdict, said = worked.call(PAY, 0.88)

    assert verdict is not None and verdict.word == "allow"
    assert said == []


def test_an_unsure_read_is_noted_and_excuses_no_write(worked: Agent) -> None:
    """Nothing is lost by a read; the sure write after it goes on, the unsure one waits."""
    worked.begin()
    worked.call(FIND, 0.9)
    _, said = worked.call(FIND, 0.2)
    sure, _ = worked.call(PAY, 0.9)
    unsure_one, _ = worked.call(PAY, 0.2)

    assert [one.action for one in said] in (["annotate"], [])  # said once an hour of like ones
    assert sure is not None and sure.word == "allow"
    assert unsure_one is not None and unsure_one.word == "needs_approval"


def test_the_last_word_before_the_call_counts(worked: Agent) -> None:
    """A doubt that was thought through is none; with the call itself told, that is the last word."""
    worked.begin()
    through, _ = worked.call(PAY, 0.2, 0.9, None)
    worked.begin()
    itself, _ = worked.call(PAY, 0.9, confidence=0.2)

    assert through is not None and through.word == "allow"
    assert itself is not None and itself.word == "needs_approval"


def test_a_doubt_that_meant_nothing_so_far_holds_nobody() -> None:
    """The agent has been as sure of what failed as of what went well."""
    agent = Agent()
    agent.works(meant=False)
    verdict, said = agent.doubts()

    assert verdict is not None and verdict.word == "allow"
    assert said == []


def test_a_new_version_is_judged_by_its_own_words() -> None:
    """Another model means something else by 0.6: it is not heard of until its own runs are known."""
    agent = Agent(bundles={"stable": {"hash": "v1"}, "canary": {"hash": "v2", "share": 0.5}})
    agent.works(bundle="v1")

    assert agent.doubts(bundle="v2")[1] == []
    assert len(agent.doubts(bundle="v1")[1]) == 1


def test_what_was_refused_teaches_nothing(worked: Agent) -> None:
    """A run that was held for its doubts and refused must not prove the doubts right."""
    agents = [one for core in worked.pipe.detects.values() for _, one in core.partition.states()]
    usual = agents[0].sureness[""]
    known = usual.runs
    worked.begin()
    worked.call(FIND, 0.9)
    worked.pipe.send(*worked.told.call(1, PAY, status="not_run"))
    worked.end()

    assert usual.runs == known
    worked.begin()
    worked.call(FIND, 0.9)
    worked.end()
    assert usual.runs == known + 1


@pytest.mark.parametrize("nonsense", [95.0, -0.1, 1e300])
def test_what_is_no_share_is_not_taken_for_one(nonsense: float) -> None:
    """A percentage or a log-probability is no confidence: nothing is said of it."""
    step = Step(
        step_id="s", phase="request", tenant="t", agent_id="a", trace_id="x", span_id="y",
        action="tool", reasoning=[Ref("e", "thought", "", nonsense)],
    )  # fmt: skip

    assert unsure.told(step) is None


def test_an_agent_keeps_its_newest_versions() -> None:
    """A name for each run buys no more state than two versions."""
    agent = new_agent("acme/payouts")
    for n in range(10):
        agent.sure(f"v{n}")
    agent.sure("v8")
    agent.sure("v10")

    assert list(agent.sureness) == ["v8", "v10"]
    assert len(agent.sureness) == VERSIONS_MAX
