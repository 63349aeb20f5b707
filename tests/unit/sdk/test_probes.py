"""Probe files and the runs that they become: nothing executed, nothing raised, one at a time, in time."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.sdk import sdk
from tracefuse import Trace
from tracefuse.errors import ConfigError, ToolDenied
from tracefuse.grants import Grants, decode
from tracefuse.probe_file import PROBES_MAX, BadProbes, parse
from tracefuse.probe_schedule import LATE_SECONDS, Schedule
from tracefuse.verdicts import Verdict

HEAD = '{"set": "weekly", "every_hours": 24}'
HELLO = '{"id": "hello", "input": "Refund ann@example.org", "task": "refund", "expect": {%s}}'
NOW = 1_795_000_000.0


def written(folder: Path, *lines: str) -> Path:
    path = folder / "probes.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


def grants(**more: Any) -> Grants:
    """A file with one tool that writes and one that reads."""
    found = decode(b'{"agent":"refunds","tools":{"crm.pay":{"access":"write"},"crm.find":{}}}')
    return Grants(**{name: getattr(found, name) for name in found.__struct_fields__} | more)


# -- the file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "no JSON"),
        ("[]", "not an object"),
        ('{"id": "a", "input": 1}', "missing required field `expect`"),
        ('{"id": "a", "input": 1, "expect": {"tool": []}}', "unknown field `tool` at `expect`"),
        ('{"id": "a b", "input": 1, "expect": {}}', "at `id`"),
        ('{"id": "a", "id": "b", "input": 1, "expect": {}}', "'id' stands twice"),
        ('{"id": "a", "input": NaN, "expect": {}}', "NaN is no number"),
        ('{"id": "a", "input": 1, "expect": {"max_calls": -1}}', "at `expect.max_calls`"),
        ('{"id": "a", "input": 1, "expect": {"outcome": "fine"}}', "at `expect.outcome`"),
        ('{"id": "a", "input": 1, "expect": {"tools": ["x"], "never": ["x"]}}', "and forbidden"),
        ('{"id": "a", "input": 1, "expect": {"tools": ["x"], "in_order": true}}', "at least two"),
        ('{"id": "a", "input": 1, "expect": {"tools": ["x", "y"], "max_calls": 1}}', "2 calls"),
        (
            '{"id": "a", "input": 1, "expect": {"decision_args": {"x": {"to": "a@example.org"}}}}',
            "looks personal",
        ),
        ('{"id": "a", "input": 1, "expect": {"never": ["' + '", "'.join(
            f"{i}{'x' * 200}" for i in range(12)) + '"]}}', "bytes, at most"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(line: str, words: str) -> None:
    """Whatever it is; what lies around it is no mistake."""
    with pytest.raises(BadProbes) as refused:
        parse(f"{HEAD}\n\n{line}\n{HELLO % ''}", "p.jsonl")

    (mistake,) = refused.value.mistakes
    assert mistake.startswith("p.jsonl: line 3: ")
    assert words in mistake


def test_all_mistakes_are_told_at_once() -> None:
    """Also two of one line, and an id that comes again."""
    bad = '{"id": "b", "input": 1, "expect": {"tools": ["x"], "never": ["x"], "in_order": true}}'
    with pytest.raises(BadProbes) as refused:
        parse("\n".join((HEAD, bad, HELLO % "", HELLO % "")), "p.jsonl")

    assert [mistake.split(": ")[1] for mistake in refused.value.mistakes] == ["line 2"] * 2 + [
        "line 4"
    ]


@pytest.mark.parametrize(
    "text", ["", HEAD, '{"every_hours": 3}', '{"set": "a", "every_hours": 0.1}']
)
def test_a_file_without_a_set_or_probes_is_refused(text: str) -> None:
    """It would run nothing, and nobody would see that."""
    with pytest.raises(BadProbes):
        parse(text)


def test_a_set_is_bounded() -> None:
    """What runs through an agent must not be the most of what it does."""
    lines = [HELLO.replace("hello", f"p{i}") % "" for i in range(PROBES_MAX + 1)]
    with pytest.raises(BadProbes, match="at most 64"):
        parse("\n".join((HEAD, *lines)))
    assert len(parse("\n".join((HEAD, *lines[1:]))).probes) == PROBES_MAX


def test_a_decision_argument_that_never_travels_is_refused(tmp_path: Path) -> None:
    """Its expectation could not be met: the process does not tell it in clear."""
    said = '"decision_args": {"crm.pay": {"amount": 25}}'
    path = written(tmp_path, HEAD, HELLO % said)
    with sdk() as sent, pytest.raises(ConfigError, match="no decision argument"):
        sent.fuse.probes(path, run=lambda trace, task: None)
    with sdk(decision_args={"crm.pay": ("amount",)}) as sent:
        assert sent.fuse.probes(path, run=lambda trace, task: None).missed == 0


# -- the runs ---------------------------------------------------------------------------------------


def paying(trace: Trace, task: Any) -> None:
    trace.input(task)
    with trace.tool("crm.find", {"order": 1}) as call:
        call.result("found")
    with trace.tool("crm.pay", {"amount": 25}):
        raise AssertionError("it ran")


def test_a_probe_marks_every_event_and_tells_no_text(tmp_path: Path) -> None:
    """Runs of users beside it are not marked; input and answer leave as keyed hashes."""
    path = written(tmp_path, HEAD, HELLO % '"tools": ["crm.pay"], "output": "secret words"')
    with sdk() as sent:
        sent.fuse.held.grants = grants(held=())
        sent.fuse.gate.ready = True
        sent.fuse.gate.declare({"crm.find": "read", "crm.pay": "write"})
        assert sent.fuse.probes(path, run=paying).run_all() == ["hello"]
        with sent.fuse.trace() as trace:
            trace.thought("for a user")
    begun = sent.events("run.start")
    marked = [e for e in sent.events() if e.attrs.get("probe") == "weekly/hello"]

    assert [e.trace_id == begun[0].trace_id for e in marked] == [True] * len(marked)
    assert {e.name for e in marked} >= {"run.start", "input.user", "tool.request", "run.end"}
    assert begun[0].attrs["expected"]["tools"] == ["crm.pay"]
    assert begun[1].attrs == {}
    whole = b"".join(record.value for record in sent.transport.sent)
    assert b"secret words" not in whole and b"ann@example.org" not in whole


@pytest.mark.parametrize(
    "file",
    [
        None,  # nothing is known of the tool
        {"held": ()},  # nothing waits for a verdict
        {"held": (), "bundles": {}, "autonomy": 3},
        {"without_verdict": "allow"},  # no verdict comes, and the file lets writes go on
    ],
)
def test_a_probe_writes_nothing(tmp_path: Path, file: dict[str, Any] | None) -> None:
    """Whatever the file says; what would have been called is told with its arguments."""
    path = written(tmp_path, HEAD, HELLO % "")
    with sdk() as sent:
        sent.fuse.gate.ready = True
        sent.fuse.gate.declare({"crm.find": "read"})
        if file is not None:
            sent.fuse.held.grants = grants(**file)
            sent.fuse.gate.declare({"crm.find": "read", "crm.pay": "write"})
        sent.fuse.probes(path, run=paying).run_all()
    pays = [e for e in sent.events("tool.request", "tool.result") if e.tool == "crm.pay"]

    assert [(e.name, e.status) for e in pays] == [("tool.request", ""), ("tool.result", "not_run")]
    assert pays[0].args_hash and pays[1].attrs["gate"] == "shadow"
    assert sent.one("run.end").status == "ok"


def test_a_verdict_that_knows_nothing_of_probes_opens_no_way(tmp_path: Path) -> None:
    """Defence in depth: the process itself executes nothing, also where the answer was yes."""
    path = written(tmp_path, HEAD, HELLO % "")

    def asking(trace: Trace, task: Any) -> None:
        call = trace.tool("crm.pay", {"amount": 25})
        word = Verdict(
            call_id=call.call_id, attempt=1, tenant="acme", agent_id="refunds",
            trace_id=trace.trace_id, boot_id=sent.fuse.boot_id, word="allow",
        )  # fmt: skip
        ask = sent.fuse.held.ask

        def answered(call_id: str, attempt: int) -> Any:
            found = ask(call_id, attempt)
            sent.fuse.held.tell(word)
            return found

        sent.fuse.held.ask = answered  # type: ignore[method-assign]
        with call:
            pytest.fail("it ran")

    with sdk() as sent:
        sent.fuse.held.grants, sent.fuse.held.listening = grants(), True
        sent.fuse.probes(path, run=asking).run_all()

    assert sent.one("tool.result").status == "not_run"


def test_users_writes_still_run() -> None:
    """Control: what is no probe is not denied."""
    with sdk() as sent:
        sent.fuse.held.grants = grants(held=())
        with sent.fuse.trace() as trace, trace.tool("crm.pay") as call:
            call.result("paid")

    assert sent.one("tool.result").status == "ok"


def test_what_a_probe_raises_reaches_nobody(tmp_path: Path) -> None:
    """It is the end of its run; another refusal than its own is a bad end."""
    path = written(tmp_path, HEAD, HELLO % "")

    def broken(trace: Trace, task: Any) -> None:
        raise KeyError("no such order")

    def refused(trace: Trace, task: Any) -> None:
        raise ToolDenied("crm.pay", "too dear", "budget")

    with sdk() as sent:
        for run in (broken, refused):
            assert sent.fuse.probes(path, run=run).run_all() == ["hello"]

    assert [e.error_type for e in sent.events("run.end")] == ["KeyError", "ToolDenied"]


def test_async_agents_run_probes_too(tmp_path: Path) -> None:
    """The same events; an async agent run as a sync one ends badly and says so."""
    path = written(tmp_path, HEAD, HELLO % "")

    async def answer(trace: Trace, task: Any) -> None:
        await asyncio.sleep(0)
        trace.output("done")

    with sdk() as sent:
        probes = sent.fuse.probes(path, run=answer)
        assert asyncio.run(probes.run_all_async()) == ["hello"]
        probes.run_all()

    assert [e.status for e in sent.events("run.end")] == ["ok", "error"]
    assert sent.one("output").attrs["probe"] == "weekly/hello"


def test_never_two_at_a_time(tmp_path: Path) -> None:
    """Whoever asks while one runs gets none, and its time is not used up."""
    path = written(tmp_path, HEAD, HELLO % "")
    inner: list[Any] = []
    with sdk() as sent:
        probes = sent.fuse.probes(path, run=lambda trace, task: inner.append(probes.run_all()))
        probes.run_all()

    assert inner == [[]]
    assert len(sent.events("run.start")) == 1


@pytest.mark.parametrize("read", ["before", "during"])
def test_a_probe_uses_the_stable_bundle(tmp_path: Path, read: str) -> None:
    """Never the canary's, whatever its share and whenever the file comes: it must not move."""
    path = written(tmp_path, HEAD, HELLO % "")
    bundles = decode(
        b'{"agent":"r","bundles":{"stable":{"hash":"b1"},"canary":{"hash":"b2","share":1}}}'
    ).bundles
    used: list[str] = []

    def run(trace: Trace, task: object) -> None:
        sent.fuse.held.grants = grants(bundles=bundles)
        used.append(trace.bundle)

    with sdk() as sent:
        if read == "before":
            sent.fuse.held.grants = grants(bundles=bundles)
        sent.fuse.probes(path, run=run).run_all()

    assert used == ["b1"]
    assert sent.one("run.end").bundle == "b1"


