"""ClickHouse's HTTP interface as plain values: statements, settings and errors. Pure.

Between the socket (`sql/endpoint.py`) and the engine: a request comes in as bytes and a map of
parameters, out come the statements to run and, if it fails, the code and status to answer with.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Codes of ClickHouse's ErrorCodes.cpp that are raised here and not by the engine.
SYNTAX_ERROR = 62
NOT_IMPLEMENTED = 48
UNKNOWN_SETTING = 115
QUERY_IS_TOO_LARGE = 229
UNKNOWN_EXCEPTION = 1002

# ClickHouse's exceptionCodeToHTTPStatus.cpp; every other code is a 500.
_STATUS_OF_CODES = {
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376,
          427, 441, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    501: (48,),
    503: (76, 209, 439),
}  # fmt: skip
_STATUS = {code: status for status, codes in _STATUS_OF_CODES.items() for code in codes}

# What ClickHouse's HTTPHandler takes from the URL for itself: never a setting of the engine.
_TRANSPORT = {
    "buffer_size", "client_protocol_version", "close_session", "compress", "database",
    "decompress", "default_format", "password", "query", "query_id", "quota_key", "role",
    "session_check", "session_id", "session_timeout", "stacktrace", "user", "wait_end_of_query",
}  # fmt: skip

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE = re.compile(r"Code: (\d+)\. ")

_COMMENT = rb"--[^\n]*+ | \#[ !][^\n]*+ | /\*.*?\*/"
_BLANK = re.compile(rb"(?sx) (?: \s | " + _COMMENT + rb")*")
_FIRST_WORD = re.compile(rb"[\s(]*(\w*)")
_ONLY_SETTINGS = re.compile(rb"(?i)SETTINGS\b")
# Whatever is quoted or a comment is matched first and thereby skipped.
_PIECE = re.compile(
    rb"""(?isx)
      '(?: [^'\\]++ | \\. )*'  |  "(?: [^"\\]++ | \\. )*"  |  `(?: [^`\\]++ | \\. )*`
    | """
    + _COMMENT
    + rb"""
    | \b FORMAT \s+ (?! (?: ASC | DESC | END ) \b ) (?P<format> \w+ )
    | \b (?P<source> SELECT | WITH | VALUES ) \b
    | \b (?P<file> INTO \s+ OUTFILE | FROM \s+ INFILE ) \b
    | \b (?P<settings> SETTINGS ) \s+ \w+ \s* =
    | (?P<end> ; )
    """
)
# The rest of the line after `FORMAT name` belongs to the statement, what follows is data.
_BEFORE_DATA = re.compile(rb"[ \t\f\r]*\n?")
_WITH_RESULT = frozenset(
    (b"SELECT", b"WITH", b"FROM", b"SHOW", b"DESC", b"DESCRIBE", b"EXPLAIN", b"EXISTS", b"CHECK")
)


class Refused(Exception):
    """A request that cannot be served. For the client: it travels as an HTTP error.

    Parameters
    ----------
    code
        ClickHouse's error code.
    message
        What is wrong, as a sentence.
    status
        HTTP status; by default what a ClickHouse server answers for `code`.
    """

    def __init__(self, code: int, message: str, status: int | None = None):
        super().__init__(f"Code: {code}. DB::Exception: {message}")
        self.code = code
        self.status = status or _STATUS.get(code, 500)


def refusal(error: Exception) -> Refused:
    """What the engine's exception means to the client.

    >>> failure = refusal(RuntimeError("Code: 60. DB::Exception: No table t. (UNKNOWN_TABLE)"))
    >>> failure.code, failure.status
    (60, 404)
    """
    message = str(error)
    found = _CODE.search(message)
    if found is None:
        return Refused(UNKNOWN_EXCEPTION, message)
    # chdb puts words of its own before the exception; a server does not.
    body = message[found.end() :].removeprefix("DB::Exception: ")
    return Refused(int(found[1]), body)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, and what is needed to run it.

    `data` is the block of an `INSERT ... FORMAT`, else None, and `settings` its SETTINGS clause, which
    `sql` is without: the source of the data stands between them. `format` is the format of that data or
    of the result. `has_result` is false for statements that answer with nothing.
    """

    sql: bytes
    format: str
    data: bytes | None = None
    has_result: bool = False
    settings: bytes = b""


