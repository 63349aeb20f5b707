"""Scenarios with a history are true: their detector finds the fault and is silent about the twin."""

import hashlib
from random import Random
from typing import Any, Literal

import pytest

from detectors import CATALOGUE
from ingest.simulate import work
from ingest.simulate.habits_of_data import SAYS
from ingest.simulate.process import Work
from ingest.simulate.roles import Role, agent_file, fleet
from ingest.simulate.scenarios import DEMO, LASTING, REST, SCENARIOS
from ingest.simulate.script import BAIT, Act, Ask, Hand, Say, Script, Tell
from stream.detect.registering import sealed
from tests.pipe import REGISTRY, TENANT, Pipe, Told, signals, trace_id
from tracefuse.canonical import canonical
from tracefuse.events import HONEYTOKEN, Event
from tracefuse.evidence import KeyedHash
from tracefuse.forms import misfit
from tracefuse.hindrances import hindrance
from tracefuse.orders import ordered
from tracefuse.redact import Redactor
from tracefuse.sketches import shape, template
from tracefuse.wire import LINES_MAX

ROLES = fleet([*REST, *LASTING], healthy=0)
KEYED = KeyedHash(b"key")
FAULTY_RUNS = 60
TWIN_RUNS = 20
PACE_S = 8.0  # between two runs of eight events at one event a second


TRACKS: tuple[Literal["stable", "canary", "shadow"], ...] = ("stable", "canary", "shadow")


def sketched(role: Role, move: Act, failed: bool) -> dict[str, Any]:
    """What the SDK tells of a result: its kind, and whether it has the declared form."""
    kind = template(move.error) if failed else shape(move.result)
    form = agent_file(role, TENANT).tools[move.tool].result
    said: dict[str, Any] = {"template": KEYED.digest(kind.encode())[:16]}
    if failed and (hindered := hindrance(move.error)):
        said["hindered"] = hindered
    if not failed and form:
        said["form"] = list(misfit(move.result, form) or ())
    return said


def carried(role: Role, move: Act) -> dict[str, Any]:
    """What the SDK tells of a call: its arguments' classes of data; if held, what its tool says of itself."""
    file, says = agent_file(role, TENANT), SCENARIOS[role.scenario].describes.get(move.tool)
    classes = sorted(Redactor().redact(str(move.args))[1])
    classes += [HONEYTOKEN] if BAIT in str(move.args) else []
    if file.access(move.tool) not in file.held:
        return {"data_classes": classes}
    said = move.described[0] if move.described else says
    return {
        "attempt": 1, "deadline_ms": 1000, "tools_hash": described(said) if said else "",
        "data_classes": classes,
    }  # fmt: skip


def described(said: str) -> str:
    return hashlib.sha256(canonical(said)).hexdigest()


def told(role: Role, script: Script, run: int, shadow_of: str = "") -> list[Event]:
    """The events of a run, as the SDK would send them."""
    declared = agent_file(role, TENANT).bundles
    share = declared["canary"].share if "canary" in declared else 0.0
    track = TRACKS[2 if shadow_of else Random(run).random() < share]
    bundle = declared[track].hash if declared else ""
    one = Told(role.agent, trace_id(2 * run + bool(shadow_of)))
    made = [one("run.start", bundle=bundle, attrs={"shadow_of": shadow_of} if shadow_of else {})]
    for n, move in enumerate(script.moves):
        if isinstance(move, Act) and move.only_in not in ("", bundle):
            continue
        if isinstance(move, Act):
            failed = bool(move.error) or bool(bundle and move.fails_in == bundle)
            said: dict[str, Any] = {
                "result_hash": str(move.result),
                "status": "error" if failed else "ok",
                "duration_us": int(move.latency_ms * 1e3),
                "sketches": sketched(role, move, failed),
            }
            asked, answered = one.call(n, move.tool, args_hash=str(move.args), **said)
            asked.bundle = answered.bundle = bundle
            if move.about:
                asked.sketches = {"resource": KEYED.digest(move.about.encode())[:16]}
            for field, value in carried(role, move).items():
                setattr(asked, field, value)
            made += [asked, answered]
        elif isinstance(move, Hand):
            made.append(one("handoff", attrs={"to": move.to}))
        elif isinstance(move, Say):
            steps = {"steps": list(move.steps)} if move.steps else {}
            made.append(one(move.name, attrs=steps, confidence=move.confidence))
        elif isinstance(move, Tell):
            made.append(one("claim", tool=move.tool, attrs={"times": move.times}))
        elif isinstance(move, Ask):
            call = {"call_id": f"m-{n}", "model": move.model}
            made += [one("llm.request", **call), one(
                "llm.response", status="ok", duration_us=int(move.latency_ms * 1e3), **call,
                input_tokens=move.input_tokens, output_tokens=move.output_tokens,
                cost_usd=move.cost_usd,
            )]  # fmt: skip
    return [*made, one("run.end", status="ok", bundle=bundle)]


def found(role: Role) -> tuple[int, int]:
    """How often the scenario's detector spoke before the fault, and after it began."""
    scenario, pipe, job = SCENARIOS[role.scenario], Pipe(), Work(role, Random(7))
    pipe.tell(sealed(agent_file(role, TENANT), REGISTRY))
    said = [0, 0]
    for run in range(scenario.warm + (FAULTY_RUNS if role.faulty else TWIN_RUNS)):
        script = job.next(scenario.fault_at_s, 1e6)
        out = pipe.send(*told(role, script, run))
        if script.shadowed and "shadow" in agent_file(role, TENANT).bundles:
            out += pipe.send(*told(role, script, run, shadow_of=trace_id(2 * run)))
        pipe.now += 0.5
        said[job.faulty] += sum(s.detector == scenario.detector for s in signals(out))
    return said[0], said[1]


