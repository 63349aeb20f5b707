"""The demo's report judges: what was lost, who was stopped wrongly, and whether each stop held."""

from collections.abc import Sequence

import pytest

from dashboards.demo_facts import Account, Found, Ordered, Quantiles, Refused, Stored, quantiles
from dashboards.demo_outcome import ADMITTED_US, outcome
from dashboards.demo_report import false_refusals, false_trips, in_words, report
from ingest.simulate.journal import Call, Change, Entry, Exit, Mark, Refusal
from ingest.simulate.roles import Role, fleet

MS = 1_000
S = 1_000_000
LOOP, TWIN, HEALTHY = fleet(["tool_loop"], healthy=1)
RUN = "run:demo/tool-loop/" + "a" * 32
AGENT = "agent:demo/error-spike"


def call(start: int, trace_id: str = "a" * 32, tool: str = "web.search", asked: int = -1) -> Call:
    return Call(trace_id, 1, tool, start if asked < 0 else asked, start, start + 10 * MS)


def ended(emitted: int, error: str = "") -> Exit:
    return Exit(
        at_us=60 * S, stats={"emitted": emitted, "delivered": emitted}, cpu_s=1.0, error=error
    )


def account(*entries: Entry) -> Account:
    made = Account()
    made.take(entries)
    return made


def stored(
    orders: Sequence[Ordered] = (),
    signals: Sequence[Found] = (),
    acknowledged: dict[str, int] | None = None,
    rows: int = 30,
    unique: int = 30,
    dead: int = 0,
    refused: Sequence[Refused] = (),
) -> Stored:
    known = {o.cmd_id: o.at for o in orders} if acknowledged is None else acknowledged
    return Stored(rows, unique, 10, dead, orders, known, signals, Quantiles(), refused)


TRIP = Ordered("c1", RUN, "open", "exact_loop", at=5 * S + 30 * MS, last_emitted_at=5 * S)
FOUND = Found("tool-loop", "exact_loop", at=TRIP.at, cmd_id="c1", incident_id="i1")
STOP = Change(at_us=5 * S + 40 * MS, scope=RUN, state="open", cmd_id="c1")


def test_a_stop_that_held_has_no_problem() -> None:
    """Found, stopped after 40 ms, acknowledged; one call began in between, none after."""
    mine = account(Mark(0, "fault"), call(4 * S), call(5 * S + 20 * MS), STOP, ended(10))
    result = outcome(LOOP, mine, stored([TRIP], [FOUND]))

    assert result.problem == ""
    assert (result.detected, result.stopped, result.acknowledged) == (True, True, True)
    assert result.detect_to_stop_ms == 40.0
    assert (result.calls_before_stop, result.calls_after_stop) == (1, 0)
    assert (result.incident_id, result.stops) == ("i1", 1)


def test_a_call_after_the_stop_is_a_problem() -> None:
    """A call of the stopped run counts; one of another run, or admitted just before, does not."""
    late = call(STOP.at_us + 50 * MS)
    other = call(STOP.at_us + 50 * MS, trace_id="b" * 32)
    admitted = call(STOP.at_us + ADMITTED_US - 1, asked=STOP.at_us - 1)
    facts = stored([TRIP], [FOUND])

    assert outcome(LOOP, account(STOP, late), facts).problem == "1 calls ran after the stop"
    assert outcome(LOOP, account(STOP, other, admitted), facts).problem == ""
    slow = call(STOP.at_us + ADMITTED_US + 1, asked=STOP.at_us - 1)
    assert outcome(LOOP, account(STOP, slow), facts).calls_after_stop == 1


