"""What the demo asks of ClickHouse, on the real schema: its own tenant's rows, and nobody else's."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from dashboards.demo_facts import Answered, Found, Ordered, Quantiles, Refused
from dashboards.demo_store import DemoStore
from sql.server import Store

pytestmark = pytest.mark.clickhouse

S = 1_000_000
# An hour ago, in whole seconds: rows older than the tables keep would vanish.
THEN = int(datetime.now(UTC).timestamp()) - 3600


@pytest.fixture
def client(store: Store, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(host=store.host, port=store.port, database=database) as made:
        yield made


@pytest.fixture
def demo(client: Client) -> DemoStore:
    """Two tenants with the same rows; one event of ours is stored twice."""
    for table in (
        "events", "signals", "control_log", "incidents", "verdicts", "approvals", "dead_letters",
    ):  # fmt: skip
        client.command(f"TRUNCATE TABLE {table}")
    for tenant in ("ours", "other"):
        _fill(client, tenant)
    _event(client, "ours", "e2", offset=2)
    return DemoStore(client, "ours", since_us=(THEN + 5) * S)


def _fill(client: Client, tenant: str) -> None:
    for number, event_id in enumerate(("e1", "e2", "e3")):
        _event(client, tenant, event_id, offset=number // 2)
    _insert(
        client, "signals", tenant=tenant, signal_id="s1", agent_id="loop", detector="exact_loop",
        at=8.0, cmd_id="c1",
    )  # fmt: skip
    _insert(
        client,
        "signals",
        tenant=tenant,
        signal_id="s2",
        agent_id="loop",
        detector="silence",
        at=9.0,
    )
    for status in ("open", "resolved"):
        _insert(
            client, "incidents", tenant=tenant, incident_id="i1", signal_id="s1", agent_id="loop",
            status=status, detector="exact_loop", cmd_id="c1",
        )  # fmt: skip
    _insert(
        client, "incidents", tenant=tenant, incident_id="i2", signal_id="s2", agent_id="loop",
        detector="silence", sentence="Nothing was heard.", opened_at=9.0,
    )  # fmt: skip
    _insert(
        client, "control_log", tenant=tenant, record="command", cmd_id="c1",
        scope=f"agent:{tenant}/loop", state="open", rule="exact_loop", last_emitted_at=7.0, _at=8.25,
    )  # fmt: skip
    _insert(client, "control_log", tenant=tenant, record="ack", cmd_id="c1", at=8.5)
    for word in ("deny", "allow"):
        _insert(
            client, "verdicts", tenant=tenant, agent_id="buyer", trace_id=f"of {word}", attempt=1,
            word=word, gate="budgets" if word == "deny" else "",
        )  # fmt: skip
    for record, said in (("wanted", ""), ("outcome", "approved")):
        _insert(
            client, "approvals", tenant=tenant, agent_id="payer", trace_id="t", approval_id="a1",
            record=record, word=said, at=8.5,
        )  # fmt: skip
    raw = f'{{"tenant":"{tenant}"}}\n{{"tenant":"{tenant}"}}'.encode()
    _insert(
        client, "dead_letters", raw_base64=base64.b64encode(raw).decode(), _at=10.0,
        _src_topic="agent.events.v1",
    )  # fmt: skip


def _event(client: Client, tenant: str, event_id: str, offset: int) -> None:
    _insert(client, "events", tenant=tenant, event_id=event_id, emitted_at=7.0, _offset=offset)


def _insert(client: Client, table: str, **values: str | float) -> None:
    """One row; floats are seconds since `THEN`."""
    values.setdefault("_at", 8.0)
    row = [
        datetime.fromtimestamp(THEN + v, UTC) if isinstance(v, float) else v
        for v in values.values()
    ]
    client.insert(table, [row], column_names=list(values))


def test_events_are_counted_by_row_id_and_record(demo: DemoStore) -> None:
    """Rows, distinct events and distinct records of our tenant; dead lines of its time."""
    facts = demo.facts(Quantiles())

    assert (facts.rows, facts.unique, facts.records) == (4, 3, 3)
    assert facts.dead_lettered == 2
    assert demo.newest() == (THEN + 7) * S
    assert demo.sizes() == (4, 0, 2, 2, 3, 2, 2)


def test_dead_letters_of_earlier_days_do_not_count(client: Client, demo: DemoStore) -> None:
    """Only what died since the demo began."""
    assert DemoStore(client, "ours", since_us=(THEN + 11) * S).facts(Quantiles()).dead_lettered == 0


def test_agents_of_a_shared_cause_are_found(client: Client, demo: DemoStore) -> None:
    """One finding of each child, when people were told; not of the node itself."""
    _insert(
        client, "incidents", tenant="ours", incident_id="n1", detector="shared_cause",
        node="tool:search", opened_at=9.5,
    )  # fmt: skip
    for agent, alarmed in (("early", 9.0), ("late", 10.0)):
        _insert(
            client, "incidents", tenant="ours", incident_id=f"i-{agent}", agent_id=agent,
            detector="error_rate", parent="n1", opened_at=alarmed,
        )  # fmt: skip

    assert [one for one in demo.facts(Quantiles()).signals if one.detector == "shared_cause"] == [
        Found("early", "shared_cause", (THEN + 9) * S + S // 2, "", "n1"),
        Found("late", "shared_cause", (THEN + 10) * S, "", "n1"),
    ]


def test_agents_in_each_others_way_are_found(client: Client, demo: DemoStore) -> None:
    """Those that the sentence names, which are agents of the tenant; not one whose name is part of a name."""
    for agent in ("refunds", "refunds-2", "billing"):
        _insert(client, "events", tenant="ways", agent_id=agent, event_id=f"e-{agent}")
    _insert(
        client, "incidents", tenant="ways", incident_id="w1", detector="contention",
        sentence="2 agents are in each other's way: billing, refunds-2. Let them take turns.",
        node="tool:crm", opened_at=9.5,
    )  # fmt: skip
    said = DemoStore(client, "ways", since_us=THEN * S).facts(Quantiles()).signals

    assert said == [
        Found(agent, "contention", (THEN + 9) * S + S // 2, "", "w1")
        for agent in ("billing", "refunds-2")
    ]


def test_refusals_come_with_their_gate(demo: DemoStore) -> None:
    """Of our tenant, and not what was allowed."""
    assert demo.facts(Quantiles()).refusals == [Refused("buyer", "of deny", "budgets")]


def test_answers_of_people_come_with_their_time(demo: DemoStore) -> None:
    """What was only asked for is no answer."""
    assert demo.facts(Quantiles()).answers == [
        Answered("payer", "t", "approved", THEN * S + 8_500_000)
    ]


def test_malformed_answers_come_by_run(client: Client, demo: DemoStore) -> None:
    """The event of the answer itself; its fallback, another tenant's, and another error are none."""
    for tenant, name, status in (
        ("ours", "output", "error"), ("ours", "output", "error"), ("ours", "output", ""),
        ("ours", "tool.result", "error"), ("other", "output", "error"),
    ):  # fmt: skip
        _insert(
            client, "events", tenant=tenant, agent_id="writer", trace_id=f"of {tenant}", name=name,
            status=status, event_id="e9",
        )  # fmt: skip

    assert demo.facts(Quantiles()).malformed == [("writer", "of ours")]


def test_commands_acknowledgements_and_findings_come_with_their_times(demo: DemoStore) -> None:
    """Times in µs; each finding with the incident that people saw, told once."""
    facts = demo.facts(Quantiles())

    assert facts.orders == [
        Ordered("c1", "agent:ours/loop", "open", "exact_loop", THEN * S + 8_250_000, (THEN + 7) * S)
    ]
    assert facts.orders[0].agent_id == "loop"
    assert facts.acknowledged == {"c1": THEN * S + 8_500_000}
    assert facts.signals == [
        Found("loop", "exact_loop", (THEN + 8) * S, "c1", "i1"),
        Found("loop", "silence", (THEN + 9) * S, "", "i2"),
    ]  # fmt: skip


def test_alarms_are_incidents_without_a_command(demo: DemoStore) -> None:
    """What stopped somebody is told by the gate; the rest is an alarm."""
    assert demo.alarms() == [("loop", "silence", "Nothing was heard.", (THEN + 9) * S)]


def test_an_empty_store_is_no_error(client: Client) -> None:
    """Before the first event all figures are zero."""
    nobody = DemoStore(client, "nobody", since_us=0)

    assert nobody.newest() == 0 and nobody.alarms() == []
    assert nobody.facts(Quantiles()).rows == 0
