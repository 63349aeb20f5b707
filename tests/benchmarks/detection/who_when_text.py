"""Evidence in plain transcripts of several agents: what the product's detectors would say of such runs. Pure.

A transcript has no statuses, hashes or fingerprints, so they are read from the text, by words of English
and of programs, never by the names of a data set. Thoughts and hand-offs show no evidence: an agent that
asks another is not the one that acts.
"""

import re
from dataclasses import dataclass
from typing import Literal

from stream.finding.attribution import Piece

Kind = Literal["task", "act", "ask", "thought", "result"]

# What a program or a tool says first when it failed.
_FAILED = re.compile(
    r"exit ?code:? *[1-9]|traceback|\b(error|exception|failed|timed? ?out)\b", re.I
)
_HEAD = 200  # characters of a result in which a failure is told
_CODE = re.compile(r"```.*?```", re.S)
# Values that say something: numbers of two or more digits, addresses of pages.
_PAGE = re.compile(r"https?://")
_VALUE = re.compile(r"https?://[^\s)\]\"'>]+|\d[\d,.:/]*\d")
_WORD = re.compile(r"\w+")
ALIKE = 0.5  # Jaccard of words: half of all words stand in both
WORDS_MIN = 5  # of a text that can be said to repeat another


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of a transcript; `to` is who is asked."""

    number: int
    agent: str
    kind: Kind
    text: str
    to: str = ""


def pieces(transcript: list[Said]) -> list[Piece]:
    """Evidence of a whole transcript, in its order."""
    return sorted(
        [*_failed(transcript), *_repeated(transcript), *_unsupported(transcript)],
        key=lambda piece: piece.at,
    )


def _piece(said: Said, detector: str) -> Piece:
    return Piece(float(said.number), said.agent, str(said.number), detector)


def _failed(transcript: list[Said]) -> list[Piece]:
    """A result that failed is its asker's: the agent that spoke before it."""
    found, before = [], None
    for said in transcript:
        if said.kind == "act":
            before = said
        elif said.kind == "result" and before is not None and _FAILED.search(said.text[:_HEAD]):
            found.append(_piece(before, "failed"))
    return found


def _repeated(transcript: list[Said]) -> list[Piece]:
    """An agent says or is asked much the same again: what lay between did not help."""
    found: list[Piece] = []
    said_by: dict[str, list[set[str]]] = {}
    asked_of: dict[str, list[tuple[int, set[str]]]] = {}
    acts: dict[str, Said] = {}
    for said in transcript:
        words = set(_WORD.findall(said.text.lower()))
        if said.kind == "act":
            acts[said.agent] = said
            if _alike(words, said_by.setdefault(said.agent, [])):
                found.append(_piece(said, "repeated"))
            said_by[said.agent].append(words)
        elif said.kind == "ask":
            earlier = [told for _, told in asked_of.setdefault(said.to, [])]
            if _alike(words, earlier) and said.to in acts:
                found.append(_piece(acts[said.to], "asked_again"))
            asked_of[said.to].append((said.number, words))
    return found


def _alike(words: set[str], earlier: list[set[str]]) -> bool:
    if len(words) < WORDS_MIN:
        return False
    return any(len(words & other) >= ALIKE * len(words | other) for other in earlier)


def _unsupported(transcript: list[Said]) -> list[Piece]:
    """Values that an agent states outside code and that stood nowhere before it.

    One that names the page it read reports, as a result does, and claims nothing.
    """
    found: list[Piece] = []
    known: set[str] = set()
    for said in transcript:
        stated = _CODE.sub(" ", said.text)
        if said.kind == "act" and not _PAGE.search(stated) and _values(stated) - known:
            found.append(_piece(said, "unsupported"))
        known |= _values(said.text)
    return found


def _values(text: str) -> set[str]:
    return {value.replace(",", "").rstrip(".:/") for value in _VALUE.findall(text)}