def test_calls_are_allowed_again_after_a_release() -> None:
    """Once the gate is half open, the agent's calls are probes, not violations."""
    role = fleet(["error_spike"], healthy=0)[0]
    trip = Ordered("c1", AGENT, "open", "error_rate", at=5 * S, last_emitted_at=4 * S)
    found = Found("error-spike", "error_rate", at=5 * S, cmd_id="c1", incident_id="i1")
    stop = Change(5 * S, AGENT, "open", "c1")
    release = Change(35 * S, AGENT, "half_open", "c2")

    assert (
        outcome(role, account(stop, release, call(36 * S)), stored([trip], [found])).problem == ""
    )
    assert outcome(role, account(stop, call(36 * S)), stored([trip], [found])).calls_after_stop == 1


@pytest.mark.parametrize(("gap_ms", "early"), [(500, 0), (460, 0), (200, 2)])
def test_a_throttled_tool_may_be_called_slowly(gap_ms: int, early: int) -> None:
    """Under a throttle only calls that come sooner than its spacing count."""
    role = fleet(["latency_collapse"], healthy=0)[0]
    scope = "tool:demo/latency-collapse/kb.search"
    trip = Ordered("c1", scope, "throttled", "latency", S, last_emitted_at=S, interval_ms=500)
    found = Found("latency-collapse", "latency", S, "c1", "i1")
    calls = [call(S + MS + n * gap_ms * MS, tool="kb.search") for n in range(3)]
    stop = Change(S, scope, "throttled", "c1")

    assert outcome(role, account(stop, *calls), stored([trip], [found])).calls_after_stop == early


@pytest.mark.parametrize(
    ("facts", "changes", "problem"),
    [
        (stored(), [], "exact_loop found nothing"),
        (stored([TRIP], [FOUND]), [], "no run breaker of exact_loop reached the agent"),
        (stored([TRIP], [FOUND], acknowledged={}), [STOP], "a stop was not acknowledged"),
    ],
)
def test_each_missing_part_is_named(facts: Stored, changes: list[Change], problem: str) -> None:
    """The report says in words what did not happen."""
    assert outcome(LOOP, account(*changes), facts).problem == problem


def alarm(role: Role, at: int, incident: str = "i1") -> Found:
    fault = role.fault
    assert fault is not None
    return Found(role.agent, fault.detector, at, incident_id=incident)


def test_a_hung_process_must_raise_an_alarm_in_time() -> None:
    """Five seconds from the hang to the alarm, and people must be told."""
    silent = fleet(["silent"], healthy=0)[0]
    hung = account(Mark(10 * S, "freeze"))

    assert outcome(silent, hung, stored(signals=[alarm(silent, 14 * S)])).problem == ""
    assert outcome(silent, hung, stored(signals=[alarm(silent, 14 * S)])).alarm_ms == 4000.0
    late = outcome(silent, hung, stored(signals=[alarm(silent, 16 * S)]))
    assert late.problem == "the alarm came after 6.0 s"
    untold = outcome(silent, hung, stored(signals=[alarm(silent, 14 * S, incident="")]))
    assert untold.problem == "nobody was told: there is no incident"
    assert outcome(silent, hung, stored()).problem == "silence found nothing"


def test_a_rogue_is_judged_by_the_alarm_after_its_command() -> None:
    """It goes on calling, which is counted, and is no failure of the scenario."""
    rogue = fleet(["rogue"], healthy=0)[0]
    order = Ordered(
        "c1", "agent:demo/rogue", "open", "error_rate", at=10 * S, last_emitted_at=9 * S
    )
    result = outcome(
        rogue, account(call(9 * S), call(11 * S), call(12 * S)),
        stored([order], [alarm(rogue, 14 * S + 500 * MS)], acknowledged={}),
    )  # fmt: skip

    assert result.problem == "" and result.alarm_ms == 4500.0
    assert (result.must_stop, result.stopped, result.calls_after_stop) == (False, False, 2)


