"""What a tool says of itself is read as instructions: the first word counts until a new version comes."""

from detectors import ToolChanged


def fired(calls: list[tuple[str, ...]]) -> list[int]:
    changed = ToolChanged()
    return [i for i, call in enumerate(calls) if changed.update(*call) and changed.fires]


def test_a_second_description_is_never_learnt() -> None:
    """However often it comes; the first one is in order again."""
    assert fired([("a", "v1"), *[("b", "v1")] * 5, ("a", "v1"), ("b", "v1")]) == [1, 2, 3, 4, 5, 7]


def test_a_new_version_may_say_something_new() -> None:
    """Also where two versions run side by side, as a canary does."""
    assert fired([("a", "v1"), ("b", "v2"), ("a", "v1"), ("b", "v2")]) == []
    assert fired([("a", "v1"), ("b", "v2"), ("b", "v1"), ("a", "v2")]) == [2, 3]


def test_what_the_file_approves_counts_before_what_was_first_seen() -> None:
    """From the first call on, and again when the file approves another one."""
    assert fired([("b", "v1", "a"), ("a", "v1", "a")]) == [0]
    assert fired([("a", "v1", "a"), ("b", "v1", "b")]) == []


def test_a_call_without_a_description_says_nothing() -> None:
    """It is no change, and it is no first word."""
    assert fired([("", "v1"), ("a", "v1"), ("", "v1"), ("a", "v1")]) == []


def test_few_versions_are_remembered() -> None:
    """The one used longest ago is forgotten, however many there are."""
    calls = [("a", f"v{i}") for i in range(100)]

    assert fired([*calls, ("b", "v99"), ("b", "v96"), ("b", "v95")]) == [100, 101]
