"""The parts of an agent's file: tools, owner, limits, budgets, approvals, gates, bundles, stages, grants.

`agent_file` puts them together. Instances lie pickled in checkpoints by position: a new field goes last.
"""

from typing import Annotated, Any, Literal

import msgspec

Access = Literal["read", "write", "irreversible"]
Environment = Literal["dev", "staging", "prod"]
Track = Literal["stable", "canary", "shadow"]
Part = Literal["model", "prompt", "tools", "code", "memory"]
# The detectors by name; `detectors.CATALOGUE` has the same, and a test holds the two together.
Detector = Literal[
    "error_rate", "error_baseline", "malformed_result", "new_template",
    "call_rate", "first_time", "latency", "latency_baseline", "cost_cap", "silence",
    "divergence",
    "exact_loop", "no_progress", "ping_pong", "task_drift", "unplanned_step", "trigger_pair",
    "unsupported_claim",
    "step_vector", "sequence_surprise", "canary_rate", "canary_mix", "shadow_pair",
    "tainted_argument", "slow_drift", "price_mismatch", "run_cost",
    "context_growth", "memory_influence", "tool_changed", "skipped_step", "skipped_habit",
    "probe_drift",
    "volume", "leakage", "sensitive_rate", "low_confidence", "contention",
]  # fmt: skip

# Part of every key and scope, where a slash separates; as long as an event's own names at most.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[^/\x00]+\Z")]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
# Longer ones are programs; the whole of it has to be read by a reviewer.
Expression = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Usd = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
# Below a tick every agent would be silent; above an hour nobody would notice.
Heartbeat = Annotated[float, msgspec.Meta(ge=0.5, le=3600)]
# A person needs a minute; what nobody answered within a week is asked again.
Expiry = Annotated[float, msgspec.Meta(ge=10, le=604_800)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Day = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?\Z")]


class Tool(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One allowed tool. 0 means that nothing is declared.

    Parameters
    ----------
    access
        What a call of it may do.
    latency_ms
        Declared 95th percentile.
    poll
        Whether asking the same again and again is its use.
    version, descriptor
        Of the tool as it was approved: its version, and the SHA-256 of its description.
    undo
        Name of the tool that takes a call of this one back.
    decision_args
        Arguments that rules may read, in clear.
    result
        JSON Schema of what it returns.
    max_usd, max_tokens
        What one call may cost: a held call reserves so much.
    timeout_s
        After so long a call counts as ended; 0 takes the agent's.
    requires
        Tools of which a call must have gone well in the same run of this agent before: ``verify`` before
        ``pay``. A held call without them is denied, another one is told.
    confidential
        Whether what it returns may go to tools alone that are confidential too: a held call of another one
        that carries an address, an account, an id or a path out of such a result waits for a person.
    """

    access: Access = "read"
    latency_ms: Milliseconds = 0.0
    poll: bool = False
    version: Text = ""
    descriptor: Sha256 = ""
    undo: Text = ""
    decision_args: tuple[Text, ...] = ()
    result: dict[str, Any] = {}
    max_usd: Usd = 0.0
    max_tokens: Tokens = 0
    timeout_s: Seconds = 0.0
    requires: tuple[Text, ...] = ()
    confidential: bool = False


class Owner(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Who answers for the agent, and where alarms go.

    Parameters
    ----------
    name
        A team or a person. Without one the agent may only read.
    routes
        ``alertmanager``, or addresses that apprise understands.
    """

    name: Text = ""
    routes: tuple[Text, ...] = ()


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Calls of one access class; 0 means no cap.

    Parameters
    ----------
    per_minute, per_day
        Calls in any minute; calls in a day, UTC.
    """

    per_minute: Count = 0
    per_day: Count = 0


class Budgets(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """USD and tokens; 0 means no cap.

    Parameters
    ----------
    call_usd, run_usd, hour_usd, day_usd
        What one call, one run, an hour and a day may cost.
    call_tokens, run_tokens, hour_tokens, day_tokens
        What they may use, in and out together.
    """

    run_usd: Usd = 0.0
    day_usd: Usd = 0.0
    call_usd: Usd = 0.0
    hour_usd: Usd = 0.0
    call_tokens: Tokens = 0
    run_tokens: Tokens = 0
    hour_tokens: Tokens = 0
    day_tokens: Tokens = 0


class Approval(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A rule that makes a call wait for a person.

    Parameters
    ----------
    name
        Names the rule to approvers and in the record.
    when
        A CEL expression over ``args`` (the tool's ``decision_args``) and ``context``; `ingest.rules`.
    approvers
        Who may decide; one of them is enough.
    expires_s
        After so long without a decision the answer is no.
    """

    name: Name
    when: Expression
    approvers: tuple[Name, ...]
    expires_s: Expiry = 900.0


class Gate(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """What must be shown before an environment is granted.

    Parameters
    ----------
    runs, success, days
        At least so many runs in the environment before, this share of them well, on so many days.
    approvers
        Who grants it; one of them is enough.
    """

    runs: Count = 0
    success: Share = 0.0
    days: Count = 0
    approvers: tuple[Name, ...] = ()


class Bundle(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One version of code, model, prompt and tools.

    Parameters
    ----------
    hash
        Of the bundle, as the agent's events name it.
    share
        Of the runs; what is left goes to the stable one. Of the shadow: of the runs that it repeats,
        0 for all.
    previous
        Of the stable one: the bundle before it, to which a rollback returns until the next roll-out begins.
    parts
        What it is made of: a name or hash each of `model`, `prompt`, `tools`, `code` and `memory`. An alarm
        about the bundle names those that changed.
    previous_parts
        Of the stable one: the parts of the bundle before it.
    """

    hash: Name
    share: Share = 0.0
    previous: Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^/\x00]*\Z")] = ""
    parts: dict[Part, Name] = {}
    previous_parts: dict[Part, Name] = {}


class Stage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One step of a roll-out, and what must be shown at it before the next.

    Parameters
    ----------
    share
        Of the runs that get the new bundle; 0 is the shadow, which decides and executes nothing.
    runs, success
        At least so many runs of the new bundle, this share of them well.
    """

    share: Share
    runs: Count = 0
    success: Share = 0.0


class Grant(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A decision about this agent, as it was made.

    Parameters
    ----------
    what
        ``environment prod``, ``bundle b2 at 5 %``.
    by, reason, at
        Who decided, why, and when (UTC).
    shown
        What the gates had seen by then.
    """

    what: Text
    by: Name
    reason: Text = ""
    at: Text = ""
    shown: Text = ""