# These are about values in texts, which the SDK alone sees: the demo plays them.
OF_TEXTS = {
    "injected_order", "poisoned_memory", "made_up_answer", "planted_trigger", "told_in_confidence",
}  # fmt: skip
OF_PROBES = {"failed_probes"}  # the SDK itself makes their runs: `test_failed_probes.py`
OF_MANY = {"shared_tool_down", "same_order"}  # correlate alone sees them: `test_of_many.py`
ELSEWHERE = OF_TEXTS | OF_PROBES | OF_MANY | {*LASTING}
PLAYED = [role for role in ROLES if role.scenario not in ELSEWHERE]


@pytest.mark.parametrize("role", PLAYED, ids=lambda role: role.agent)
def test_the_detector_finds_the_fault_and_only_the_fault(role: Role) -> None:
    """Nothing is said of the history nor of the twin; the fault is found within sixty runs."""
    before, after = found(role)

    assert before == 0
    assert (after > 0) == role.faulty


@pytest.mark.parametrize(
    "role", [role for role in ROLES if role.scenario in LASTING], ids=lambda role: role.agent
)
def test_what_takes_minutes_is_found_in_its_minutes(role: Role) -> None:
    """Runs at the pace of the demo, for as long: silence before the fault, a word after it."""
    scenario, pipe, job = SCENARIOS[role.scenario], Pipe(), Work(role, Random(7))
    pipe.tell(sealed(agent_file(role, TENANT), REGISTRY))
    begun, said, run = pipe.now, [0, 0], 0
    while (elapsed := pipe.now - begun) < scenario.lasts_s:
        run += 1
        made = told(role, job.next(elapsed, scenario.lasts_s - elapsed), run)
        for part in (made[n : n + LINES_MAX] for n in range(0, len(made), LINES_MAX)):
            out = pipe.send(*part)
            said[job.faulty] += sum(s.detector == scenario.detector for s in signals(out))
        pipe.now += PACE_S

    assert said[0] == 0
    assert (said[1] > 0) == role.faulty


def test_an_injected_order_names_what_the_user_did_not() -> None:
    """The page demands, the user is silent; in healthy runs the page lists what the user named."""
    for role in ROLES:
        if role.scenario != "injected_order":
            continue
        job = Work(role, Random(7))
        for run in range(12):
            script = job.next(1.0, 1e6)
            page, mail = (move for move in script.moves if isinstance(move, Act))
            hashes, _ = ordered(b"key", [page.result["text"]])

            assert mail.args["to"] in page.result["text"]
            assert mail.forbidden == (role.faulty and run >= SCENARIOS[role.scenario].warm)
            assert (mail.args["to"] not in script.message) == mail.forbidden
            assert bool(hashes) == mail.forbidden


def test_only_the_fault_s_calls_carry_what_must_not_go() -> None:
    """By the SDK's own search and hash: of a key and of a new description, the forbidden calls alone."""
    for name in ("leaked_key", "redescribed_tool"):
        for role in (one for one in ROLES if one.scenario == name):
            job = Work(role, Random(7))
            for _ in range(SCENARIOS[name].warm + 5):
                *_, last = (one for one in job.next(1.0, 1e6).moves if isinstance(one, Act))
                said = carried(role, last)
                odd = "aws_key" in said["data_classes"] or said["tools_hash"] not in (
                    "", described(SAYS),
                )  # fmt: skip

                assert odd == last.forbidden


def test_only_the_fault_repeats_what_was_told_in_confidence() -> None:
    """The address that the search told stands in the note of the forbidden call, and in no other."""
    for role in (one for one in ROLES if one.scenario == "told_in_confidence"):
        job = Work(role, Random(7))
        assert agent_file(role, TENANT).tools["logs.search"].confidential
        for run in range(8):
            *_, read, write = (one for one in job.next(1.0, 1e6).moves if isinstance(one, Act))

            assert read.tool == "logs.search" and "@" in read.result["text"]
            assert (write.args["note"] == read.result["text"]) == write.forbidden
            assert write.forbidden == (role.faulty and run >= SCENARIOS[role.scenario].warm)


def test_every_detector_has_its_scenario() -> None:
    """What the catalogue knows, `tracefuse demo --all` plays."""
    played = {one.detector for one in SCENARIOS.values()}

    assert set(CATALOGUE) <= played
    assert sorted([*DEMO, *REST, *LASTING]) == sorted(SCENARIOS)


def test_each_has_a_twin_with_the_same_file_and_habits() -> None:
    """Twin and faulty agent differ in the fault alone."""
    for name in (*REST, *LASTING):
        faulty, *_, twin = (role for role in ROLES if role.scenario == name)
        mine, other = agent_file(faulty, "t"), agent_file(twin, "t")

        assert (mine.limits, mine.tools, mine.bundles) == (other.limits, other.tools, other.bundles)
        assert faulty.fault is not None and twin.fault is None
        jobs = [Work(role, Random(1)) for role in (faulty, twin)]
        for _ in range(SCENARIOS[name].warm):
            assert len({str(job.next(0.0, 60.0)) for job in jobs}) == 1
        assert work.TASKS[faulty.task] is work.TASKS[twin.task]
