"""One connection to ClickHouse, as the settings say; for people's commands and the schema."""

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from ingest.settings import Settings


def client(settings: Settings) -> Client:
    """A connection; to be closed. Raises the driver's `ClickHouseError` when nobody answers."""
    host, _, port = settings.clickhouse.rpartition(":")
    return clickhouse_connect.get_client(
        host=host,
        port=int(port),
        username=settings.clickhouse_user,
        password=settings.clickhouse_password,
        database=settings.clickhouse_database,
    )
