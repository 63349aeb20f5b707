"""The embedded store behind HTTP: requests in, chdb runs them, answers out.

Used by `sql/server.py` alone, in the process that owns the data directory. What a request means is
decided in `sql/protocol.py`.
"""

import asyncio
import json
import os
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField
from chdb.state.sqlitelike import Connection

from sql.compression import compress, decompress
from sql.protocol import (
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    Refused,
    Statement,
    parameters,
    parse,
    preparation,
    refusal,
)

# A block of the sink is about 10 MB; this leaves room and still bounds what eight clients can hold.
BODY_BYTES_MAX = 256 * 1024 * 1024
# ClickHouse's http_max_uri_size; aiohttp's own 8 KiB would refuse long parameters.
URI_BYTES_MAX = 1024 * 1024
# Enough that seven slow reads cannot hold up the sink's insert; threads start only when needed.
WORKERS = 8
# Below this a frame costs both sides more than it saves on loopback.
COMPRESSED_BYTES_MIN = 16 * 1024

# Connections that a thread keeps for inserts, by the names they set: the sink has two kinds.
KEPT_MAX = 4
DEFAULTS = {
    "implicit_select": "0",  # chdb reads `1 + 1` as a query, a server does not
    "max_threads": "2",  # the store shares the machine with broker and workers
}


@dataclass(frozen=True, slots=True)
class Query:
    """One request, read from the socket."""

    text: bytes
    body: bytes
    encoding: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine gave back. `format` is empty where the statement has no result."""

    body: bytes
    format: str
    summary: Mapping[str, str]


class Engine:
    """chdb on one data directory; any number of threads may call `run`.

    Each call has a connection of its own (0.07 ms), so settings, database and parameters of one
    request never reach another. Only inserts of data keep theirs, a thread's own, for the next insert
    that sets the very same names: opening one for each made the store spend 22 instead of 9 ms on an
    insert. One more connection stays open: the last to close ends the engine.

    Parameters
    ----------
    directory
        Where the data lies. One process may use it at a time.

    Raises
    ------
    RuntimeError
        For the operator, when the directory cannot be opened.
    """

    def __init__(self, directory: Path):
        self._directory = str(directory)
        self._anchor = Connection(self._directory)
        self._own = threading.local()
        self._kept: list[Connection] = []
        self._lock = threading.Lock()

    def run(self, query: Query) -> Answer:
        """Run the statement of a request; `Refused` for the client when that fails."""
        body = decompress(query.body, query.encoding, BODY_BYTES_MAX)
        text = b"\n".join(part for part in (query.text, body) if part)
        statement = parse(text, query.options.get("default_format") or "TabSeparated")
        settings = preparation(query.options, DEFAULTS)
        if statement.data is not None and "readonly" not in query.options:
            return self._insert(statement, settings, frozenset(query.options))
        connection = Connection(self._directory)
        try:
            return _prepared(connection, settings, statement, parameters(query.options))
        except RuntimeError as error:
            raise refusal(error) from error
        finally:
            connection.close()

    def _insert(self, statement: Statement, settings: list[str], names: frozenset[str]) -> Answer:
        """Run an insert on the thread's connection for these names; a failed one is not kept."""
        kept: dict[frozenset[str], Connection] = self._own.__dict__.setdefault("kept", {})
        connection = kept.pop(names, None)
        if connection is None:
            connection = Connection(self._directory)
            with self._lock:
                self._kept.append(connection)
        try:
            answer = _prepared(connection, settings, statement, {})
        except RuntimeError as error:
            self._drop(connection)
            raise refusal(error) from error
        kept[names] = connection
        if len(kept) > KEPT_MAX:
            self._drop(kept.pop(next(iter(kept))))
        return answer

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._kept.remove(connection)
        connection.close()

    def close(self) -> None:
        """End the engine; call when no `run` is under way."""
        for connection in self._kept:
            connection.close()
        self._anchor.close()


def _prepared(
    connection: Connection,
    settings: list[str],
    statement: Statement,
    values: Mapping[str, str],
) -> Answer:
    for setting in settings:
        connection.query(setting, "TabSeparated")
    return _run(connection, statement, values)