# -- the schedule -----------------------------------------------------------------------------------


def test_every_probe_runs_once_a_period() -> None:
    """Looked at each ten minutes for three days: each probe three times, in order, none missed."""
    schedule = Schedule("refunds", "weekly", 4, 86_400.0)
    start = schedule.begins(80_000)
    found = [schedule.due(start + 600 * i) for i in range(3 * 144)]

    assert [one.probe for one in found if one.probe is not None] == [0, 1, 2, 3] * 3
    assert sum(one.missed for one in found) == 0


def test_agents_begin_at_their_own_times() -> None:
    """So that a fleet's probes do not come all at once: 200 agents spread over the whole period."""
    begins = [Schedule(f"agent-{i}", "weekly", 1, 1000.0).begins(0) for i in range(200)]

    assert max(sum(low <= one < low + 100 for one in begins) for low in range(0, 1000, 100)) < 40


def test_what_is_late_is_skipped_and_never_made_up_for() -> None:
    """After two days away: one is due at most, the others are counted; the hour is the limit."""
    schedule = Schedule("refunds", "weekly", 4, 86_400.0)
    start = schedule.begins(80_000)
    schedule.due(start)

    assert schedule.due(start + 2 * 86_400.0) == (0, 7)
    assert schedule.due(start + 2 * 86_400.0 + 21_600.0 + LATE_SECONDS + 1) == (None, 1)
    assert schedule.due(start) == (None, 0)


def test_skipping_is_loud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, in a count and in the stream; on time nothing is said."""
    path = written(tmp_path, HEAD, HELLO % "")
    with sdk() as sent, caplog.at_level(logging.WARNING, "tracefuse"):
        probes = sent.fuse.probes(path, run=lambda trace, task: None)
        now = NOW + probes.seconds_to_next(NOW) + 1
        assert probes.run_due(now) == "hello"
        assert (probes.run_due(now + 60), probes.missed, caplog.text) == (None, 0, "")
        assert probes.run_due(now + 3 * 86_400.0) == "hello"

    assert probes.missed == 2
    assert "2 missed their time" in caplog.text
    assert sent.one("x.probes.skipped").attrs == {"set": "weekly", "missed": 2}
