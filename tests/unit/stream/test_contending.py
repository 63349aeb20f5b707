"""Agents that hinder each other at one resource: from failed calls to one incident, through all cores."""

from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.records import Hindered
from stream.correlate.contending import PREFIX, QUIET_SECONDS, TOLD_MAX, TOOLS_MAX, ContentionState
from stream.correlate.correlate import Correlate
from tests.fleet import Fleet
from tests.pipe import TENANT, VERIFIER, registered
from tracefuse import wire
from tracefuse.events import Fingerprint

UPDATE = "crm.update"
ORDER = f"{991:016x}"


class Agents(Fleet):
    """Four agents that update orders."""

    def __init__(self) -> None:
        super().__init__(4)
        self.calls = 0

    def update(self, name: str, order: str = ORDER, tool: str = UPDATE, **result: Any) -> None:
        """A call about an order; by default somebody else was faster."""
        self.calls += 1
        said = {"status": "error", "error_type": "Failed", "sketches": {"hindered": "conflict"}}
        asked, answered = self._of(name, TENANT).call(
            1000 + self.calls, tool=tool, **(said | result)
        )
        asked.fingerprints = [Fingerprint(order, "id", "order", 0, 6)]
        self.send(asked, answered)
        self.wait(2.0)

    @property
    def told(self) -> list[Any]:
        return [one for one in self.incidents if one.detector == "contention"]


def test_two_agents_at_one_order_are_told_once() -> None:
    """Both have tried twice: one incident for both owners, the class of their errors, not the order."""
    agents = Agents()
    for name in agents.names[:2]:
        agents.tell(registered(agent=name, owner={"name": name, "routes": [f"mailto://{name}"]}))
    for n in range(8):
        agents.update(agents.names[n % 2])

    (incident,) = agents.told
    assert (incident.severity, incident.action, incident.node) == (
        "medium", "annotate", f"tool:{UPDATE}",
    )  # fmt: skip
    assert incident.routes == ["mailto://agent-0", "mailto://agent-1"]
    assert incident.sentence.startswith(
        "2 agents are in each other's way at one thing (000003df) of the tool `crm.update`: 4 of its 4 calls"
    )
    assert "(4 in conflict): agent-0, agent-1." in incident.sentence
    assert incident.agents == agents.names[:2]
    assert incident.why and incident.owasp and incident.first_event != incident.last_event


def test_agents_at_different_orders_are_left_alone() -> None:
    """The twin: as many failures, of as many agents, each at its own order."""
    agents = Agents()
    for n in range(8):
        agents.update(agents.names[n % 2], order=f"{n % 2 + 1:016x}")

    assert agents.told == []


@pytest.mark.parametrize(
    "result",
    [
        {"sketches": {}},
        {"sketches": {"hindered": "bribe"}},
        {"sketches": {"hindered": ["lock"]}},
        {"status": "ok", "error_type": ""},
        {"status": "not_run"},
    ],
)
def test_other_ends_of_calls_are_nobodys_hindrance(result: dict[str, Any]) -> None:
    """Errors of other classes, classes that nobody knows, and calls that went well or never ran."""
    agents = Agents()
    for n in range(8):
        agents.update(agents.names[n % 2], **result)

    assert agents.told == []


def test_of_an_older_sdk_the_name_of_the_error_tells() -> None:
    """It sends no class; `LockTimeout` is one."""
    agents = Agents()
    for n in range(4):
        agents.update(agents.names[n % 2], error_type="LockTimeout", sketches={})

    assert len(agents.told) == 1


def test_a_resource_that_is_named_counts_before_what_arguments_tell() -> None:
    """Their arguments differ; their authors say that it is one thing."""
    agents = Agents()
    for n in range(4):
        agents.calls += 1
        asked, answered = agents._of(agents.names[n % 2], TENANT).call(
            1000 + agents.calls, tool=UPDATE, status="error", sketches={"hindered": "lock"}
        )
        asked.fingerprints = [Fingerprint(f"{n + 1:016x}", "id", "order", 0, 6)]
        asked.sketches = {"resource": ORDER}
        agents.send(asked, answered)

    assert len(agents.told) == 1


