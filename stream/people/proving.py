"""Whether what was shown is enough: for the next stage of a roll-out, for one more environment. Pure.

    what ClickHouse remembers ──► Shown ──► lacking(gate, shown) ──► nothing, or what is missing in words

A run counts once it has ended. `dashboards/shown.py` says what "well" means.
"""

from dataclasses import dataclass

from ingest.agent_file import Gate, Stage


@dataclass(frozen=True, slots=True)
class Shown:
    """What was observed.

    Parameters
    ----------
    runs, well
        Runs that have ended, and how many of them well.
    days
        Days (UTC) on which one ended.
    lost
        Runs among them that never said that they ended: their process fell silent.
    standing
        Scopes whose breaker stands open.
    against
        Alarms that hold up a roll-out and that nobody has judged: detector, and incident if there is one.

    Examples
    --------
    >>> print(Shown(runs=120, well=119, days=14))
    120 runs on 14 days, 99.1 % of them well
    """

    runs: int = 0
    well: int = 0
    days: int = 0
    lost: int = 0
    standing: tuple[str, ...] = ()
    against: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if not self.runs:
            return "no run has ended"
        days = "1 day" if self.days == 1 else f"{self.days} days"
        lost = f", {self.lost} never said that they ended" if self.lost else ""
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        return f"{runs} on {days}, {_percent(self.well, self.runs)} of them well{lost}"


def lacking(asked: Gate | Stage, shown: Shown, by: str = "") -> list[str]:
    """What a gate still misses; empty where it is passed.

    Parameters
    ----------
    asked
        The gate of an environment, or of a stage.
    shown
        What was observed.
    by
        Who decides; asked for where the gate names approvers.

    Examples
    --------
    >>> gate = Gate(runs=100, success=0.99, days=14, approvers=("ann", "carl"))
    >>> for words in lacking(gate, Shown(runs=42, well=40, days=3), "bob"):
    ...     print(words)
    42 of 100 runs
    95.2 % of the runs went well, 99 % are asked
    3 of 14 days
    bob is not among the approvers (ann, carl)
    >>> lacking(gate, Shown(runs=120, well=119, days=14), "ann")
    []
    """
    found = [f"{shown.runs} of {asked.runs} runs"] if shown.runs < asked.runs else []
    if shown.runs and shown.well / shown.runs < asked.success:
        went = _percent(shown.well, shown.runs)
        found.append(f"{went} of the runs went well, {100 * asked.success:.10g} % are asked")
    elif asked.success and not shown.runs and not asked.runs:
        # Without a run there is no share; nothing shown is no proof either.
        found.append(f"no run has ended, {100 * asked.success:.10g} % of them well are asked")
    if isinstance(asked, Gate):
        if shown.days < asked.days:
            found.append(f"{shown.days} of {asked.days} days")
        if asked.approvers and by not in asked.approvers:
            listed = ", ".join(asked.approvers)
            found.append(f"{by or 'nobody'} is not among the approvers ({listed})")
    found += [f"{scope} stands open" for scope in shown.standing]
    return found + [_unjudged(detector, incident) for detector, incident in shown.against]


def _unjudged(detector: str, incident: str) -> str:
    """What a person has to say of it: a real one ends with a rollback, not with the next stage."""
    if not incident:
        return f"{detector} speaks against it"
    judge = f"`tracefuse incidents judge {incident} false|expected`"
    return f"{detector} speaks against it; if that is wrong: {judge}"


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that what is too little never reads as enough."""
    return f"{1000 * part // whole / 10:g} %"
