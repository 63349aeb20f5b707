"""The labels are true: each fault meets its rule, and no healthy agent comes near any."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import msgspec
import pytest

import tracefuse
from detectors.cost_cap import CostCap
from detectors.error_rate import ErrorRate
from detectors.exact_loop import ExactLoop
from detectors.latency import LatencyQuantile
from ingest.agent_check import sense
from ingest.keys import Keys
from ingest.registry import AgentFile
from ingest.rules import rule
from ingest.simulate import (
    changed_descriptor,
    failed_canary,
    malformed_output,
    promotion_refused,
    roles,
    work,
    wrong_version,
)
from ingest.simulate.roles import Role, agent_file, fleet
from ingest.simulate.scenario import Moment
from ingest.simulate.scenarios import DEMO, LASTING, REST, SCENARIOS
from ingest.simulate.script import Act, Ask, Freeze, Script
from stream.agent.budgets import Ledger, most
from stream.people import promotion
from stream.people.proving import Shown
from tracefuse.errors import ConfigError
from tracefuse.grants import Grants
from tracefuse.grants import decode as grants_of
from tracefuse.guards import instead, misfit
from tracefuse.transports import MemoryTransport

KEYS = Keys(b"m" * 32, b"a" * 32, b"h" * 32, b"r" * 32)
FLEET = fleet()
FAULTY = {role.scenario: role for role in FLEET if role.faulty}


def scripts(role: Role, runs: int, seed: int = 7) -> list[Script]:
    """The runs of a role from the moment its fault begins."""
    random, task = Random(seed), work.TASKS[role.task]
    made = []
    for n in range(runs):
        bent = role.fault.distort(task, Moment(0.0, n), random) if role.fault else None
        made.append(bent or work.script(task, random))
    return made


def acts(script: Script) -> list[Act]:
    return [move for move in script.moves if isinstance(move, Act)]


def granted(role: Role) -> Grants:
    """The agent's file as its own process reads it."""
    return grants_of(msgspec.json.encode(agent_file(role, "t")))


def loops(script: Script) -> int:
    """The number of the tool call at which the loop rule fires; 0 for never."""
    loop = ExactLoop()
    for n, act in enumerate(acts(script), 1):
        loop.update(f"{act.tool}:{act.args}:{act.error or act.result}")
        if loop.fires:
            return n
    return 0


def erring(made: list[Script]) -> bool:
    """Whether the agent's error rate opens, at ten calls a second."""
    rate, now = ErrorRate(consecutive_max=None), 0.0
    for script in made:
        for act in acts(script):
            now += 0.1
            rate.update(bool(act.error), now)
            if rate.fires:
                return True
    return False


def slow(made: list[Script], agent: AgentFile) -> bool:
    """Whether one tool's percentile passes three times what is declared."""
    rules = {name: LatencyQuantile() for name in agent.tools}
    for script in made:
        for act in acts(script):
            rules[act.tool].update(act.latency_ms / 1e3, agent.tools[act.tool].latency_ms / 1e3)
            if rules[act.tool].fires:
                return True
    return False


def events(script: Script) -> int:
    """Each call is two events, each other move one; a run adds four of its own, a write two states."""
    writes = sum(act.changes is not None for act in acts(script))
    calls = sum(isinstance(move, Act | Ask) for move in script.moves)
    return 4 + len(script.moves) + calls + 2 * writes


def spent(script: Script) -> float:
    return sum(move.cost_usd for move in script.moves if isinstance(move, Ask))


def test_a_loop_repeats_one_call_slowly_enough_to_be_stopped() -> None:
    """The fourth identical call comes, at least 200 ms apart, and more would follow."""
    run = scripts(FAULTY["tool_loop"], 1)[0]
    looping = acts(run)[-12:]

    assert loops(run) == len(acts(run)) - 12 + 4
    assert all(act.pause_ms >= 200 for act in looping)


def test_an_error_spike_is_the_agent_s_and_not_one_tool_s() -> None:
    """Half of 20 calls fail, but no tool fails five times in a row."""
    made = scripts(FAULTY["error_spike"], 3)

    assert erring(made)
    rules = {tool.name: ErrorRate(calls_min=10**6) for tool in work.TASKS["refund"].instruments}
    for n, act in enumerate(act for script in made for act in acts(script)):
        rules[act.tool].update(bool(act.error), float(n))
        assert not rules[act.tool].fires


