"""F25: whatever stands in an event stays text. Stored verbatim, no side effect, found again by itself."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from ingest import codec
from ingest.settings import Settings
from ingest.topics import EVENTS
from sql.server import Store
from stream.sink.columns import Block
from stream.sink.rows import Row
from stream.sink.tables import Tables
from tests.pipe import Told
from tests.sinking import client
from tracefuse.events import Event, encode

ROOT = Path(__file__).parents[2]
PACKAGES = ("ingest", "stream", "sql", "dashboards")
CORPUS = (
    "'); DROP TABLE events; --",
    "' OR 1=1 --",
    "\\'; TRUNCATE TABLE events; --",
    "\\",
    '"`',
    "{x:String}",
    "{table:Identifier}",
    "$__timeFilter(_at)",
    "${tenant:singlequote}",
    "%(x)s %s",
    "a\0b",
    "\t\n\r\\N",
    "x' UNION ALL SELECT 1 FROM url('http://127.0.0.1/', CSV, 'x Int8') --",
    "\u2019 \U0001f600 \u202e",
)
TEXTS = (
    "event_id", "agent_id", "call_id", "user_id", "session_id", "task_type", "boot_id", "tool",
    "status", "error_type", "args_hash", "verdict_seen", "model", "bundle",
)  # fmt: skip


@pytest.fixture(scope="module")
def db(store: Store, database: str) -> Iterator[tuple[Settings, Client]]:
    settings = Settings(clickhouse=f"{store.host}:{store.port}", clickhouse_database=database)
    with client(settings) as connected:
        yield settings, connected


def evil(text: str, number: int) -> Event:
    """The text in every field that an agent fills."""
    said = dict.fromkeys(TEXTS, text) | {"event_id": f"{text}{number}", "data_classes": [text]}
    return Told()("thought", **said, attrs={text: text})


@pytest.mark.clickhouse
def test_text_stays_text(db: tuple[Settings, Client]) -> None:
    """Every payload in every field: read back as it was, and no table has changed."""
    settings, connected = db
    tables = Tables(settings)
    before = connected.query("SELECT name FROM system.tables ORDER BY name").result_rows
    sent = [evil(text, n) for n, text in enumerate(CORPUS)]
    block = Block("events", EVENTS, 0)
    for offset, event in enumerate(sent):
        block.add(Row("events", event, encode(event), 0), offset, int(time.time() * 1000))
    tables.insert(block, "events:'); DROP TABLE events; --")
    found = list(connected.query("SELECT *, attrs FROM events ORDER BY _offset").named_results())

    assert [[row[name] for name in TEXTS] for row in found] == [
        [getattr(event, name) for name in TEXTS] for event in sent
    ]
    assert [row["data_classes"] for row in found] == [event.data_classes for event in sent]
    assert [row["raw"].encode() for row in found] == [encode(event) for event in sent]
    assert connected.query("SELECT name FROM system.tables ORDER BY name").result_rows == before
    assert tables.known(sent) == {event.event_id for event in sent}
    assert tables.known([evil("' OR 1=1 --", 99)]) == set()
    tables.close()


@pytest.mark.clickhouse
def test_a_question_stays_a_question(db: tuple[Settings, Client]) -> None:
    """Views asked with a payload as parameter answer for that value, and for no other."""
    _, connected = db
    connected.command("TRUNCATE TABLE events")
    for text in CORPUS:
        for view, column in (("trace_timeline", "trace_id"), ("open_breakers", "tenant")):
            asked = {"view": view, "column": column, "value": text}
            rows = connected.query(
                "SELECT * FROM {view:Identifier} WHERE {column:Identifier} = {value:String}", asked
            ).result_rows
            assert rows == []


@pytest.mark.clickhouse
def test_the_control_a_text_that_is_pasted_runs(db: tuple[Settings, Client]) -> None:
    """Pasted into a statement the same payload answers for everybody: this is what must not be."""
    _, connected = db
    connected.command("INSERT INTO signals (tenant, _at) SELECT 'acme', now64(3)")
    pasted = "SELECT count() FROM signals WHERE tenant = '" + CORPUS[1].replace(" --", "") + " --'"

    assert connected.query(pasted).result_rows == [(1,)]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_statement_is_built_where_it_is_sent(package: str) -> None:
    """No f-string, sum, `%` or `format` reaches a client: statements are constants."""
    built = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for call in sent(ast.parse(path.read_text("utf-8")))
        if isinstance(call.args[0], ast.JoinedStr | ast.BinOp | ast.Call)
    ]

    assert built == []


def test_the_gate_sees_what_it_should() -> None:
    """The control: each way of building a statement is found."""
    text = "\n".join(
        f"client.{method}({built})"
        for method in METHODS
        for built in ("f'a{x}'", "'a' + x", "'a%s' % x", "'a{}'.format(x)", "str(x)")
    )
    found = [type(call.args[0]) for call in sent(ast.parse(text))]

    assert len(found) == 5 * len(METHODS)
    assert set(found) == {ast.JoinedStr, ast.BinOp, ast.Call}


METHODS = ("query", "command", "raw_query", "query_df", "query_arrow", "query_rows_stream")


def sent(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that send a statement to a client."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in METHODS
            and node.args
        ):
            yield node


def test_evil_names_stay_within_their_line() -> None:
    """The line of such an event is one line: no payload can begin another."""
    for number, text in enumerate(CORPUS):
        line = encode(evil(text, number))

        assert codec.lines(line) == [line]
