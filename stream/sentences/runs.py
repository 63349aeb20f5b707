"""What a run does: repetition, silence, what it costs."""

from stream.sentences.evidence import Evidence


def exact_loop(tool: str, evidence: Evidence) -> str:
    """What was repeated.

    >>> exact_loop("crm.find", {"observed": 4, "period": 1, "threshold": 4.0})
    'The run did the same 4 times with the same result: `crm.find`, cycle of 1 call; it is stopped at 4.'
    """
    cycle = evidence["period"] or 1
    calls = "call" if cycle == 1 else "calls"
    return (
        f"The run did the same {evidence['observed']} times with the same result: `{tool}`, "
        f"cycle of {cycle} {calls}; it is stopped at {evidence['threshold']:.0f}."
    )


def ping_pong(evidence: Evidence) -> str:
    """Who hands the same to whom, how often.

    >>> ping_pong({"observed": 4, "period": 2, "agents": 2, "agents_most": 32})
    'The same handoff came 4 times with the same reasoning, in a cycle of 2; it is stopped at 4.'
    """
    if evidence["agents"] > evidence["agents_most"]:
        return f"{evidence['agents']} agents work on one trace; {evidence['agents_most']} may."
    return (
        f"The same handoff came {evidence['observed']} times with the same reasoning, in a cycle of "
        f"{evidence['period'] or 1}; it is stopped at 4."
    )


def no_progress(evidence: Evidence) -> str:
    """How long the run has gone nowhere, and how long runs of its task do.

    >>> no_progress({"observed": 12, "limit": 8, "task": "refund", "expected": {"p99": 7}})
    'Nothing new came of the last 12 calls of the run; 99 % of `refund` runs stay within 7.'
    """
    usual = evidence["expected"]
    within = (
        f"99 % of `{evidence['task']}` runs stay within {usual['p99']}"
        if usual
        else f"the limit is {evidence['limit']} until more runs have ended"
    )
    beside = f" `{evidence['beside']}` has fired too." if "beside" in evidence else ""
    return (
        f"Nothing new came of the last {evidence['observed']} calls of the run; {within}.{beside}"
    )


def cost_cap(span: str, evidence: Evidence) -> str:
    """What was spent of what may be."""
    return (
        f"The {span} has cost ${evidence['observed']:.4f} "
        f"of the ${evidence['cap']:.4f} that its owner allows."
    )


def run_cost(task: str, evidence: Evidence) -> str:
    """What a run has cost, of what others had by then.

    >>> seen = {"observed": 3.1, "steps": 14, "expected": {"p99": 0.42}, "of_cap": 0.85}
    >>> run_cost("refund", seen)
    'The run has cost $3.1000 after 14 steps; by then 99 of 100 runs of `refund` had cost less than $0.4200. \
Its cap is nearly reached (85 %).'
    """
    runs = f"runs of `{task}`" if task else "runs"
    near = f" Its cap is nearly reached ({evidence['of_cap']:.0%})." if evidence["of_cap"] else ""
    return (
        f"The run has cost ${evidence['observed']:.4f} after {evidence['steps']} steps; by then 99 of 100 "
        f"{runs} had cost less than ${evidence['expected']['p99']:.4f}.{near}"
    ).replace("%)", " %)")


def context_growth(evidence: Evidence) -> str:
    """How much more tokens a turn uses than those before.

    >>> context_growth({"observed": 41200, "expected": 2800.5, "running": 3, "threshold": 3.0})
    'The latest turn of the run used 41200 tokens, those before 2800 on average; 3 turns running used more \
than 3 times as many.'
    """
    return (
        f"The latest turn of the run used {evidence['observed']} tokens, those before "
        f"{evidence['expected']:.0f} on average; {evidence['running']} turns running used more than "
        f"{evidence['threshold']:.0f} times as many."
    )


def sequence_surprise(evidence: Evidence) -> str:
    """Which call is rare where, what is usual there, and how rare the run is by that.

    >>> found = {"call": "crm.credit", "after": "crm.get", "seen": 1, "of": 377, "p": 0.0006,
    ...     "usual": [["crm.update", 0.28], ["crm.cancel", 0.18]], "runs": 60}
    >>> sequence_surprise(found)
    'After `crm.get`, `crm.credit` is rare: 1 of 377 times; usual are `crm.update` (28 %), `crm.cancel` \
(18 %). So surprising are fewer than 1 of 100 runs (p = 0.0006, 60 runs).'
    """
    whence = f"After `{evidence['after']}`" if evidence["after"] else "At the start of a run"
    what = f"`{evidence['call']}`" if evidence["call"] else "the end"
    usual = ", ".join(f"`{name}` ({share:.0%})" for name, share in evidence["usual"])
    beside = f"; usual are {usual.replace('%', ' %')}" if usual else ""
    return (
        f"{whence}, {what} is rare: {evidence['seen']} of {evidence['of']} times{beside}. So surprising "
        f"are fewer than 1 of 100 runs (p = {evidence['p']:.4f}, {evidence['runs']} runs)."
    )