def test_two_tools_and_two_tenants_are_apart() -> None:
    """A hash of another tenant is made with another key, and a tool of another name is another thing."""
    agents = Agents()
    for n in range(4):
        agents.update(agents.names[n % 2], tool=("crm.update", "crm.close")[n // 2])

    assert agents.told == []


def test_who_only_measures_is_not_told() -> None:
    """An owner may put the detector aside; its agents then hinder nobody either."""
    agents = Agents()
    agents.tell(registered(agent=agents.names[0], metrics_only=["contention"]))
    for n in range(8):
        agents.update(agents.names[n % 2])

    assert agents.told == []


def test_what_waited_on_a_disk_is_no_news() -> None:
    """After an outage hours of failures come at once."""
    agents = Agents()
    for n in range(8):
        asked, answered = agents._of(agents.names[n % 2], TENANT).call(
            2000 + n, tool=UPDATE, status="error", sketches={"hindered": "lock"}
        )
        asked.fingerprints = [Fingerprint(ORDER, "id", "order", 0, 6)]
        agents.send(asked, answered, spooled=True)

    assert agents.told == []


def test_it_is_told_again_after_a_quiet_quarter_of_an_hour() -> None:
    """While they go on nobody hears twice; a new fight later is a new incident."""
    agents = Agents()
    for n in range(8):
        agents.update(agents.names[n % 2])
    assert len(agents.told) == 1
    agents.wait(QUIET_SECONDS + 1.0)
    for n in range(4):
        agents.update(agents.names[n % 2])

    assert len(agents.told) == 2


def hindered(n: int, tool: str = UPDATE) -> bytes:
    fact = Hindered(
        src=("agent.inbox.v1", 0, n, 0, 0), tenant=TENANT, agent_id=f"agent-{n % 3}", tool=tool,
        kind="lock", about=[n // 8 + 1], trace_id="0" * 32, event_id="e" * 36, routes=["r"],
    )  # fmt: skip
    return msgspec.json.encode(fact)


def test_its_state_is_bounded_and_forgotten() -> None:
    """A thousand failures at one tool leave 4 kB; more tools than are kept leave no trace; quiet ends all."""
    fleet = Fleet(0)
    for n in range(1000):
        fleet.tell_correlate(hindered(n))
    state = fleet.correlate.partition.get(f"{PREFIX}{TENANT}/{UPDATE}")
    assert isinstance(state, ContentionState)
    for resource in range(100):
        assert state.news(2**32 - resource, fleet.now) and not state.news(
            2**32 - resource, fleet.now
        )

    assert len(state.told) == TOLD_MAX
    assert len(msgspec.msgpack.encode(state)) <= 4096
    for n in range(1000, 1000 + TOOLS_MAX + 5):
        fleet.tell_correlate(hindered(n, tool=f"tool-{n}"))
    kept = [key for key, _ in fleet.correlate.partition.states() if key.startswith(PREFIX)]
    assert len(kept) == TOOLS_MAX
    fleet.wait(QUIET_SECONDS + 1.0)
    assert [key for key, _ in fleet.correlate.partition.states() if key.startswith(PREFIX)] == []


def test_a_restored_correlate_goes_on() -> None:
    """Cut between any two failures, the same incidents come from the restored core."""
    for cut in range(4):
        straight, first = Correlate(0, VERIFIER), Correlate(0, VERIFIER)
        said: list[list[Any]] = [[], []]
        for n in range(6):
            record = (n, 1e9 + n, [(wire.KIND, codec.SUMMARIES)], hindered(n))
            said[0] += straight.apply(*record)
            said[1] += first.apply(*record)
            if n == cut:
                snapshot = first.freeze()
                while first.partition.encode_some(snapshot):
                    pass
                first = Correlate(0, VERIFIER)
                cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
                first.restore(snapshot.marker, cells)

        assert said[0] == said[1]
        assert len(said[0]) == 1