def test_a_healthy_agent_that_is_stopped_is_a_false_trip() -> None:
    """So is a faulty one that is stopped before its fault; what its fault earns is none."""
    accounts = {
        LOOP.agent: account(Mark(4 * S, "fault")), TWIN.agent: account(), HEALTHY.agent: account(),
    }  # fmt: skip
    roles = [LOOP, TWIN, HEALTHY]
    twin = Ordered("c2", "agent:demo/tool-loop-twin", "open", "error_rate", S, S)
    early = Ordered("c3", RUN, "open", "exact_loop", 3 * S, 3 * S)
    closed = Ordered("c4", "agent:demo/tool-loop-twin", "closed", "breaker.closed", S, S)

    assert false_trips(roles, accounts, [TRIP, closed]) == []
    assert false_trips(roles, accounts, [twin, early]) == [
        "tool-loop-twin was stopped by error_rate without a fault",
        "tool-loop was stopped by exact_loop without a fault",
    ]


def test_a_stop_of_an_agent_whose_calls_alone_are_forbidden_is_false() -> None:
    """Its calls are refused one by one; a breaker that opens for it opens for nothing."""
    trip = Ordered("c2", "tool:demo/over-budget/erp.post", "throttled", "latency", 9 * S, 9 * S)

    assert false_trips([BUYER], {BUYER.agent: account(Mark(S, "fault"))}, [trip]) == [
        "over-budget was stopped by latency without a fault"
    ]


def whole(facts: Stored, *others: Entry) -> list[str]:
    """Problems of a demo of three agents that is otherwise in order."""
    accounts = {
        LOOP.agent: account(Mark(0, "fault"), STOP, ended(10)),
        TWIN.agent: account(ended(10)),
        HEALTHY.agent: account(*(others or (ended(10),))),
    }
    return report([LOOP, TWIN, HEALTHY], accounts, facts, "demo", 60.0, {}).problems


def test_a_demo_in_order_has_no_problem() -> None:
    """30 events sent, 30 stored, one scenario that ended as expected."""
    assert whole(stored([TRIP], [FOUND])) == []


def test_every_event_is_accounted_for() -> None:
    """Lost, twofold and unknown are told apart; a dead letter is not lost."""
    trip = ([TRIP], [FOUND])

    assert whole(stored(*trip, rows=29, unique=29)) == ["1 events were lost"]
    assert whole(stored(*trip, rows=31)) == ["1 events were stored twice"]
    assert whole(stored(*trip, rows=29, unique=29, dead=1)) == []
    assert whole(stored(*trip, rows=20, unique=20), Mark(0, "fault")) == [
        f"{HEALTHY.agent}: its process did not end in order, so what it sent is unknown"
    ]
    waiting = Exit(60 * S, {"emitted": 10, "delivered": 7, "dropped": {"full": 2}}, 1.0)
    assert whole(stored(*trip, rows=27, unique=27), waiting) == [
        "3 events were lost",
        f"{HEALTHY.agent}: 3 events wait in its spool for its next start",
        f"{HEALTHY.agent}: its SDK dropped events: {{'full': 2}}",
    ]
    assert whole(stored(*trip), ended(10, "ValueError: x")) == [f"{HEALTHY.agent}: ValueError: x"]


def test_figures_come_from_both_sides() -> None:
    """Detect-to-stop from command and gate, acknowledgement from the record, CPU per event."""
    accounts = {LOOP.agent: account(Mark(0, "fault"), STOP, ended(30))}
    facts = stored([TRIP], [FOUND], acknowledged={"c1": 5 * S + 70 * MS})
    made = report([LOOP], accounts, facts, "demo", 60.0, {"worker-0": 3000.0, "sink": 600.0})

    assert made.latency_ms["detect_to_stop"] == Quantiles(40.0, 40.0, 40.0, 1)
    assert made.latency_ms["acknowledged"] == Quantiles(70.0, 70.0, 70.0, 1)
    assert made.cpu_us_per_event == {"worker-0": 100.0, "sink": 20.0, "total": 120.0}
    assert (made.events.sent, made.events.per_record_mean, made.throughput_eps) == (30, 3.0, 0.5)


