"""What one call does, and what its arguments come from."""

from stream.sentences.evidence import Evidence


def verdict(tool: str, word: str, reason: str) -> str:
    """Why a call did not run.

    >>> verdict("crm.pay", "deny", "the budget run_usd has no room for this call")
    'A call of `crm.pay` was denied: the budget run_usd has no room for this call.'
    """
    said = "waits for a person" if word == "needs_approval" else "was denied"
    return f"A call of `{tool}` {said}: {reason}."


def price_mismatch(model: str, evidence: Evidence) -> str:
    """What tokens cost, of what they did.

    >>> price_mismatch("model-a", {"observed": 2.104})
    'The latest call of `model-a` cost 2.10 times what its tokens cost in the first calls, and not it alone: \
the price has changed, or the model.'
    """
    return (
        f"The latest call of `{model}` cost {evidence['observed']:.2f} times what its tokens cost in the "
        "first calls, and not it alone: the price has changed, or the model."
    )


_WHENCE = {
    "ordered": "stands in a passage of a result that gives orders",
    "listed": "stands in a result",
    "unknown": "stands nowhere in this run, in which a result gave orders",
}


def tainted_argument(tool: str, evidence: Evidence) -> str:
    """Which argument nobody in charge has named, and where it was met.

    >>> found = {"class": "account", "argument": "to", "observed": "ordered"}
    >>> tainted_argument("bank.pay", found)
    'A call of `bank.pay` acts on a value of class account in argument `to` that neither the user nor the \
system has named; it stands in a passage of a result that gives orders.'
    """
    return (
        f"A call of `{tool}` acts on a value of class {evidence['class']} in argument "
        f"`{evidence['argument'] or 'whole'}` that neither the user nor the system has named; "
        f"it {_WHENCE[evidence['observed']]}."
    )


def memory_influence(tool: str, evidence: Evidence) -> str:
    """Which argument came out of memory, and who put it there.

    >>> found = {"class": "account", "argument": "to", "observed": "ordered", "written_in": "0af7"}
    >>> memory_influence("bank.pay", found)
    'A call of `bank.pay` acts on a value of class account in argument `to` that was read from memory and \
that neither the user nor the system has named. Run 0af7 wrote it there; it stands in a passage of a result \
that gives orders. The record should be put aside.'
    """
    return (
        f"A call of `{tool}` acts on a value of class {evidence['class']} in argument "
        f"`{evidence['argument'] or 'whole'}` that was read from memory and that neither the user nor the "
        f"system has named. Run {evidence['written_in']} wrote it there; it "
        f"{_WHENCE[evidence['observed']]}. The record should be put aside."
    )


def tool_changed(tool: str, evidence: Evidence) -> str:
    """What a tool says of itself, and what it said.

    >>> tool_changed("web.search", {"observed": "c3d4", "expected": {"descriptor": "a1b2"}})
    'The tool `web.search` describes itself otherwise than it did in this version (c3d4, was a1b2), and no \
new version was released. Read what it says now; if it is right, release it in a new version.'
    """
    return (
        f"The tool `{tool}` describes itself otherwise than it did in this version "
        f"({evidence['observed']}, was {evidence['expected']['descriptor']}), and no new version was "
        "released. Read what it says now; if it is right, release it in a new version."
    )


def skipped_step(tool: str, evidence: Evidence) -> str:
    """What must go before a call, and has not.

    >>> skipped_step("bank.pay", {"observed": ["crm.verify"]})
    '`bank.pay` without `crm.verify`: its file says that this must have gone well before it in the run.'
    """
    lacking = " and ".join(f"`{name}`" for name in evidence["observed"])
    return f"`{tool}` without {lacking}: its file says that this must have gone well before it in the run."
