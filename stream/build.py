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
    (stream, "agent/*.py"),
    (stream, "alarm.py"),
    (stream, "authenticity.py"),
    (stream, "correlate/*.py"),
    (stream, "dead_letters.py"),
    (stream, "detect/*.py"),
    (stream, "finding/*.py"),
    (stream, "holding/*.py"),
    (stream, "join/*.py"),
    (stream, "outputs.py"),
    (stream, "partition.py"),
    (stream, "ranking.py"),
    (stream, "sentences/*.py"),
    (stream, "stopping/*.py"),
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
        folder = Path(package.__file__).parent
        for path in sorted(folder.glob(pattern)):
            name = path.relative_to(folder).as_posix()
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library}=={version(library)}\n".encode())
    return digest.hexdigest()[:16]
