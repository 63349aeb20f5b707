"""Sequence surprise on recorded runs: anomalies put into them, and how well they stand out.

    python -m tests.benchmarks.detection sequences [--data DIR] [--learnt 25] [--seeds 40] [--report FILE]

DIR holds `events.jsonl` (or `.jsonl.gz`) and perhaps `truth.jsonl`; runs that were attacked are left out.
Each agent is judged for itself: a seed shuffles its runs, so many are learnt, the rest is scored twice, as
it was and with an anomaly. Beside it: unseen triples (STIDE) and the nearest vector of counts.
"""

import argparse
import json
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from detectors import SequenceSurprise
from ingest.simulate.recorded import traces
from tests.benchmarks.detection.dojo import ABSENT, DATA, FILES, Truth
from tests.benchmarks.promises import Json

Calls = Sequence[str]
Injection = Callable[[Calls, random.Random, list[str]], list[str] | None]
LEARNT, SEEDS = 25, 40  # one seed of a small recording tells little
RARE = 0.05  # of an agent's calls go to such a tool at most
GOALS = {"two rare calls": 0.95, "one rare call": 0.83, "novel tool": 0.93}
HEADLINE = {
    "two rare calls": "two greatest",
    "one rare call": "two greatest",
    "novel tool": "greatest",
}


# -- anomalies -------------------------------------------------------------------------------------


def _put(calls: Calls, rng: random.Random, what: Iterable[str]) -> list[str]:
    found = list(calls)
    for call in what:
        found.insert(rng.randint(0, len(found)), call)
    return found


def _ping_pong(calls: Calls, rng: random.Random, rare: list[str]) -> list[str]:
    at, own = rng.randint(0, len(calls)), sorted(set(calls))
    pair = rng.sample(own if len(own) > 1 else sorted({*own, *rare}), 2)
    return [*calls[:at], *pair * 4, *calls[at:]]


def _loop(calls: Calls, rng: random.Random, rare: list[str]) -> list[str] | None:
    if not calls:
        return None
    at = rng.randrange(len(calls))
    return [*calls[:at], *[calls[at]] * 4, *calls[at:]]


def _shuffled(calls: Calls, rng: random.Random, rare: list[str]) -> list[str] | None:
    if len(set(calls)) < 2:
        return None
    found = list(calls)
    while found == list(calls):
        rng.shuffle(found)
    return found


INJECTIONS: dict[str, Injection] = {
    "novel tool": lambda calls, rng, rare: _put(calls, rng, ["never.used"]),
    "one rare call": lambda calls, rng, rare: _put(calls, rng, [rng.choice(rare)]),
    "two rare calls": lambda calls, rng, rare: _put(calls, rng, [rng.choice(rare) for _ in "12"]),
    "ping-pong x4": _ping_pong,
    "shuffled": _shuffled,
    "loop x5": _loop,
}


# -- scores ----------------------------------------------------------------------------------------


class Stide:
    """Triples of calls that no learnt run had: the baseline of the literature."""

    def __init__(self, learnt: Iterable[Calls]) -> None:
        self._seen = {triple for calls in learnt for triple in self._triples(calls)}

    @staticmethod
    def _triples(calls: Calls) -> list[tuple[str, ...]]:
        padded = ["", "", *calls, ""]
        return [tuple(padded[i : i + 3]) for i in range(len(padded) - 2)]

    def score(self, calls: Calls) -> float:
        return float(sum(triple not in self._seen for triple in self._triples(calls)))


class Counts:
    """Distance of a run's counts of calls from those of the most similar learnt run."""

    def __init__(self, learnt: Iterable[Calls]) -> None:
        self._known = [Counter(calls) for calls in learnt]

    def score(self, calls: Calls) -> float:
        own = Counter(calls)
        return float(
            min(sum(abs(own[c] - one[c]) for c in own.keys() | one.keys()) for one in self._known)
        )


def scores(
    detector: SequenceSurprise, stide: Stide, counts: Counts, calls: Calls
) -> dict[str, float]:
    """What each rule says of one run. `score` is what the product compares with its threshold."""
    walk = detector.walked(calls)
    return {
        "two greatest": walk.highest + walk.second,
        "greatest": walk.highest,
        "mean": walk.total / (walk.n + 1),
        "score": detector.score_one(calls),
        "stide": stide.score(calls),
        "counts": counts.score(calls),
    }


