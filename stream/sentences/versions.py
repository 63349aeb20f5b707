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


def shadow(bundle: str, evidence: Evidence) -> str:
    """How the shadow does worse with the same input.

    >>> shadow("b3", {"worse": 14, "better": 1})
    'Shadow b3 went wrong in 14 runs in which the other went well, and well in 1 of the reverse; it ends.'
    """
    return (
        f"Shadow {bundle} went wrong in {evidence['worse']} runs in which the other went well, and "
        f"well in {evidence['better']} of the reverse; it ends."
    )


def changed(parts: list[str], against: str) -> str:
    """What of a bundle is another than before.

    >>> changed(["model", "prompt"], "the stable bundle"), changed([], "its reference")
    ('Changed against the stable bundle: model, prompt.', 'No known part changed against its reference.')
    """
    if not parts:
        return f"No known part changed against {against}."
    return f"Changed against {against}: {', '.join(parts)}."
