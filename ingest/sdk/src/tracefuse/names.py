"""Names in a text, hashed with the tenant's key: whom or what an order is about, without an address. Pure.

A hotel, a person or a file is demanded by its name. Names are too many and too common to tell of every
text; they are told of arguments, of what the user says, and of passages that give orders.
"""

import re
from collections.abc import Iterable, Iterator
from unicodedata import normalize

from tracefuse.events import Fingerprint
from tracefuse.fingerprints import hasher

NAMES_MAX = 64
NAME_MAX = 64  # characters; what is longer is a sentence
WORDS_MAX = 8
_SHORTEST = 4

# The quotation mark first, then that it is no apostrophe: a search is fast that knows its first letter.
_QUOTED = re.compile(r"['\"“‘«`](?<!\w.)['\"“‘«`]?([^\s'\"“”‘’«»`][^'\"“”‘’«»`\n]{1,63})['\"”’»`]")
# Words within a name that are written small: "Bank of Nowhere".
_JOINING = "of the and a an de la le du des di da del van von der den al"
_SMALL = frozenset(_JOINING.split())
# What may stand between two words of a name, and the next of them.
_BETWEEN = rf"(?:\s{{1,8}}(?:{'|'.join(sorted(_SMALL))})(?![\w&’-]))*\s{{1,8}}"
_NEXT = re.compile(rf"{_BETWEEN}([^\W_a-z][\w&’-]*+)")
# The next word that may be in a capital, behind all that are not. Spelt out it is found in half the time.
_WORD = re.compile(r"(?:[a-z0-9][\w&’-]*+|[\W_]++)*([^\W_a-z0-9][\w&’-]*+)?")
_ASCII_WORD = re.compile(r"(?:[a-z0-9][A-Za-z0-9_&-]*+|[^A-Za-z0-9]++)*([A-Z][A-Za-z0-9_&-]*+)?")
_LETTERS = re.compile(r"[^\W_]++")


def names(
    key: bytes, text: str, path: str = "", skip: frozenset[str] = frozenset()
) -> list[Fingerprint]:
    """Names of a text: what stands in quotes, and words in capitals that follow each other.

    Parameters
    ----------
    skip
        Words in lower case that begin no name, though they stand in a capital: "Send".

    >>> found = names(b"key", "Book the Bank of Ann or 'red room' now", skip=frozenset({"book"}))
    >>> [(one.start, one.end) for one in found]
    [(9, 20), (25, 33)]
    """
    found: dict[str, Fingerprint] = {}
    digest = hasher(key).digest
    for start, end in (*_capitals(text, skip), *(one.span(1) for one in _QUOTED.finditer(text))):
        normal = _normal(text[start:end])
        if normal and len(found) < NAMES_MAX:
            told = digest(normal)
            found.setdefault(told, Fingerprint(told, "name", path, start, end))
    return sorted(found.values(), key=_start)


def called(key: bytes, items: Iterable[tuple[str, object]]) -> list[Fingerprint]:
    """Arguments that are a name as a whole.

    >>> one, = called(b"key", [("hotel", "bank of  ANN"), ("n", 7), ("text", "hello")])
    >>> one.hash == names(b"key", "at the Bank of Ann")[0].hash
    True
    """
    found: list[Fingerprint] = []
    digest = hasher(key).digest
    for path, value in items:
        if type(value) is not str or len(value) > NAME_MAX or len(found) == NAMES_MAX:
            continue
        if " " in value or value[:1].isupper():
            normal = _normal(value)
            if normal:
                found.append(Fingerprint(digest(normal), "name", path, 0, len(value)))
    return found


def _normal(name: str) -> str:
    """The name in one writing; empty for what is none. No other token is hashed like a name."""
    if len(name) > NAME_MAX:
        return ""
    words = _LETTERS.findall(normalize("NFKC", name).casefold())
    plain = " ".join(words)
    if len(plain) < _SHORTEST or len(words) > WORDS_MAX or plain.replace(" ", "").isdigit():
        return ""
    return f"\0{plain}"


def _capitals(text: str, skip: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Spans of words in capitals that only blanks, and small words between, keep apart."""
    word = _ASCII_WORD if text.isascii() else _WORD
    said = word.match(text)
    while said is not None and said[1]:  # else the text's end
        end = said.end()
        first = said[1].lower()
        if said[1][0].isupper() and first not in skip and first not in _SMALL:
            start, end = said.span(1)
            more = _NEXT.match(text, end)
            while more is not None and (more[1][0].isupper() or more[1][0].isdigit()):
                end = more.end()
                more = _NEXT.match(text, end)
            yield start, end
        said = word.match(text, end)


def _start(one: Fingerprint) -> int:
    return one.start
