"""Beside the stages: every topic's records into ClickHouse, each exactly once."""
