"""F03: the broker is away, dead or hung, while the agent goes on. Nothing is lost, nobody waits."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

import tracefuse
from ingest.broker import Broker
from ingest.keys import create
from ingest.provision import provision
from ingest.settings import Settings
from tests.reading import lines, read
from tracefuse import wire
from tracefuse.signing import envelope_mac

RATE = 2000  # events a second
BLOCKED_SECONDS = 0.005
MEMORY_BYTES = 64 * 1024 * 1024


def _emit(
    fuse: tracefuse.Fuse, seconds: float, plan: dict[float, Callable[[], object]], at_once: int
) -> list[float]:
    """Thoughts at a steady rate over so many runs; the seconds that each call took."""
    took: list[float] = []
    runs = [fuse.trace(task="outage") for _ in range(at_once)]
    for run in runs:
        run.__enter__()
    began = time.monotonic()
    sent = 0
    while (now := time.monotonic() - began) < seconds:
        for at in [at for at in plan if at <= now]:
            plan.pop(at)()
        while sent < (time.monotonic() - began) * RATE:
            start = time.thread_time()
            runs[sent % at_once].thought("The order is 12 days old, so a refund is due.")
            took.append(time.thread_time() - start)
            sent += 1
        time.sleep(0.005)
    for run in reversed(runs):
        run.__exit__(None, None, None)
    return took


def _play(
    tmp_path: Path, hang: bool, outage: float, spool: bool = True, at_once: int = 16
) -> dict[str, object]:
    """An agent at work while the broker goes for `outage` seconds and comes back."""
    keys = create(tmp_path / "keys")
    with Broker(tmp_path / "broker") as broker:
        asyncio.run(provision(Settings(bootstrap=broker.bootstrap)))
        credential = keys.credential("acme", "refunds")
        fuse = tracefuse.init(
            bootstrap=broker.bootstrap,
            credential=credential,
            spool=tmp_path / "spool" if spool else None,
        )
        time.sleep(1.0)
        # What other tests left in this process would be searched for garbage on the agent's account.
        gc.collect()
        gc.freeze()
        before = psutil.Process().memory_info().rss
        gone = signal.SIGSTOP if hang else signal.SIGKILL
        took = _emit(fuse, outage + 2.0, {2.0: lambda: broker.kill(gone)}, at_once)
        grown = psutil.Process().memory_info().rss - before
        if hang:
            broker.kill(signal.SIGCONT)
        else:
            broker.start()
        took += _emit(fuse, 1.0, {}, at_once)
        healed = time.monotonic()
        fuse.close(timeout=60.0)
        return {
            "took": took,
            "grown": grown,
            "drain": time.monotonic() - healed,
            "stats": fuse.stats(),
            "records": asyncio.run(read(broker.bootstrap, wire.EVENTS)),
            "credential": credential,
        }


def _check(played: dict[str, object]) -> None:
    stats, took = played["stats"], played["took"]
    assert isinstance(stats, dict)
    assert isinstance(took, list)
    found = lines(played["records"])  # type: ignore[arg-type]
    seqs = [event.seq for _, event in found]
    in_order: dict[int, list[int]] = {}
    for partition, event in found:
        in_order.setdefault(partition, []).append(event.seq)

    assert stats["dropped"] == {}
    assert sorted(seqs) == list(range(1, stats["emitted"] + 1))  # none lost, none twice, no gap
    assert all(a < b for own in in_order.values() for a, b in pairwise(own))
    assert len({event.event_id for _, event in found}) == len(found)
    assert sum(event.name == "thought" for _, event in found) == len(took)
    assert stats["spooled"] > 0
    assert max(took) < BLOCKED_SECONDS
    assert played["grown"] < MEMORY_BYTES  # type: ignore[operator]


@pytest.mark.kafka
@pytest.mark.parametrize("hang", [False, True], ids=["dead", "hung"])
def test_a_short_outage_loses_nothing_and_blocks_nobody(tmp_path: Path, hang: bool) -> None:
    """2,000 events/s through 5 s without a broker: all arrive, once, in order; calls below 5 ms."""
    played = _play(tmp_path, hang, outage=5.0)

    _check(played)


@pytest.mark.kafka
def test_a_full_producer_is_no_broken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One partition gets more than the client holds while the broker hangs: all of it arrives once.

    Made anew, the producer would send again what the broker finds in its socket when it goes on.
    """
    monkeypatch.setattr("tracefuse.transports.REQUEST_MS", 1000)
    played = _play(tmp_path, hang=True, outage=4.0, at_once=1)

    _check(played)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.parametrize("hang", [False, True], ids=["dead", "hung"])
def test_a_minute_without_a_broker(tmp_path: Path, hang: bool) -> None:
    """2,000 events/s through 60 s: 0 dropped, at most 64 MiB more memory, order kept."""
    played = _play(tmp_path, hang, outage=60.0)

    _check(played)


@pytest.mark.kafka
def test_what_waited_on_disk_says_so_under_its_proof(tmp_path: Path) -> None:
    """Records out of the spool carry `spooled`, and their MAC covers it; the others do not."""
    played = _play(tmp_path, hang=False, outage=4.0)
    credential, records = played["credential"], played["records"]
    assert isinstance(credential, tracefuse.Credential)
    assert isinstance(records, list)
    flags = [wire.header(record.headers, wire.SPOOLED) == b"1" for record in records]

    assert {True, False} == set(flags)
    for record, spooled in zip(records, flags, strict=True):
        mac = envelope_mac(credential.envelope_key, credential.kid, spooled, record.value)
        assert wire.header(record.headers, wire.MAC) == mac


@pytest.mark.kafka
def test_control_without_room_for_the_outage_events_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: no spool and little memory lose events, each counted, and the sequence has a gap."""
    monkeypatch.setattr("tracefuse.fuse.MEMORY_BYTES", 100_000)
    played = _play(tmp_path, hang=False, outage=5.0, spool=False)
    stats = played["stats"]
    assert isinstance(stats, dict)
    seqs = {event.seq for _, event in lines(played["records"])}  # type: ignore[arg-type]
    lost = sum(
        stats["dropped"].values()
    )  # on a slow machine some are still on their way at the end

    assert stats["dropped"]["spool_full"] > 0
    assert len(seqs) == stats["emitted"] - lost
    assert max(seqs) == stats["emitted"]
