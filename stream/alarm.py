"""Fills a signal up to the alarm record: what was expected, what it is made of, why it weighs so. Pure.

Only what is said is completed, never what is merely scored, so the way of a step pays nothing for it.
"""

from typing import Any

from detectors.failures import FAILURES, WATCHED, Failure

_UNKNOWN = Failure("", "", "", "", "", (), ())
_ALONE = 1.0  # what is judged by one number is made of it alone


def failure(detector: str) -> Failure:
    """What is known of a kind of failure; empty words for one that nobody described."""
    return FAILURES.get(detector) or WATCHED.get(detector) or _UNKNOWN


def completed(said: dict[str, Any]) -> dict[str, Any]:
    """The fields of a signal with all that its kind adds.

    A detector that learned a range states it; for the others the limit is the range. One that weighs
    several features names them; the others are judged by one.

    >>> made = completed({"detector": "silence", "evidence": {"observed": 4.0, "threshold": 3.5}})
    >>> made["evidence"]["expected"], made["owasp"]
    ({'words': 'a heartbeat in every interval', 'score_below': 3.5}, ['ASI08', 'ASI10'])
    >>> made["evidence"]["contributions"]
    [{'feature': 'seconds since the last sign of life', 'share': 1.0}]
    """
    kind, evidence = failure(said["detector"]), dict(said.get("evidence", {}))
    evidence["expected"] = _expected(kind, evidence)
    evidence.setdefault("observed", None)
    evidence.setdefault("contributions", [{"feature": kind.measures, "share": _ALONE}])
    return said | {
        "evidence": evidence, "why": kind.why, "owasp": list(kind.owasp), "atlas": list(kind.atlas)
    }  # fmt: skip


def _expected(kind: Failure, evidence: dict[str, Any]) -> dict[str, Any]:
    """Quantiles, or a typical value, or the limit; and what that means in words."""
    found, words = evidence.get("expected"), {"words": kind.normal}
    if isinstance(found, dict):
        return words | found
    if found is not None:
        return words | {"median": found}
    limit = evidence.get("threshold")
    return words if limit is None else words | {"score_below": limit}
