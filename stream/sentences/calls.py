"""What one call does, and what its arguments come from."""

from stream.sentences.evidence import Evidence
from tracefuse.forms import Misfit, words


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


def leakage(tool: str, evidence: Evidence) -> str:
    """Which classes a call carries that nobody declared; never a value.

    >>> leakage("web.post", {"observed": ["aws_key", "email"]})
    "A call of `web.post` carries data of class aws_key, email, which the agent's file does not declare."
    >>> leakage("web.post", {"observed": ["confidential"], "class": "email", "argument": "to"})
    'A call of `web.post` carries a value of class email, in argument `to`, out of a confidential result.'
    """
    if evidence["observed"][0] == "honeytoken":
        return f"A call of `{tool}` carries a honeytoken: a planted value that no work asks for."
    if evidence["observed"][0] == "confidential":
        where = f"in argument `{evidence['argument'] or 'whole'}`"
        return (
            f"A call of `{tool}` carries a value of class {evidence['class']}, {where}, "
            "out of a confidential result."
        )
    classes = ", ".join(evidence["observed"])
    return f"A call of `{tool}` carries data of class {classes}, which the agent's file does not declare."


def sensitive_rate(tool: str, evidence: Evidence) -> str:
    """How many calls of a tool carry sensitive data, and what is usual.

    >>> found = {"observed": 9, "results": 40, "baseline": 0.01, "classes": ["email"]}
    >>> sensitive_rate("ticket.update", found)
    '9 of the last 40 calls of `ticket.update` carry sensitive data, the newest of class email; expected \
1.0 %.'
    """
    return (
        f"{evidence['observed']} of the last {evidence['results']} calls of `{tool}` carry sensitive data, "
        f"the newest of class {', '.join(evidence['classes'])}; expected {evidence['baseline'] * 100:.1f} %."
    )


def low_confidence(evidence: Evidence) -> str:
    """How unsure the agent is of a call, how rare that is, what its doubts have meant, and what is usual.

    >>> found = {"call": "crm.refund", "observed": 0.3, "fall": 0.45, "p": 0.004, "runs": 240,
    ...          "bad_runs": 20, "less_sure": 0.83, "usual": [["crm.find", 0.6]]}
    >>> low_confidence(found)
    '`crm.refund` is asked for with confidence 0.30, and the level of the run has fallen by 0.45: so unsure \
are fewer than 1 of 50 runs that end well (p = 0.0040). Of two of its runs, the one that ended badly had \
been the less sure in 83 % (20 of 240 ended badly). Usual there is `crm.find` (60 %).'
    """
    fallen = f", and the level of the run has fallen by {evidence['fall']:.2f}"
    usual = ", ".join(f"`{name}` ({share * 100:.0f} %)" for name, share in evidence["usual"])
    return (
        f"`{evidence['call']}` is asked for with confidence {evidence['observed']:.2f}"
        f"{fallen if evidence['fall'] > 0 else ''}: so unsure are fewer than 1 of 50 runs that end well "
        f"(p = {evidence['p']:.4f}). Of two of its runs, the one that ended badly had been the less sure in "
        f"{evidence['less_sure'] * 100:.0f} % ({evidence['bad_runs']} of {evidence['runs']} ended badly)."
        f"{f' Usual there is {usual}.' if usual else ''}"
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


def unplanned_step(tool: str, evidence: Evidence) -> str:
    """Which write the plan leaves out, and how often the agent does so.

    >>> found = {"steps": 2, "writes": 30, "unplanned": 0, "calls": 2, "distance": 1}
    >>> unplanned_step("mail.send", found)
    '`mail.send` writes, and the run has declared a plan of 2 steps without it; of 30 writes under a plan 0 \
were not named. Its 2 calls so far are 1 change away from the plan.'
    """
    changes = "change" if evidence["distance"] == 1 else "changes"
    return (
        f"`{tool}` writes, and the run has declared a plan of {evidence['steps']} steps without it; of "
        f"{evidence['writes']} writes under a plan {evidence['unplanned']} were not named. Its "
        f"{evidence['calls']} calls so far are {evidence['distance']} {changes} away from the plan."
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


def malformed_result(tool: str, evidence: Evidence) -> str:
    """How many results lack their form, and what the newest of them lacks.

    >>> found = {"observed": 9, "results": 40, "baseline": 0.01, "wrong": "missing", "field": "total",
    ...          "example": "a1b2"}
    >>> malformed_result("crm.find", found)
    'Results of `crm.find`: 9 of 40 do not have the declared form, expected 1.0 %; of the newest one `total` \
is missing (result hash a1b2). Either the tool has changed or its declaration is wrong.'
    """
    wrong = words(Misfit(evidence["wrong"], evidence["field"]))
    return (
        f"Results of `{tool}`: {evidence['observed']} of {evidence['results']} do not have the declared "
        f"form, expected {evidence['baseline'] * 100:.1f} %; of the newest one {wrong} (result hash "
        f"{evidence['example']}). Either the tool has changed or its declaration is wrong."
    )


def new_template(tool: str, evidence: Evidence) -> str:
    """What a tool answers that it has never answered.

    >>> new_template("crm.find", {"error": "Locked", "times": 3, "within": 7, "kinds": 4, "n": 812})
    '`crm.find` has 3 times in 7 answers failed (`Locked`) as never before, among 812 answers of 4 kinds.'
    >>> new_template("crm.find", {"error": "", "times": 3, "within": 7, "kinds": 4, "n": 812})
    '`crm.find` has 3 times in 7 answers returned what looks like no result before, among 812 answers of 4 \
kinds.'
    """
    error = evidence["error"]
    what = (
        f"failed (`{error}`) as never before"
        if error
        else "returned what looks like no result before"
    )
    return (
        f"`{tool}` has {evidence['times']} times in {evidence['within']} answers {what}, among "
        f"{evidence['n']} answers of {evidence['kinds']} kinds."
    )
