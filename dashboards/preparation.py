"""What must be there before the first process of the pipeline: topics, tables, the registry.

Used by the supervisor of the embedded stack and by `tracefuse setup` for any other cluster. All of it is
harmless when repeated.
"""

from pathlib import Path

from dashboards.clickhouse import client
from ingest import keys
from ingest.provision import provision
from ingest.registry import load
from ingest.settings import Settings
from sql.migrate import migrate


async def topics(settings: Settings) -> list[str]:
    """Create what is missing; the names created."""
    return await provision(settings)


def tables(settings: Settings) -> list[str]:
    """Bring the database to this version's schema; the migrations applied."""
    with client(settings) as connected:
        return migrate(connected)


async def registry(settings: Settings) -> int:
    """Publish the agent files of the configured folder; how many."""
    if not settings.registry:
        return 0
    from stream.people.registration import publish

    held = keys.load(settings.keys_folder)
    return await publish(settings, held, load(Path(settings.registry)).values())
