"""How probes went otherwise than their owner wrote down."""

from stream.sentences.evidence import Evidence
from stream.sentences.versions import changed

_SAID_MAX = 4
_DIFFERENCES = {
    "missing": "{} was not called",
    "order": "{} was not called in its place",
    "forbidden": "{} was called",
    "arguments": "{} was not called with the expected arguments",
    "outcome": "it ended {}",
    "answer": "the answer is another",
    "calls": "it took {} calls",
    "cost": "it cost ${}",
}


def probe_failed(evidence: Evidence) -> str:
    """One probe, and what differs.

    >>> missed = [["missing", "crm.find"], ["answer", ""]]
    >>> probe_failed({"set": "weekly", "probe": "cancel", "missed": missed})
    'Probe cancel of weekly went otherwise than expected: crm.find was not called; the answer is another.'
    """
    return (
        f"Probe {evidence['probe']} of {evidence['set']} went otherwise than expected: "
        f"{_differences(evidence['missed'])}."
    )


def probe_drift(evidence: Evidence) -> str:
    """A set of probes, and what has changed since it went well.

    >>> told = {"set": "weekly", "failed": 3, "of": 12, "expected": 0.05, "probes": ["cancel"],
    ...         "probe": "cancel", "missed": [["outcome", "error"]], "changed": ["model"],
    ...         "bundle": "b2", "well_with": "b2"}
    >>> probe_drift(told)  # doctest: +NORMALIZE_WHITESPACE
    '3 of 12 probes of weekly went otherwise than expected, where chance explains 5 %: cancel.
    The latest (cancel): it ended error. Changed against the time when all went well: model.'
    """
    which = ", ".join(evidence["probes"]) or evidence["probe"]
    words = (
        f"{evidence['failed']} of {evidence['of']} probes of {evidence['set']} went otherwise than "
        f"expected, where chance explains {100 * evidence['expected']:.0f} %: {which}. "
        f"The latest ({evidence['probe']}): {_differences(evidence['missed'])}."
    )
    before, now = evidence["well_with"], evidence["bundle"]
    if before and before != now:
        words += f" All went well with bundle {before}; this one is {now}."
    if evidence["changed"] is not None:
        words += f" {changed(evidence['changed'], 'the time when all went well')}"
    return words


def _differences(missed: list[list[str]]) -> str:
    said = [_DIFFERENCES.get(kind, kind).format(what) for kind, what in missed]
    more = len(said) - _SAID_MAX
    return "; ".join(said[:_SAID_MAX]) + (f"; {more} more" if more > 0 else "")