def parse(text: bytes, default_format: str) -> Statement:
    r"""Split the text of a request into statement and data.

    Linear in the statement; data is not looked at.

    Parameters
    ----------
    text
        The statement, followed by its data where it is an insert.
    default_format
        Format of a result for which the statement names none.

    Raises
    ------
    Refused
        For the client, when there is no statement, more than one, or one that wants the server's
        files (a ClickHouse server refuses `INTO OUTFILE` too).

    Examples
    --------
    >>> parse(b"INSERT INTO t (a) FORMAT TSV\n1\n2\n", "TabSeparated")
    Statement(sql=b'INSERT INTO t (a)', format='TSV', data=b'1\n2\n', has_result=False, settings=b'')
    >>> parse(b"SELECT 1 FORMAT JSON; -- done", "TabSeparated").format
    'JSON'
    """
    lead = _blank(text, 0)
    first = _FIRST_WORD.match(text, lead)
    word = first[1].upper() if first else b""
    inserts, named, end = word == b"INSERT", "", len(text)
    settings: int | None = None
    for piece in _PIECE.finditer(text, lead):
        if piece["file"]:
            raise Refused(NOT_IMPLEMENTED, "Files of the server are out of reach.")
        if piece["source"]:
            inserts = False
        if piece["settings"]:
            settings = piece.start()
        if piece["format"]:
            if inserts:
                return _insert(text, piece, settings)
            if _closes(text, piece.end()):
                named = piece["format"].decode()
        if piece["end"]:
            end = piece.start()
            if text[_blank(text, piece.end()) :].strip(b"; \t\r\n"):
                raise Refused(SYNTAX_ERROR, "Multi-statements are not allowed.")
            break
    if lead >= end:
        raise Refused(SYNTAX_ERROR, "Empty query.")
    return Statement(text[:end], named or default_format, has_result=word in _WITH_RESULT)


def _insert(text: bytes, piece: re.Match[bytes], settings: int | None) -> Statement:
    gap = _BEFORE_DATA.match(text, piece.end())
    start = gap.end() if gap else piece.end()
    end = piece.start() if settings is None else settings
    return Statement(
        text[:end].rstrip(), piece["format"].decode(), text[start:],
        settings=text[end : piece.start()].rstrip(),
    )  # fmt: skip


def _closes(text: bytes, position: int) -> bool:
    """Whether a FORMAT clause that ends here is the last: nothing but SETTINGS may follow."""
    rest = _blank(text, position)
    return text[rest : rest + 1] in (b"", b";") or bool(_ONLY_SETTINGS.match(text, rest))


def _blank(text: bytes, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position


def parameters(options: Mapping[str, str]) -> dict[str, str]:
    """Values of `{name:Type}` in a statement.

    >>> parameters({"param_agent": "a-1", "max_threads": "1"})
    {'agent': 'a-1'}
    """
    return {k.removeprefix("param_"): v for k, v in options.items() if k.startswith("param_")}


def preparation(options: Mapping[str, str], defaults: Mapping[str, str]) -> list[str]:
    r"""Statements that bring a fresh connection into the state that a request asks for.

    Parameters
    ----------
    options
        URL and form parameters: `database`, settings, `param_*`, and what concerns HTTP only.
    defaults
        Settings that hold where `options` has none.

    Raises
    ------
    Refused
        For the client, when a name is no identifier or the body is in ClickHouse's own compression.

    Examples
    --------
    >>> preparation({"database": "a`b", "query_id": "7", "log_comment": "it's"}, {"readonly": "1"})
    ['USE `a\\`b`', "SET readonly = '1', log_comment = 'it\\'s'"]
    """
    for name in ("compress", "decompress"):
        if options.get(name, "0") not in ("0", "false"):
            raise Refused(NOT_IMPLEMENTED, f"{name}=1 is not supported: use Content-Encoding.")
    settings = {
        name: value
        for name, value in options.items()
        if name not in _TRANSPORT and not name.startswith("param_")
    }
    wanted = {**defaults, **settings}
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise Refused(UNKNOWN_SETTING, f"Unknown setting {name!r}.")
    statements = [f"USE {_quoted(options['database'], '`')}"] if options.get("database") else []
    if wanted:  # one SET for all: after readonly nothing more could be set
        pairs = ", ".join(f"{name} = {_quoted(value)}" for name, value in wanted.items())
        statements.append(f"SET {pairs}")
    return statements


def _quoted(value: str, mark: str = "'") -> str:
    return mark + value.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark
