"""What an error says of others who want the same, and that its words stay in the process."""

import pytest

from tests.sdk import sdk
from tracefuse.hindrances import KINDS, hindrance


@pytest.mark.parametrize(
    ("error_type", "text", "kind"),
    [
        ("OperationalError", "database is locked", "lock"),
        ("DeadlockDetected", "", "lock"),
        ("LockWaitTimeout", "timed out", "lock"),
        ("OSError", "[Errno 16] Resource busy", "lock"),
        ("HTTPStatusError", "Client error '423 Locked' for url", "lock"),
        ("ConflictError", "", "conflict"),
        ("SerializationFailure", "could not serialize access due to concurrent update", "conflict"),
        ("HTTPError", "409 Client Error", "conflict"),
        ("StaleDataError", "", "conflict"),
        ("TimeoutError", "", "timeout"),
        ("ReadTimeout", "", "timeout"),
        ("error", "context deadline exceeded", "timeout"),
    ],
)
def test_the_words_of_databases_files_and_http_are_known(
    error_type: str, text: str, kind: str
) -> None:
    """By the error's name or by its message; a lock whose wait has run out is a lock."""
    assert hindrance(error_type, text) == kind
    assert kind in KINDS


@pytest.mark.parametrize(
    ("error_type", "text"),
    [
        ("KeyError", "'block'"), ("ValueError", "clock skew"), ("HTTPError", "404 for /orders/40912"),
        ("BlockingIOError", ""), ("PermissionError", "denied"), ("error", ""),
    ],
)  # fmt: skip
def test_what_only_looks_alike_is_none(error_type: str, text: str) -> None:
    """A clock is no lock, and a number within a number is no status."""
    assert hindrance(error_type, text) == ""


def test_a_failed_call_tells_the_class_alone() -> None:
    """The event bears `lock`; no word of the message leaves."""
    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("crm.update", {"order": 7}) as call:
        call.error("order 7 is locked by mallory")
    done = sent.one("tool.result")

    assert done.sketches["hindered"] == "lock"
    assert not any(b"mallory" in one.value for one in sent.transport.sent)


def test_an_error_about_nobody_else_tells_no_class() -> None:
    """The twin: a call that fails by itself."""
    with sdk() as sent, sent.fuse.trace() as trace, trace.tool("crm.update", {"order": 7}) as call:
        call.error("no such order")

    assert "hindered" not in sent.one("tool.result").sketches


def test_a_named_resource_leaves_as_a_hash_that_all_agents_share() -> None:
    """Two calls at one thing bear the same 16 digits, one at another thing others; the name stays."""
    with sdk() as sent, sent.fuse.trace() as trace:
        for name in ("order/991", "order/991", "order/992"):
            with trace.tool("crm.update", {"amount": 3}, resource=name):
                pass
    first, again, other = (event.sketches["resource"] for event in sent.events("tool.request"))

    assert first == again != other
    assert len(first) == 16
    assert not any(b"order/99" in one.value for one in sent.transport.sent)
