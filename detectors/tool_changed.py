"""D22, rule: a tool describes itself otherwise than before, and nobody has released another version."""

from detectors.base import Detector, Json

_VERSIONS_MAX = 4  # stable, canary, shadow, and the one before
_DIGITS = 16  # of a hash; 64 bits of SHA-256 are enough to be equal only by intent


class ToolChanged(Detector):
    """Is the tool's description the one that was first seen under this version?

    What a tool says of itself is read by the model as instructions, so a tool server that changes it later
    changes the agent. The hash that a file approves is held against at once; where it approves none, the
    first one seen under a version is. It stays changed until another version is released: it learns no
    second description. It fails on a description that was bad from the start, and can't tell which field
    has changed, since only the hash of the whole is known.

    Notes
    -----
    Score: 1 for a changed description, else 0. A call that tells no description is left out. At most four
    versions are remembered. 0.4 kB; 0.4 µs.

    Examples
    --------
    >>> changed = ToolChanged()
    >>> calls = [("a1", "v1"), ("a1", "v1"), ("b7", "v2"), ("a1", "v1"), ("c3", "v1"), ("c3", "v1")]
    >>> [i for i, (said, version) in enumerate(calls) if changed.update(said, version)]
    [4, 5]
    """

    bounds = (0.0, 1.0)
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, str] = {}
        self._said = self._expected = ""

    def update(self, descriptor: str, version: str = "", approved: str = "") -> float:
        """Take the hash of what a tool says of itself, under a version; `approved` by its file, if any."""
        self.score, self.fires = 0.0, False
        said = descriptor[:_DIGITS]
        if not said:
            return self.score
        self.n += 1
        known = self._known.pop(version, said)
        self._known[version] = known  # the newest last
        if len(self._known) > _VERSIONS_MAX:
            del self._known[next(iter(self._known))]
        self._said, self._expected = said, approved[:_DIGITS] or known
        self.fires = said != self._expected
        self.score = float(self.fires)
        return self.score

    def _facts(self) -> dict[str, Json]:
        expected: Json = {"descriptor": self._expected} if self._expected else None
        return {"observed": self._said, "expected": expected}
