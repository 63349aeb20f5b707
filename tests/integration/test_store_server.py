"""What the embedded store promises to the normal ClickHouse client."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clickhouse_connect
import lz4.frame
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from sql.migrate import MigrationError, migrate
from sql.server import Store, StoreFailed

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[2]
TABLE = "ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all tests that do not end it."""
    with Store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    """A client on a fresh table `events (id, text)`."""
    with connect(store) as connected:
        fresh_table(connected)
        yield connected


def connect(store: Store, **options: Any) -> Client:
    return clickhouse_connect.get_client(host=store.host, port=store.port, **options)


def fresh_table(client: Client, engine: str = TABLE) -> None:
    client.command("DROP TABLE IF EXISTS events")
    client.command(f"CREATE TABLE events (id UInt64, text String) {engine}")


def insert(client: Client, ids: range, **settings: str | int) -> int:
    """Rows that the store says it has written."""
    columns: list[list[Any]] = [list(ids), [f"event {i}" for i in ids]]
    summary = client.insert(
        "events",
        columns,
        column_names=["id", "text"],
        column_type_names=["UInt64", "String"],
        column_oriented=True,
        settings=settings,
    )
    return summary.written_rows


def count(client: Client) -> int:
    return int(value(client, "SELECT count() FROM events"))


def value(client: Client, sql: str, **options: Any) -> Any:
    """The only value of a result."""
    return client.query(sql, **options).result_rows[0][0]


def post(
    store: Store, body: bytes, query: str = "", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """A request without the client's help, and its answer."""
    connection = http.client.HTTPConnection(store.host, store.port, timeout=30)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", f"/?{query}", body, names)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip"])
def test_a_large_insert_arrives_whole(store: Store, client: Client, compression: str) -> None:
    """The client packs each block into its own frame; all become one part, under one token."""
    rows = 100_000
    with connect(store, compress=compression) as packing:
        for _ in range(2):
            context = packing.create_insert_context(
                "events",
                column_names=["id", "text"],
                data=[[i, f"{i:0100d}"] for i in range(rows)],
                settings={"insert_deduplication_token": "one"},
            )
            packing.insert(context=context)
    parts = "SELECT count() FROM system.parts WHERE active AND table = 'events'"

    assert rows > 2 * context.block_row_count, "the insert is too small for several frames"
    assert value(client, "SELECT (count(), sum(id)) FROM events") == (rows, sum(range(rows)))
    assert value(client, parts) == 1


def test_reading_one_frame_would_lose_rows_silently(store: Store, client: Client) -> None:
    """Why all frames must be read: the first one alone is a valid insert of fewer rows."""
    head = b"INSERT INTO events FORMAT TSV\n"
    frames = [lz4.frame.compress(head + b"1\ta\n"), lz4.frame.compress(b"2\tb\n3\tc\n")]
    cut, _ = post(store, frames[0], Content_Encoding="lz4")
    after_first_frame = count(client)
    whole, _ = post(store, b"".join(frames), Content_Encoding="lz4")

    assert (cut.status, after_first_frame) == (200, 1)
    assert (whole.status, count(client)) == (200, 4)


def test_parameters_arrive_as_they_are(client: Client) -> None:
    """Any text survives as `{name:Type}`: quotes, tabs, backslashes, a megabyte."""
    texts = ["plain", "a'b\"c`d", "tab\tnewline\n\\n", "é 世界", "{x:String}; DROP TABLE events --"]
    arrived = value(client, "SELECT {texts:Array(String)}", parameters={"texts": texts})
    typed = client.query(
        "SELECT {n:UInt64} + 1, {none:Nullable(String)}, length({long:String})",
        parameters={"n": 41, "none": None, "long": "x" * 1_000_000},
    )

    assert arrived == texts
    assert typed.result_rows == [(42, None, 1_000_000)]


def test_parameters_may_come_as_a_form(store: Store) -> None:
    """clickhouse-connect sends long parameters as multipart/form-data."""
    with connect(store, form_encode_query_params=True) as form:
        rows = form.query("SELECT {text:String} AS text", parameters={"text": "a\n'é"}).result_rows

    assert rows == [("a\n'é",)]


def test_parameters_may_make_a_long_address(store: Store) -> None:
    """A URL may be as long as ClickHouse takes it; aiohttp alone would stop at 8 KiB."""
    response, body = post(store, b"SELECT length({x:String})", f"param_x={'x' * 100_000}")

    assert (response.status, body) == (200, b"100000\n")


