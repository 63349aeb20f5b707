"""What the embedded store's protocol promises, without a socket or an engine."""

import zlib
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from sql.compression import compress, decompress
from sql.migrate import MigrationError, read, statements
from sql.protocol import Refused, parse, preparation, refusal
from sql.server import main

PARTS = [b"first " * 40_000, b"second " * 40_000, b"third"]


def frame(part: bytes, encoding: str) -> bytes:
    """One frame of an encoding, as a client makes it of each block."""
    if encoding == "lz4":
        return bytes(lz4.frame.compress(part))
    if encoding == "zstd":
        return zstandard.compress(part)
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    return packer.compress(part) + packer.flush()


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
def test_every_frame_of_a_body_is_decompressed(encoding: str) -> None:
    """A body of several frames comes out whole; a decoder for one frame loses the rest silently."""
    body = b"".join(frame(part, encoding) for part in PARTS)
    one_frame_decoder = decompress(frame(PARTS[0], encoding), encoding, limit=1_000_000)

    assert decompress(body, encoding, limit=1_000_000) == b"".join(PARTS)
    assert one_frame_decoder == PARTS[0]


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_torn_body_is_refused(encoding: str) -> None:
    """A body that ends inside a frame is an error, never a shorter insert."""
    body = b"".join(frame(part, encoding) for part in PARTS)

    with pytest.raises(Refused, match="cut off") as refused:
        decompress(body[:-3], encoding, limit=1_000_000)
    assert (refused.value.code, refused.value.status) == (271, 400)


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_damaged_body_is_refused(encoding: str) -> None:
    """Bytes that are no frame are the client's error, not a crash."""

    with pytest.raises(Refused, match="Damaged"):
        decompress(frame(PARTS[2], encoding) + b"garbage that is no frame", encoding, limit=1000)


def test_a_small_body_cannot_fill_the_memory() -> None:
    """What comes out of a body is bounded, however well it was packed."""
    bomb = frame(bytes(50_000_000), "zstd")

    with pytest.raises(Refused, match="over 1000000 bytes") as refused:
        decompress(bomb, "zstd", limit=1_000_000)
    assert refused.value.status == 413


def test_an_unknown_encoding_is_refused() -> None:
    """A body in an encoding we cannot read is never taken for plain text."""

    with pytest.raises(Refused, match="br is not supported"):
        decompress(b"x", "br", limit=1)


@pytest.mark.parametrize("accepted", ["lz4", "zstd", "gzip", "br, gzip;q=0.5"])
def test_answers_are_packed_as_the_client_asks(accepted: str) -> None:
    """The encoding is one of those accepted, and unpacks to the answer."""
    packed, encoding = compress(PARTS[0], accepted)

    assert encoding in accepted
    assert decompress(packed, encoding, limit=1_000_000) == PARTS[0]


@pytest.mark.parametrize(
    ("text", "sql", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00\xff;'", b"INSERT INTO t", b"\x00\xff;'"),
        (b"insert into t(a) format CSV\n1\n;2\n", b"insert into t(a)", b"1\n;2\n"),
        (b'INSERT INTO t FORMAT JSONEachRow {"a":1}', b"INSERT INTO t", b'{"a":1}'),
        (b"--FORMAT a\nINSERT INTO t FORMAT TSV\n", b"--FORMAT a\nINSERT INTO t", b""),
        (b"INSERT INTO `FORMAT a` FORMAT TSV\n1", b"INSERT INTO `FORMAT a`", b"1"),
        (
            b"INSERT INTO t SETTINGS x='FORMAT a' FORMAT TSV 1",
            b"INSERT INTO t",
            b"1",
        ),
    ],
)
def test_an_insert_is_parted_from_its_data(text: bytes, sql: bytes, data: bytes) -> None:
    """Data begins after FORMAT's line and is left as it is; quotes and comments hide a FORMAT."""
    statement = parse(text, "TabSeparated")

    assert (statement.sql, statement.data) == (sql, data)


def test_settings_of_an_insert_stand_apart() -> None:
    """Between table and settings comes the source of the data; a column of that name is none."""
    text = b"INSERT INTO t (settings, a) -- x\nSETTINGS x = 'FORMAT a', y = 1\nFORMAT TSV\n1\t2"
    statement = parse(text, "TabSeparated")

    assert statement.sql == b"INSERT INTO t (settings, a) -- x"
    assert statement.settings == b"SETTINGS x = 'FORMAT a', y = 1"
    assert statement.data == b"1\t2"


@pytest.mark.parametrize(
    ("text", "result_format"),
    [
        (b"SELECT 1", "Default"),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"/* FORMAT a */ SELECT 1 -- FORMAT b\n FORMAT CSV ; -- c", "CSV"),
        (b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "JSON"),
        (b"SELECT ' FORMAT a'", "Default"),
        (b"SELECT format FROM t ORDER BY format DESC", "Default"),
        (b"WITH 1 AS x SELECT x", "Default"),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT TSV", "TSV"),
    ],
)
def test_the_format_of_a_result_is_known(text: bytes, result_format: str) -> None:
    """The client is told the format the engine will use."""
    statement = parse(text, "Default")

    assert (statement.format, statement.has_result, statement.data) == (result_format, True, None)


