"""F18: the agent's process is killed while the broker is away. What was spooled survives it."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import ConsumerRecord

import tracefuse
from ingest.broker import Broker
from ingest.keys import create
from ingest.provision import provision
from ingest.settings import Settings
from tests.reading import lines, read
from tracefuse import wire
from tracefuse.credentials import save
from tracefuse.signing import envelope_mac

LOST_SECONDS = 0.5  # the documented bound
BEFORE, DURING = 400, 700  # events with a broker, and without: 2 s and more of work
PATIENCE_SECONDS = 60.0

# An agent whose every event names its number, and a ledger of when it was emitted.
AGENT = """
import sys, time, tracefuse
ledger = open(sys.argv[1], "ab", buffering=0)
fuse = tracefuse.init()
with fuse.trace(task="killed") as trace:
    for number in range(1_000_000):
        trace.context("retrieval", documents=[{"id": str(number)}])
        ledger.write(b"%d %f\\n" % (number, time.monotonic()))
        time.sleep(0.002)
"""


def _emitted(ledger: Path, at_least: int) -> dict[int, float]:
    """When each event was emitted, once there are so many."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        whole = ledger.read_text().rpartition("\n")[0] if ledger.exists() else ""
        found = {int(n): float(at) for n, at in map(str.split, whole.splitlines())}
        if len(found) >= at_least:
            return found
        assert time.monotonic() < deadline, f"{len(found)} events in {PATIENCE_SECONDS} s"
        time.sleep(0.05)


class Killed(NamedTuple):
    """When the broker and the agent were killed, what it had emitted when, and what arrived in the end."""

    broker: float
    agent: float
    emitted: dict[int, float]
    records: list[ConsumerRecord]

    def durable(self) -> dict[int, float]:
        return {n: at for n, at in self.emitted.items() if at < self.agent - LOST_SECONDS}


def _killed(folder: Path, spool: bool) -> Killed:
    credential = create(folder / "keys").credential("acme", "refunds")
    save(credential, folder / "credential.json")
    with Broker(folder / "broker") as broker:
        asyncio.run(provision(Settings(bootstrap=broker.bootstrap)))
        environment = {
            "TRACEFUSE_BOOTSTRAP": broker.bootstrap,
            "TRACEFUSE_CREDENTIAL": str(folder / "credential.json"),
            "TRACEFUSE_SPOOL": str(folder / "spool") if spool else "",
        }
        ledger = folder / "ledger"
        command = [sys.executable, "-c", AGENT, str(ledger)]
        agent = subprocess.Popen(command, env=environment)
        reached = len(_emitted(ledger, BEFORE))
        broker.kill()
        outage = time.monotonic()
        _emitted(ledger, reached + DURING)
        agent.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        agent.wait()
        broker.start()
        fuse = tracefuse.init(
            bootstrap=broker.bootstrap, credential=credential, spool=folder / "spool"
        )
        fuse.close(timeout=30.0)
        emitted = _emitted(ledger, reached + DURING)
        records = asyncio.run(read(broker.bootstrap, wire.EVENTS))
        return Killed(outage, killed, emitted, records)


def _numbers(records: list[ConsumerRecord]) -> list[int]:
    events = [event for _, event in lines(records) if event.name == "retrieval"]
    return [int(event.attrs["documents"][0]["id"]) for event in events]


@pytest.mark.kafka
def test_a_kill_during_an_outage_costs_at_most_half_a_second(tmp_path: Path) -> None:
    """The next start adopts the spool: all but the last 500 ms arrive, in order, none is made up."""
    killed = _killed(tmp_path, spool=True)
    arrived, durable = _numbers(killed.records), killed.durable()

    assert durable.keys() <= set(arrived)
    assert max(durable.values()) > killed.broker  # the agent did work during the outage
    assert set(arrived) <= set(range(max(killed.emitted) + 2))
    assert list(dict.fromkeys(arrived)) == sorted(set(arrived))


@pytest.mark.kafka
def test_adopted_envelopes_keep_their_boot_and_their_proof(tmp_path: Path) -> None:
    """They arrive as they were: old boot id, marked as spooled, under a MAC that says so."""
    records = _killed(tmp_path, spool=True).records
    credential = create(tmp_path / "keys").credential("acme", "refunds")
    spooled = [r for r in records if wire.header(r.headers, wire.SPOOLED) == b"1"]
    boots = {event.boot_id for _, event in lines(records) if event.task_type == "killed"}

    assert spooled
    assert len(boots) == 1
    for record in spooled:
        mac = envelope_mac(credential.envelope_key, credential.kid, True, record.value)
        assert wire.header(record.headers, wire.MAC) == mac


@pytest.mark.kafka
def test_control_without_a_spool_the_outage_is_lost(tmp_path: Path) -> None:
    """Control: the same kill without a folder loses what the broker had not yet."""
    killed = _killed(tmp_path, spool=False)

    assert not killed.durable().keys() <= set(_numbers(killed.records))
