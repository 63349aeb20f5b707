"""What an agent's file may say: the fields of agents as code, with their bounds and safe defaults.

A detector, a policy gate and a reviewer read the same words. Reading and checking texts is `registry`'s
affair. Instances lie pickled in checkpoints by position: a new field goes last.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

Access = Literal["read", "write", "irreversible"]
Environment = Literal["dev", "staging", "prod"]
Track = Literal["stable", "canary", "shadow"]
# The detectors by name; `detectors.CATALOGUE` has the same, and a test holds the two together.
Detector = Literal[
    "error_rate", "error_baseline", "call_rate", "latency", "latency_baseline", "cost_cap", "silence",
    "exact_loop", "step_vector", "series_novelty", "canary_rate", "shadow_pair",
    "tainted_argument",
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
    """

    hash: Name
    share: Share = 0.0
    previous: Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^/\x00]*\Z")] = ""


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


class AgentFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One agent as its owner declares it.

    Parameters
    ----------
    agent, tenant
        Its name, and whose it is; no slashes.
    version
        Rises with each change: a lower one than the one in force is refused.
    environment, environments, gates
        Where it runs; where it may; what must be shown before it may.
    purpose, allowed_use, prohibited_use, success_criteria, decision_authority, data_scope, escalation
        What it is for, in the owner's words; for reviewers and reports.
    review_by
        The day (``2027-06-30``) after which it may only read until somebody reviewed it.
    owner
        Who answers for it.
    tools
        All that it may call, by name.
    limits
        Calls by access class.
    budgets
        USD and tokens.
    heartbeat_s
        It says that it lives as often as this.
    autonomy
        0 suggests only, 1 acts when a person agreed, 2 acts within its limits, 3 acts without holding.
    held
        Access classes whose calls wait for a verdict.
    without_verdict
        What a write does when no verdict came in time; an irreversible call is denied.
    concurrency, retries, depth
        Calls at once, repeats of a failed call, agents below each other; 0 means no cap.
    timeout_s
        After so long a call of a tool that says nothing itself counts as ended.
    approvals
        Rules that make a call wait for a person.
    fallbacks
        What is answered instead, by what failed: the name of a tool, or ``output``.
    bundles
        Which bundle runs as ``stable``, ``canary`` and ``shadow``.
    data_classes
        Classes of data that it may handle.
    users, tasks
        Patterns (``u-*``) of whom it may work for, and on what; empty means all.
    run_timeout_s
        A run that lasts longer gets no further held call; 0 means no cap.
    metrics_only
        Detectors that decide and log, and stop nothing.
    signals
        By detector, what a held call does once it has fired or warned in the run: ``ask`` a person, or
        ``deny``. Those whose action is ``step-up`` ask unless another word stands here.
    review_share
        Share of the allowed held calls that a person looks at afterwards.
    rollout
        Stages of a roll-out, narrow to wide.
    grants
        Decisions about it: environments it was promoted to, bundles that were rolled out.

    Examples
    --------
    >>> AgentFile("refunds", tools={"crm.refund": Tool(access="write")}).access("crm.refund")
    'write'
    """

    agent: Name
    tenant: Name = "default"
    version: Version = 1
    environment: Environment = "dev"
    owner: Owner = Owner()
    purpose: Text = ""
    review_by: Day = ""
    tools: dict[str, Tool] = {}
    limits: dict[Access, Limits] = {}
    budgets: Budgets = Budgets()
    heartbeat_s: Heartbeat = 1.0
    environments: tuple[Environment, ...] = ()
    gates: dict[Environment, Gate] = {}
    allowed_use: tuple[Text, ...] = ()
    prohibited_use: tuple[Text, ...] = ()
    success_criteria: tuple[Text, ...] = ()
    decision_authority: Text = ""
    data_scope: tuple[Text, ...] = ()
    escalation: tuple[Text, ...] = ()
    autonomy: Annotated[int, msgspec.Meta(ge=0, le=3)] = 2
    held: tuple[Access, ...] = ("write", "irreversible")
    without_verdict: Literal["deny", "allow"] = "deny"
    concurrency: Count = 0
    retries: Count = 0
    depth: Count = 0
    timeout_s: Seconds = 60.0
    approvals: tuple[Approval, ...] = ()
    fallbacks: dict[str, Text] = {}
    bundles: dict[Track, Bundle] = {}
    data_classes: tuple[Text, ...] = ()
    users: tuple[Text, ...] = ()
    tasks: tuple[Text, ...] = ()
    run_timeout_s: Seconds = 0.0
    metrics_only: tuple[Detector, ...] = ()
    signals: dict[Detector, Literal["ask", "deny"]] = {}
    review_share: Share = 0.0
    rollout: tuple[Stage, ...] = ()
    grants: tuple[Grant, ...] = ()

    def access(self, tool: str) -> Access:
        """Access class of a tool; one that is not listed counts as a write."""
        known = self.tools.get(tool)
        return known.access if known else "write"

    def timeout(self, tool: str) -> float:
        """Seconds after which a call of a tool counts as ended."""
        known = self.tools.get(tool)
        return (known.timeout_s if known else 0.0) or self.timeout_s

    @property
    def granted(self) -> tuple[Environment, ...]:
        """Environments it may run in: those listed, else the one it names.

        >>> AgentFile("refunds", environment="prod").granted
        ('prod',)
        """
        return self.environments or (self.environment,)

    def reads_only(self, now: float) -> bool:
        """Whether nobody answers for it: no owner, or past its review day at `now` (s, UTC).

        >>> file = AgentFile("refunds", owner=Owner("Payments"), review_by="2026-01-31")
        >>> [file.reads_only(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (1, 2)]
        [False, True]
        """
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        return not self.owner.name or "" < self.review_by < today

    @property
    def digest(self) -> str:
        """Hash of the content: the same file published twice is one version."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:32]