def test_a_body_cut_off_by_the_network_inserts_nothing(store: Store, client: Client) -> None:
    """Rows that arrived before the connection broke are not half an insert."""
    body = b"INSERT INTO events FORMAT TSV\n1\ta\n2\tb\n"
    head = f"POST / HTTP/1.1\r\nHost: store\r\nContent-Length: {len(body) + 100}\r\n\r\n"
    with socket.create_connection((store.host, store.port), timeout=30) as broken:
        broken.sendall(head.encode() + body)
    whole, _ = post(store, body)

    assert whole.status == 200
    assert count(client) == 2


def test_a_body_beyond_the_limit_is_refused(store: Store) -> None:
    """What a request unpacks to is bounded, whatever its size on the wire."""
    response, _ = post(store, lz4.frame.compress(bytes(300_000_000)), Content_Encoding="lz4")

    assert response.status == 413


def test_settings_hold_for_one_request(client: Client) -> None:
    """A setting in the URL reaches SELECT and INSERT, and is gone with the next request."""
    client.command("ALTER TABLE events ADD COLUMN who String DEFAULT getSetting('log_comment')")
    question = "SELECT getSetting('max_threads')"
    asked, later = value(client, question, settings={"max_threads": 1}), value(client, question)
    insert(client, range(1), log_comment="it's me")
    insert(client, range(1, 2))

    assert (asked, later) == (1, 2)
    assert client.query("SELECT who FROM events ORDER BY id").result_rows == [("it's me",), ("",)]


def test_a_database_holds_for_one_client(store: Store, client: Client) -> None:
    """Clients of different databases share the store without seeing each other's choice."""
    client.command("CREATE DATABASE IF NOT EXISTS other")
    with connect(store, database="other") as elsewhere:
        other = elsewhere.command("SELECT currentDatabase()")

    assert (other, client.command("SELECT currentDatabase()")) == ("other", "default")


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT * FROM nowhere", 60, 404),
        ("SELECT 1 +", 62, 400),
        ("SELECT nothing FROM events", 47, 404),
        ("SELECT CAST('a' AS UInt8)", 6, 400),
        ("SELECT materialize('a') + id FROM events", 43, 500),
        ("SELECT id = 'a' FROM events", 53, 400),
        ("INSERT INTO events FORMAT TSV\na\tb\n", 27, 400),
        ("CREATE TABLE events (id UInt64) ENGINE = Memory", 57, 500),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115, 404),
        ("SELECT * FROM nowhere.events", 81, 404),
        ("SELECT {x:UInt8}", 456, 500),
    ],
)
def test_errors_carry_the_code_of_a_server(
    store: Store, client: Client, sql: str, code: int, status: int
) -> None:
    """Code and status are ClickHouse's, in the header, the body and the client's exception."""
    response, body = post(store, sql.encode())

    assert response.headers["X-ClickHouse-Exception-Code"] == str(code), body
    assert (response.status, body[: len(f"Code: {code}.")]) == (status, f"Code: {code}.".encode())
    with pytest.raises(ClickHouseError) as failed:
        client.command(sql)
    assert getattr(failed.value, "code", None) == code


