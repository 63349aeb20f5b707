"""What agents have learned, told seldom and in few numbers; and what siblings let expect of a newcomer."""

import msgspec

from ingest.records.marks import NO_SRC, Src


class Moments(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Of logarithms of a measure: how many, their mean and their variance."""

    n: int
    mean: float
    variance: float


class Learned(msgspec.Struct, tag="learned", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: how one agent fares with one tool of its file; a newcomer asks."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    peers: str = ""  # its peer group: the owner that its file names
    tool: str
    asks: bool = False  # its detectors are cold
    calls: float = 0.0  # the latest 200 or so
    failures: float = 0.0
    seconds: Moments | None = None


class Belief(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An expected value, how many calls it is worth, and the variance of one call where the mean lacks it."""

    mean: float
    worth: float
    variance: float = 0.0
    siblings: int = 0


class Prior(msgspec.Struct, tag="prior", gc=False, kw_only=True, omit_defaults=True):
    """What correlate answers: what its siblings let expect of an agent, its own part left out."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    tool: str
    peers: str = ""  # whose: a peer group's, or of all agents of the tenant
    failed: Belief | None = None  # share of its calls
    seconds: Belief | None = None  # their logarithm


class Baseline(msgspec.Struct, tag="baseline", gc=False, kw_only=True, omit_defaults=True):
    """What a newcomer of a peer group would be told now; `agent.baselines.v1` keeps the newest."""

    src: Src = NO_SRC
    tenant: str
    peers: str = ""
    tool: str
    failed: Belief | None = None
    seconds: Belief | None = None
