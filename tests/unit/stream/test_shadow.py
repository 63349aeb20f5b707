"""A shadow's calls are decided, logged and never executed; beside the same input it is compared."""

from typing import Any

import pytest
from msgspec.structs import replace

import tracefuse
from ingest.records import Wanted
from ingest.topics import APPROVALS
from stream.outputs import Output
from tests.pipe import Pipe, Told, commands, found, registered, signals, trace_id
from tests.sdk import sdk
from tests.unit.stream.test_held_calls import FILE, TOOL, asked, verdicts
from tracefuse.errors import ToolDenied
from tracefuse.grants import Grants, _Bundle, decode

SCOPE = "bundle:acme/refunds/b3"
BUNDLES = {"stable": {"hash": "b1"}, "shadow": {"hash": "b3"}}
RULE = {"name": "large", "when": "args.amount > 10", "approvers": ["ann"]}


def mirrored(**more: Any) -> Pipe:
    pipe = Pipe()
    pipe.tell(registered(**(FILE | {"bundles": BUNDLES, "budgets": {"run_usd": 0.015}} | more)))
    return pipe


def test_a_shadows_write_is_decided_and_denied() -> None:
    """The word that it would have got stands in the reason; the stable bundle's call runs."""
    pipe = mirrored()
    shadow, stable = Told(), Told(trace_id=trace_id(7), boot_id="b2")
    said = [*verdicts(pipe.send(asked(shadow, bundle="b3"))),
            *verdicts(pipe.send(asked(stable, bundle="b1")))]  # fmt: skip

    assert [(one.word, one.gate) for one in said] == [("deny", "shadow"), ("allow", "")]
    assert said[0].reason.endswith("would be: allow")


def test_a_shadow_sets_nothing_aside() -> None:
    """A budget for one call has room for it however often the shadow asked."""
    pipe, told = mirrored(), Told()
    for _ in range(3):
        pipe.send(asked(told, bundle="b3"))
    (verdict,) = verdicts(pipe.send(asked(told, bundle="b1")))

    assert verdict.word == "allow"


def test_a_twin_stays_a_shadow_when_its_bundle_becomes_the_canary() -> None:
    """The roll-out goes on while it runs: what it repeats was done once already."""
    pipe = mirrored()
    twin, canary = Told(), Told(trace_id=trace_id(7), boot_id="b2")
    pipe.send(twin("run.start", bundle="b3", attrs={"shadow_of": trace_id(3)}))
    bundles = {"stable": {"hash": "b1"}, "canary": {"hash": "b3", "share": 0.01}}
    pipe.tell(registered(**(FILE | {"bundles": bundles, "version": 2})))
    said = [*verdicts(pipe.send(asked(twin, bundle="b3"))),
            *verdicts(pipe.send(asked(canary, bundle="b3")))]  # fmt: skip

    assert [(one.word, one.gate) for one in said] == [("deny", "shadow"), ("allow", "")]


def test_nobody_is_asked_about_a_shadow() -> None:
    """A rule applies, and the record says so; no person hears of it."""
    pipe, told = mirrored(approvals=[RULE]), Told()
    out = pipe.send(asked(told, bundle="b3", decision_args={"amount": 11}))
    (verdict,) = verdicts(out)

    assert (verdict.word, verdict.gate) == ("deny", "shadow")
    assert verdict.reason.endswith("would be: needs_approval")
    assert found(out, APPROVALS, Wanted) == []
    asks = pipe.send(asked(told, bundle="b1", decision_args={"amount": 11}))
    assert len(found(asks, APPROVALS, Wanted)) == 1


def test_what_a_gate_denies_is_denied_by_that_gate() -> None:
    """A shadow that oversteps is seen to do so."""
    pipe = mirrored()
    (verdict,) = verdicts(pipe.send(asked(Told(), bundle="b3", tool="crm.drop")))

    assert verdict.gate == "allowlist"


def pair(pipe: Pipe, number: int, shadow_bad: bool, shadow_first: bool = False) -> list[Output]:
    """A run that ends well, and its shadow."""
    run = Told(trace_id=trace_id(2 * number + 1), boot_id=f"s{number}")
    twin = Told(trace_id=trace_id(2 * number + 2), boot_id=f"t{number}")
    whole = [run("run.start"), *run.call(1, result_hash=f"r{number}"), run("run.end", status="ok")]
    start = twin("run.start", attrs={"shadow_of": run.trace_id})
    end = twin("run.end", status="error" if shadow_bad else "ok")
    mirror = [start, *twin.call(1, result_hash=f"t{number}"), end]
    for line in whole:
        line.bundle = "b1"
    for line in mirror:
        line.bundle = "b3"
    first, second = (mirror, whole) if shadow_first else (whole, mirror)
    return [*pipe.send(*first), *pipe.send(*second)]


