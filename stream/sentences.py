"""Findings in words that an on-call engineer understands. Deterministic, from the evidence alone."""

from typing import Any

Evidence = dict[str, Any]


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


def verdict(tool: str, word: str, reason: str) -> str:
    """Why a call did not run.

    >>> verdict("crm.pay", "deny", "the budget run_usd has no room for this call")
    'A call of `crm.pay` was denied: the budget run_usd has no room for this call.'
    """
    said = "waits for a person" if word == "needs_approval" else "was denied"
    return f"A call of `{tool}` {said}: {reason}."


def unattended(tool: str, approval_id: str) -> str:
    """Nobody has answered for half of the time."""
    return (
        f"A call of `{tool}` waits for a person and nobody has answered: `tracefuse approve "
        f"{approval_id}`, or with `--refuse`."
    )


def void_answer(why: str) -> str:
    """An answer to a waiting call that does not count."""
    return f"An answer to a call that waits for a person does not count: {why}."


def void_label(why: str) -> str:
    """A person's word on an allowed call that does not count."""
    return f"A label of an allowed call does not count: {why}."


def error_rate(what: str, evidence: Evidence) -> str:
    """How much failed."""
    share = f"{evidence['failures']} of {evidence['calls']} calls failed in the last minute"
    row = evidence["consecutive"]
    tail = f", {row} in a row" if row > 1 else ""
    return f"Errors of {what}: {share} ({evidence['observed']:.0%}){tail}; the limit is half of 20."


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


def call_rate(access: str, evidence: Evidence) -> str:
    """How many calls of a class, against which cap."""
    seen = evidence["observed"]
    return (
        f"{seen['minute']} {access} calls in the last minute and {seen['day']} today; allowed are "
        f"{evidence['per_minute'] or 'any number'} a minute and {evidence['per_day'] or 'any number'} a day."
    )


def latency(tool: str, evidence: Evidence) -> str:
    """How slow a tool is against its declaration."""
    return (
        f"`{tool}` takes {evidence['observed']:.2f} s at the 95th percentile of its last "
        f"{evidence['calls']} calls; declared are {evidence['declared']:.2f} s, "
        f"tolerated {evidence['factor']:.0f} times that."
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


def canary(bundle: str, what: str, evidence: Evidence) -> str:
    """How the canary goes wrong more often.

    >>> canary("b2", "a failed call", {"bad": 31, "of": 120, "expected": 0.1})
    'Bundle b2 has 31 of 120 runs with a failed call, at 10 % of the runs; the stable bundle runs again.'
    """
    return (
        f"Bundle {bundle} has {evidence['bad']} of {evidence['of']} runs with {what}, at "
        f"{evidence['expected']:.0%} of the runs; the stable bundle runs again.".replace("%", " %")
    )


def shadow(bundle: str, evidence: Evidence) -> str:
    """How the shadow does worse with the same input.

    >>> shadow("b3", {"worse": 14, "better": 1})
    'Shadow b3 went wrong in 14 runs in which the other went well, and well in 1 of the reverse; it ends.'
    """
    return (
        f"Shadow {bundle} went wrong in {evidence['worse']} runs in which the other went well, and "
        f"well in {evidence['better']} of the reverse; it ends."
    )


def silence(evidence: Evidence) -> str:
    """How long nothing was heard."""
    return (
        f"Nothing was heard of the run for {evidence['observed']:.1f} s; "
        f"a heartbeat is due every {evidence['interval']:.1f} s."
    )


def annotation(detector: str, what: str, evidence: Evidence) -> str:
    """A statistical finding: odd, and no more than that."""
    return (
        f"{detector.replace('_', ' ').capitalize()} of `{what}` is unusual: "
        f"score {evidence['score']:.3f} over {evidence['threshold']:.3f} after {evidence['n']} observations."
    )


def detector_health(evidence: Evidence, ill: bool) -> str:
    """A detector that says far too much, and one that no longer does.

    >>> found = {"subject": "latency_baseline", "observed": 7.5, "budget_a_day": 1.0}
    >>> detector_health(found, ill=True)
    '`latency_baseline` had 7.5 episodes a day lately, with room for 1.0: what it finds here is only logged.'
    """
    counted = f"`{evidence['subject']}` had {evidence['observed']:.1f} episodes a day lately"
    if ill:
        return f"{counted}, with room for {evidence['budget_a_day']:.1f}: what it finds here is only logged."
    return f"{counted}: its findings count again."


def held_back(sentence: str, scope: str) -> str:
    """A stop that the blast-radius brake holds back, and what a person can do.

    >>> held_back("Errors of all tools: 20 of 20.", "agent:acme/refunds")[31:]
    'It is not stopped: rules have just stopped as many agents of the tenant as they may by themselves. \
If it must stop: `tracefuse breaker force agent:acme/refunds --reason "..."`.'
    """
    return (
        f"{sentence} It is not stopped: rules have just stopped as many agents of the tenant as they "
        f'may by themselves. If it must stop: `tracefuse breaker force {scope} --reason "..."`.'
    )


def braked(tenant: str, stopped: int, active: int, allowed: int) -> str:
    """So many agents of a tenant at once that people must decide."""
    return (
        f"Rules have stopped {stopped} of {active} active agents of {tenant} within 5 minutes, and may "
        f"stop {allowed} by themselves; more want to stop. Look for one cause behind them all."
    )


def unacknowledged(scope: str, seconds: float) -> str:
    """A command that the agent did not confirm."""
    return f"The agent lives but has not confirmed the stop of {scope} for {seconds:.1f} s."


def refused_file(why: str) -> str:
    """A version of an agent's file that did not come into force.

    >>> refused_file("it is not signed by a registry key that we know")
    'A file of the agent changed nothing: it is not signed by a registry key that we know.'
    """
    return f"A file of the agent changed nothing: {why}."


def void_judgement(why: str) -> str:
    """A person's word on an incident that does not count.

    >>> void_judgement("it can't be read")
    "A word on an incident did not count: it can't be read."
    """
    return f"A word on an incident did not count: {why}."


def unregistered() -> str:
    """An agent without a file."""
    return "The agent has no file in the registry: nobody owns it and no caps are set."


def changed(parts: list[str], against: str) -> str:
    """What of a bundle is another than before.

    >>> changed(["model", "prompt"], "the stable bundle"), changed([], "its reference")
    ('Changed against the stable bundle: model, prompt.', 'No known part changed against its reference.')
    """
    if not parts:
        return f"No known part changed against {against}."
    return f"Changed against {against}: {', '.join(parts)}."
