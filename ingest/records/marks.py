"""Where a derived record comes from, and what kind of evidence a finding is."""

from typing import Literal

Src = tuple[str, int, int, int, int]


NO_SRC: Src = ("", -1, -1, -1, -1)


EvidenceClass = Literal["rule", "statistical", "version"]
