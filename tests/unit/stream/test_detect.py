"""What detect decides: each rule exactly when it says and not one call earlier."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.records import Alive, DeadLetter
from ingest.topics import DLQ, INBOX
from stream.agent.agent_state import RUNS_MAX, TOOLS_MAX
from stream.agent.breaker import PROBES, THROTTLE_MS, WAIT
from stream.detect.detect import GRACE_SECONDS, Detect
from stream.outputs import Output
from stream.stopping.commanding import ACK_SECONDS
from tests.pipe import (
    AGENT,
    AUTO,
    HUMAN,
    TENANT,
    TRACE,
    VERIFIER,
    Pipe,
    Told,
    acknowledged,
    commands,
    forgotten,
    found,
    ordered,
    registered,
    signals,
    summaries,
    trace_id,
)
from tracefuse import control, wire
from tracefuse.control import Command
from tracefuse.signing import CommandSigner

RUN = control.run_scope(TENANT, AGENT, TRACE)
TOOL = control.tool_scope(TENANT, AGENT, "crm.find")
WHOLE = control.agent_scope(TENANT, AGENT)


class Case(Pipe):
    """One registered agent in one trace."""

    def __init__(self, **file: Any):
        super().__init__()
        self.told = Told()
        self.tell(registered(**file))

    def call(self, n: int, **more: Any) -> list[Output]:
        return self.send(*self.told.call(n, **more))

    def calls(self, count: int, **more: Any) -> list[Output]:
        """The last of so many calls decides; the others must not have commanded anything."""
        for n in range(count - 1):
            assert commands(self.call(n, **more)) == [], f"call {n + 1} of {count} commanded"
        return self.call(count - 1, **more)

    def failing(self, count: int = 5) -> list[Output]:
        return self.calls(count, status="error", error_type="Timeout")

    def detect(self) -> Detect:
        return self.detects[wire.partition_of(wire.agent_key(TENANT, AGENT))]

    def acknowledge(self, command: Command, told: Told | None = None) -> list[Output]:
        attrs = {"cmd_id": command.cmd_id, "scope": command.scope, "epoch": command.epoch,
                 "state": command.state}  # fmt: skip
        return self.send((told or self.told)("control.applied", attrs=attrs))


def only(outputs: Sequence[Output]) -> Command:
    (command,) = commands(outputs)
    return command


def states(outputs: Sequence[Output]) -> list[tuple[str, str]]:
    return [(command.scope, command.state) for command in commands(outputs)]


# -- rules -----------------------------------------------------------------------------------------


def test_the_fourth_identical_call_stops_the_run() -> None:
    """The third warns, the fourth commands; evidence names what was repeated."""
    case = Case()
    told = [case.send(*case.told.same()) for _ in range(4)]
    command, signal = only(told[3]), signals(told[3])[0]

    assert [len(commands(out)) for out in told] == [0, 0, 0, 1]
    assert [[s.action for s in signals(out)] for out in told] == [
        [],
        [],
        ["annotate"],
        ["stop-run"],
    ]
    assert (command.scope, command.state, command.action) == (RUN, "open", "stop-run")
    assert (command.author, command.reason.rule) == ("auto", "exact_loop")
    assert len(command.reason.evidence) == 2
    assert (signal.detector, signal.scope, signal.cmd_id) == ("exact_loop", RUN, command.cmd_id)
    assert (signal.evidence["observed"], signal.score, signal.threshold) == (4, 4.0, 4.0)
    assert "4 times" in signal.sentence
    assert summaries(told[3])[0].signal == signal
    assert summaries(told[2]) == []


def test_a_rule_that_only_measures_stops_nothing() -> None:
    """It decides and logs, once in the time of a stop; every other rule still stops."""
    case, control = Case(), Case()
    case.tell(registered(version=2, metrics_only=["exact_loop"]))
    for each in (case, control):
        for _ in range(8):
            each.send(*each.told.same())
    found = [s for s in signals(case.out) if s.action == "stop-run"]
    again = [case.wait(WAIT), case.send(*case.told.same())]

    assert [command.state for command in commands(control.out)] == ["open"]
    assert commands(case.out) == []
    assert [(s.status, s.scope, s.cmd_id) for s in found] == [("metrics_only", RUN, "")]
    assert len([s for s in signals(again[1]) if s.action == "stop-run"]) == 1
    assert summaries(case.out) == []
    assert states(case.failing(5)) == [("tool:acme/refunds/crm.find", "open")]


def test_a_cycle_stops_the_run_too() -> None:
    """Three calls in turn, three times through: the first of the fourth round is the last."""
    case = Case()
    told = []
    for n in range(10):
        key = f"same-{n % 3}"
        told.append(case.call(n, args_hash=key, result_hash=key))

    assert [len(commands(out)) for out in told] == [0] * 9 + [1]
    assert only(told[9]).scope == RUN
    assert signals(told[9])[0].evidence["period"] == 3


def test_a_poll_may_ask_for_ever() -> None:
    """A tool that is declared to poll repeats by design."""
    case = Case(tools={"crm.find": {"poll": True}})
    out = [o for _ in range(10) for o in case.send(*case.told.same())]

    assert commands(out) == []
    assert [s for s in signals(out) if s.detector == "exact_loop"] == []


def test_five_failures_in_a_row_open_the_tool() -> None:
    """Of one tool, in the hands of one agent; the fourth does nothing."""
    case = Case()
    command = only(case.failing(5))

    assert (command.scope, command.state, command.action) == (TOOL, "open", "open")
    assert command.reason.rule == "error_rate"


def test_a_success_between_begins_the_row_anew() -> None:
    """Four failures, one success, four failures: the row is what counts, and the share of 20."""
    case = Case()
    for n in range(9):
        out = case.call(n, status="ok" if n == 4 else "error")

        assert commands(out) == []


@pytest.mark.parametrize(("tools", "scope"), [(1, TOOL), (20, WHOLE)])
def test_half_of_twenty_failures_open(tools: int, scope: str) -> None:
    """One tool's failures open that tool, spread over many they open the agent; not at 19 calls."""
    case = Case()
    told = [
        case.call(n, tool="crm.find" if tools == 1 else f"tool-{n}", status=("ok", "error")[n % 2])
        for n in range(20)
    ]

    assert [commands(out) for out in told[:19]] == [[]] * 19
    assert scope in [command.scope for command in commands(told[19])]