@pytest.mark.parametrize("name", ["error_spike", "rogue"])
@pytest.mark.parametrize("seed", range(5))
def test_the_agent_trips_before_any_of_its_tools(name: str, seed: int) -> None:
    """Counting what went well before, model calls too, the agent's own rate is the first to fire."""
    role, random = FAULTY[name], Random(seed)
    assert role.fault is not None
    agent = ErrorRate(consecutive_max=None)
    tools: dict[str, ErrorRate] = defaultdict(ErrorRate)
    seconds, made = 0.0, []
    while seconds < role.fault.fault_at_s:
        made.append(work.script(work.TASKS[role.task], random))
        seconds += events(made[-1]) / roles.STEADY_EPS
    made += scripts(role, 4, seed)

    for move in (move for script in made for move in script.moves):
        if isinstance(move, Act):
            tools[move.tool].update(bool(move.error), 0.0)
            assert not tools[move.tool].fires
        if isinstance(move, Act | Ask):
            agent.update(isinstance(move, Act) and bool(move.error), 0.0)
        if agent.fires:
            return
    pytest.fail("the agent's error rate never fired")


def test_one_run_spends_more_than_a_run_may() -> None:
    """The cap of a run is passed in the middle of it, and the day's is far."""
    role = FAULTY["runaway_cost_run"]
    budgets = agent_file(role, "t").budgets

    assert spent(scripts(role, 1)[0]) > 2 * budgets.run_usd
    assert spent(scripts(role, 1)[0]) < 0.1 * budgets.day_usd


def test_runs_that_look_affordable_pass_the_day_s_cap() -> None:
    """No single run reaches its own cap; five reach the day's."""
    role = FAULTY["runaway_cost_day"]
    budgets = agent_file(role, "t").budgets
    made = scripts(role, 5)

    assert max(map(spent, made)) < 0.8 * budgets.run_usd
    assert sum(map(spent, made)) > budgets.day_usd


def test_a_write_flood_passes_its_cap_in_seconds() -> None:
    """More writes in ten seconds than the registry allows in a minute."""
    role = FAULTY["write_flood"]
    agent, run = agent_file(role, "t"), scripts(role, 1)[0]
    writes = [act for act in acts(run) if agent.access(act.tool) == "write"]
    seconds = sum(act.latency_ms + act.pause_ms for act in writes) / 1e3

    assert len(writes) / seconds * 10 > agent.limits["write"].per_minute


def test_a_collapse_is_seen_within_two_slow_calls() -> None:
    """The rule fires on the second slow call, and on none of the quick ones before."""
    role = FAULTY["latency_collapse"]
    agent, calls = agent_file(role, "t"), acts(scripts(role, 1)[0])
    rule = LatencyQuantile()
    declared = agent.tools[calls[-1].tool].latency_ms / 1e3
    fired = []
    for n, act in enumerate(calls):
        rule.update(act.latency_ms / 1e3, declared)
        fired += [n] if rule.fires else []

    quick = sum(act.latency_ms < 100 for act in calls)
    assert quick >= 20 and fired[0] == quick + 1


def test_the_silent_one_freezes_inside_a_run_and_once() -> None:
    """It stops between two moves of its first run, and whoever wakes it finds it healthy."""
    first, second = scripts(FAULTY["silent"], 2)

    assert [type(move) for move in first.moves].count(Freeze) == 1
    assert not isinstance(first.moves[0], Freeze) and not isinstance(first.moves[-1], Freeze)
    assert not any(isinstance(move, Freeze) for move in second.moves)


def test_a_disallowed_tool_is_in_no_file() -> None:
    """The forbidden call, and no other, is of a tool that the agent's file does not list."""
    role = FAULTY["disallowed_tool"]
    listed, calls = agent_file(role, "t").tools, acts(scripts(role, 1)[0])

    assert [act.forbidden for act in calls] == [act.tool not in listed for act in calls]
    assert sum(act.forbidden for act in calls) == 1


def test_a_budget_has_room_for_what_is_allowed_and_no_more() -> None:
    """Each write costs what is set aside for it; with the model's part the first forbidden one lacks room."""
    role = FAULTY["over_budget"]
    file, calls = agent_file(role, "t"), acts(scripts(role, 1)[0])
    ledger, lacking = Ledger(), []
    ledger.settle("model", "run", spent(scripts(role, 1)[0]), 0, 0.0)
    for n, act in enumerate(calls):
        amount = most(file, act.tool)
        lacking.append(bool(ledger.lacks("run", file.budgets, amount, 0.0)))
        if not lacking[-1]:
            ledger.reserve(str(n), "run", amount, 60.0)

    assert lacking == [act.forbidden for act in calls]
    assert 0 < sum(lacking) < len(calls)


