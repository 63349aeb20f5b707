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
# The next word that may be in a capital, behind all that are not.
_WORD = re.compile(r"(?:[a-z][\w&’-]*+|[\W_])*+([^\W_a-z][\w&’-]*+)?+")
# Words within a name that are written small: "Bank of Nowhere".
_JOINING = "of the and a an de la le du des di da del van von der den al"
_SMALL = frozenset(_JOINING.split())
# What may stand between two words of a name.
_BETWEEN = re.compile(rf"(?:\s{{1,8}}(?:{'|'.join(sorted(_SMALL))})(?![\w&’-]))*+\s{{1,8}}")
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
    start = end = -1
    for word in _WORD.finditer(text):
        said = word[1]
        if said is None:
            break  # the text's end
        if start >= 0:
            if _BETWEEN.fullmatch(text, end, word.start(1)) and (
                said[0].isupper() or said[0].isdigit()
            ):
                end = word.end()
                continue
            yield start, end
            start = -1
        if said[0].isupper() and said.lower() not in skip and said.lower() not in _SMALL:
            start, end = word.span(1)
    if start >= 0:
        yield start, end


def _start(one: Fingerprint) -> int:
    return one.start