def test_old_failures_are_forgotten() -> None:
    """The window is a minute of record time."""
    case = Case()
    for n in range(19):
        case.call(n, tool=f"tool-{n}", status=("ok", "error")[n % 2])
    case.wait(61.0)

    assert commands(case.call(20, tool="tool-20", status="error")) == []


@pytest.mark.parametrize(("limit", "calls"), [({"per_minute": 5}, 6), ({"per_day": 7}, 8)])
def test_the_first_call_above_a_cap_opens_the_agent(limit: dict[str, int], calls: int) -> None:
    """Of an access class, a minute or a day: a cap of five lets five calls run."""
    case = Case(tools={"crm.find": {"access": "read"}}, limits={"read": limit})
    command = only(case.calls(calls))

    assert (command.scope, command.state, command.reason.rule) == (WHOLE, "open", "call_rate")


def test_caps_are_by_access_class() -> None:
    """Calls of another class, or of a tool nobody listed (a write), don't count."""
    case = Case(tools={"crm.find": {"access": "read"}}, limits={"read": {"per_minute": 5}})

    assert commands(case.calls(20, tool="unlisted")) == []
    assert commands(case.calls(5)) == []


def test_caps_change_with_the_next_record() -> None:
    """A new version of the file is in force at once, in both directions."""
    case = Case()
    case.calls(10)
    case.tell(registered(version=2, limits={"write": {"per_minute": 10}}))
    over = case.call(10)
    case.tell(registered(version=3, limits={"write": {"per_minute": 100}}))

    assert only(over).scope == WHOLE
    assert commands(case.call(11)) == []


@pytest.mark.parametrize(("slow", "ms"), [(2, 3001), (20, 3001)])
def test_a_tool_three_times_slower_than_declared_is_throttled(slow: int, ms: int) -> None:
    """The 95th percentile of the last 20 calls: two slow ones of 20; it is spaced, not opened."""
    case = Case(tools={"crm.find": {"latency_ms": 1000}})
    fast = 20 - slow
    for n in range(fast):
        assert commands(case.call(n, duration_us=900_000)) == []
    for n in range(fast, 19):
        assert commands(case.call(n, duration_us=ms * 1000)) == []
    command = only(case.call(19, duration_us=ms * 1000))

    assert (command.scope, command.state, command.action) == (TOOL, "throttled", "throttle")
    assert (command.interval_ms, command.reason.rule) == (THROTTLE_MS, "latency")


@pytest.mark.parametrize("more", [{"ms": 3000, "slow": 20}, {"ms": 60_000, "slow": 1}])
def test_a_tool_within_its_word_is_let_be(more: dict[str, int]) -> None:
    """Three times exactly is tolerated, and so is one call that is far slower."""
    case = Case(tools={"crm.find": {"latency_ms": 1000}})
    for n in range(40):
        slow = n % 20 < more["slow"]

        assert commands(case.call(n, duration_us=(more["ms"] if slow else 100) * 1000)) == []


