"""What a trace survives: threads, tasks, processes, hosts."""

import asyncio
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracefuse
from tests.sdk import sdk
from tracefuse.propagation import parse, traceparent

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "header",
    [
        "", "00", HEADER[:-1], HEADER.upper(), HEADER.replace("00-4", "ff-4"), HEADER + "-x",
        f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_new_trace(header: str) -> None:
    """A broken header of a caller is ignored, as the standard asks."""

    assert parse(header) is None


def test_a_later_version_is_read_like_the_first() -> None:
    """Fields that a future version appends are passed over."""
    parent = parse(HEADER.replace("00-4", "01-4") + "-more")

    assert parent is not None
    assert parent.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
def test_what_is_written_can_be_read(trace: int, span: int) -> None:
    """Round trip of every id."""
    parent = parse(traceparent(f"{trace:032x}", f"{span:016x}"))

    assert parent == (f"{trace:032x}", f"{span:016x}")


@given(st.text(max_size=80))
def test_no_header_breaks_the_reader(header: str) -> None:
    """Any text gives a parent or none, never an error."""

    assert parse(header) is None or header.strip().startswith("0") or len(header) >= 55


def test_a_callers_trace_goes_on_here() -> None:
    """Trace id and parent span are those of the caller's header."""
    with sdk() as sent, sent.fuse.trace(parent=HEADER):
        pass

    start = sent.one("run.start")
    assert start.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert start.parent_span_id == "00f067aa0ba902b7"


def test_a_child_process_finds_its_parent_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TRACEPARENT is the default parent; an explicit id wins."""
    monkeypatch.setenv("TRACEPARENT", HEADER)
    with sdk() as sent:
        with sent.fuse.trace() as inherited:
            pass
        with sent.fuse.trace(trace_id="f" * 32) as own:
            pass

    assert inherited.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert own.trace_id == "f" * 32


def test_an_impossible_trace_id_is_replaced() -> None:
    """What is not 32 hex digits would be refused at the other end; the run gets an id of its own."""
    with sdk() as sent:
        traces = [sent.fuse.trace(trace_id=given) for given in ("nonsense", "x" * 32)]

    for trace in traces:
        assert len(trace.trace_id) == 32
        assert int(trace.trace_id, 16)


def test_headers_carry_the_innermost_span() -> None:
    """`inject` writes the call that is being made; outside of a trace it writes nothing."""
    headers: dict[str, str] = {}
    tracefuse.inject(headers)
    assert headers == {}
    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("http") as call:
        tracefuse.inject(headers)

    parent = parse(tracefuse.extract(headers))
    assert parent == (trace.trace_id, call.span_id)


def test_a_thread_joins_the_trace_it_was_given() -> None:
    """`carry` takes the context along; a bare thread has none."""
    seen: list[tracefuse.Trace | None] = []
    with sdk() as sent, sent.fuse.trace() as trace:

        def look(number: int) -> None:
            seen.append(sent.fuse.current())

        for target in (tracefuse.carry(look), look):
            thread = threading.Thread(target=target, args=(0,))
            thread.start()
            thread.join()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(tracefuse.carry(look), range(3)))

    assert seen == [trace, None, trace, trace, trace]


def test_tasks_inherit_and_keep_apart() -> None:
    """Concurrent runs of one loop do not see each other."""

    async def agent(fuse: tracefuse.Fuse, name: str) -> bool:
        async with fuse.trace(task=name) as trace:
            await asyncio.sleep(0)
            inner = await asyncio.create_task(_current(fuse))
            return inner is trace

    async def both(fuse: tracefuse.Fuse) -> list[bool]:
        return list(await asyncio.gather(agent(fuse, "a"), agent(fuse, "b")))

    with sdk() as sent:
        assert asyncio.run(both(sent.fuse)) == [True, True]
        assert sent.fuse.current() is None


async def _current(fuse: tracefuse.Fuse) -> tracefuse.Trace | None:
    return fuse.current()


def test_a_run_left_in_another_context_does_no_harm() -> None:
    """A generator may be closed elsewhere than it was begun; the run ends all the same."""
    with sdk() as sent:
        trace = sent.fuse.trace()
        contextvars.copy_context().run(trace.__enter__)
        trace.__exit__(None, None, None)

    assert [event.name for event in sent.events()] == ["run.start", "run.end"]


def test_a_handoff_hands_the_span_on() -> None:
    """The next agent's run goes on in the same trace, below the span that handed over."""
    with sdk() as sent, sent.fuse.trace() as trace:
        header = trace.handoff("billing")

    assert sent.one("handoff").attrs == {"to": "billing"}
    assert parse(header) == (trace.trace_id, trace.span_id)
    assert "TRACEPARENT" not in os.environ
