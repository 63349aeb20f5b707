"""How a bundle does beside another."""

from stream.sentences.evidence import Evidence


def canary(bundle: str, what: str, evidence: Evidence) -> str:
    """How the canary goes wrong more often.

    >>> canary("b2", "a failed call", {"bad": 31, "of": 120, "expected": 0.1})
    'Bundle b2 has 31 of 120 runs with a failed call, at 10 % of the runs; the stable bundle runs again.'
    """
    return (
        f"Bundle {bundle} has {evidence['bad']} of {evidence['of']} runs with {what}, at "
        f"{evidence['expected']:.0%} of the runs; the stable bundle runs again.".replace("%", " %")
    )


def canary_mix(bundle: str, evidence: Evidence) -> str:
    """Which tools the canary calls more, or less.

    >>> canary_mix("b2", {"tools": [["delete", 0.25, 0.01], ["read", 0.5, 0.74]], "n": 300, "canaries": 30})
    'Runs of bundle b2 call other tools: delete 25 % of the calls (else 1 %), read 50 % of the calls (else \
74 %); 30 of 300 runs were its own. Its roll-out goes no further.'
    """
    tools = ", ".join(
        f"{tool} {100 * canary:.0f} % of the calls (else {100 * stable:.0f} %)"
        for tool, canary, stable in evidence["tools"]
    )
    return (
        f"Runs of bundle {bundle} call other tools: {tools}; {evidence['canaries']} of {evidence['n']} runs "
        "were its own. Its roll-out goes no further."
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


def task_drift(task: str, evidence: Evidence) -> str:
    """What of a task's runs is no longer as it was.

    >>> evidence = {"what": [["wipe", 0.2, 0.0], ["steps", 0.9, 0.5]], "since": 40, "newest": ""}
    >>> print(task_drift("refund", evidence | {"aligned": True}))
    Runs of refund have drifted from their first 200 for about 40 runs: wipe 20 % of the calls (then 0 %), \
steps at 90 % of the ranks (then 50 %). It began when the version changed: a rollback would take it back.
    """
    kinds = {
        "failures": "failed runs", "order": "runs in an unknown order", "steps": "steps at",
        "cost": "cost at",
    }  # fmt: skip
    of = {"failures": "", "order": "", "steps": " of the ranks", "cost": " of the ranks"}
    told = ", ".join(
        f"{kinds.get(what, what)} {100 * now:.0f} %{of.get(what, ' of the calls')} (then {100 * then:.0f} %)"
        for what, now, then in evidence["what"]
    )
    words = (
        f"Runs of {task or 'several tasks'} have drifted from their first 200 for about "
        f"{evidence['since']} runs: {told}."
    )
    if evidence["newest"]:
        words += f" The newest tool is {evidence['newest']}."
    if evidence["aligned"]:
        return f"{words} It began when the version changed: a rollback would take it back."
    return words


def changed(parts: list[str], against: str) -> str:
    """What of a bundle is another than before.

    >>> changed(["model", "prompt"], "the stable bundle"), changed([], "its reference")
    ('Changed against the stable bundle: model, prompt.', 'No known part changed against its reference.')
    """
    if not parts:
        return f"No known part changed against {against}."
    return f"Changed against {against}: {', '.join(parts)}."