def test_a_run_may_spend_what_its_owner_allows() -> None:
    """80 % is an alarm that people get, the cap stops the run until a person releases it."""
    case = Case(budgets={"run_usd": 1.0})
    told = [case.call(n, cost_usd=0.1) for n in range(10)]
    warned, stopped = signals(told[7]), only(told[9])

    assert [len(signals(out)) for out in told] == [0] * 7 + [1, 0, 1]
    assert (warned[0].detector, warned[0].action, warned[0].cmd_id) == ("cost_cap", "annotate", "")
    assert len(summaries(told[7])) == 1
    assert (stopped.scope, stopped.state, stopped.action) == (RUN, "open", "stop-run")
    assert states(case.wait(1000.0)) == []


def test_a_day_may_cost_what_its_owner_allows() -> None:
    """Over all runs; the agent stays open until a person releases it, at the day's end too."""
    case = Case(budgets={"day_usd": 1.0})
    case.calls(5, cost_usd=0.1)
    case.told = Told(trace_id=trace_id(7), boot_id="b2")
    command = only(case.calls(5, cost_usd=0.1))

    assert (command.scope, command.state, command.action) == (WHOLE, "open", "open")
    case.jump(2 * 86_400.0)
    assert states(case.wait(600.0)) == []


@pytest.mark.parametrize("amount", [-5.0, 0.0, 1.7e308])
def test_absurd_amounts_spend_nothing(amount: float) -> None:
    """A claim that can't be true neither fills a budget nor empties it, and stops no worker."""
    case = Case(budgets={"run_usd": 1.0, "day_usd": 1.0})
    case.calls(5, cost_usd=0.1)
    for n in range(5, 10):
        case.call(n, cost_usd=amount, duration_us=-(2**62), input_tokens=2**62, output_tokens=-5)

    assert commands(case.calls(5, cost_usd=0.1)) != []


def test_calls_that_did_not_run_are_no_evidence() -> None:
    """Refusals are the breaker's own doing: no errors, no cost, no repetition."""
    case = Case(budgets={"run_usd": 1.0})
    out = [
        o for n in range(40)
        for o in case.call(n, status="not_run", cost_usd=5.0, args_hash="a", result_hash="r")
    ]  # fmt: skip

    assert out == []


def test_an_agent_without_a_file_is_reported_once() -> None:
    """The owner can't be told; people can. The rules that need no file hold all the same."""
    pipe, told = Pipe(), Told()
    first = pipe.send(*told.same())
    rest = [o for _ in range(3) for o in pipe.send(*told.same())]

    assert [(s.detector, s.action) for s in signals(first)] == [("registry", "annotate")]
    assert len(summaries(first)) == 1
    assert [s for s in signals(rest) if s.detector == "registry"] == []
    assert only(rest).scope == RUN


# -- what follows ----------------------------------------------------------------------------------


def test_what_stands_open_is_not_opened_again() -> None:
    """A second reason while the run is stopped gives neither command nor finding."""
    case = Case()
    for _ in range(4):
        case.send(*case.told.same())
    again = [o for _ in range(5) for o in case.send(*case.told.same())]

    assert again == []


def test_one_tool_opens_alone() -> None:
    """Its neighbours go on, and what fails on an open tool tells nothing new."""
    case = Case()
    case.failing(5)

    assert commands(case.call(10, tool="other")) == []
    assert commands(case.calls(5, status="error")) == []


def test_three_good_probes_close_the_tool() -> None:
    """The wait over, half open; its calls are counted from outside, three clean ones close it."""
    case = Case()
    opened = only(case.failing(5))
    half = only(case.wait(40.0))
    told = [case.call(n) for n in range(100, 104)]

    assert (half.scope, half.state, half.probes) == (TOOL, "half_open", PROBES)
    assert half.epoch > opened.epoch
    assert [states(out) for out in told] == [[], [], [(TOOL, "closed")], []]
    assert only(told[2]).epoch > half.epoch


def test_one_bad_probe_opens_it_again_for_longer() -> None:
    """And the rows of failures begin anew: one failure of a closed tool later is nothing."""
    case = Case()
    case.failing(5)
    case.wait(40.0)
    again = case.call(100, status="error")

    assert states(again) == [(TOOL, "open")]
    assert states(case.wait(45.0)) == []
    assert states(case.wait(30.0)) == [(TOOL, "half_open")]
    for n in range(101, 104):
        case.call(n)
    assert commands(case.call(104, status="error")) == []


