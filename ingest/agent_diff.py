"""What a new version of an agent's file changes, in the words of somebody who has to agree to it. Pure.

Each change is `wider` (the agent may do more, or is watched less), `narrower`, or `other`. A field that
nobody has found words for is told by its name: no change is silent.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from ingest.agent_file import Access, AgentFile, Approval, Tool
from ingest.agent_toml import inline

Effect = Literal["wider", "narrower", "other"]
_AUTONOMY = (
    "only suggests", "acts when a person agreed", "acts within its limits", "acts without holding",
)  # fmt: skip
_STRICT: tuple[Access, ...] = ("read", "write", "irreversible")
_CAPS = {
    "call_usd": "spend {} in a call", "run_usd": "spend {} in a run",
    "hour_usd": "spend {} an hour", "day_usd": "spend {} a day",
    "call_tokens": "use {} tokens in a call", "run_tokens": "use {} tokens in a run",
    "hour_tokens": "use {} tokens an hour", "day_tokens": "use {} tokens a day",
    "concurrency": "have {} calls at once", "retries": "repeat a failed call {} times",
    "depth": "go {} agents deep", "run_timeout_s": "run for {}",
}  # fmt: skip
# Lists where empty means all, and lists where it means none.
_OPEN = {"users": "work for", "tasks": "work on"}
_GIVEN = {"data_classes": "handle data of class", "allowed_use": "be used for"}
_FORBIDDEN = {"prohibited_use": "be used for"}


class Change(NamedTuple):
    """One difference: what it does to the agent's freedom, and its words."""

    effect: Effect
    words: str


def changes(old: AgentFile | None, new: AgentFile) -> list[Change]:
    """Differences of two versions, the wider ones first. `old` None: the agent is new.

    >>> old = AgentFile("admin", version=1)
    >>> new = AgentFile("admin", version=2, tools={"accounts.delete": Tool("irreversible")})
    >>> changes(old, new)
    [Change(effect='wider', words='may now call `accounts.delete` (irreversible)')]
    """
    before = old or AgentFile(new.agent, new.tenant)
    if old is not None and old.digest == new.digest:
        return []
    found = [Change("other", "is a new agent")] if old is None else []
    found += _tools(before.tools, new.tools)
    found += _caps(before, new, old is None)
    found += [
        *_judgement(before, new),
        *_detectors(before, new),
        *_approvals(before, new),
        *_places(before, new),
    ]
    found += [*_lists(before, new), *_plain(before, new)]
    if old is not None and old.version == new.version:
        found.append(Change("other", f"is still called version {new.version}"))
    order = ("wider", "narrower", "other")
    return sorted(found, key=lambda change: order.index(change.effect))


# -- tools -------------------------------------------------------------------------------------------


def _tools(old: Mapping[str, Tool], new: Mapping[str, Tool]) -> Iterator[Change]:
    for name, tool in new.items():
        if name not in old:
            yield Change("wider", f"may now call `{name}` ({tool.access})")
        elif tool != old[name]:
            yield from _tool(name, old[name], tool)
    for name in old:
        if name not in new:
            yield Change("narrower", f"may no longer call `{name}`")


def _tool(name: str, old: Tool, new: Tool) -> Iterator[Change]:
    if old.access != new.access:
        looser = _STRICT.index(new.access) < _STRICT.index(old.access)
        words = f"calls of `{name}` are treated as {new.access}, no longer as {old.access}"
        yield Change("wider" if looser else "narrower", words)
    if old.poll != new.poll:
        may = "may now" if new.poll else "may no longer"
        yield Change(_wider(new.poll), f"{may} ask `{name}` the same again and again")
    if old.undo != new.undo:
        how = f"taken back by `{new.undo}`" if new.undo else "no longer taken back"
        yield Change(_wider(not new.undo), f"a call of `{name}` is {how}")
    for arg in set(old.decision_args) ^ set(new.decision_args):
        seen = arg in new.decision_args
        words = f"rules {'now' if seen else 'no longer'} see `{arg}` of `{name}`"
        yield Change("other" if seen else "wider", words)
    if old.confidential != new.confidential:
        words = "are" if new.confidential else "are no longer"
        yield Change(_wider(not new.confidential), f"results of `{name}` {words} confidential")
    for other in dict.fromkeys((*old.requires, *new.requires)):
        if (other in old.requires) != (other in new.requires):
            waits = other in new.requires
            words = f"`{name}` {'now' if waits else 'no longer'} requires `{other}` before it"
            yield Change(_wider(not waits), words)
    for field, words in (
        ("latency_ms", f"`{name}` may take {{}}"),
        ("max_usd", f"a call of `{name}` may spend {{}}"),
        ("max_tokens", f"a call of `{name}` may use {{}} tokens"),
        ("timeout_s", f"a call of `{name}` may last {{}}"),
    ):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield _cap(before, after, words, field)
    if bool(old.descriptor) != bool(new.descriptor):
        held = "must now" if new.descriptor else "need no longer"
        words = f"`{name}` {held} describe itself as it was approved"
        yield Change(_wider(not new.descriptor), words)
    elif old.descriptor != new.descriptor:
        yield Change("other", f"`{name}` has another descriptor")
    for field in ("version", "result"):
        if getattr(old, field) != getattr(new, field):
            yield Change("other", f"`{name}` has another {field}")