def _run(connection: Connection, statement: Statement, values: Mapping[str, str]) -> Answer:
    sql: Any = statement.sql  # chdb takes bytes, whatever its hints say; SQL need not be UTF-8
    if statement.data is not None:
        return _written(connection, statement, statement.data)
    result = connection.query(sql, statement.format, params=values)
    summary = _summary(
        read_rows=result.storage_rows_read(),
        written_rows=result.rows_written(),
        result_rows=result.rows_read(),
        seconds=result.elapsed(),
    )
    return Answer(result.bytes() or b"", statement.format if statement.has_result else "", summary)


def _written(connection: Connection, statement: Statement, data: bytes) -> Answer:
    """Insert a block, and know that it stands.

    chdb's streaming insert reports success for rows that it then fails to write: on a full disk,
    against a constraint, with too many parts. A query tells; it takes binary data from a file only.
    """
    with _file(data) as path:
        source = f"\nFROM INFILE '{path}'\n".encode()
        form = b"\nFORMAT " + statement.format.encode()
        sql: Any = statement.sql + source + statement.settings + form
        done = connection.query(sql, "TabSeparated")
    return Answer(b"", "", _summary(written_rows=done.rows_written(), seconds=done.elapsed()))


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """A path at which this process finds the data: in memory where the system has such files."""
    linux = sys.platform == "linux"
    with os.fdopen(os.memfd_create("block"), "wb") if linux else TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)  # elsewhere a descriptor's path shares its position
        yield f"/dev/fd/{file.fileno()}"


def _summary(
    *, seconds: float, read_rows: int = 0, written_rows: int = 0, result_rows: int = 0
) -> dict[str, str]:
    return {
        "read_rows": str(read_rows),
        "written_rows": str(written_rows),
        "result_rows": str(result_rows),
        "elapsed_ns": str(round(seconds * 1e9)),
    }


class Endpoint:
    """ClickHouse's HTTP interface over an `Engine`.

    Ignores users, passwords and sessions: it listens on loopback only. A request from a web page
    (it has an `Origin`) is refused, since any page could otherwise reach the port.

    Parameters
    ----------
    engine
        Closed by `close`.
    """

    def __init__(self, engine: Engine):
        self._engine = engine
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="query")

    def application(self) -> web.Application:
        """The routes. To be served with `auto_decompress=False`: aiohttp reads one frame only."""
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_get("/ping", _ping)
        application.router.add_route("*", "/", self._answer)
        return application

    def close(self) -> None:
        """Let running queries finish, then close the engine."""
        self._pool.shutdown(wait=True)
        self._engine.close()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.method in ("GET", "HEAD") and not request.query:
            return await _ping(request)
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "embedded",
            "X-ClickHouse-Timezone": "UTC",
        }
        try:
            query = await _read(request)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._pool, self._engine.run, query)
        except Refused as failure:
            headers["X-ClickHouse-Exception-Code"] = str(failure.code)
            return web.Response(status=failure.status, text=f"{failure}\n", headers=headers)
        headers["X-ClickHouse-Summary"] = json.dumps(answer.summary)
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        body = answer.body
        wanted = query.options.get("enable_http_compression", "0") == "1"
        if wanted and len(body) >= COMPRESSED_BYTES_MIN:
            body, encoding = compress(body, request.headers.get("Accept-Encoding", ""))
            headers["Content-Encoding"] = encoding
        return web.Response(body=body, headers=headers)


async def _ping(request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _read(request: web.Request) -> Query:
    if "Origin" in request.headers:
        raise Refused(NOT_IMPLEMENTED, "Web pages may not query the embedded store.", 403)
    options = dict(request.query)
    if "X-ClickHouse-Database" in request.headers:
        options.setdefault("database", request.headers["X-ClickHouse-Database"])
    if request.method in ("GET", "HEAD"):
        options.setdefault("readonly", "2")  # as a server does: a GET changes nothing
    body = b""
    try:
        if request.content_type == "multipart/form-data":
            options.update(await _form(request))
        else:
            body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        message = f"The body has over {BODY_BYTES_MAX} bytes."
        raise Refused(QUERY_IS_TOO_LARGE, message) from error
    encoding = request.headers.get("Content-Encoding", "").lower()
    return Query(options.pop("query", "").encode(), body, encoding, options)


async def _form(request: web.Request) -> dict[str, str]:
    fields = {}
    for name, value in (await request.post()).items():
        if isinstance(value, FileField) or not isinstance(value, str):
            raise Refused(NOT_IMPLEMENTED, "External tables are not supported.")
        fields[name] = value
    return fields