def test_a_probe_that_is_lost_opens_it_again() -> None:
    """A request without a result for 60 s; without any request it stays half open."""
    case = Case()
    case.failing(5)
    case.wait(40.0)
    quiet = case.wait(300.0)
    case.send(case.told.call(100)[0])

    assert states(quiet) == []
    assert states(case.wait(59.0)) == []
    assert states(case.wait(2.0)) == [(TOOL, "open")]


def test_a_refused_call_is_no_probe() -> None:
    """Another scope refused it: it neither closes nor opens, and frees its place."""
    case = Case()
    case.failing(5)
    case.wait(40.0)
    for n in range(100, 105):
        case.call(n, status="not_run")

    assert states(case.wait(120.0)) == []
    for n in range(200, 202):
        case.call(n)
    assert states(case.call(202)) == [(TOOL, "closed")]


def test_calls_from_before_the_trip_are_no_probes() -> None:
    """Their results come while it is half open, and tell nothing."""
    case = Case()
    old = [case.told.call(n) for n in range(50, 54)]
    case.send(*(request for request, _ in old))
    case.failing(5)
    case.wait(40.0)
    out = case.send(*(result for _, result in old))

    assert commands(out) == []


def test_what_comes_out_of_a_spool_is_no_probe() -> None:
    """It began before, on a disk: three good ones from there must not close anything."""
    case = Case()
    case.failing(5)
    case.wait(40.0)
    for n in range(100, 110):
        assert states(case.send(*case.told.call(n), spooled=True)) == []
    assert states(case.wait(120.0)) == []


def test_a_probe_may_end_out_of_a_spool() -> None:
    """It was seen to begin; that the broker was away meanwhile is not its fault."""
    case = Case()
    case.failing(5)
    case.wait(40.0)
    pairs = [case.told.call(n) for n in range(100, 103)]
    case.send(*(request for request, _ in pairs))

    assert states(case.send(*(result for _, result in pairs), spooled=True)) == [(TOOL, "closed")]


def test_the_end_of_a_run_takes_its_stop_away() -> None:
    """A tombstone for what was opened, nothing for what was not; and nobody waits for it any more."""
    case, calm = Case(), Told(trace_id=trace_id(9))
    case.send(case.told("run.start"))
    case.send(calm("run.start"))
    for _ in range(4):
        case.send(*case.told.same())

    assert forgotten(case.send(calm("run.end"))) == []
    assert forgotten(case.send(case.told("run.end"))) == [f"{RUN}:auto"]
    out = case.wait(ACK_SECONDS + 1.0)
    assert signals(out) == []


def test_a_throttled_tool_runs_freely_later() -> None:
    """After the wait it is closed by itself, and judged by what comes then."""
    case = Case(tools={"crm.find": {"latency_ms": 1}})
    only(case.calls(20, duration_us=5_000))
    out = case.wait(40.0)

    assert states(out) == [(TOOL, "closed")]
    assert commands(case.call(100, duration_us=5_000)) == []


def test_a_good_probe_is_not_held_against_what_failed_before() -> None:
    """Half of twenty failed within the minute; that is why it opened, and no reason to do so again."""
    case = Case()
    for n in range(20):
        out = case.call(n, status=("ok", "error")[n % 2])
    opened = states(out)
    half = states(case.wait(36.5))
    told = [states(case.call(n)) for n in range(100, 103)]

    assert sorted(opened) == [(WHOLE, "open"), (TOOL, "open")]
    assert sorted(half) == [(WHOLE, "half_open"), (TOOL, "half_open")]
    assert told == [[], [], [(WHOLE, "closed"), (TOOL, "closed")]]


def test_a_probe_is_not_held_against_the_calls_before() -> None:
    """Six calls in a minute opened it; half a minute later the first probe is the first call."""
    case = Case(limits={"write": {"per_minute": 5}})
    only(case.calls(6))
    half = states(case.wait(36.5))

    assert half == [(WHOLE, "half_open")]
    assert [states(case.call(n)) for n in range(100, 103)] == [[], [], [(WHOLE, "closed")]]


def test_commands_are_named_by_what_they_follow_from() -> None:
    """A replay gives the same ids: place of the input, not chance; reasons name events that exist."""
    case = Case()
    command = only(case.failing(5))
    log = case.logs[INBOX, case.detect().number]
    src = command.src

    assert src is not None
    assert src[:3] == (INBOX, case.detect().number, len(log) - 1)
    assert command.cmd_id == f"cmd-{src[1]}.{src[2]}.{src[3]}.{src[4]}"
    assert command.term == command.issued_at == 0
    assert (command.epoch, command.expires_at) == (len(log) - 1, 0)


