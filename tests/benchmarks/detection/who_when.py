"""Candidates of failed runs against the agent and step that people found guilty (Who&When's layout).

    python -m tests.benchmarks.detection who_when [--data DIR] [--report FILE]

DIR holds one JSON file a run, at any depth: `history` (entries with `content` and `role` or `name`),
`mistake_agent`, `mistake_step`, and perhaps `system_prompt` by agent. Nothing is fitted but the guess by
position, which leaves out the run that it is tried on. Truth is read after the candidate is named.
"""

import argparse
import json
import math
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.finding.attribution import candidate
from tests.benchmarks.detection.who_when_text import Kind, Said, pieces
from tests.benchmarks.promises import exit_code

DATA = Path(__file__).parents[4] / "shared/data/who_when"
# The layout's way to say what an entry is: `NAME (-> WHOM)` asks, `NAME (thought)` thinks aloud.
_ROLE = re.compile(r"^(?P<name>.*?) \((?:-> (?P<to>.*)|.*)\)$")

Guess = tuple[str, int]  # agent, step


@dataclass(frozen=True, slots=True)
class Case:
    """One failed run, and where people say it went wrong."""

    name: str
    transcript: list[Said]
    truth: Guess


def read(path: Path) -> Case:
    """One file of the layout."""
    told = json.loads(path.read_text())
    agents = told.get("system_prompt") or {}
    transcript = []
    for number, entry in enumerate(told["history"]):
        who, kind = entry.get("name") or entry["role"], "act"
        asked = _ROLE.match(who)
        if asked:
            who, kind = asked["name"], "ask" if asked["to"] else "thought"
        elif agents and who not in agents:
            kind = "result"
        said: Kind = "task" if number == 0 else kind  # type: ignore[assignment]
        transcript.append(Said(number, who, said, entry["content"], (asked and asked["to"]) or ""))
    return Case(
        f"{path.parent.name}/{path.stem}",
        transcript,
        (told["mistake_agent"], int(told["mistake_step"])),
    )


def named(transcript: list[Said]) -> Guess:
    """Our candidate; where nothing was found the first act, on which everything else rests."""
    found = candidate(pieces(transcript))
    if found is not None:
        return found.agent_id, int(found.step_id)
    first = next((said for said in transcript if said.kind == "act"), transcript[0])
    return first.agent, first.number


def at_position(transcript: list[Said], share: float) -> Guess:
    """Who speaks at this share of the run."""
    number = min(round(share * len(transcript)), len(transcript) - 1)
    return transcript[number].agent, number


def most_frequent(transcript: list[Said]) -> Guess:
    """The agent that speaks most, and its first entry; tools are no agents."""
    counts = Counter(said.agent for said in transcript if said.kind not in ("task", "result"))
    if not counts:
        return transcript[0].agent, 0
    agent = counts.most_common(1)[0][0]
    return agent, next(said.number for said in transcript if said.agent == agent)


def score(cases: Sequence[Case], guess: Callable[[int], Guess]) -> dict[str, float]:
    """Shares of runs: agent named, step named, step within one."""
    hits = {"agent": 0, "step": 0, "within_one": 0}
    for number, case in enumerate(cases):
        agent, step = guess(number)
        hits["agent"] += agent == case.truth[0]
        hits["step"] += step == case.truth[1]
        hits["within_one"] += abs(step - case.truth[1]) <= 1
    return {name: count / len(cases) for name, count in hits.items()}


def guesses(cases: Sequence[Case]) -> dict[str, Callable[[int], Guess]]:
    """Ours, and two that read nothing; each names agent and step of a case by its number."""
    places = [case.truth[1] / len(case.transcript) for case in cases]

    def mean_position(number: int) -> Guess:
        others = places[:number] + places[number + 1 :]
        return at_position(cases[number].transcript, statistics.mean(others) if others else 0.5)

    return {
        "tracefuse": lambda n: named(cases[n].transcript),
        "mean position": mean_position,
        "most frequent agent": lambda n: most_frequent(cases[n].transcript),
    }


def measure(cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Shares of runs for each of the guesses."""
    return {who: score(cases, guess) for who, guess in guesses(cases).items()}


def pairs(cases: Sequence[Case]) -> dict[str, dict[str, tuple[int, int]]]:
    """Against each other guess: runs in which only ours is right, and in which only the other is."""
    right: dict[str, dict[str, list[bool]]] = {
        who: {
            "agent": [guess(n)[0] == case.truth[0] for n, case in enumerate(cases)],
            "within_one": [abs(guess(n)[1] - case.truth[1]) <= 1 for n, case in enumerate(cases)],
        }
        for who, guess in guesses(cases).items()
    }
    ours = right.pop("tracefuse")
    return {
        who: {what: _only(ours[what], theirs[what]) for what in ours}
        for who, theirs in right.items()
    }


def _only(ours: list[bool], theirs: list[bool]) -> tuple[int, int]:
    both = list(zip(ours, theirs, strict=True))
    return sum(a and not b for a, b in both), sum(b and not a for a, b in both)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; exit code 2 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    cases = [read(path) for path in sorted(options.data.rglob("*.json"))]
    if not cases:
        sys.exit(f"no runs in {options.data}: SKIPPED")
    found = measure(cases)
    print(f"{len(cases)} failed runs; standard error in brackets")
    print(f"{'':<22}{'agent':>15}{'step':>15}{'within one':>15}")
    for who, shares in found.items():
        row = (f"{s:>8.1%} ({_error(s, len(cases)):.1%})" for s in shares.values())
        print(f"{who:<22}{''.join(f'{text:>15}' for text in row)}")
    beside = pairs(cases)
    for who, counts in beside.items():
        told = ", ".join(f"{what} {a} to {b}" for what, (a, b) in counts.items())
        print(f"right only ours to only {who}: {told}")
    with_evidence = sum(bool(pieces(case.transcript)) for case in cases)
    print(f"with any evidence: {with_evidence}; in the others the first act was named")
    ours = found["tracefuse"]
    figures: list[dict[str, Any]] = [
        {"name": "candidate names the agent", "unit": "share", "promised_min": 0.55,
         "measured": ours["agent"]},
        {"name": "candidate's step within one", "unit": "share", "promised_min": 0.35,
         "measured": ours["within_one"]},
    ]  # fmt: skip
    if options.report is not None:
        report = {"figures": figures, "runs": len(cases), "shares": found, "pairs": beside}
        options.report.write_text(json.dumps(report, indent=1) + "\n")
    return exit_code(figures)


def _error(share: float, runs: int) -> float:
    return math.sqrt(share * (1 - share) / runs)


if __name__ == "__main__":
    sys.exit(main())
