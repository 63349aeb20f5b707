"""What decides: a hash of the code and of the libraries whose numbers enter decisions."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import detectors
import ingest
import stream
import tracefuse

# The files through which an input can change a decision; edges and faces are left out.
_DECIDING = (
    (detectors, "*.py"),
    (ingest, "agent_check.py"),
    (ingest, "agent_file.py"),
    (ingest, "agent_parts.py"),
    (ingest, "codec.py"),
    (ingest, "records/*.py"),
    (ingest, "rules.py"),
    (ingest, "toml_lines.py"),
    (ingest, "topics.py"),
    (stream, "accounting.py"),
    (stream, "agent_cells.py"),
    (stream, "agent_state.py"),
    (stream, "agreements.py"),
    (stream, "alarm.py"),
    (stream, "answering.py"),
    (stream, "approving.py"),
    (stream, "asking.py"),
    (stream, "attributing.py"),
    (stream, "attribution.py"),
    (stream, "authenticity.py"),
    (stream, "brake.py"),
    (stream, "braking.py"),
    (stream, "breaker.py"),
    (stream, "budgeting.py"),
    (stream, "budgets.py"),
    (stream, "canary.py"),
    (stream, "changed.py"),
    (stream, "claiming.py"),
    (stream, "claims.py"),
    (stream, "commanding.py"),
    (stream, "contending.py"),
    (stream, "correlate.py"),
    (stream, "dead_letters.py"),
    (stream, "detect.py"),
    (stream, "doubting.py"),
    (stream, "drifting.py"),
    (stream, "finding.py"),
    (stream, "findings.py"),
    (stream, "firsts.py"),
    (stream, "granting.py"),
    (stream, "handing.py"),
    (stream, "ping_pong.py"),
    (stream, "results.py"),
    (stream, "hindering.py"),
    (stream, "holding.py"),
    (stream, "inheriting.py"),
    (stream, "join.py"),
    (stream, "judging.py"),
    (stream, "leaking.py"),
    (stream, "manners.py"),
    (stream, "origins.py"),
    (stream, "outputs.py"),
    (stream, "partition.py"),
    (stream, "planning.py"),
    (stream, "plans.py"),
    (stream, "policy.py"),
    (stream, "preceding.py"),
    (stream, "priors.py"),
    (stream, "probed.py"),
    (stream, "probing.py"),
    (stream, "progress.py"),
    (stream, "progressing.py"),
    (stream, "ranking.py"),
    (stream, "registering.py"),
    (stream, "remembering.py"),
    (stream, "returned.py"),
    (stream, "reviewing.py"),
    (stream, "roll.py"),
    (stream, "rooms.py"),
    (stream, "saying.py"),
    (stream, "sentences/*.py"),
    (stream, "spending.py"),
    (stream, "shared_cause.py"),
    (stream, "sharing.py"),
    (stream, "sequences.py"),
    (stream, "spoken.py"),
    (stream, "support.py"),
    (stream, "trace_state.py"),
    (stream, "unpickle.py"),
    (stream, "unsure.py"),
    (stream, "volumes.py"),
    (stream, "wide.py"),
    (stream, "withholding.py"),
    (tracefuse, "control.py"),
    (tracefuse, "credentials.py"),
    (tracefuse, "errors.py"),
    (tracefuse, "events.py"),
    (tracefuse, "forms.py"),
    (tracefuse, "grants.py"),
    (tracefuse, "hindrances.py"),
    (tracefuse, "expected.py"),
    (tracefuse, "people.py"),
    (tracefuse, "signing.py"),
    (tracefuse, "verdicts.py"),
    (tracefuse, "wire.py"),
)
_LIBRARIES = ("cel-expr-python", "river", "msgspec", "numpy")


@cache
def build() -> str:
    """16 hex digits that change when a decision could."""
    digest = hashlib.sha256()
    for package, pattern in _DECIDING:
        assert package.__file__ is not None
        for path in sorted(Path(package.__file__).parent.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library}=={version(library)}\n".encode())
    return digest.hexdigest()[:16]
