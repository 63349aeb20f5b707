"""An agent's timer: never late, and set without a look at every open run."""

from random import Random
from typing import Any

from detectors import Silence
from stream.agent_state import AgentState, new_agent
from stream.breaker import Forced, Tripped, step

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


def test_the_timer_is_never_late() -> None:
    """Whatever happens to one run at a time, the agent is looked at before anything of it is due."""
    agent, rng, now = opened(20), Random(7), 200.0
    for turn in range(500):
        now += rng.expovariate(1.0)
        trace_id = f"{rng.randrange(25):032x}"
        run = agent.run(trace_id)
        run.silence = run.silence or Silence(60.0)
        run.silence.heard(now)
        if rng.random() < 0.1:
            agent.breaker = step(agent.breaker, Tripped(auto_close=True), now, turn)
        if rng.random() < 0.1:
            agent.breaker = step(agent.breaker, Forced(open=False), now, turn)
        if rng.random() < 0.1:
            agent.end(trace_id)
        agent.arm(trace_id)
        told = agent.deadline
        agent.arm()

        assert told <= agent.deadline
        if rng.random() < 0.5:
            agent.deadline = told  # go on with the one that was set in passing


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