# -- acknowledgements ------------------------------------------------------------------------------


def test_an_acknowledgement_is_logged() -> None:
    """Who obeyed what, and when by its own clock."""
    case = Case()
    command = only(case.failing(5))
    out = case.acknowledge(command)
    (line,) = acknowledged(out)

    assert (line.cmd_id, line.scope, line.epoch, line.state) == (
        command.cmd_id, TOOL, command.epoch, "open",
    )  # fmt: skip
    assert line.applied_at > 0
    assert signals(case.wait(20.0)) == []


def test_who_lives_and_does_not_obey_is_an_alarm() -> None:
    """Within 5 s of the command, once, critical, with the command's id."""
    case = Case()
    command = only(case.failing(5))
    case.wait(1.0)
    case.send(case.told("heartbeat"))
    early, out = case.wait(2.5), case.wait(1.0)  # 4.5 s after the command
    (signal,) = signals(out)

    assert signals(early) == []
    assert (signal.detector, signal.severity, signal.scope) == ("unacknowledged", "critical", TOOL)
    assert signal.evidence["cmd_id"] == command.cmd_id
    assert len(summaries(out)) == 1
    assert signals(case.wait(20.0)) == []


def test_who_is_gone_has_nothing_to_stop() -> None:
    """An agent that was not heard of after the command is silent, not disobedient."""
    case = Case()
    case.failing(5)

    assert [s for s in signals(case.wait(20.0)) if s.detector == "unacknowledged"] == []


def test_a_later_command_is_what_is_waited_for() -> None:
    """One alarm, for the newest word on a scope."""
    case = Case()
    case.failing(5)
    case.tell(ordered(TOOL))
    case.wait(0.5)
    case.send(case.told("heartbeat"))
    alarms = signals(case.wait(10.0))

    assert [alarm.scope for alarm in alarms] == [TOOL]


def test_what_is_allowed_needs_no_acknowledgement() -> None:
    """Nobody is waited for when a scope closes."""
    case = Case()
    case.acknowledge(only(case.failing(5)))
    case.acknowledge(only(case.wait(40.0)))
    for n in range(100, 103):
        out = case.call(n)
    case.wait(0.5)
    case.send(case.told("heartbeat"))

    assert states(out) == [(TOOL, "closed")]
    assert signals(case.wait(10.0)) == []


def test_an_acknowledgement_of_nothing_is_only_logged() -> None:
    """Somebody's odd id ends no waiting."""
    case = Case()
    command = only(case.failing(5))
    case.wait(0.5)
    case.acknowledge(msgspec.structs.replace(command, cmd_id="cmd-of-somebody"))

    assert len(signals(case.wait(10.0))) == 1


# -- silence ---------------------------------------------------------------------------------------


def beating(case: Case, seconds: float) -> list[Output]:
    """A heartbeat a second."""
    out: list[Output] = []
    for _ in range(int(seconds)):
        out += case.send(case.told("heartbeat"))
        out += case.wait(1.0)
    return out


@pytest.mark.parametrize("beat", [1.0, 10.0])
def test_three_missed_heartbeats_are_an_alarm(beat: float) -> None:
    """After 3.5 intervals, with the next tick, once; what stops is told with what was last heard."""
    case = Case(heartbeat_s=beat)
    case.send(case.told("run.start"))
    last = case.told("heartbeat")
    case.send(last)
    early, out = case.wait(3.5 * beat - 0.5), case.wait(0.5)
    (signal,) = signals(out)

    assert signals(early) == []
    assert (signal.detector, signal.trace_id, signal.last_event) == (
        "silence",
        TRACE,
        last.event_id,
    )
    assert signal.evidence["observed"] == pytest.approx(3.5 * beat)
    assert signals(case.wait(60.0)) == []
    assert commands(out) == []


def test_who_speaks_is_not_silent() -> None:
    """Heartbeats or steps, either will do; and a run that has ended may be silent."""
    case = Case()
    case.send(case.told("run.start"))

    assert signals(beating(case, 20)) == []
    for n in range(20):
        assert signals(case.call(n)) == []
        assert signals(case.wait(1.0)) == []
    case.send(case.told("run.end"))
    assert signals(case.wait(60.0)) == []


