"""F08, F09, F11: values that are too large, or no text at all. The agent does not notice."""

import asyncio
import gc
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
import pytest

import tracefuse
from ingest.broker import Broker
from ingest.keys import create
from ingest.provision import provision
from ingest.settings import Settings
from tests.reading import lines, read
from tests.sdk import sdk
from tracefuse import wire
from tracefuse.drafts import INLINE_MAX

SIZES = (256 * 1024, 999_000, 1_000_000, 1_048_400, 1_048_576)
HUNDRED_MB = 100_000_000
EMIT_SECONDS = 0.05


@pytest.mark.kafka
@pytest.mark.parametrize("form", ["text", "nested"])
def test_f08_values_around_a_megabyte_arrive_as_envelopes(
    fresh_broker: Broker, tmp_path: Path, form: str
) -> None:
    """Each is accepted and visible; above 256 KiB it is cut, and says so with its size and hash."""
    asyncio.run(provision(Settings(bootstrap=fresh_broker.bootstrap)))
    credential = create(tmp_path / "keys").credential("acme", "refunds")
    fuse = tracefuse.init(bootstrap=fresh_broker.bootstrap, credential=credential)
    with fuse.trace() as trace:
        for size in SIZES:
            text = "a" * size
            with trace.tool("load") as call:
                call.result(text if form == "text" else {"parts": [{"text": text}]})
    fuse.close(timeout=20.0)

    assert fuse.stats()["dropped"] == {}
    found = [e for _, e in lines(asyncio.run(read(fresh_broker.bootstrap, wire.EVENTS)))]
    results = [event for event in found if event.name == "tool.result"]
    assert len(results) == len(SIZES)
    for size, event in zip(SIZES, results, strict=True):
        assert event.result_hash
        assert event.truncated == (size > INLINE_MAX or (form == "nested" and size == INLINE_MAX))
        if event.truncated:
            assert abs(event.attrs["original_bytes"] - size) < 100
            assert len(event.attrs["content_sha256"]) == 32


@pytest.mark.parametrize("form", ["text", "bytes", "list of texts", "list of numbers", "mapping"])
def test_f09_a_hundred_megabytes_cost_the_agent_nothing(form: str) -> None:
    """`emit` returns within 50 ms without writing it all: memory grows by far less than its size."""
    value = _large(form)
    # What other tests left in this process would be searched for garbage on the agent's account.
    gc.collect()
    gc.freeze()
    process = psutil.Process()
    with sdk() as sent, sent.fuse.trace() as trace:
        before = process.memory_info().rss
        began = time.thread_time()
        with trace.tool("load", value) as call:
            asked = time.thread_time() - began
            began = time.thread_time()
            call.result(value)
        told = time.thread_time() - began
    grown = process.memory_info().rss - before

    assert asked < EMIT_SECONDS
    assert told < EMIT_SECONDS
    assert grown < 40_000_000
    for name in ("tool.request", "tool.result"):
        event = sent.one(name)
        assert event.truncated
        assert event.attrs["original_bytes"] > 10_000_000
        assert event.attrs["content_sha256"]


def _large(form: str) -> Any:
    if form == "text":
        return "x" * HUNDRED_MB
    if form == "bytes":
        return b"x" * HUNDRED_MB
    if form == "list of texts":
        return ["x" * 1000] * 100_000
    if form == "list of numbers":
        return [1.5] * 12_500_000
    return {str(number): "x" * 100 for number in range(500_000)}


def test_f09_control_writing_it_all_takes_too_long() -> None:
    """Control: what the estimate avoids is far above the bound, in time and memory."""
    value = ["x" * 1000] * 100_000
    tracemalloc.start()
    began = time.thread_time()
    text = json.dumps(value)
    took = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(text) > HUNDRED_MB
    assert took > EMIT_SECONDS
    assert peak > HUNDRED_MB


@pytest.mark.parametrize(
    "value",
    ["\ud800", "a\udfff b", "nul \x00 byte", b"\xff\xfe\x00", b"\xed\xa0\x80", float("nan")],
    ids=["lone high", "lone low", "nul", "no utf-8", "surrogate bytes", "nan"],
)
def test_f11_what_is_no_text_never_reaches_the_wire_raw(value: object) -> None:
    """Every line is valid UTF-8 and strict JSON, whatever an agent or its tools handed over."""
    with sdk() as sent, sent.fuse.trace(task="t") as trace:
        trace.input(value)
        trace.thought(str(value))
        with trace.tool("t", {"a": value, "b": [value]}) as call:
            call.result(value)
            call.error(f"bad input {value!s}")

    assert len(sent.events()) == 6
    for envelope in sent.transport.sent:
        for line in envelope.value.split(b"\n"):
            json.loads(line.decode("utf-8", "strict"), parse_constant=_refuse)


def test_f11_names_are_cleaned_too() -> None:
    """A tool's, a user's or a task's name with half a surrogate costs the name, not the event."""
    with sdk() as sent, sent.fuse.trace(task="t\ud800", user="u\udfff") as trace:
        with trace.tool("crm\ud800"):
            pass
        trace.context("retrieval", documents=[{"id": "\ud800"}])

    assert [event.tool for event in sent.events("tool.request")] == ["crm\ufffd"]
    assert sent.fuse.stats()["dropped"] == {}


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
