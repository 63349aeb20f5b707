"""Brings a ClickHouse database to the schema of this version: migrations once, views always.

Run by the launcher before anything reads or writes. Works through any ClickHouse client, against a
server as well as the embedded store.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

FOLDER = Path(__file__).parent

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    sha256 String,
    applied_at DateTime64(3) DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY version
"""


class MigrationError(RuntimeError):
    """Files and database do not fit together. For the operator: no migration was begun."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN_name.sql`."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(client: Client, folder: Path = FOLDER) -> list[str]:
    """Apply the migrations that are new, in order, then all views of `views/`, alphabetically.

    One process at a time may migrate a database. A migration that fails half-way is begun again by
    the next run, so its statements must bear repetition (`IF NOT EXISTS`).

    Parameters
    ----------
    client
        Connected to the database to change.
    folder
        Holds `NNNN_name.sql`, numbered from 0001 without gaps, and `views/*.sql`.

    Returns
    -------
    list[str]
        Names of the migrations applied now, oldest first; empty when there were none to apply.

    Raises
    ------
    MigrationError
        For the operator, before anything is changed: a number is missing or used twice, or an
        applied file was changed or removed.
    """
    migrations = read(folder)
    client.command(_RECORD)
    applied = client.query("SELECT version, sha256 FROM schema_migrations").result_rows
    known = {int(version): str(sha256) for version, sha256 in applied}
    _check(migrations, known)
    fresh = [migration for migration in migrations if migration.version not in known]
    for migration in fresh:
        for statement in statements(migration.sql):
            client.command(statement)
        _record(client, migration)
    for view in sorted((folder / "views").glob("*.sql")):
        for statement in statements(view.read_text(encoding="utf-8")):
            client.command(statement)
    return [migration.name for migration in fresh]


def read(folder: Path) -> list[Migration]:
    """All migrations of a folder, in order of their numbers.

    Raises
    ------
    MigrationError
        For the developer, when a name has no number, or numbers are not 1, 2, 3 and so on.
    """
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        named = _FILE.fullmatch(path.name)
        if named is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_name.sql")
        migrations.append(Migration(int(named[1]), path.stem, path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            what = "used twice" if migration.version < expected else "after a gap"
            raise MigrationError(f"{migration.name}: number {what}, expected {expected:04d}")
    return migrations


def statements(sql: str) -> list[str]:
    """The statements of a file: each ends with a `;` at the end of a line.

    >>> statements("-- two;\\nSELECT 1;\\nSELECT ';'\\n  , 2;\\n-- done\\n")
    ['SELECT 1', "SELECT ';'\\n  , 2"]
    """
    found, lines = [], []
    for line in sql.splitlines():
        if not line.strip() or line.lstrip().startswith("--"):
            continue  # a comment ends no statement, and is none on its own
        lines.append(line.rstrip())
        if lines[-1].endswith(";"):
            found.append("\n".join(lines).rstrip("; "))
            lines = []
    return [*found, "\n".join(lines)] if lines else found


def _check(migrations: list[Migration], known: dict[int, str]) -> None:
    files = {migration.version: migration for migration in migrations}
    for version, sha256 in sorted(known.items()):
        migration = files.get(version)
        if migration is None:
            raise MigrationError(f"migration {version:04d} was applied, but its file is gone")
        if migration.sha256 != sha256:
            raise MigrationError(
                f"{migration.name} was changed after it was applied: restore it, and put the change"
                " into a new migration"
            )


def _record(client: Client, migration: Migration) -> None:
    row = [migration.version, migration.name, migration.sha256]
    client.insert(
        "schema_migrations",
        [row],
        column_names=["version", "name", "sha256"],
        settings={"async_insert": 0},  # on record before the next migration begins
    )