def auc(normal: Sequence[float], odd: Sequence[float]) -> float:
    """How often an odd one scores higher than a normal one; a tie is half.

    >>> auc([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    ranks, place = Counter(normal), dict[float, float]()
    below = 0
    for value in sorted({*normal, *odd}):
        place[value] = below + ranks[value] / 2
        below += ranks[value]
    return sum(place[value] for value in odd) / (len(normal) * len(odd))


# -- the measurement -------------------------------------------------------------------------------


def agents(events: Path) -> dict[str, list[list[str]]]:
    """Tools of the calls of each agent's unattacked runs, in the recording's order."""
    truth, attacked = events.parent / "truth.jsonl", set[str]()
    if truth.exists():
        said = (msgspec.json.decode(line, type=Truth) for line in truth.read_bytes().splitlines())
        attacked = {one.trace_id for one in said if one.attacked}
    found: dict[str, list[list[str]]] = defaultdict(list)
    for trace in traces(events):
        if trace[0].trace_id not in attacked:
            calls = [line.tool for line in trace if line.type == "tool_call"]
            found[trace[0].agent_id].append(calls)
    return found


def once(runs: list[list[str]], seed: int, learnt: int) -> Json:
    """One seed: AUC of each rule and anomaly, and the share of runs in which the shipped score fires."""
    rng = random.Random(seed)
    mixed = rng.sample(runs, len(runs))
    used = Counter(call for calls in runs for call in calls)
    rare = sorted(call for call in used if used[call] <= RARE * used.total()) or sorted(used)
    detector = SequenceSurprise()
    for calls in mixed[:learnt]:
        detector.learn_one(calls)
    rest = mixed[learnt:]
    stide, counts = Stide(mixed[:learnt]), Counts(mixed[:learnt])
    normal = [scores(detector, stide, counts, calls) for calls in rest]
    report: Json = {"fires": {"as it was": _fires(normal)}, "auc": {}}
    for name, inject in INJECTIONS.items():
        changed = [found for calls in rest if (found := inject(calls, rng, rare)) is not None]
        odd = [scores(detector, stide, counts, calls) for calls in changed]
        report["fires"][name] = _fires(odd)
        report["auc"][name] = {
            rule: round(auc([one[rule] for one in normal], [one[rule] for one in odd]), 4)
            for rule in normal[0]
        }
    return report


def _fires(found: list[dict[str, float]]) -> float:
    return round(sum(one["score"] >= SequenceSurprise.threshold for one in found) / len(found), 4)


def measure(events: Path, learnt: int, seeds: int) -> Json:
    """All agents of a recording that have runs left to be scored, and two tools or more."""
    report: Json = {"learnt": learnt, "seeds": seeds, "goals": GOALS, "agents": {}}
    for name, runs in sorted(agents(events).items()):
        if len(runs) >= learnt + 10 and len({call for calls in runs for call in calls}) > 1:
            report["agents"][name] = {
                "runs": len(runs), "calls": sum(map(len, runs)),
                "by_seed": [once(runs, seed, learnt) for seed in range(seeds)],
            }  # fmt: skip
    return report


def figures(agent: Json, anomaly: str, rule: str) -> list[float]:
    """AUC of a rule for an anomaly, a figure a seed."""
    return [seed["auc"][anomaly][rule] for seed in agent["by_seed"]]


def table(report: Json) -> str:
    """Mean over seeds and the worst of them, each rule side by side."""
    lines = [f"after {report['learnt']} runs, {report['seeds']} seeds: mean AUC (worst seed)"]
    for name, agent in report["agents"].items():
        rules = list(agent["by_seed"][0]["auc"]["shuffled"])
        lines.append(f"\n{name}: {agent['runs']} runs, {agent['calls']} calls")
        lines.append(
            f"{'':16}" + "".join(f"{rule:>15}" for rule in rules) + f"{'fires':>8}{'goal':>6}"
        )
        fires = statistics.fmean(seed["fires"]["as it was"] for seed in agent["by_seed"])
        lines.append(f"{'as it was':16}{'':{15 * len(rules)}}{fires:8.3f}")
        for anomaly in INJECTIONS:
            cells = ""
            for rule in rules:
                found = figures(agent, anomaly, rule)
                cells += f"{statistics.fmean(found):8.3f} ({min(found):.2f})"
            fires = statistics.fmean(seed["fires"][anomaly] for seed in agent["by_seed"])
            goal = f"{GOALS[anomaly]:6.2f}" if anomaly in GOALS else ""
            lines.append(f"{anomaly:16}{cells}{fires:8.3f}{goal}")
    return "\n".join(lines)


def missed(report: Json) -> list[str]:
    """Goals that the mean over seeds does not reach."""
    return [
        f"{name}: {anomaly}"
        for name, agent in report["agents"].items()
        for anomaly, rule in HEADLINE.items()
        if statistics.fmean(figures(agent, anomaly, rule)) < GOALS[anomaly]
    ]


def main() -> int:
    """Print the table, write what was asked for; 1 where a goal was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with events, perhaps truth")
    parser.add_argument("--learnt", type=int, default=LEARNT, help="runs before the scored ones")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--report", type=Path, help="where to write all figures as JSON")
    args = parser.parse_args()
    events = next((p for p in (args.data / n for n in FILES) if p.exists()), None)
    if events is None:
        print(ABSENT.format(args.data), file=sys.stderr)
        return 0
    report = measure(events, args.learnt, args.seeds)
    print(table(report))
    if args.report is not None:
        args.report.write_text(json.dumps(report, indent=2) + "\n")
    failed = missed(report)
    for one in failed:
        print(f"MISSED {one}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