# -- caps --------------------------------------------------------------------------------------------


def _caps(old: AgentFile, new: AgentFile, fresh: bool) -> Iterator[Change]:
    for field, words in _CAPS.items():
        before = getattr(old if hasattr(old, field) else old.budgets, field)
        after = getattr(new if hasattr(new, field) else new.budgets, field)
        if before != after:
            yield _cap(before, after, f"may {words}", field)
        elif fresh and field == "day_usd" and not after:
            yield Change("wider", "may spend any amount a day")
    for access in _STRICT:
        for field, span in (("per_minute", "a minute"), ("per_day", "a day")):
            before, after = (
                getattr(file.limits[access], field) if access in file.limits else 0
                for file in (old, new)
            )
            if before != after:
                yield _cap(before, after, f"may make {{}} {access} calls {span}", field)


def _cap(before: float, after: float, words: str, field: str) -> Change:
    """A cap of 0 is none."""
    wider = before != 0 and (after == 0 or after > before)
    was, now = _amount(before, field), _amount(after, field)
    at_most = "at most " if after else ""
    was = was.removesuffix(" of")
    return Change(_wider(wider), f"{words.format(at_most + now)} (was: {was})")


def _amount(value: float, field: str) -> str:
    if not value and not field.endswith(("_s", "_ms")):
        return "any amount" if field.endswith("usd") else "any number of"
    if field.endswith("usd"):
        return f"${value:,.2f}" if round(value, 2) == value else f"${value:,.6f}".rstrip("0")
    if field.endswith(("_s", "_ms")):
        unit = field.rpartition("_")[2]
        return f"{value:g} {unit}" if value else "any time"
    return f"{value:,}"


# -- what decides about it ---------------------------------------------------------------------------


def _judgement(old: AgentFile, new: AgentFile) -> Iterator[Change]:
    if old.autonomy != new.autonomy:
        words = f"{_AUTONOMY[new.autonomy]} (autonomy {new.autonomy}, was {old.autonomy})"
        yield Change(_wider(new.autonomy > old.autonomy), words)
    for access in _STRICT:
        if (access in old.held) != (access in new.held):
            waits = access in new.held
            words = f"{access} calls {'now' if waits else 'no longer'} wait for a verdict"
            yield Change(_wider(not waits), words)
    if old.without_verdict != new.without_verdict:
        goes = new.without_verdict == "allow"
        words = f"a write without a verdict {'goes on' if goes else 'is denied'}"
        yield Change(_wider(goes), words)
    if old.review_by != new.review_by:
        later = not new.review_by or "" < old.review_by < new.review_by
        words = (
            f"is to be reviewed by {new.review_by or 'nobody'} (was: {old.review_by or 'never'})"
        )
        yield Change(_wider(later), words.replace("by nobody", "never"))
    if old.heartbeat_s != new.heartbeat_s:
        words = f"says every {new.heartbeat_s:g} s that it lives (was: {old.heartbeat_s:g} s)"
        yield Change(_wider(new.heartbeat_s > old.heartbeat_s), words)
    if old.timeout_s != new.timeout_s:
        words = f"a call may last {new.timeout_s:g} s (was: {old.timeout_s:g} s)"
        yield Change(_wider(new.timeout_s > old.timeout_s), words)