def test_statements_without_result_name_no_format() -> None:
    """clickhouse-connect reads the format header as `there are rows`."""
    texts = (b"CREATE TABLE t (a UInt8)", b"INSERT INTO t VALUES (1)", b"SYSTEM FLUSH LOGS")

    assert [parse(text, "Native").has_result for text in texts] == [False, False, False]


@pytest.mark.parametrize("text", [b"SELECT 1; DROP TABLE t", b"", b" -- nothing\n", b";"])
def test_a_request_holds_exactly_one_statement(text: bytes) -> None:
    """As on a server, nothing can ride behind a `;`, and an empty request is an error."""

    with pytest.raises(Refused) as refused:
        parse(text, "TabSeparated")
    assert (refused.value.code, refused.value.status) == (62, 400)


def test_semicolons_in_strings_and_at_the_end_are_fine() -> None:
    """Only a second statement is refused."""

    assert parse(b"SELECT 'a;b', `c;d` ; -- e;f\n", "TSV").sql == b"SELECT 'a;b', `c;d` "


@pytest.mark.parametrize(
    "text", [b"SELECT 1 INTO OUTFILE 'x'", b"INSERT INTO t FROM INFILE 'x' FORMAT CSV"]
)
def test_files_of_the_server_are_out_of_reach(text: bytes) -> None:
    """The engine could read and write any file of its user; over HTTP it must not."""

    with pytest.raises(Refused, match="Files"):
        parse(text, "TSV")


def test_a_setting_cannot_break_out_of_its_quotes() -> None:
    """Values are quoted, names are checked: neither can carry a statement."""
    (statement,) = preparation({"log_comment": "a'; DROP TABLE t --\\"}, {})

    assert statement == "SET log_comment = 'a\\'; DROP TABLE t --\\\\'"
    with pytest.raises(Refused, match="Unknown setting"):
        preparation({"x = 1; DROP TABLE t": "1"}, {})


def test_transport_parameters_are_no_settings() -> None:
    """What concerns HTTP or a statement's values never reaches SET, where it would be unknown."""
    options = {"session_id": "a", "wait_end_of_query": "1", "param_x": "1", "user": "u"}

    assert preparation(options, {}) == []
    assert preparation({**options, "max_threads": "1"}, {}) == ["SET max_threads = '1'"]


def test_own_compression_of_clickhouse_is_refused() -> None:
    """`decompress=1` announces a body that would otherwise be read as garbage."""

    with pytest.raises(Refused, match="Content-Encoding"):
        preparation({"decompress": "1"}, {})


@pytest.mark.parametrize(
    ("message", "code", "status"),
    [
        ("Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)", 60, 404),
        ("Code: 62. DB::Exception: Syntax error", 62, 400),
        ("Streaming insert finish failed: Code: 27. DB::Exception: Cannot parse", 27, 400),
        ("Code: 164. DB::Exception: readonly", 164, 500),
        ("no code at all", 1002, 500),
    ],
)
def test_errors_keep_their_code(message: str, code: int, status: int) -> None:
    """Code, status and text are those of a server."""
    refused = refusal(RuntimeError(message))

    assert (refused.code, refused.status) == (code, status)
    assert str(refused).startswith(f"Code: {code}. DB::Exception: ")
    assert str(refused).count("DB::Exception") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_only_loopback_is_bound(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no login, so the store is never offered to the network."""

    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--host", host])
    assert "a loopback address is needed" in capsys.readouterr().err


def test_migrations_are_numbered_without_gaps(tmp_path: Path) -> None:
    """A missing, doubled or nameless number is found before anything runs."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1;\n")
    good = [migration.name for migration in read(tmp_path)]
    (tmp_path / "0003_c.sql").write_text("SELECT 1;\n")

    assert good == ["0001_a"]
    with pytest.raises(MigrationError, match="0003_c: number after a gap, expected 0002"):
        read(tmp_path)
    (tmp_path / "0001_b.sql").write_text("SELECT 1;\n")
    with pytest.raises(MigrationError, match="0001_b: number used twice"):
        read(tmp_path)
    (tmp_path / "notes.sql").write_text("SELECT 1;\n")
    with pytest.raises(MigrationError, match=r"notes\.sql: a migration is named"):
        read(tmp_path)


def test_statements_end_at_the_end_of_a_line() -> None:
    """A `;` inside a line or a comment parts nothing, and comments alone are no statement."""
    sql = (
        "-- one;\nCREATE TABLE t (a String DEFAULT ';')\n-- inner;\nORDER BY a;\n\nSELECT 1;\n--\n"
    )

    assert statements(sql) == ["CREATE TABLE t (a String DEFAULT ';')\nORDER BY a", "SELECT 1"]
