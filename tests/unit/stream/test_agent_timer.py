"""An agent's timer: never late, and set without a look at every open run."""

from random import Random
from typing import Any

from detectors import Silence
from stream.agent.agent_state import AgentState, new_agent
from stream.agent.breaker import Forced, Slowed, Tick, Tripped, step

RUNS = 200


def opened(runs: int) -> AgentState:
    """An agent at work in many runs, each heard of at another time."""
    agent = new_agent("acme/refunds")
    for number in range(runs):
        run = agent.run(f"{number:032x}")
        run.silence = Silence(60.0)
        run.silence.heard(100.0 + number)
    agent.arm()
    return agent


def passed(agent: AgentState, now: float, turn: int) -> None:
    """What was due has happened, as when the owner's timer fires."""
    if agent.deadline > now:
        return
    for run in agent.runs.values():
        if run.silence is not None and run.silence.overdue(now):
            run.silence.update(False, now)
        run.breaker = step(run.breaker, Tick(), now, turn)
    agent.breaker = step(agent.breaker, Tick(), now, turn)
    agent.arm()


def test_the_timer_is_never_late() -> None:
    """Whatever happens to one run at a time, the agent is looked at before anything of it is due."""
    agent, rng, now, sooner = opened(3), Random(7), 200.0, 0
    for turn in range(2000):
        now += rng.expovariate(0.2)
        passed(agent, now, turn)
        trace_id = f"{rng.randrange(5):032x}"
        run = agent.run(trace_id)
        # Some are due soon after they were heard, others not for half an hour.
        run.silence = run.silence or Silence(rng.choice((1.0, 60.0, 600.0)))
        run.silence.heard(now)
        match rng.randrange(10):
            case 0:
                agent.breaker = step(agent.breaker, Tripped(auto_close=True), now, turn)
            case 1:
                agent.breaker = step(agent.breaker, Forced(open=False), now, turn)
            case 2:
                run.breaker = step(run.breaker, Slowed(), now, turn)
            case 3:
                agent.end(trace_id)
        before = agent.deadline
        agent.arm(trace_id)
        told = agent.deadline
        agent.arm()
        sooner += told < before

        assert told <= agent.deadline
        if rng.random() < 0.5:
            agent.deadline = told  # go on with the one that was set in passing

    assert sooner > 100, "nothing came to be due earlier: the test proves nothing"


class Watched(Silence):
    """A silence that counts who asks when it is due."""

    asked = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "deadline":
            Watched.asked += 1
        return super().__getattribute__(name)


def test_no_other_run_is_looked_at() -> None:
    """A step costs the same among two hundred open runs as among two."""
    agent = opened(RUNS)
    for run in agent.runs.values():
        run.silence = Watched(60.0)
        run.silence.heard(150.0)
    Watched.asked = 0
    agent.arm(f"{5:032x}")
    one, Watched.asked = Watched.asked, 0
    agent.arm()

    assert one <= 2
    assert Watched.asked >= RUNS
