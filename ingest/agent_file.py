"""What an agent's file may say: the fields of agents as code, with their bounds and safe defaults.

A detector, a policy gate and a reviewer read the same words. Reading and checking texts is `registry`'s
affair. Instances lie pickled in checkpoints by position: a new field goes last.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from ingest.agent_parts import (
    Access,
    Approval,
    Budgets,
    Bundle,
    Count,
    Day,
    Detector,
    Environment,
    Gate,
    Grant,
    Heartbeat,
    Limits,
    Name,
    Owner,
    Part,
    Seconds,
    Share,
    Stage,
    Text,
    Tool,
    Track,
    Version,
)

__all__ = [
    "AgentFile",
    "Access",
    "Approval",
    "Budgets",
    "Bundle",
    "Count",
    "Day",
    "Detector",
    "Environment",
    "Gate",
    "Grant",
    "Heartbeat",
    "Limits",
    "Name",
    "Owner",
    "Seconds",
    "Share",
    "Stage",
    "Text",
    "Tool",
    "Part",
    "Track",
    "Version",
]


class AgentFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One agent as its owner declares it.

    Parameters
    ----------
    agent, tenant
        Its name, and whose it is; no slashes.
    version
        Rises with each change: a lower one than the one in force is refused, and the same one with
        other contents.
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
        Classes of data that it may handle: ``secret`` and ``personal``, or one by its name, let a held
        call carry them.
    users, tasks
        Patterns (``u-*``) of whom it may work for, and on what; empty means all.
    run_timeout_s
        A run that lasts longer gets no further held call; 0 means no cap.
    metrics_only
        Detectors that decide and log, and stop nothing.
    signals
        By detector, what a held call does once it has fired or warned in the run: ``ask`` a person, or
        ``deny``. Those whose action is ``step-up`` ask unless another word stands here: rules from then
        on, statistical ones for the calls that they find odd, or for the next one.
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