def test_only_the_forbidden_transfer_needs_a_person() -> None:
    """By the rule of the file itself, over runs of the faulty agent and of its twin."""
    role = FAULTY["unapproved"]
    (approval,) = agent_file(role, "t").approvals
    twin = next(r for r in FLEET if r.scenario == role.scenario and not r.faulty)
    moves = [act for one in (role, twin) for script in scripts(one, 60) for act in acts(script)]
    transfers = [act for act in moves if act.tool == "bank.transfer"]

    assert [rule(approval.when)(act.args, {}) for act in transfers] == [
        a.forbidden for a in transfers
    ]
    assert 0 < sum(act.forbidden for act in transfers) < len(transfers)


def test_only_the_changed_description_is_not_the_approved_one() -> None:
    """The hash in the file is that of the text which the process tells at its start and after the call."""
    role, tool = FAULTY["changed_descriptor"], changed_descriptor.TOOL
    grants, calls = granted(role), acts(scripts(role, 1)[0])
    assert role.fault is not None
    (bent,) = (act for act in calls if act.forbidden)
    before, after = bent.described or ("", "")

    assert bent.tool == tool and after == role.fault.describes[tool]
    assert not grants.knows(tool, described(before)) and grants.knows(tool, described(after))
    assert not any(act.described for act in calls if act is not bent)


def described(said: str) -> str:
    """The hash that the SDK tells."""
    fuse = tracefuse.init(credential=KEYS.credential("t", "a"), transport=MemoryTransport)
    try:
        return fuse.describe("tool", said)
    finally:
        fuse.close()


def test_a_wrong_version_is_one_that_the_file_does_not_name() -> None:
    """Each call of such a run is forbidden; runs between get the stable one, which the file carries."""
    role = FAULTY["wrong_version"]
    grants, (bent, healthy) = granted(role), scripts(role, 2)

    assert bent.bundle == wrong_version.OLD and not grants.carries(bent.bundle)
    assert acts(bent) and all(act.forbidden for act in acts(bent))
    assert not healthy.bundle and grants.carries(grants.bundle_of("a" * 32))


@pytest.mark.parametrize(("name", "runs"), [("approval_given", False), ("approval_refused", True)])
def test_only_the_large_transfer_waits_for_a_person(name: str, runs: bool) -> None:
    """By the rule of the file itself; forbidden is what nobody will agree to."""
    role = FAULTY[name]
    (approval,) = agent_file(role, "t").approvals
    made = scripts(role, 60)
    transfers = [act for script in made for act in acts(script) if act.tool == "bank.transfer"]

    assert [rule(approval.when)(act.args, {}) for act in transfers] == [
        act.patience_s > 0 for act in transfers
    ]
    assert [act.forbidden for act in transfers] == [runs and a.patience_s > 0 for a in transfers]
    assert 0 < sum(act.patience_s > 0 for act in transfers) < len(transfers)
    assert all(sum(act.patience_s > 0 for act in acts(script)) <= 1 for script in made)


def test_who_is_killed_does_nothing_that_a_rule_knows() -> None:
    """A person stops it, so nothing of its work is bent."""
    role, task = FAULTY["killed"], work.TASKS["operations"]
    assert role.fault is not None

    assert [role.fault.distort(task, Moment(0.0, n), Random(n)) for n in range(20)] == [None] * 20


def test_a_canary_s_calls_fail_and_trip_its_own_error_rate() -> None:
    """After a minute of healthy calls too within five of its runs; those of the stable version succeed."""
    role = FAULTY["failed_canary"]
    grants, made = granted(role), scripts(role, 5)
    rate = ErrorRate(consecutive_max=None)
    healthy = scripts(Role("a", "support"), 4)
    for move in (move for script in healthy for move in script.moves):
        if isinstance(move, Act | Ask):
            rate.update(isinstance(move, Act) and bool(move.error), 0.0)
    bent = [act for script in made for act in acts(script)]
    for act in bent:
        rate.update(act.fails_in == failed_canary.CANARY, 0.0)

    assert rate.fires and not any(act.error for act in bent)
    given = Counter(grants.bundle_of(f"{n:032x}") for n in range(2000))
    assert set(given) == {failed_canary.STABLE, failed_canary.CANARY}
    assert 0.4 < given[failed_canary.CANARY] / 2000 < 0.6


def test_a_promotion_lacks_what_no_demo_can_show() -> None:
    """The runs elsewhere are forbidden; the file grants staging alone, and has a gate for production."""
    role = FAULTY["promotion_refused"]
    file, (bent, healthy) = agent_file(role, "t"), scripts(role, 2)
    demo = Shown(runs=500, well=500, days=1)

    assert bent.environment == promotion_refused.THERE
    assert all(act.forbidden for act in acts(bent)) and acts(bent)
    assert healthy.environment == "" and file.environment == promotion_refused.HERE
    assert not granted(role).runs_in(bent.environment) and granted(role).runs_in(file.environment)
    assert promotion.missing(file, promotion_refused.THERE, demo, "ann") == [
        "500 of 1000 runs", "1 of 14 days",
    ]  # fmt: skip


