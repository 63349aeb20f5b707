"""How far behind a process says it is, by partition."""

from prometheus_client import REGISTRY

from stream.worker.lag import Lag


def shown(partition: int) -> float | None:
    labels = {"stage": "test", "topic": "t", "partition": str(partition)}
    return REGISTRY.get_sample_value("tracefuse_lag_records", labels)


def test_each_partition_has_its_lag() -> None:
    """Never below nothing: what is applied may be ahead of an end that was asked for before."""
    Lag().show({("test", "t", 0): 7, ("test", "t", 1): -2})

    assert (shown(0), shown(1)) == (7, 0)


def test_what_is_anothers_is_not_shown() -> None:
    """Else it would stand there for ever, and the alarm for a stage that is stuck with it."""
    lag = Lag()
    lag.show({("test", "t", 2): 7, ("test", "t", 3): 8})
    lag.show({("test", "t", 3): 9})

    assert (shown(2), shown(3)) == (None, 9)