def test_an_outage_of_ours_is_nobodys_silence() -> None:
    """Record time jumps: what is owed is due later by the gap and 10 s, and then it is due."""
    case = Case()
    case.send(case.told("run.start"))
    case.send(case.told("heartbeat"))
    case.wait(1.0)

    assert signals(case.jump(60.0)) == []
    assert signals(case.wait(2.5 + GRACE_SECONDS - 0.5)) == []
    assert [s.detector for s in signals(case.wait(0.5))] == ["silence"]


def test_without_ticks_a_small_pause_is_the_agents() -> None:
    """A gap that a late tick explains moves nothing."""
    case = Case()
    case.send(case.told("run.start"))
    case.send(case.told("heartbeat"))
    case.wait(2.0)

    assert [s.detector for s in signals(case.jump(1.5))] == ["silence"]


def test_an_outage_of_ours_is_nobodys_disobedience() -> None:
    """An acknowledgement that could not come is not missing."""
    case = Case()
    command = only(case.failing(5))
    case.wait(0.5)
    case.send(case.told("heartbeat"))
    case.jump(10.0)
    case.wait(GRACE_SECONDS)
    case.acknowledge(command)

    assert [s.detector for s in signals(case.out)] == ["error_rate"]


# -- out of a spool --------------------------------------------------------------------------------


def test_spooled_calls_loop_and_cost() -> None:
    """What happened counts for totals, budgets and loops, however late it is told."""
    looping, spending = Case(), Case(budgets={"run_usd": 1.0})
    for _ in range(3):
        assert commands(looping.send(*looping.told.same(), spooled=True)) == []
    for n in range(9):
        assert commands(spending.send(*spending.told.call(n, cost_usd=0.1), spooled=True)) == []

    assert only(looping.send(*looping.told.same(), spooled=True)).scope == RUN
    assert only(spending.send(*spending.told.call(9, cost_usd=0.2), spooled=True)).scope == RUN


def test_spooled_calls_are_no_rate() -> None:
    """An hour of calls that comes at once is no spike, no error wave, no slowness."""
    case = Case(
        tools={"crm.find": {"access": "read", "latency_ms": 1}}, limits={"read": {"per_minute": 5}}
    )
    for n in range(60):
        lines = case.told.call(n, status="error" if n % 3 else "ok", duration_us=10_000_000)

        assert commands(case.send(*lines, spooled=True)) == []


def test_spooled_heartbeats_are_no_life() -> None:
    """Nothing in a spool tells that somebody lives now; and it starts no clock."""
    case = Case()
    case.send(case.told("run.start"), case.told("heartbeat"), spooled=True)

    assert signals(case.wait(20.0)) == []
    case.send(case.told("heartbeat"))
    for _ in range(10):
        case.wait(0.5)
        case.send(case.told("heartbeat"), *case.told.call(case.told.seq), spooled=True)
    assert "silence" in [s.detector for s in signals(case.out)]


def test_what_was_spent_on_a_disk_counts_on_the_day_it_comes() -> None:
    """Also for an agent that was never heard of before: its first live step must not forget it."""
    case = Case(budgets={"day_usd": 1.0})
    for n in range(9):
        case.send(*case.told.call(n, cost_usd=0.1), spooled=True)

    assert only(case.call(9, cost_usd=0.2)).scope == WHOLE


def test_rates_count_by_when_it_happened() -> None:
    """A backlog of detect itself is no spike: steps carry the time of their own record."""
    case = Case(limits={"write": {"per_minute": 5}})
    for n in range(12):
        case.call(n)
        case.wait(15.0)
    lines = [line for _, _, _, value in case.logs[INBOX, case.detect().number]
             for line in value.split(b"\n")]  # fmt: skip
    late = Pipe(now=case.now + 1000.0)
    out = [o for line in lines if line != b"{}" for o in late.inbox(0, line)]

    assert commands(out) == []


# -- people ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [WHOLE, RUN, TOOL])
def test_a_person_stops_any_scope(scope: str) -> None:
    """Also one that has done nothing yet; a release half opens it, and its calls then close it."""
    case = Case()
    stopped = only(case.tell(ordered(scope)))
    released = only(case.tell(ordered(scope, "half_open", cmd_id="h2")))
    closed = [command for n in range(3) for command in commands(case.call(n))]

    assert (stopped.scope, stopped.state, stopped.author) == (scope, "forced_open", "auto")
    assert (stopped.reason.rule, stopped.action) == ("human", "open")
    assert (released.scope, released.state) == (scope, "half_open")
    assert [(c.scope, c.state) for c in closed] == [(scope, "closed")]