def test_an_insert_that_fails_while_writing_is_no_success(store: Store, client: Client) -> None:
    """Rows that the engine could read but not write: the client is told, not thanked."""
    client.command("CREATE OR REPLACE TABLE small (a UInt64, CONSTRAINT c CHECK a < 3) ORDER BY a")
    refused, body = post(store, b"INSERT INTO small -- why\nFORMAT TSV\n1\n5\n")
    taken, _ = post(store, b"INSERT INTO small SETTINGS max_threads = 1 FORMAT TSV\n1\n2\n")

    assert refused.headers["X-ClickHouse-Exception-Code"] == "469", body
    assert json.loads(taken.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert value(client, "SELECT count() FROM small") == 2


def test_every_kind_of_statement_is_answered(client: Client) -> None:
    """DDL, SHOW, EXPLAIN and the rest behave as commands of a server; `;` and comments are fine."""
    client.command("ALTER TABLE events ADD COLUMN extra UInt8; -- new")
    client.command("INSERT INTO events VALUES (1, 'a;b', 2), (2, 'c', 3);")
    client.command(
        "/* at once */ ALTER TABLE events DELETE WHERE id = 2 SETTINGS mutations_sync = 2"
    )
    client.command("CREATE OR REPLACE VIEW texts AS SELECT text FROM events")
    client.command("CREATE OR REPLACE VIEW texts AS SELECT upper(text) AS text FROM events")
    client.command("SYSTEM FLUSH LOGS")

    assert client.command("SELECT text FROM texts") == "A;B"
    assert client.command("EXISTS TABLE events") == 1
    assert "events" in str(client.command("SHOW TABLES"))
    assert "extra" in client.query("DESCRIBE TABLE events").result_columns[0]
    assert "ReadFrom" in str(client.command("EXPLAIN SELECT * FROM events"))
    assert client.raw_query("SELECT id FROM events", fmt="JSONEachRow") == b'{"id":1}\n'
    assert client.raw_query("SELECT id FROM events FORMAT CSVWithNames") == b'"id"\n1\n'


def test_an_answer_tells_format_rows_and_query(store: Store, client: Client) -> None:
    """The headers that clients read are there."""
    response, body = post(store, b"INSERT INTO events VALUES (1, 'a'), (2, 'b')", "query_id=q-7")
    summary = json.loads(response.headers["X-ClickHouse-Summary"])
    selected, _ = post(store, b"SELECT 1 FORMAT JSON")

    assert (summary["written_rows"], body) == ("2", b"")
    assert response.headers["X-ClickHouse-Query-Id"] == "q-7"
    assert "X-ClickHouse-Format" not in response.headers
    assert selected.headers["X-ClickHouse-Format"] == "JSON"
    assert selected.headers["X-ClickHouse-Timezone"] == "UTC"


def test_a_repeated_token_adds_nothing(client: Client) -> None:
    """The same block under the same token counts once; another token or no window counts again."""
    insert(client, range(100), insert_deduplication_token="events:0:0-99")
    insert(client, range(100), insert_deduplication_token="events:0:0-99")
    same_token = count(client)
    insert(client, range(100), insert_deduplication_token="events:0:100-199")
    other_token = count(client)
    fresh_table(client, "ENGINE = MergeTree ORDER BY id")
    insert(client, range(100), insert_deduplication_token="events:0:0-99")
    insert(client, range(100), insert_deduplication_token="events:0:0-99")

    assert (same_token, other_token, count(client)) == (100, 200, 200)


def test_readonly_reads_only(store: Store, client: Client) -> None:
    """readonly=1 and plain GET may read, and may neither write nor drop."""
    insert(client, range(10))
    got = http.client.HTTPConnection(store.host, store.port, timeout=30)
    got.request("GET", "/?query=DROP%20TABLE%20events")
    status = got.getresponse().status
    got.close()

    assert value(client, "SELECT count() FROM events", settings={"readonly": 1}) == 10
    with pytest.raises(DatabaseError, match="READONLY"):
        insert(client, range(10), readonly=1)
    for sql in ("INSERT INTO events VALUES (1, 'a')", "DROP TABLE events"):
        with pytest.raises(DatabaseError, match="READONLY"):
            client.command(sql, settings={"readonly": 1})
    assert (status, count(client)) == (500, 10)


def test_a_web_page_cannot_reach_the_store(store: Store, client: Client) -> None:
    """A page in the user's browser could post to the port; its Origin gives it away."""
    refused, _ = post(store, b"DROP TABLE events", Origin="http://example.org")

    assert refused.status == 403
    assert count(client) == 0


def test_clients_at_once_do_not_disturb_each_other(store: Store, client: Client) -> None:
    """Eight writers and readers: no row is lost, no setting leaks, and counts only rise."""

    def work(number: int) -> list[int]:
        with connect(store) as own:
            seen = []
            for block in range(10):
                start = (number * 10 + block) * 100
                insert(own, range(start, start + 100), max_block_size=1000 + number)
                question = "SELECT count(), getSetting('max_block_size') FROM events"
                answer = own.query(question, settings={"max_block_size": number + 1})
                rows, size = answer.result_rows[0]
                assert size == number + 1
                seen.append(rows)
            return seen

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(8)))

    assert all(rows == sorted(rows) for rows in seen)
    assert value(client, "SELECT (count(), uniqExact(id)) FROM events") == (8000, 8000)


def test_a_large_answer_arrives_whole(store: Store) -> None:
    """Answers are packed in every encoding that a client asks for."""
    for compression in ("lz4", "zstd", "gzip", False):
        with connect(store, compress=compression) as own:
            rows = own.query("SELECT number, toString(number) FROM numbers(50000)").result_rows

            assert rows[-1] == (49_999, "49999")
            assert len(rows) == 50_000