@pytest.mark.parametrize("shadow_first", [False, True])
def test_a_shadow_that_does_worse_ends(shadow_first: bool) -> None:
    """Pair by pair, whichever of the two ends first; its breaker opens and nothing else does."""
    pipe = mirrored()
    out = [o for n in range(30) for o in pair(pipe, n, n % 2 == 0, shadow_first)]
    (signal,) = [s for s in signals(out) if s.detector == "shadow_pair"]

    assert [(c.scope, c.state, c.action) for c in commands(out)] == [(SCOPE, "open", "rollback")]
    assert (signal.evidence["worse"], signal.evidence["better"]) == (12, 0)


def test_a_shadow_that_does_as_well_goes_on() -> None:
    """The control, and a shadow of a run that nobody knows compares nothing."""
    pipe = mirrored()
    out = [o for n in range(30) for o in pair(pipe, n, False)]
    for n in range(30, 60):
        twin = Told(trace_id=trace_id(500 + n), boot_id=f"t{n}")
        lines = [
            twin("run.start", attrs={"shadow_of": trace_id(n)}),
            *twin.call(1, result_hash=f"{n}"),
        ]
        lines.append(twin("run.end", status="error"))
        for line in lines:
            line.bundle = "b3"
        out += pipe.send(*lines)

    assert commands(out) == []


# -- in the agent's process ------------------------------------------------------------------------


def grants(held: str = "", share: float = 0.0) -> Grants:
    text = (
        f'{{"agent":"refunds","held":[{held}],"tools":{{"{TOOL}":{{"access":"write"}},"crm.find":{{}}}},'
        f'"bundles":{{"stable":{{"hash":"b1"}},"shadow":{{"hash":"b3","share":{share}}}}}}}'
    )
    return decode(text.encode())


def act(trace: tracefuse.Trace) -> None:
    with trace:
        with trace.tool("crm.find") as call:
            call.result("found")
        with trace.tool(TOOL):
            pytest.fail("it ran")


def test_a_twin_runs_reads_and_executes_nothing_else() -> None:
    """Also what is not held; where the twin's code does not go on, it has not failed."""
    with sdk() as sent:
        sent.fuse.held.obey_file(grants())
        with sent.fuse.trace(task="refund", user="u1") as trace, trace.tool(TOOL):
            pass
        twin = sent.fuse.shadow(trace)
        assert twin is not None
        with pytest.raises(ToolDenied, match="shadow"):
            act(twin)

    start, end = sent.events("run.start")[-1], sent.events("run.end")[-1]
    assert (start.attrs["shadow_of"], start.bundle) == (trace.run.trace_id, "b3")
    assert (start.task_type, start.user_id) == ("refund", "u1")
    assert end.status == "ok"
    assert [event.status for event in sent.events("tool.result")] == ["ok", "ok", "not_run"]


@pytest.mark.parametrize("promoted", [False, True])
def test_a_twin_executes_nothing_where_no_verdict_comes(promoted: bool) -> None:
    """Though the file lets writes go on without one, and though its bundle is the canary by now."""
    with sdk() as sent:
        sent.fuse.held.obey_file(replace(grants('"write"'), without_verdict="allow"))
        with sent.fuse.trace() as trace, trace.tool(TOOL):
            pass  # the control
        twin = sent.fuse.shadow(trace)
        if promoted:
            bundles = {"stable": _Bundle("b1"), "canary": _Bundle("b3", 1.0)}
            given = replace(grants('"write"'), without_verdict="allow", bundles=bundles)
            sent.fuse.held.obey_file(given)
        assert twin is not None
        with pytest.raises(ToolDenied, match="shadow"), twin, twin.tool(TOOL):
            pytest.fail("it ran")


def test_a_share_of_the_runs_is_repeated() -> None:
    """All where no share is declared; none without a shadow."""
    runs = [trace_id(number) for number in range(2000)]

    assert all(grants().shadow_of(run) == "b3" for run in runs)
    assert 0.2 < sum(bool(grants(share=0.25).shadow_of(run)) for run in runs) / len(runs) < 0.3
    assert decode(b'{"agent":"refunds"}').shadow_of(runs[0]) == ""


def test_a_bundle_that_is_stable_too_is_no_shadow() -> None:
    """Else a shadow that was promoted would stand still."""
    text = b'{"agent":"a","bundles":{"stable":{"hash":"b3"},"shadow":{"hash":"b3"}}}'

    assert not decode(text).shadows("b3")
    assert grants().shadows("b3")