def test_no_rule_ends_a_persons_stop() -> None:
    """Neither time nor calls, good or bad."""
    case = Case()
    case.tell(ordered(WHOLE))
    out = case.wait(1000.0)
    for n in range(30):
        out += case.call(n, status=("ok", "error")[n % 2])

    assert WHOLE not in [scope for scope, _ in states(out)]


def test_an_order_counts_once() -> None:
    """Repeated after a lost answer, or copied under another name: its signed id is what counts."""
    case = Case()
    case.tell(ordered(WHOLE))
    case.tell(ordered(WHOLE, "half_open", cmd_id="h2"))

    assert case.tell(ordered(WHOLE)) == []
    assert case.tell(ordered(WHOLE, record_id="another")) == []
    assert len(commands(case.tell(ordered(WHOLE, cmd_id="h3")))) == 1


def test_an_older_release_ends_no_later_stop() -> None:
    """However it came to be late; nor does it in a scope of its own after another's stop."""
    case = Case()
    late, other = ordered(WHOLE, "half_open", cmd_id="h2"), ordered(TOOL, "half_open", cmd_id="h3")
    case.tell(ordered(WHOLE, cmd_id="h4"), ordered(TOOL, cmd_id="h5"))
    newer = ordered(WHOLE, "half_open", cmd_id="h6")

    assert case.tell(late, other) == []
    assert only(case.tell(newer)).state == "half_open"


@pytest.mark.parametrize(("seconds", "states_after"), [(-31.0, []), (-29.0, ["half_open"])])
def test_a_release_whose_time_is_over_is_none(seconds: float, states_after: list[str]) -> None:
    """By record time, with half a minute for clocks that differ; a stop is obeyed however old."""
    case = Case()
    expires = int((case.now + seconds) * 1e6)
    stop = case.tell(ordered(WHOLE, expires_at=expires))
    release = case.tell(ordered(WHOLE, "half_open", cmd_id="h2", expires_at=expires))

    assert [command.state for command in commands(stop)] == ["forced_open"]
    assert [command.state for command in commands(release)] == states_after


def test_a_forgery_does_not_use_up_an_order() -> None:
    """Who writes nonsense under the id of an order to come does not silence it."""
    case = Case()

    assert case.tell(ordered(WHOLE, sig=b"\0" * 64)) == []
    assert only(case.tell(ordered(WHOLE))).state == "forced_open"


@pytest.mark.parametrize(
    "forged",
    [
        ordered(WHOLE, sig=b"\0" * 64),
        ordered(WHOLE, sig=b""),
        ordered(WHOLE, signer=AUTO),
        ordered(WHOLE, signer=AUTO, kid=HUMAN.kid),
        ordered(WHOLE, signer=CommandSigner("human/9", b"x" * 32)),
        ordered(WHOLE, signer=CommandSigner("human/1", b"x" * 32)),
        ordered(WHOLE, payload=ordered(WHOLE, "half_open").payload),
        ordered(WHOLE, payload=b"{}"),
        ordered(WHOLE, payload=b"\xff"),
        ordered(WHOLE, payload=b'{"cmd_id":"\xff"}'),
        ordered(WHOLE, payload=b"[" * 10_000),
        ordered(WHOLE, "open"),
        ordered(WHOLE, "closed"),
        ordered(control.agent_scope(TENANT, "other")),
        ordered(control.tool_scope(TENANT, "other", "crm.find")),
        ordered(f"tool:{TENANT}/{AGENT}/"),
        ordered("fleet:"),
        ordered(f"tenant:{TENANT}"),
    ],
    ids=lambda order: "",
)
def test_what_no_person_has_signed_is_nothing(forged: Any) -> None:
    """Another key, another scope, another's agent, damage of any kind: no effect, no failure."""
    assert Case().tell(forged) == []


def test_a_release_of_nothing_changes_nothing() -> None:
    """Closed stays closed, and no tool comes to be by being released."""
    case = Case()

    assert case.tell(ordered(WHOLE, "half_open")) == []
    assert case.tell(ordered(control.tool_scope(TENANT, AGENT, "new"), "half_open")) == []


# -- once ------------------------------------------------------------------------------------------


def test_a_repeated_fact_changes_nothing() -> None:
    """A join that says it all again after a crash is heard once."""
    case = Case(budgets={"run_usd": 1.0})
    for n in range(4):
        case.call(n, status="error", cost_usd=0.2)
    number = case.detect().number
    for record in list(case.logs[INBOX, number])[1:]:
        assert case.inbox(number, record.value) == []
    assert states(case.call(4, status="error")) == [(TOOL, "open")]