def test_a_second_process_is_refused(store: Store) -> None:
    """Two engines on one directory would destroy it: the second is told who has it."""

    with pytest.raises(StoreFailed, match=f"in use by process {store.pid}: stop it first"):
        Store(store.directory).start()
    with connect(store) as unharmed:
        assert value(unharmed, "SELECT 1") == 1


def test_a_stop_lets_running_queries_finish_and_keeps_data(tmp_path: Path) -> None:
    """SIGTERM ends the store after its queries, and the next start finds all rows."""
    sql = "INSERT INTO events SELECT number, toString(sleepEachRow(0.25)) FROM numbers(8)"
    with Store(tmp_path) as store, connect(store) as own, ThreadPoolExecutor(1) as pool:
        fresh_table(own)
        slow = pool.submit(own.command, sql)
        time.sleep(0.5)  # until the insert, of two seconds, is under way
        store.stop()
        slow.result(30)
        store.start()

        assert count(own) == 8


def test_a_kill_keeps_acknowledged_inserts(tmp_path: Path) -> None:
    """After kill -9 in the middle of writing, every acknowledged block is there, none is torn."""
    store, acknowledged = Store(tmp_path).start(), list[int]()
    with connect(store) as own:
        fresh_table(own)
        enough = threading.Event()

        def write() -> None:
            for block in range(10_000):
                insert(own, range(block * 50, block * 50 + 50))
                acknowledged.append(block)
                if block == 20:
                    enough.set()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            assert enough.wait(30)
            store.kill()
            assert isinstance(writing.exception(30), ClickHouseError)
    store.start()
    try:
        with connect(store) as again:
            blocks = again.query(
                "SELECT intDiv(id, 50) AS block, count() FROM events GROUP BY block"
            ).result_rows
    finally:
        store.stop()

    assert set(acknowledged) <= {block for block, _ in blocks}
    assert {rows for _, rows in blocks} == {50}
    assert len(blocks) <= len(acknowledged) + 1


def test_the_command_prints_its_address_and_ends_on_sigterm(tmp_path: Path) -> None:
    """`python -m sql.server` names its port once it answers, and SIGTERM is a clean end."""
    command = [sys.executable, "-m", "sql.server", "--data", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.removeprefix("listening on 127.0.0.1:"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/ping")
        answer = connection.getresponse().read()
        connection.close()
        process.terminate()
        status = process.wait(30)

    assert (answer, status) == (b"Ok.\n", 0)


def test_migrations_run_once_and_views_always(client: Client, tmp_path: Path) -> None:
    """Each migration runs once, in order, and is on record; views follow their files."""
    client.command("DROP TABLE IF EXISTS schema_migrations")
    client.command("DROP TABLE IF EXISTS things")
    (tmp_path / "views").mkdir()
    (tmp_path / "0001_things.sql").write_text(
        "-- things; and\nCREATE TABLE things (a UInt8)\nENGINE = MergeTree ORDER BY a;\n"
        "INSERT INTO things VALUES (1);\n"
    )
    (tmp_path / "views" / "all.sql").write_text(
        "CREATE OR REPLACE VIEW things_all AS SELECT a FROM things;\n"
    )
    first = migrate(client, folder=tmp_path)
    (tmp_path / "0002_more.sql").write_text("INSERT INTO things VALUES (2);\n")
    (tmp_path / "views" / "all.sql").write_text(
        "CREATE OR REPLACE VIEW things_all AS SELECT a + 10 AS a FROM things;\n"
    )
    second, third = migrate(client, folder=tmp_path), migrate(client, folder=tmp_path)
    record = client.query("SELECT version, name FROM schema_migrations ORDER BY version")

    assert (first, second, third) == (["0001_things"], ["0002_more"], [])
    assert record.result_rows == [(1, "0001_things"), (2, "0002_more")]
    assert client.query("SELECT a FROM things_all ORDER BY a").result_rows == [(11,), (12,)]


def test_a_changed_migration_is_refused(client: Client, tmp_path: Path) -> None:
    """What has run may not be rewritten or removed: databases would differ without a trace."""
    client.command("DROP TABLE IF EXISTS schema_migrations")
    applied = tmp_path / "0001_nothing.sql"
    applied.write_text("SELECT 1;\n")
    migrate(client, folder=tmp_path)
    applied.write_text("SELECT 2;\n")

    with pytest.raises(MigrationError, match="0001_nothing was changed after it was applied"):
        migrate(client, folder=tmp_path)
    applied.unlink()
    with pytest.raises(MigrationError, match="0001 was applied, but its file is gone"):
        migrate(client, folder=tmp_path)
    client.command("DROP TABLE schema_migrations")
