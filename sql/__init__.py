"""ClickHouse: numbered migrations and views, and the embedded store that stands in for a server."""