def skipped_habit(evidence: Evidence) -> str:
    """What a call came without, and how many runs do that first.

    >>> skipped_habit({"call": "bank.pay", "observed": "crm.verify", "first": 412, "of": 412, "task": ""})
    '`bank.pay` without `crm.verify`; 412 of 412 runs that call it do that first.'
    """
    runs = f"`{evidence['task']}` runs" if evidence["task"] else "runs"
    return (
        f"`{evidence['call']}` without `{evidence['observed']}`; {evidence['first']} of {evidence['of']} "
        f"{runs} that call it do that first."
    )


def silence(evidence: Evidence) -> str:
    """How long nothing was heard."""
    return (
        f"Nothing was heard of the run for {evidence['observed']:.1f} s; "
        f"a heartbeat is due every {evidence['interval']:.1f} s."
    )


_DIFFERENCES = {
    "missing": "never made", "false": "failed or refused", "flipped": "done though claimed as failed",
    "args": "with other arguments", "results": "with another result", "unclaimed": "not claimed",
}  # fmt: skip


def divergence(evidence: Evidence) -> str:
    """What is claimed and what was done, side by side.

    >>> refund = {"tool": "crm.refund", "claimed": 3, "done": 2, "missing": 1}
    >>> divergence({"records": [refund], "lost": 0})
    'What the run says it did is not what was done: `crm.refund` 3 claimed, 2 done (1 never made).'
    """
    records = "; ".join(_differs(record) for record in evidence["records"])
    lost = evidence["lost"]
    doubt = (
        f" {lost} events of its process were lost, so the record may be what is wrong."
        if lost
        else ""
    )
    return f"What the run says it did is not what was done: {records}.{doubt}"


def _differs(record: Evidence) -> str:
    why = ", ".join(
        f"{record[part]} {words}" for part, words in _DIFFERENCES.items() if part in record
    )
    why = f" ({why})" if why else ""
    return f"`{record['tool']}` {record['claimed']} claimed, {record['done']} done{why}"


def unsupported_claim(evidence: Evidence) -> str:
    """What an answer names and the run has met nowhere, or that nothing was looked up for it.

    >>> seen = {"observed": 2, "ids": 1, "numbers": 0, "values": [["id", "", 9, 17]], "task": "refund",
    ...     "without_call": False, "answers": 150, "calls_made": 1.0}
    >>> unsupported_claim(seen)
    'The answer names 1 id or address (id) and 0 numbers that stand in no order, result or call of the run; \
of 150 answers of `refund` fewer than 1 in 100 name as much.'
    """
    of_task = f" of `{evidence['task']}`" if evidence["task"] else ""
    bare = "" if not evidence["without_call"] else "It was given without any call of a tool."
    share = f"{evidence['calls_made']:.0%}".replace("%", " %")
    if not evidence["observed"]:
        return (
            f"The answer was given without any call of a tool; {share} of {evidence['answers']} runs"
            f"{of_task} made one."
        )
    classes = ", ".join(dict.fromkeys(value[0] for value in evidence["values"])) or "none"
    ids = "id or address" if evidence["ids"] == 1 else "ids or addresses"
    return (
        f"The answer names {evidence['ids']} {ids} ({classes}) and {evidence['numbers']} numbers that stand "
        f"in no order, result or call of the run; of {evidence['answers']} answers{of_task} fewer than 1 in "
        f"100 name as much. {bare}"
    ).rstrip()


def trigger_pair(evidence: Evidence) -> str:
    """How often an action goes with one thing in the order, and how often without it.

    >>> found = {"action": "bank.pay", "observed": 6, "runs": 6, "baseline": 0.012, "feature": "000003df"}
    >>> trigger_pair(found)
    '`bank.pay` was asked for in 6 of 6 runs whose order holds one certain value (000003df), and in at most \
1.2 % of the others; the call does not act on that value.'
    """
    return (
        f"`{evidence['action']}` was asked for in {evidence['observed']} of {evidence['runs']} runs whose "
        f"order holds one certain value ({evidence['feature']}), and in at most "
        f"{evidence['baseline'] * 100:.1f} % of the others; the call does not act on that value."
    )
