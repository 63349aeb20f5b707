"""The scenario of failed probes is true: the real SDK runs them, and the detector tells them apart."""

from pathlib import Path
from random import Random

import pytest

import tracefuse
from ingest.keys import Keys
from ingest.simulate.journal import Journal
from ingest.simulate.pace import Pace
from ingest.simulate.player import Player
from ingest.simulate.process import Work
from ingest.simulate.roles import Role, agent_file, fleet
from ingest.simulate.scenarios import SCENARIOS
from ingest.simulate.work import TASKS
from stream.detect.registering import sealed
from tests.pipe import MASTER, REGISTRY, TENANT, Pipe, signals
from tracefuse.transports import MemoryTransport

KEYS = Keys(MASTER, b"a" * 32, b"h" * 32, b"r" * 32)
NAME = "failed_probes"
RUNS = 4


def played(role: Role, folder: Path) -> Pipe:
    """Runs of users and, after each, the probes; through the SDK, then through both cores."""
    scenario, sent = SCENARIOS[NAME], MemoryTransport()
    credential = KEYS.credential(TENANT, role.agent)
    fuse = tracefuse.init(
        credential=credential, transport=lambda: sent, spool=folder / "spool",
        access={tool.name: tool.access for tool in TASKS[role.task].instruments},
    )  # fmt: skip
    journal = Journal(folder / "journal")
    player, work = Player(fuse, journal, Pace(1e6, now=0.0)), Work(role, Random(7))
    (folder / "probes").write_text(scenario.probes, "utf-8")
    probes = fuse.probes(
        folder / "probes", run=lambda trace, task: player.through(trace, work.asked(task))
    )
    for _ in range(scenario.warm + RUNS):
        assert player.play(work.next(scenario.fault_at_s, 1e6))
        assert probes.run_all() == ["locked", "unknown"]
    fuse.close()
    journal.close()
    pipe = Pipe()
    pipe.tell(sealed(agent_file(role, TENANT), REGISTRY))
    for envelope in sent.sent:
        pipe.put(envelope.partition, envelope.headers(), envelope.value)
    return pipe


@pytest.mark.parametrize("role", fleet([NAME], healthy=0), ids=lambda role: role.agent)
def test_the_third_failure_is_a_ticket_and_the_twin_has_none(role: Role, tmp_path: Path) -> None:
    """Two probes after each of four faulty runs: the third alarms; all of the twin go well."""
    pipe = played(role, tmp_path)
    said = [one for one in signals(pipe.out) if one.detector == "probe_drift"]

    assert [one.severity for one in said][:3] == (["low", "low", "medium"] if role.faulty else [])
    assert bool(said) == role.faulty


def test_probes_are_answered_as_users_are(tmp_path: Path) -> None:
    """While the fault lasts its probes are bent, too, and not before; the task is the probe's own."""
    role, twin = fleet([NAME], healthy=0)
    work, healthy = Work(role, Random(7)), Work(twin, Random(7))
    before = work.asked("who")
    for _ in range(SCENARIOS[NAME].warm + 1):
        work.next(SCENARIOS[NAME].fault_at_s, 1e6)

    assert before == healthy.asked("who") and before.message == "who"
    assert (len(before.moves), len(work.asked("who").moves)) == (2, 1)