def test_without_the_source_mark_it_would_count_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the same repeats, and the protection removed."""
    monkeypatch.setattr("stream.partition.Partition.accepts", lambda self, src: True)
    case = Case()
    for n in range(4):
        case.call(n, status="error")
    number = case.detect().number
    again = [o for r in list(case.logs[INBOX, number])[1:] for o in case.inbox(number, r.value)]

    assert states(again) == [(TOOL, "open")]


def test_echoes_decide_nothing() -> None:
    """A revision is for the record: what follows from it has followed already."""
    case = Case()
    request, result = case.told.call(1, status="error")
    for n in range(2, 6):
        case.call(n, status="error")
    case.send(result)

    assert states(case.out) == [(TOOL, "open")]
    assert commands(case.send(request)) == []


def test_a_bad_line_costs_its_neighbours_nothing() -> None:
    """It is kept with its place; the rest of the record counts."""
    case = Case()
    alive = Alive(
        src=("agent.events.v1", 0, 10**6, 0, 0), tenant=TENANT, agent_id=AGENT, trace_id=TRACE,
        event_id="e", emitted_at=1,
    )  # fmt: skip
    out = case.inbox(case.detect().number, b'{"type":"step"}\n' + codec.encode(alive))
    letters: list[DeadLetter] = found(out, DLQ, DeadLetter)

    assert [(d.line, d.reason, d.raw) for d in letters] == [(0, "malformed", b'{"type":"step"}')]
    assert TRACE in _agent(case).runs


# -- bounds ----------------------------------------------------------------------------------------


def _agent(case: Case) -> Any:
    state = case.detect().partition.get(wire.agent_key(TENANT, AGENT))
    assert state is not None
    return state


def test_a_stopped_tool_is_not_forgotten_for_new_ones() -> None:
    """A person's stop, or a rule's, is the least used tool of all; it stays."""
    case = Case()
    case.failing(5)
    case.tell(ordered(control.tool_scope(TENANT, AGENT, "killed")))
    for n in range(2 * TOOLS_MAX):
        case.call(1000 + n, tool=f"tool-{n}")
    tools = _agent(case).tools

    assert len(tools) == TOOLS_MAX
    assert {"crm.find", "killed"} <= set(tools)
    assert states(case.wait(40.0)) == [(TOOL, "half_open")]
    assert (
        only(case.tell(ordered(f"{TOOL[:-8]}killed", "half_open", cmd_id="h2"))).state
        == "half_open"
    )


def test_a_stopped_run_is_not_forgotten_for_new_ones() -> None:
    """Runs that never ended go first."""
    case = Case()
    for _ in range(4):
        case.send(*case.told.same())
    for n in range(RUNS_MAX + 10):
        case.send(Told(trace_id=trace_id(n + 1), boot_id="b2")("run.start"))
    runs = _agent(case).runs

    assert len(runs) == RUNS_MAX
    assert TRACE in runs
    assert forgotten(case.send(case.told("run.start"), case.told("run.end"))) == [f"{RUN}:auto"]


def test_a_flood_leaves_a_bounded_agent() -> None:
    """Tools, runs, orders and commands that wait, all bounded."""
    case = Case()
    for n in range(300):
        case.tell(ordered(control.tool_scope(TENANT, AGENT, f"t{n}"), cmd_id=f"h{n}"))
    state = _agent(case)

    assert len(state.tools) <= TOOLS_MAX
    assert len(state.orders) <= 256
    assert len(state.awaited) <= 64


def test_agents_are_bounded() -> None:
    """Beyond the limit the one heard of longest ago goes."""
    detect = Detect(0, VERIFIER, agents_max=2)
    for offset in range(5):
        fact = registered(agent_id=f"a{offset}")
        detect.apply(offset, 1.0, [(wire.KIND, codec.INBOX)], codec.encode(fact))

    assert (len(detect.partition), detect.partition.evicted) == (2, 3)


def test_a_calm_agent_is_never_stopped() -> None:
    """A thousand good calls, with thoughts and heartbeats, in thirty runs: nothing but silence."""
    case = Case(
        tools={"crm.find": {"access": "read", "latency_ms": 100}},
        limits={"read": {"per_minute": 600}}, budgets={"run_usd": 5.0, "day_usd": 50.0},
    )  # fmt: skip
    for run in range(30):
        case.told = Told(trace_id=trace_id(run + 1), boot_id=f"b{run}")
        case.send(case.told("run.start"))
        for n in range(33):
            case.call(n, duration_us=80_000 + 1000 * (n % 7), cost_usd=0.01, input_tokens=100)
            case.wait(0.5)
        case.send(case.told("run.end"))

    assert commands(case.out) == []
    assert signals(case.out) == []
