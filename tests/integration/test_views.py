"""What people read of a trace, a breaker, a stop and an agent, on rows as the sink writes them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from sql.server import Store

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[2]
OFFSETS = count()
NOW = datetime.now(UTC).replace(microsecond=0)
TRACE, RUN = "a" * 32, f"run:acme/refunds/{'a' * 32}"
WHO = {"tenant": "acme", "agent_id": "refunds", "trace_id": TRACE}


@pytest.fixture(scope="module")
def client(store: Store, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(
        host=store.host, port=store.port, database=database, query_limit=0
    ) as connected:
        yield connected


@pytest.fixture(autouse=True)
def empty(client: Client) -> None:
    """Tables of this file's own database, empty before each test."""
    for table in (
        "events", "steps", "signals", "control_log", "incidents", "verdicts", "approvals", "agent_files"
    ):  # fmt: skip
        client.command(f"TRUNCATE TABLE {table}")


def insert(client: Client, table: str, *rows: dict[str, Any]) -> None:
    """Rows with what matters to a test; all else is empty."""
    for row in rows:
        row = {"_at": NOW, "_offset": next(OFFSETS), **row}  # equal blocks would be one
        client.insert(table, [list(row.values())], column_names=list(row))


def read(client: Client, query: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(client.query(query, parameters=parameters).named_results())


def command(state: str, epoch: int = 1, scope: str = RUN, **more: Any) -> dict[str, Any]:
    return {
        "record": "command", "scope": scope, "scope_kind": scope.partition(":")[0], **WHO,
        "author": "auto", "state": state, "term": 7, "epoch": epoch, "mode": "enforce",
        "cmd_id": f"cmd-{epoch}", "rule": "exact_loop", "text": "Four identical calls.",
    } | more  # fmt: skip


def test_a_step_shows_its_last_revision(client: Client) -> None:
    """However many revisions were written, in whatever order, the highest one is the step."""
    for revision, tool in ((2, "new"), (0, "old"), (1, "older")):
        insert(client, "steps", {**WHO, "step_id": "s1", "revision": revision, "tool": tool})
    insert(client, "steps", {**WHO, "step_id": "s2", "revision": 0, "tool": "other"})

    found = read(client, "SELECT step_id, tool FROM steps_final ORDER BY step_id")
    assert [(row["step_id"], row["tool"]) for row in found] == [("s1", "new"), ("s2", "other")]


def test_a_trace_tells_its_story_in_order(client: Client) -> None:
    """Events in the broker's order, an action with its reasoning beside it, then what followed."""
    for idx, (kind, name, event_id) in enumerate(
        [("cognitive", "thought", "e1"), ("operational", "tool.request", "e2"),
         ("operational", "tool.result", "e3")]
    ):  # fmt: skip
        said = {"kind": kind, "name": name, "event_id": event_id, "_offset": 5, "_idx": idx}
        insert(client, "events", WHO | said | {"tool": "crm.refund" if idx else ""})
    insert(client, "steps", {
        **WHO, "step_id": "s1", "request_id": "e2", "result_id": "e3", "reasoning": ["e1"],
        "reasoning_names": ["thought"],
    })  # fmt: skip
    later = {"_at": NOW + timedelta(seconds=1)}
    insert(client, "signals", {
        **WHO, "signal_id": "sig", "detector": "exact_loop", "cmd_id": "cmd-1",
        "sentence": "Four identical calls.", **later,
    })  # fmt: skip
    for n, scope in ((2, RUN), (3, "agent:acme/refunds")):
        said = {"cmd_id": "cmd-1"} if n == 3 else {}
        trace = {"trace_id": TRACE if n == 2 else ""}
        at = {"_at": NOW + timedelta(seconds=n)}
        insert(client, "control_log", command("open", scope=scope) | said | trace | at)
    insert(client, "events", WHO | {"trace_id": "b" * 32, "event_id": "of another trace"})

    found = read(client, "SELECT * FROM trace_timeline WHERE trace_id = {t:String} ORDER BY at",
                 t=TRACE)  # fmt: skip
    assert [(row["kind"], row["name"]) for row in found] == [
        ("cognitive", "thought"), ("operational", "tool.request"), ("operational", "tool.result"),
        ("signal", "exact_loop"), ("command", "open"), ("command", "open"),
    ]  # fmt: skip
    assert [row["step_id"] for row in found[:3]] == ["", "s1", "s1"]
    assert found[1]["reasoning"] == ["e1"]
    assert found[1]["reasoning_names"] == ["thought"]
    assert found[1]["detail"] == "crm.refund"


def test_a_trace_is_found_without_reading_all(client: Client) -> None:
    """A question for one trace reads the granules that the trace's filter names, not the table."""
    client.command(
        "INSERT INTO events (tenant, agent_id, trace_id, event_id, _offset, _at)"
        " SELECT 'acme', toString(number % 10), hex(intDiv(number, 10)), toString(number),"
        " number, now64(3) FROM numbers(400000)"
    )
    plan = client.query(
        "EXPLAIN indexes = 1 SELECT * FROM trace_timeline WHERE trace_id = 'A1'"
    ).result_rows
    skipped = "\n".join(line for (line,) in plan).partition("by_trace")[2]
    found = re.search(r"Granules: (\d+)/(\d+)", skipped)
    assert found is not None
    read_of, all_of = map(int, found.groups())

    assert all_of >= 40
    assert read_of < all_of / 3


def test_breakers_show_the_newest_word_of_each_author(client: Client) -> None:
    """A closed scope is gone; a person's word and the worker's stand side by side."""
    agent = "agent:acme/refunds"
    insert(
        client, "control_log",
        command("open", 1), command("closed", 2, text=""),
        command("open", 1, agent), command("half_open", 2, agent),
        command("forced_open", 1, agent, author="human", term=0, cmd_id="h1"),
        command("open", 1, "tool:acme/refunds/crm", mode="shadow"),
    )  # fmt: skip

    found = read(client, "SELECT scope, author, state FROM open_breakers ORDER BY author")
    assert [tuple(row.values()) for row in found] == [
        (agent, "auto", "half_open"), (agent, "human", "forced_open"),
    ]  # fmt: skip


def test_a_run_that_ended_needs_no_breaker(client: Client) -> None:
    """Its scope can never be asked for again; another agent's end of the same trace is no matter."""
    other = RUN.replace("refunds", "search")
    insert(client, "control_log", command("open"), command("open", scope=other, agent_id="search"))
    insert(client, "events", {**WHO, "name": "run.end", "event_id": "e9"})

    found = read(client, "SELECT scope FROM open_breakers")
    assert [row["scope"] for row in found] == [other]


def test_a_higher_term_overrules_a_higher_epoch(client: Client) -> None:
    """A new owner begins its epochs anew; his word is the newest."""
    insert(client, "control_log", command("open", 9, term=1), command("closed", 1, term=2))

    assert read(client, "SELECT scope FROM open_breakers") == []


def test_a_stop_explains_itself(client: Client) -> None:
    """Rule, sentence, evidence, command, acknowledgement, seconds, owner: one line."""
    insert(client, "control_log", command("open", evidence=["e1", "e2"], last_emitted_at=NOW))
    answered = {
        "record": "ack", "cmd_id": "cmd-1", "scope": RUN, "tenant": "acme", "agent_id": "refunds",
        "applied_at": NOW + timedelta(milliseconds=80),
    }  # fmt: skip
    for late in (250, 900):  # two processes of the agent answer; the first counts
        insert(client, "control_log", answered | {"at": NOW + timedelta(milliseconds=late)})
    insert(client, "signals", {
        **WHO, "cmd_id": "cmd-1", "sentence": "Four identical calls.", "evidence": '{"count":4}',
    })  # fmt: skip
    insert(client, "incidents", {
        **WHO, "cmd_id": "cmd-1", "incident_id": "inc-1", "owner": "Payments on-call",
    })  # fmt: skip

    (found,) = read(client, "SELECT * FROM stopped_and_why")
    assert (found["rule"], found["state"], found["owner"]) == (
        "exact_loop", "open", "Payments on-call"
    )  # fmt: skip
    assert found["sentence"] == "Four identical calls."
    assert (found["evidence_events"], found["evidence"]) == (["e1", "e2"], '{"count":4}')
    assert found["seconds_to_acknowledge"] == pytest.approx(0.25)
    assert found["seconds_from_evidence_to_stop"] == pytest.approx(0.08)
    assert found["incident_id"] == "inc-1"


def test_a_stop_that_nobody_obeyed_has_no_seconds(client: Client) -> None:
    """Not zero seconds: nothing. The relaxing commands are no stops."""
    insert(client, "control_log", command("open"), command("half_open", 2), command("closed", 3))

    (found,) = read(client, "SELECT * FROM stopped_and_why")
    assert found["acknowledged_at"] is None
    assert found["seconds_to_acknowledge"] is None


def test_a_shared_cause_shows_its_children(client: Client) -> None:
    """Those it was made of and those that joined it; not what stands alone, nor another tenant's."""
    node = {**WHO, "agent_id": "", "incident_id": "inc-3.node", "node": "tool:crm.find"}
    insert(
        client, "incidents",
        {**node, "status": "open", "children": ["inc-1", "inc-3"], "sentence": "2 agents alarm."},
        {**node, "status": "resolved", "_at": NOW + timedelta(seconds=1), "sentence": "Over."},
        {**WHO, "incident_id": "inc-1"},
        {**WHO, "incident_id": "inc-3", "parent": "inc-3.node", "muted": True},
        {**WHO, "incident_id": "inc-4", "parent": "inc-3.node", "muted": True},
        {**WHO, "incident_id": "inc-5"}, {**WHO, "incident_id": "inc-1", "tenant": "other"},
    )  # fmt: skip

    found = read(client, "SELECT * FROM shared_causes ORDER BY child")
    assert [one["child"] for one in found] == ["inc-1", "inc-3", "inc-4"]
    assert {(one["incident_id"], one["status"], one["sentence"]) for one in found} == {
        ("inc-3.node", "resolved", "2 agents alarm.")
    }
    assert [one["muted"] for one in found] == [False, True, True]


def test_an_incident_stands_once_for_each_agent_it_is_about(client: Client) -> None:
    """In its newest status; rows from before the column, and of its one agent, by their own name."""
    node = {**WHO, "agent_id": "", "incident_id": "inc-3.node", "node": "tool:crm.find"}
    insert(
        client, "incidents",
        {**node, "status": "open", "agents": ["refunds", "search"]},
        {**node, "status": "resolved", "agents": ["refunds", "search", "late"],
         "_at": NOW + timedelta(seconds=1)},
        {**WHO, "incident_id": "inc-1", "status": "open"},
        {**WHO, "incident_id": "inc-2", "status": "open", "agents": ["refunds"]},
        {**WHO, "agent_id": "", "incident_id": "inc-4", "status": "open"},
    )  # fmt: skip

    rows = read(client, "SELECT * FROM incidents_of_agents ORDER BY incident_id, agent_id")
    assert [(one["incident_id"], one["agent_id"], one["status"]) for one in rows] == [
        ("inc-1", "refunds", "open"), ("inc-2", "refunds", "open"), ("inc-3.node", "late", "resolved"),
        ("inc-3.node", "refunds", "resolved"), ("inc-3.node", "search", "resolved"),
    ]  # fmt: skip


def test_a_refusal_explains_itself(client: Client) -> None:
    """Word, gate, reason, what was to be called, what had passed, and that it did not run."""
    mark = {"_src_topic": "agent.inbox.v1", "_src_partition": 3, "_src_offset": 9, "_src_line": 2}
    insert(
        client, "verdicts",
        WHO | mark | {"call_id": "c1", "attempt": 1, "word": "deny", "gate": "budgets",
                      "reason": "no room"},
        WHO | {"call_id": "c2", "attempt": 1, "word": "allow"},
    )  # fmt: skip
    insert(client, "signals", WHO | mark | {
        "detector": "policy", "step_id": "s1", "evidence": '{"passed":["stopped"]}', "_src_n": 1,
    })  # fmt: skip
    step = WHO | {"action": "tool", "tool": "crm.pay", "args_hash": "ff"}
    insert(
        client, "steps",
        step | {"step_id": "s1", "call_id": "c1", "phase": "request"},
        step | {"step_id": "s1", "call_id": "c1", "phase": "complete", "revision": 1,
                "status": "not_run"},
        step | {"step_id": "s2", "call_id": "c2", "phase": "complete", "status": "ok"},
    )  # fmt: skip

    (found,) = read(client, "SELECT * FROM why_refused")
    assert (found["call_id"], found["word"], found["gate"]) == ("c1", "deny", "budgets")
    assert (found["reason"], found["tool"], found["args_hash"]) == ("no room", "crm.pay", "ff")
    assert (found["status"], found["evidence"]) == ("not_run", '{"passed":["stopped"]}')


def test_what_the_agent_refused_itself_stands_beside_it(client: Client) -> None:
    """A tool that is not listed, and a deadline without an answer; a verdict's own denial only once."""
    told = WHO | {"name": "tool.result", "status": "not_run", "error_type": "ToolDenied"}
    insert(
        client, "events",
        told | {"event_id": "e1", "call_id": "c1", "raw": '{"attrs":{"gate":"allowlist"}}'},
        told | {"event_id": "e2", "call_id": "c2", "verdict_seen": "none"},
        told | {"event_id": "e3", "call_id": "c3", "verdict_seen": "deny"},
        told | {"event_id": "e4", "call_id": "c4", "error_type": "CircuitOpen"},
    )  # fmt: skip

    found = read(client, "SELECT call_id, gate, reason FROM why_refused ORDER BY call_id")
    assert [tuple(row.values()) for row in found] == [
        ("c1", "allowlist", "refused in the agent's own process"),
        ("c2", "", "no verdict came in time"),
    ]


def reviewed(call: str, word: str = "", person: str = "", second: int = 0) -> dict[str, Any]:
    """A row of `approvals`: a call that was put aside, or with a word, a label of it."""
    said = {"word": word, "person": person, "said_at": NOW + timedelta(seconds=second)}
    row = {**WHO, "call_id": call, "tool": "crm.pay", "user_id": "carl", "at": NOW}
    return row | ({"record": "label"} | said if word else {"record": "sampled"})


def test_the_newest_word_of_each_person_is_the_label(client: Client) -> None:
    """In whatever order the rows lie."""
    insert(
        client, "approvals",
        reviewed("c1", "right", "ann", 2), reviewed("c1", "wrong", "ann", 1),
        reviewed("c1", "wrong", "bob", 1), {**reviewed("c1"), "record": "outcome", "word": "refused"},
    )  # fmt: skip

    found = read(client, "SELECT person, label FROM labels ORDER BY person")
    assert [tuple(row.values()) for row in found] == [("ann", "right"), ("bob", "wrong")]


def test_the_policys_misses_are_measured(client: Client) -> None:
    """Per agent and tool: put aside, judged, judged wrong; a share of what was judged, else none."""
    for call in ("c1", "c2", "c3", "c4"):
        insert(client, "approvals", reviewed(call))
    insert(
        client, "approvals",
        reviewed("c1"),  # put aside twice, counted once
        reviewed("c1", "wrong", "ann", 1), reviewed("c1", "right", "bob", 2),  # one of two says wrong
        reviewed("c2", "wrong", "ann", 1), reviewed("c2", "right", "ann", 2),  # taken back
        reviewed("c9", "wrong", "ann"),  # of a call that is no longer kept: not of the sample
        {**reviewed("d1"), "tool": "mail.send"}, {**reviewed("e1"), "agent_id": "search"},
    )  # fmt: skip

    found = read(client, "SELECT * FROM review_outcomes ORDER BY agent_id, tool")
    assert [
        (r["agent_id"], r["tool"], r["sampled"], r["labelled"], r["judged_wrong"], r["wrong_share"])
        for r in found
    ] == [
        ("refunds", "crm.pay", 4, 2, 1, 0.5),
        ("refunds", "mail.send", 1, 0, 0, None),
        ("search", "crm.pay", 1, 0, 0, None),
    ]


def test_reviews_show_who_has_judged_what(client: Client) -> None:
    """Each call once, with how many labels it has, and how many of them say wrong."""
    insert(
        client, "approvals", reviewed("c1"), reviewed("c1"), reviewed("c2"),
        reviewed("c1", "wrong", "ann"), reviewed("c1", "right", "bob"),
        {**reviewed("c2", "wrong", "ann"), "agent_id": "search"},  # another agent's call
    )  # fmt: skip

    found = read(client, "SELECT call_id, user_id, labels, wrong FROM reviews ORDER BY call_id")
    assert [tuple(row.values()) for row in found] == [("c1", "carl", 2, 1), ("c2", "carl", 0, 0)]


def test_precision_follows_the_newest_word_on_each_incident(client: Client) -> None:
    """Ten words on nine incidents: the corrected one counts once; bounds are those of Beta(8, 2)."""
    said = [
        {"record": "incident_label", "tenant": "acme", "agent_id": "refunds", "detector": "loop",
         "signal_id": f"sig-{n}", "incident_id": f"inc-{n}", "word": "real" if n < 7 else word,
         "person": "ann"}
        for n, word in [*((n, "real") for n in range(7)), (7, "real"), (7, "false"), (8, "expected")]
    ]  # fmt: skip
    insert(client, "approvals", *said, {**said[0], "tenant": "other"})

    found = read(client, "SELECT * FROM precision_of_detectors ORDER BY tenant")
    assert [tuple(row.values()) for row in found] == [
        # 5 % and 95 % of Beta(8, 2): 0.5709 and 0.9590; of Beta(2, 1): sqrt(0.05), sqrt(0.95).
        ("acme", "loop", 7, 1, 1, 0.8, 0.5705, 0.9585),
        ("other", "loop", 1, 0, 0, 2 / 3, 0.2235, 0.9745),
    ]


def test_commands_and_their_acknowledgements(client: Client) -> None:
    """A command that was written twice shows once; every acknowledgement shows."""
    insert(client, "control_log", command("open"), command("open"))
    answer = {"record": "ack", "cmd_id": "cmd-1", "agent_id": "refunds", "tenant": "acme"}
    insert(client, "control_log", answer, answer)

    assert len(read(client, "SELECT cmd_id FROM commands")) == 1
    assert len(read(client, "SELECT cmd_id FROM acknowledgements")) == 2


def test_queries_find_what_is_twice_or_missing(client: Client) -> None:
    """The hourly audit and the gaps in what producers numbered: silent on a clean table."""
    queries = ROOT / "sql" / "queries"
    for n in (1, 2, 3):
        insert(client, "events", {**WHO, "boot_id": "b", "seq": n, "event_id": f"e{n}"})
    for path in queries.glob("*.sql"):
        assert read(client, path.read_text("utf-8")) == [], path.name
    insert(client, "events", {**WHO, "boot_id": "b", "seq": 6, "event_id": "e3"})

    (twice,) = read(client, (queries / "duplicates.sql").read_text("utf-8"))
    assert (twice["lines_twice"], twice["events_twice"]) == (0, 1)
    (gap,) = read(client, (queries / "missing_events.sql").read_text("utf-8"))
    assert (gap["first_missing"], gap["last_missing"]) == (4, 5)


def test_an_agents_last_hour(client: Client) -> None:
    """Each step once, as it is known now; calls that did not run are no calls; older hours are gone."""
    step = {**WHO, "phase": "complete", "action": "tool", "duration_us": 200_000, "at": NOW}
    insert(
        client, "steps",
        {**step, "step_id": "s1", "status": "ok", "revision": 1, "cost_usd": 0.5},
        {**step, "step_id": "s1", "status": "ok", "revision": 2, "cost_usd": 0.5},
        {**step, "step_id": "s2", "status": "error", "cost_usd": 0.25},
        {**step, "step_id": "s3", "status": "not_run"},
        {**step, "step_id": "s4", "_at": NOW - timedelta(hours=2)},
    )  # fmt: skip
    insert(client, "signals", {**WHO, "at": NOW}, {**WHO, "agent_id": "silent", "at": NOW})

    found = {row["agent_id"]: row for row in read(client, "SELECT * FROM agent_last_hour")}
    assert set(found) == {"refunds", "silent"}
    refunds = found["refunds"]
    assert (refunds["steps"], refunds["calls"], refunds["errors"]) == (3, 2, 1)
    assert (refunds["error_ratio"], refunds["cost_usd"]) == (0.5, 0.75)
    assert refunds["latency_p95_seconds"] == pytest.approx(0.2)
    assert (refunds["signals"], found["silent"]["signals"]) == (1, 1)


def test_failures_are_counted_by_agent(client: Client) -> None:
    """Signals, stops and runs of each agent and kind; an incident told twice is one."""
    found = {**WHO, "detector": "exact_loop", "at": NOW}
    insert(
        client, "signals", found | {"signal_id": "s1"}, found | {"signal_id": "s2", "cmd_id": "c"}
    )
    old = {"signal_id": "s3", "detector": "silence", "at": NOW - timedelta(days=3)}
    insert(client, "signals", WHO | old)
    told = {**WHO, "detector": "exact_loop", "incident_id": "i1", "opened_at": NOW}
    insert(client, "incidents", told, told | {"status": "resolved"})

    rows = read(client, "SELECT * FROM failure_counts ORDER BY failure")
    counted = [
        [row[name] for name in ("failure", "found", "found_last_day", "stops", "incidents", "runs")]
        for row in rows
    ]
    assert counted == [["exact_loop", 2, 2, 1, 1, 1], ["silence", 1, 0, 0, 0, 1]]


def test_an_alarm_keeps_its_reasons(client: Client) -> None:
    """Why it weighs so, and the risks it belongs to, stand in its own row."""
    said = {"why": "Because.", "owasp": ["ASI02"], "atlas": ["AML.T0053", "AML.T0086"]}
    insert(client, "signals", WHO | {"signal_id": "s1"} | said)

    assert read(client, "SELECT why, owasp, atlas FROM signals") == [said]


def test_which_file_was_in_force_when(client: Client) -> None:
    """Each version until the next one of its agent; a row that was written twice counts once."""
    raw = '{"agent":"refunds","grants":[{"what":"prod","by":"Ann"}]}'
    for version, hours in ((1, 5), (2, 3), (2, 3), (3, 1)):
        row = {
            "version": version,
            "digest": f"d{version}",
            "at": NOW - timedelta(hours=hours),
            "raw": raw,
        }
        insert(client, "agent_files", {"tenant": "acme", "agent_id": "refunds", **row})
    insert(client, "agent_files", {"tenant": "acme", "agent_id": "other", "version": 7, "at": NOW})
    asked = """
        SELECT version, grants FROM file_versions
        WHERE tenant = 'acme' AND agent_id = 'refunds' AND since <= {t:DateTime64} AND until > {t:DateTime64}
    """

    in_force = {
        hours: [row["version"] for row in read(client, asked, t=NOW - timedelta(hours=hours))]
        for hours in (6, 4, 2, 0)
    }
    assert in_force == {6: [], 4: [1], 2: [2], 0: [3]}
    assert "Ann" in read(client, asked, t=NOW)[0]["grants"]


def test_probes_show_how_they_went(client: Client) -> None:
    """As expected, otherwise with its reason, or open; a user's run is none."""
    probes = (("1" * 32, "small", True), ("2" * 32, "large", True), ("3" * 32, "new", False))
    for trace, probe, ended in probes:
        raw = '{"attrs":{"probe":"weekly/' + probe + '"}}'
        for name in ("run.start", "run.end")[: 1 + ended]:
            insert(client, "events", {**WHO, "trace_id": trace, "name": name, "raw": raw})
    insert(client, "events", {**WHO, "name": "run.start", "raw": "{}"})
    insert(
        client,
        "signals",
        {**WHO, "trace_id": "2" * 32, "detector": "probe_drift", "sentence": "It ended error."},
    )
    found = read(client, "SELECT * FROM probe_results ORDER BY trace_id")

    assert [(one["probe_set"], one["probe"], one["result"], one["sentence"]) for one in found] == [
        ("weekly", "small", "as expected", ""),
        ("weekly", "large", "otherwise", "It ended error."),
        ("weekly", "new", "open", ""),
    ]
