"""Agents of one trace that hand work over: to whom, with which reasoning, how often."""

import msgspec
import pytest

from stream.outputs import Output
from tests.pipe import Pipe, Told, commands, registered, signals
from tracefuse.events import Event

ROUTER, CLERK = "router", "clerk"


@pytest.fixture
def pipe() -> Pipe:
    pipe = Pipe()
    pipe.tell(*(registered(name, owner={"name": "Desk"}) for name in (ROUTER, CLERK)))
    return pipe


class Game:
    """Two agents that hand over to each other."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe, self.told = pipe, {name: Told(name, boot_id=name) for name in (ROUTER, CLERK)}
        for told in self.told.values():
            pipe.send(told("run.start"))

    def turn(self, who: str, thought: int = 1, *before: Event, to: str = "") -> list[Output]:
        """One agent thinks and hands over."""
        told, other = self.told[who], to or (CLERK if who == ROUTER else ROUTER)
        out: list[Output] = []
        if before:
            out += self.pipe.send(*before)
        said = told("thought", sketches={"simhash": f"{thought:016x}"})
        return out + self.pipe.send(said, told("handoff", attrs={"to": other}))

    def rounds(self, n: int, fresh: bool = False) -> list[Output]:
        out: list[Output] = []
        for number in range(n):
            for who in (ROUTER, CLERK):
                out += self.turn(who, number if fresh else 7)
        return out


def found(out: list[Output]) -> list[tuple[str, str]]:
    return [(s.agent_id, s.action) for s in signals(out) if s.detector == "ping_pong"]


def test_the_third_round_warns_and_the_fourth_stops_both(pipe: Pipe) -> None:
    """Each agent of the game is stopped at its own fourth handoff: its run, none of its tools."""
    game = Game(pipe)
    assert commands(game.rounds(3)) == []
    out = game.rounds(1)

    scopes = [command.scope for command in commands(out)]
    trace = game.told[ROUTER].trace_id
    assert scopes == [f"run:acme/{name}/{trace}" for name in (ROUTER, CLERK)]
    assert found(out) == [(ROUTER, "stop-run"), (CLERK, "stop-run")]
    assert found(pipe.out)[:2] == [(ROUTER, "annotate"), (CLERK, "annotate")]


def test_who_says_something_else_each_time_goes_on(pipe: Pipe) -> None:
    """A writer and a critic hand over for ever, each time with other thoughts."""
    out = Game(pipe).rounds(12, fresh=True)

    assert found(out) == [] and commands(out) == []


def test_another_result_between_is_another_handoff(pipe: Pipe) -> None:
    """The same thought after a call that brought something else is no repetition."""
    game, out = Game(pipe), list[Output]()
    for n in range(8):
        for who in (ROUTER, CLERK):
            out += game.turn(who, 7, *game.told[who].call(n))

    assert found(out) == []


def test_handing_over_to_others_is_no_game(pipe: Pipe) -> None:
    """One agent gives the same to ten others: a fan, not a cycle."""
    game, out = Game(pipe), list[Output]()
    for n in range(10):
        out += game.turn(ROUTER, 7, to=f"helper-{n}")

    assert found(out) == []


@pytest.mark.parametrize(("agents", "stopped"), [(31, False), (32, True)])
def test_too_many_agents_in_one_trace_are_stopped(pipe: Pipe, agents: int, stopped: bool) -> None:
    """The 33rd agent of a trace, the router among them, is one too many at the next handoff."""
    game = Game(pipe)
    for n in range(agents - 1):
        pipe.send(Told(f"helper-{n}", boot_id=f"h{n}")("run.start"))
    out = game.turn(ROUTER, 7)

    assert bool(commands(out)) is stopped
    assert [s.evidence["agents"] for s in signals(out) if s.detector == "ping_pong"] == (
        [33] if stopped else []
    )


def test_the_state_stays_small(pipe: Pipe) -> None:
    """A thousand handoffs cost a trace no more than 0.3 kB."""
    game = Game(pipe)
    game.rounds(500, fresh=True)
    (trace,) = (state for join in pipe.joins.values() for _, state in join.partition.states())

    assert len(trace.handoffs) == 32
    assert len(msgspec.msgpack.encode(trace.handoffs)) <= 300
