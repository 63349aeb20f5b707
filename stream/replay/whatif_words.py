"""What another file would have changed, in words for people. Pure."""

from collections.abc import Iterator

from stream.replay.whatif import APPEARS, CHANGES, VANISHES, Change, Differences


def words(differences: Differences, shown: int = 200) -> Iterator[str]:
    """The report for people: each run with what would have become of it, then how much that is."""
    changes, by_run = differences.changes[:shown], dict[str, list[Change]]()
    for trace_id in [change.trace_id for change in changes] + list(differences.unmade):
        by_run.setdefault(trace_id, [])
    for change in changes:
        by_run[change.trace_id].append(change)
    for trace_id, found in by_run.items():
        yield f"run {trace_id}" if trace_id else "no run"
        yield from (f"  {_words(change)}" for change in found)
        if unmade := differences.unmade[trace_id]:
            yield f"  {unmade} calls would not have been made"
    for detector, count in sorted(differences.annotations.items()):
        if count:
            yield f"annotations of {detector}: {abs(count)} {'more' if count > 0 else 'fewer'}"
    yield _sum(differences)


def _words(change: Change) -> str:
    if change.kind == "verdict":
        return f"call {change.scope}: {change.action} ({change.what}): {change.sentence}"
    would = "would be" if change.how == APPEARS else "would no longer be"
    done = f"stopped, {change.scope}" if change.kind == "stop" else "told"
    return f"{would} {done} ({change.what}, {change.action}): {change.sentence}"


def _sum(differences: Differences) -> str:
    counted = differences.counted
    if not differences.any:
        return f"no difference in {differences.records} records of {len(differences.runs)} runs"
    parts = [
        f"{kind}s: {counted[kind, APPEARS]} appear, {counted[kind, VANISHES]} vanish"
        for kind in ("stop", "incident")
    ]
    parts.append(f"{counted['verdict', CHANGES]} verdicts change")
    parts.append(f"{differences.unmade.total()} calls would not have been made")
    records, runs = differences.records, len(differences.runs)
    return f"{'; '.join(parts)}; in {records} records of {runs} runs"