def test_quantiles_of_nothing_are_marked_by_their_number() -> None:
    """No measurement gives n = 0, never an invented value."""
    assert quantiles([]) == Quantiles(0.0, 0.0, 0.0, 0)
    assert quantiles(range(1, 101)) == Quantiles(50.0, 99.0, 100.0, 100)


BUYER, BUYER_TWIN = fleet(["over_budget"], healthy=0)
NO = Refusal("a" * 32, "erp.post", S, S + 12 * MS, "budgets", "no room", forbidden=True)
TOLD = Refused("over-budget", "a" * 32, "budgets")


def test_a_refusal_before_the_call_has_no_problem() -> None:
    """Refused by the gate that must, on record, and the tool's own log knows nothing of it."""
    result = outcome(BUYER, account(call(S - MS, tool="erp.post"), NO), stored(refused=[TOLD]))

    assert result.problem == ""
    assert (result.detected, result.stopped, result.acknowledged) == (True, True, True)
    assert (result.detect_to_stop_ms, result.stops, result.calls_after_stop) == (12.0, 1, 0)


@pytest.mark.parametrize(
    ("entries", "refused", "problem"),
    [
        ([], [TOLD], "the gate budgets refused nothing"),
        ([NO], [], "a refusal is not on record"),
        ([NO], [Refused("over-budget", "a" * 32, "limits")], "a refusal is not on record"),
        ([Call("t", 1, "erp.post", S, S, S, forbidden=True), NO], [TOLD], "1 calls ran that must not"),
        ([Refusal("t", "erp.post", S, S, "", "no verdict came in time", forbidden=True)], [],
         "the gate budgets refused nothing"),
    ],
)  # fmt: skip
def test_each_failed_refusal_is_named(
    entries: list[Entry], refused: list[Refused], problem: str
) -> None:
    """A forbidden call that ran, another gate's refusal, one that nobody recorded."""
    assert outcome(BUYER, account(*entries), stored(refused=refused)).problem == problem


def test_who_waits_for_a_person_is_an_incident() -> None:
    """A call that somebody has to answer and that nobody hears of waits for ever."""
    (payer, _) = fleet(["unapproved"], healthy=0)
    asked = Refusal("t", "bank.transfer", S, S + MS, "approvals", "", forbidden=True)
    facts = [Refused("unapproved", "t", "approvals")]
    found = Found("unapproved", "policy", S, incident_id="i1")

    assert outcome(payer, account(asked), stored(refused=facts)).problem.startswith(
        "nobody was told"
    )
    assert outcome(payer, account(asked), stored((), [found], refused=facts)).problem == ""


def test_a_refusal_without_a_fault_is_false() -> None:
    """Of a twin always; of the faulty one where the call was allowed; of one that breaks once it breaks."""
    allowed = Refusal("t", "erp.post", 5 * S, 6 * S, "budgets")
    late = Refusal("t", "erp.post", 5 * S, 6 * S)
    roles = [BUYER, BUYER_TWIN, LOOP]
    accounts = {
        BUYER.agent: account(NO, allowed), BUYER_TWIN.agent: account(late),
        LOOP.agent: account(Mark(S, "fault"), allowed),
    }  # fmt: skip

    assert false_refusals(roles, accounts) == {
        "calls of over-budget were refused by budgets": 1,
        "calls of over-budget-twin were refused by the deadline": 1,
    }


def test_a_busy_machine_is_one_problem() -> None:
    """Calls without a verdict have one cause, and their agents are not listed; a gate's refusals are."""
    problems = list(
        in_words(
            {
                "calls of a were refused by the deadline": 3,
                "calls of b were refused by budgets": 1,
                "calls of c were refused by the deadline": 2,
            }
        )
    )

    assert problems[0] == "1 calls of b were refused by budgets without a fault"
    assert problems[1].startswith("5 calls of 2 agents got no verdict within their second")
    assert len(problems) == 2
