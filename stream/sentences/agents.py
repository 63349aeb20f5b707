"""How an agent fares over many calls, and how well a detector does."""

from stream.sentences.evidence import Evidence


def error_rate(what: str, evidence: Evidence) -> str:
    """How much failed, and whether in a way that is new.

    >>> found = {"failures": 5, "calls": 9, "consecutive": 5, "observed": 5 / 9, "new_kind": "Locked"}
    >>> error_rate("crm.find", found)
    'Errors of crm.find: 5 of 9 calls failed in the last minute (56%), 5 in a row; the limit is half of 20. \
The newest is of a kind that it did not have before (`Locked`).'
    """
    share = f"{evidence['failures']} of {evidence['calls']} calls failed in the last minute"
    row = evidence["consecutive"]
    tail = f", {row} in a row" if row > 1 else ""
    kind = evidence.get("new_kind", "")
    news = f" The newest is of a kind that it did not have before (`{kind}`)." if kind else ""
    return f"Errors of {what}: {share} ({evidence['observed']:.0%}){tail}; the limit is half of 20.{news}"


def call_rate(access: str, evidence: Evidence) -> str:
    """How many calls of a class, against which cap."""
    seen = evidence["observed"]
    return (
        f"{seen['minute']} {access} calls in the last minute and {seen['day']} today; allowed are "
        f"{evidence['per_minute'] or 'any number'} a minute and {evidence['per_day'] or 'any number'} a day."
    )


def volume(evidence: Evidence) -> str:
    """How many calls came, and how many usually do where there are any.

    >>> usual = {"median": 3, "p95": 7, "p999": 11}
    >>> volume({"observed": 38, "access": "write", "minutes": 5, "expected": usual, "busiest": 14})
    '38 `write` calls in 5 min; expected 3 (99.9 %: 11), busiest ever 14.'
    """
    expected, kind = evidence["expected"], evidence["access"]
    return (
        f"{evidence['observed']} {f'`{kind}` ' if kind else ''}calls in {evidence['minutes']} min; "
        f"expected {expected['median']} (99.9 %: {expected['p999']}), busiest ever {evidence['busiest']}."
    )


def latency(tool: str, evidence: Evidence) -> str:
    """How slow a tool is against its declaration."""
    return (
        f"`{tool}` takes {evidence['observed']:.2f} s at the 95th percentile of its last "
        f"{evidence['calls']} calls; declared are {evidence['declared']:.2f} s, "
        f"tolerated {evidence['factor']:.0f} times that."
    )


def first_time(tool: str, evidence: Evidence) -> str:
    """What the agent has not done before, and for how long it could have.

    >>> first_time("db.export", {"observed": "tool", "days": 41.2, "n": 12903, "of": 2100})
    'First call of `db.export` by this agent in 41 days and 12,903 calls.'
    >>> first_time("web.fetch", {"observed": "place", "days": 41.2, "n": 12903, "of": 2100})
    'First call of `web.fetch` to this host or domain in 41 days and 2,100 calls of it or more.'
    """
    days = f"{evidence['days']:.0f} days" if evidence["days"] >= 1.5 else "a day"
    if evidence["observed"] == "tool":
        return f"First call of `{tool}` by this agent in {days} and {evidence['n']:,} calls."
    how = "to this host or domain" if evidence["observed"] == "place" else "with such arguments"
    return f"First call of `{tool}` {how} in {days} and {evidence['of']:,} calls of it or more."


def annotation(detector: str, what: str, evidence: Evidence) -> str:
    """A statistical finding: odd, and no more than that.

    >>> said = {"score": 4.2, "threshold": 3.0, "n": 12, "siblings": 7}
    >>> annotation("error_baseline", "find", said)
    'Error baseline of `find` is unusual: score 4.200 over 3.000 after 12 observations, by 7 sibling agents.'
    """
    siblings = evidence.get("siblings", 0)
    by = f", by {siblings} sibling agents" if siblings else ""
    return (
        f"{detector.replace('_', ' ').capitalize()} of `{what}` is unusual: "
        f"score {evidence['score']:.3f} over {evidence['threshold']:.3f} "
        f"after {evidence['n']} observations{by}."
    )


def detector_health(evidence: Evidence, ill: bool) -> str:
    """A detector that says or calls rare far too much, and one that no longer does.

    >>> found = {"subject": "latency_baseline", "observed": 7.5, "budget_a_day": 1.0}
    >>> detector_health(found, ill=True)
    '`latency_baseline` had 7.5 episodes a day lately, with room for 1.0: what it finds here is only logged.'
    >>> piled = {"subject": "latency_baseline", "check": "p below 0.01", "shares": {"p<=0.01": 0.09}}
    >>> detector_health(piled, ill=True)  # doctest: +NORMALIZE_WHITESPACE
    '`latency_baseline` calls too much rare here (p below 0.01: 9 % p<=0.01): what it
    finds is only logged.'
    """
    if "shares" in evidence:
        told = ", ".join(f"{100 * s:.3g} % {edge}" for edge, s in evidence["shares"].items())
        if ill:
            return (
                f"`{evidence['subject']}` calls too much rare here ({evidence['check']}: {told}): what it "
                "finds is only logged."
            )
        return f"`{evidence['subject']}` calls things rare as often as they are again ({told})."
    counted = f"`{evidence['subject']}` had {evidence['observed']:.1f} episodes a day lately"
    if ill:
        return f"{counted}, with room for {evidence['budget_a_day']:.1f}: what it finds here is only logged."
    return f"{counted}: its findings count again."


def input_lag(evidence: Evidence, late: bool) -> str:
    """That detectors hear of steps late, and that they no longer do.

    >>> input_lag({"observed": 12.25}, late=True)
    'Steps reach the detectors 12.2 s after the broker took them: what they find is late, and held calls go \
unanswered.'
    """
    if late:
        return (
            f"Steps reach the detectors {evidence['observed']:.1f} s after the broker took them: what they "
            "find is late, and held calls go unanswered."
        )
    return f"Steps reach the detectors in time again: {evidence['observed']:.1f} s after the broker has them."
