"""Kinds of states that share a partition: each has a room of its own, and nobody's runs over."""

import pytest

from stream.correlate.rooms import Room
from stream.partition import Partition


class Animal:
    def __init__(self) -> None:
        self.last = 0
        self.deadline = float("inf")


class Cat(Animal): ...


class Dog(Animal): ...


@pytest.fixture
def partition() -> Partition[Animal]:
    return Partition(
        lambda key: Cat() if key.startswith("cat:") else Dog(),
        lambda state: b"",
        lambda cell: Cat(),
        100,
    )


def taken_in(room: Room, partition: Partition[Animal], key: str) -> bool:
    if not room.has(key):
        return False
    partition.close(key, partition.open(key))
    return True


def test_what_comes_beyond_is_not_taken_in(partition: Partition[Animal]) -> None:
    """Two places: the third key has none, the first still has its own, and one that goes leaves one."""
    room = Room(partition, "cat:", Cat, 2)

    assert [taken_in(room, partition, f"cat:{n}") for n in (1, 2, 3, 1)] == [
        True,
        True,
        False,
        True,
    ]
    room.drop("cat:2")
    assert [taken_in(room, partition, f"cat:{n}") for n in (3, 2)] == [True, False]
    assert partition.get("cat:2") is None


def test_only_its_own_kind_counts(partition: Partition[Animal]) -> None:
    """What the partition forgets or restores of another kind leaves and takes no place."""
    room = Room(partition, "cat:", Cat, 2)
    taken_in(room, partition, "cat:1")
    room.gone(Dog())

    assert room.taken == 1
    room.gone(Cat())
    assert room.taken == 0
    room.restored(["cat:1", "dog:1", "dog:2", "cat:2"])
    assert not taken_in(room, partition, "cat:3")