def _detectors(old: AgentFile, new: AgentFile) -> Iterator[Change]:
    for name in dict.fromkeys((*old.metrics_only, *new.metrics_only)):
        if (name in old.metrics_only) != (name in new.metrics_only):
            only = name in new.metrics_only
            words = "only measures and stops nothing" if only else "stops what it finds"
            yield Change(_wider(only), f"`{name}` {words}")
    for name in dict.fromkeys((*old.signals, *new.signals)):
        before, after = old.signals.get(name, ""), new.signals.get(name, "")
        if before != after:
            looser = ("", "ask", "deny").index(after) < ("", "ask", "deny").index(before)
            then = {"": "asks nobody", "ask": "asks a person", "deny": "is denied"}
            yield Change(_wider(looser), f"after `{name}` a held call {then[after]}")


def _approvals(old: AgentFile, new: AgentFile) -> Iterator[Change]:
    before = {rule.name: rule for rule in old.approvals}
    after = {rule.name: rule for rule in new.approvals}
    for name, rule in after.items():
        if name not in before:
            words = f"needs approval of {_all(rule.approvers)} when {rule.when}"
            yield Change("narrower", f"{words} (rule `{name}`)")
        elif before[name] != rule:
            yield from _rule(before[name], rule)
    for name, rule in before.items():
        if name not in after:
            yield Change("wider", f"no longer needs approval when {rule.when} (rule `{name}`)")


def _rule(old: Approval, new: Approval) -> Iterator[Change]:
    if old.when != new.when:
        words = f"rule `{new.name}` asks when {new.when} (was: when {old.when})"
        yield Change("wider", words)  # whether it asks less only a reader can tell
    if old.approvers != new.approvers:
        words = f"rule `{new.name}` asks {_all(new.approvers)} (was: {_all(old.approvers)})"
        yield Change(_wider(not set(new.approvers) < set(old.approvers)), words)
    if old.expires_s != new.expires_s:
        words = f"rule `{new.name}` waits {new.expires_s:g} s (was: {old.expires_s:g} s)"
        yield Change("other", words)


# -- where, for whom, on what ------------------------------------------------------------------------


def _places(old: AgentFile, new: AgentFile) -> Iterator[Change]:
    for place in dict.fromkeys((*old.granted, *new.granted)):
        if (place in old.granted) != (place in new.granted):
            may = place in new.granted
            yield Change(_wider(may), f"may {'now' if may else 'no longer'} run in {place}")
    if old.environment != new.environment:
        yield Change("other", f"runs in {new.environment} (was: {old.environment})")


def _lists(old: AgentFile, new: AgentFile) -> Iterator[Change]:
    for field, verb in _OPEN.items():
        before, after = getattr(old, field), getattr(new, field)
        if before and not after:
            yield Change("wider", f"may now {verb} anything or anybody (was: {_all(before)})")
        elif after and not before:
            yield Change("narrower", f"may {verb} {_all(after)} only")
        else:
            yield from _items(before, after, verb, True)
    for field, verb in _GIVEN.items():
        yield from _items(getattr(old, field), getattr(new, field), verb, True)
    for field, verb in _FORBIDDEN.items():
        yield from _items(getattr(new, field), getattr(old, field), verb, False)


def _items(
    before: tuple[str, ...], after: tuple[str, ...], verb: str, given: bool
) -> Iterator[Change]:
    """What is in `after` is allowed, what was only in `before` no longer is."""
    for item in dict.fromkeys((*before, *after)):
        if (item in before) == (item in after):
            continue
        may = item in after
        forbidden = "" if given else (" (no longer prohibited)" if may else " (prohibited)")
        yield Change(_wider(may), f"may {'now' if may else 'no longer'} {verb} {item}{forbidden}")


_WORDED = {
    "agent", "tenant", "version", "environment", "environments", "tools", "limits", "budgets",
    "heartbeat_s", "autonomy", "held", "without_verdict", "timeout_s", "approvals", "review_by",
    "metrics_only", "signals", *_OPEN, *_GIVEN, *_FORBIDDEN, *_CAPS,
}  # fmt: skip


def _plain(old: AgentFile, new: AgentFile) -> Iterator[Change]:
    """The rest by its name: words for people, which have no more and no less."""
    for field in old.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if field in _WORDED or before == after:
            continue
        if field == "owner" and not new.owner.name:
            yield Change("narrower", "has no owner: it may only read")
        else:
            yield Change("other", f"{field}: {_said(after)} (was: {_said(before)})")


def _said(value: Any) -> str:
    plain = msgspec.to_builtins(value)
    return inline(plain)[:300] if plain else "nothing"


def _all(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _wider(yes: bool) -> Effect:
    return "wider" if yes else "narrower"