def test_only_a_malformed_answer_has_not_its_form() -> None:
    """The runs between answer in form, and the declared fallback has it."""
    role = FAULTY["malformed_output"]
    made = scripts(role, 30)
    fallback = instead(granted(role).fallbacks["output"], malformed_output.FORM)

    assert [bool(misfit(one.answer, one.form)) for one in made] == [one.malformed for one in made]
    assert 0 < sum(one.malformed for one in made) < len(made)
    assert isinstance(fallback, dict) and not misfit(fallback, malformed_output.FORM)


@pytest.mark.parametrize("role", [role for role in FLEET if not role.faulty], ids=lambda r: r.agent)
def test_healthy_agents_come_near_no_rule(role: Role) -> None:
    """Two hundred runs of each: no loop, no spike, no slow tool, no cap, not even half of one."""
    agent, made = agent_file(role, "t"), scripts(role, 200, seed=FLEET.index(role))
    day = CostCap("usd", daily=True)

    assert not any(loops(script) for script in made)
    assert not erring(made)
    assert not slow(made, agent)
    assert max(map(spent, made)) < 0.5 * agent.budgets.run_usd
    for script in made:
        day.update(spent(script), 0.0, agent.budgets.day_usd)
    assert day.level == 0
    assert {act.tool for script in made for act in acts(script)} <= set(agent.tools)
    assert not any(act.forbidden for script in made for act in acts(script))


def test_a_twin_at_its_steady_pace_stays_below_the_write_cap() -> None:
    """A twin writes less than three quarters of what its registry file allows."""
    twin = next(r for r in FLEET if r.scenario == "write_flood" and not r.faulty)
    agent, made = agent_file(twin, "t"), scripts(twin, 200)
    writes = sum(agent.access(act.tool) == "write" for script in made for act in acts(script))
    minutes = sum(map(events, made)) / roles.STEADY_EPS / 60

    assert writes / minutes < 0.75 * agent.limits["write"].per_minute


def test_the_same_seed_makes_the_same_fleet() -> None:
    """Two fleets of one seed do the same; another seed does something else."""
    role = FLEET[-1]

    assert scripts(role, 5, seed=1) == scripts(role, 5, seed=1)
    assert scripts(role, 5, seed=1) != scripts(role, 5, seed=2)


def test_the_fleet_is_large_and_its_names_differ() -> None:
    """At least thirty agents; each fault has exactly one healthy twin with the same caps, or runs between."""
    names = Counter(role.agent for role in FLEET)

    assert len(FLEET) >= 30 and max(names.values()) == 1
    for name, faulty in FAULTY.items():
        twins = [role for role in FLEET if role.scenario == name and not role.faulty]
        assert faulty.fault is not None
        assert len(twins) == faulty.fault.twin
        if not twins:
            continue
        assert twins[0].task == faulty.task
        mine, other = agent_file(faulty, "t"), agent_file(twins[0], "t")
        assert (mine.limits, mine.budgets, mine.tools) == (other.limits, other.budgets, other.tools)
        assert mine.approvals == other.approvals


@pytest.mark.parametrize("role", FLEET, ids=lambda r: r.agent)
def test_the_file_of_each_agent_is_accepted(role: Role) -> None:
    """One that contradicts itself changes nothing, and its agent would be stopped by no cap."""
    assert sense(agent_file(role, "t")) == []


def test_faults_of_the_agent_itself_have_a_twin() -> None:
    """What is found by rates and habits could as well be found in the healthy; single calls could not."""
    alone = {name for name, role in FAULTY.items() if role.fault and not role.fault.twin}

    assert alone == {
        "changed_descriptor", "wrong_version", "approval_given", "approval_refused", "killed",
        "failed_canary", "promotion_refused", "malformed_output",
    }  # fmt: skip


def test_the_page_of_the_demo_lists_every_scenario() -> None:
    """Each with the word that must come of it, in the order of the report; and the fleet's size."""
    page = (Path(__file__).parents[3] / "docs" / "demo.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*?\| `([a-z-]+)` \|", page, re.MULTILINE)

    assert rows == [(name, SCENARIOS[name].expected) for name in (*DEMO, *REST, *LASTING)]
    assert f"a fleet of {len(FLEET)} simulated agents" in page
    assert f"{len(FAULTY)} of them misbehave" in page


def test_an_unknown_scenario_is_named() -> None:
    """A misspelt scenario is the operator's to correct."""
    with pytest.raises(ConfigError, match=r"'tool_lop' is not one of tool_loop"):
        fleet(["tool_lop"])
