"""Telling tokens of a text, hashed with the tenant's key: provenance without the text. Pure.

Where a value came from is asked later, by hash: did the recipient of this payment stand in the
user's order, or only in a web page? Addresses, URLs, paths, ids, account numbers and amounts can
answer that; words cannot. Writing does not matter: `1,000.50` equals `1000.5`, `Ann@X.com` equals
`ann@x.com`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from unicodedata import normalize

from tracefuse.canonical import number
from tracefuse.events import Fingerprint

# Order in which they are kept when there are too many: what an attacker must name comes first.
CLASSES = ("email", "url", "host", "domain", "account", "id", "path", "amount")
_RANK = {name: rank for rank, name in enumerate(CLASSES)}
# F08's cap of inline content: what is longer was cut before.
TEXT_MAX = 256 * 1024
# So many are looked at before the best `limit` are kept; bounds the work on lists of numbers.
_SEEN_MAX = 4096
# URLs without a host in one text. The word around each is read again up to its end: in one word, squared.
_BARREN_MAX = 256
# Remembered tokens of one key, about 0.5 MB; agents name the same few things again and again.
_CACHE_MAX = 4096
_DEPTH_MAX = 32
_LEAVES = frozenset({str, int, float})

# A token holds a digit, an @, a slash, or a point within a word: from there to the word's end. The group
# tells that more may belong to it behind one blank.
_RUN = r"[A-Za-z0-9._%+@:/\\~€$£-]*+"
_REST = re.compile(
    rf"[0-9@/\\.](?:(?<!\.)|(?=[A-Za-z])){_RUN}(?:,(?=[0-9]{{2,3}}(?![0-9])){_RUN})*(?:(?= [^\W_a-z])())?"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LEFT = _LETTERS + "0123456789._%+-@:/\\~$€£¥"
_LEFT_SIGNS = frozenset(_LEFT)
_URL_RIGHT = re.compile(r"(?:[^\s\"'<>()\[\]{}|\\^`,;]++|[,;](?![a-z]{2,8}://))*")
_LEFT_MAX = 256
_TRIM = ".,:;!?-_+%~/\\"
_LOCAL = "abcdefghijklmnopqrstuvwxyz0123456789._%+-"
_DOMAIN = re.compile(r"[a-z0-9-]++(?:\.[a-z0-9-]++)+")
_HOST = re.compile(r"(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)")
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:t[0-9:.+-]*+z?)?")
_CURRENCY = r"[$€£¥]|usd|eur|gbp|chf"
_AMOUNT = re.compile(
    rf"({_CURRENCY})?-?(?:([0-9]++(?![.,]))|([0-9]{{1,3}}(?:,[0-9]{{3}})+(?:\.[0-9]++)?"
    rf"|[0-9]{{1,3}}(?:\.[0-9]{{3}})+,[0-9]++|[0-9]{{1,3}}(?:\.[0-9]{{3}}){{2,}}"
    rf"|[0-9]++[.,][0-9]++))({_CURRENCY})?"
)
_MONEY = frozenset({"usd", "eur", "gbp", "chf", "dol"})  # dollars; euros begin like EUR
_SIGNS = frozenset("$€£¥")
_IBAN = re.compile(r"[a-z]{2}[0-9]{2}[a-z0-9]{11,30}")
_GROUPS = re.compile(
    r"[A-Z]{2}[0-9]{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3}\b)?|[0-9]{2,6}(?:[ -][0-9]{2,6}){2,7}"
)
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:\.[0-9]{3}){2,}")
# What an amount, a date or an IP address begins with.
_NUMERIC = frozenset("0123456789$€£¥")
_CODES = frozenset({"usd", "eur", "gbp", "chf"})
_NO_DIGITS = str.maketrans("", "", "0123456789")
_NO_GAPS = str.maketrans("", "", " -")

_Token = tuple[str, str, int, int]  # class, normal form, start, end
# Class of a whole number as long as nobody has looked for a currency beside it.
_WHOLE = "whole"
# Words whose tokens are remembered, and how long they may be: about 1 MB.
_WORDS_MAX = 2048
_WORD_MAX = 96


def fingerprints(
    key: bytes, items: Iterable[tuple[str, object]], limit: int = 256
) -> tuple[list[Fingerprint], bool]:
    """Fingerprints of texts and numbers, each with the path of its field.

    Parameters
    ----------
    key
        The tenant's key.
    items
        Path and value; values are strings or numbers (`leaves` makes them of nested arguments).
    limit
        Most that are returned, >= 1; addresses first, amounts last.

    Returns
    -------
    list of Fingerprint, bool
        Each token once a path, with its span in characters; True when some were left out, which a
        reader must take as untrusted.

    Notes
    -----
    About 1 µs for 100 characters without any, 1 to 2 µs more a token. The hash covers the normal
    form alone, so `123456` as an id and as an amount are the same. It fails on what is spelt in
    words, and on tokens broken by invisible characters (`sketches.marks` tells of these).

    Examples
    --------
    >>> found, cut = fingerprints(b"key", [("note", "pay $1,000.50 to ann@example.com")])
    >>> [(f.klass, f.start, f.end) for f in found], cut
    ([('amount', 4, 13), ('email', 17, 32), ('domain', 21, 32)], False)
    >>> found[0].hash == fingerprints(b"key", [("amount", 1000.5)])[0][0].hash
    True
    """
    found, cut = tokens(items, limit)
    digest = hasher(key).digest  # of what is kept only: it costs as much as the search
    return [
        Fingerprint(digest(normal), klass, path, start, end)
        for (normal, path), (klass, start, end) in found
    ], cut


def tokens(
    items: Iterable[tuple[str, object]], limit: int = 256
) -> tuple[list[tuple[tuple[str, str], tuple[str, int, int]]], bool]:
    """What `fingerprints` hashes: normal form and path, class and span.

    >>> tokens([("note", "pay EUR 25")])
    ([(('25', 'note'), ('amount', 8, 10))], False)
    """
    seen: dict[tuple[str, str], tuple[str, int, int]] = {}
    cut = False
    for path, value in items:
        if type(value) is str:
            told, more = _of_text(value)
            cut = cut or more
        else:
            told = _of_number(value)
        for klass, normal, start, end in told:
            if (normal, path) not in seen:
                seen[normal, path] = klass, start, end
        if len(seen) >= _SEEN_MAX:
            cut = True
            break
    found = list(seen.items())
    if len(found) > limit:
        found.sort(key=lambda one: _RANK[one[1][0]])  # stable: the first of each class are kept
        return found[:limit], True
    return found, cut


def leaves(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Strings and numbers of nested dicts and lists with their paths, 32 levels deep.

    >>> list(leaves({"to": ["a", {"n": 2}], "ok": True}))
    [('to.0', 'a'), ('to.1.n', 2)]
    """
    if type(value) in _LEAVES:
        yield path, value
        return
    # A stack of ours: a leaf would pass through each generator of a recursion.
    around = [(f"{path}." if path else "", iter(_members(value)))] if depth < _DEPTH_MAX else []
    while around:
        before, members = around[-1]
        for name, item in members:
            if type(item) in _LEAVES:
                yield f"{before}{name}", item
            elif item is not None and type(item) is not bool and depth + len(around) < _DEPTH_MAX:
                inner = f"{before}{name}"
                around.append((f"{inner}." if inner else "", iter(_members(item))))
                break
        else:
            around.pop()


def _members(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


class Hasher:
    """HMAC-SHA256 with the padded key absorbed once; remembers recent tokens."""

    def __init__(self, key: bytes) -> None:
        block = key if len(key) <= 64 else hashlib.sha256(key).digest()
        block = block.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
        self._known: dict[str, str] = {}

    def digest(self, token: str) -> str:
        known = self._known.get(token)
        if known is None:
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(token.encode("utf-8", "replace"))
            outer.update(inner.digest())
            known = outer.digest()[:8].hex()
            if len(self._known) >= _CACHE_MAX:
                self._known.clear()
            if len(token) <= 128:
                self._known[token] = known
        return known


@lru_cache(maxsize=16)
def hasher(key: bytes) -> Hasher:
    """The hasher of a tenant's key."""
    return Hasher(key)


def _of_number(value: object) -> list[_Token]:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or abs(value) < 10:
        return []
    try:
        text = (number(value) if isinstance(value, float) else str(value)).lstrip("-")
    except ValueError:
        return []  # NaN, infinity, or thousands of digits
    return [("id" if text.isdigit() and len(text) >= 6 else "amount", text, 0, 0)]


def _of_text(text: str) -> tuple[list[_Token], bool]:
    """Tokens of a text, and whether there may be more than were looked at."""
    cut = len(text) > TEXT_MAX
    text = text[:TEXT_MAX]
    if not text.isascii():
        plain = normalize("NFKC", text)
        if len(plain) == len(text):  # else spans would lie
            text = plain
    out: list[_Token] = []
    cursor = barren = 0
    rest = _REST.search(text)
    while rest is not None and len(out) < _SEEN_MAX and barren < _BARREN_MAX:
        start, end = rest.span()
        if start > cursor and text[start - 1] in _LEFT_SIGNS:
            head = text[max(cursor, start - _LEFT_MAX) : start]
            start += len(head.rstrip(_LEFT)) - len(head)
        word = text[start:end]
        if word.isdigit() and not rest.lastindex:  # by far the most frequent
            _number(text, start, end, word.lstrip("0") or "0", out)
        elif "://" in word:
            found = _URL_RIGHT.match(text, start + word.index("://") + 3)
            end = len(text) if found is None else found.end()
            barren += not _url(text[start:end], start, out)
        elif rest.lastindex and (groups := _groups(text, word, start, end)):
            end = start + len(groups)
            out.append(("account", _account(groups), start, end))
        else:
            told = _known(word) if end - start <= _WORD_MAX else _told(word)
            for klass, normal, left, right in told:
                if klass is _WHOLE:
                    _number(text, start + left, start + right, normal, out)
                else:
                    out.append((klass, normal, start + left, start + right))
        cursor = end
        rest = _REST.search(text, cursor)
    return out, cut or rest is not None


def _groups(text: str, word: str, start: int, end: int) -> str:
    """An account number in groups that begins with the word and goes on behind it; empty for none."""
    if "@" in word or not _goes_on(text, end) or _DATE.fullmatch(word):
        return ""
    groups = _GROUPS.match(text, start)
    return groups[0] if groups is not None and _digits(groups[0]) >= 9 else ""


def _goes_on(text: str, end: int) -> bool:
    """A group of digits or capitals follows behind one blank."""
    rest = text[end : end + 3]
    return rest[:1] == " " and rest[1:].isalnum() and (rest[1:].isdigit() or rest[1:].isupper())


def _number(text: str, start: int, end: int, normal: str, out: list[_Token]) -> None:
    """A whole number: an amount beside a currency, an id where it is long."""
    if _is_money(text[max(0, start - 4) : start], text[end : end + 4]):
        out.append(("amount", normal, start, end))
    elif end - start >= 6:
        out.append(("id", normal, start, end))


def _told(word: str) -> tuple[_Token, ...]:
    """Tokens of a word, whatever stands around it."""
    out: list[_Token] = []
    if "@" in word:
        _addresses(word.lower(), 0, out)
    elif "/" in word or "\\" in word:
        _path(word, 0, out)
    else:
        _plain(word, 0, out)
    return tuple(out)


_known = lru_cache(maxsize=_WORDS_MAX)(_told)


def _digits(text: str) -> int:
    data = text.encode()
    return len(data) - len(data.translate(None, b"0123456789"))


def _url(word: str, start: int, out: list[_Token]) -> bool:
    at = word.index("://") + 3
    rest = word[at:].rstrip(".,:;!?*").rstrip("/")
    host = _HOST.match(rest)
    if host is None:
        return False
    begin = start + len(word[: at - 3].rstrip(_LETTERS))
    at += start
    out.append(("url", _unwww(rest).casefold(), begin, at + len(rest)))
    out.append(("host", host[1].casefold(), at + host.start(1), at + host.end(1)))
    return True


def _unwww(rest: str) -> str:
    return rest[4:] if rest[:4].lower() == "www." else rest


def _addresses(word: str, start: int, out: list[_Token]) -> None:
    at = word.find("@")
    while at >= 0:
        head = word[max(0, at - 64) : at]
        local = len(head) - len(head.rstrip(_LOCAL))
        domain = _DOMAIN.match(word, at + 1)
        if local and domain is not None:
            end = start + domain.end()
            out.append(("email", word[at - local : domain.end()], start + at - local, end))
            out.append(("domain", domain[0], start + at + 1, end))
        elif domain is not None:  # a name of other letters: the host at least is known
            out.append(("host", domain[0], start + at + 1, start + domain.end()))
        at = word.find("@", at + 1 if domain is None else domain.end())


def _path(word: str, start: int, out: list[_Token]) -> None:
    whole = word.rstrip(".,:;!?")
    end = start + len(whole)
    plain = whole.strip(_TRIM).casefold()
    if plain[:4] == "www.":
        host, _, _ = plain[4:].partition("/")
        out.append(("url", plain[4:], start, end))
        out.append(("host", host, start + 4, start + 4 + len(host)))
    elif not plain.translate(_NO_DIGITS).strip("/.,-:"):
        return  # dates and fractions
    elif whole[:1] in "/~.\\" or whole[1:2] == ":" or whole.count("/") > 1 or _is_named(plain):
        out.append(("path", whole.replace("\\", "/").rstrip("/").casefold(), start, end))


def _is_named(word: str) -> bool:
    """Something, a point, and an ending as files and hosts have it."""
    name, _, ending = word.rpartition(".")
    return bool(name) and 2 <= len(ending) <= 12 and ending.isalnum() and ending[0].isalpha()


def _plain(word: str, start: int, out: list[_Token]) -> None:
    low = word.lower().rstrip(_TRIM)
    end = start + len(low)
    low = low.lstrip(_TRIM)
    start = end - len(low)
    if ":" in low:  # a name before its value, or a time
        for part in low.split(":"):
            if len(part) > 2 and not part.isalpha():
                _plain(part, start, out)
            start += len(part) + 1
        return
    first = low[:1]
    if first in _NUMERIC or low[:3] in _CODES:
        amount = _AMOUNT.fullmatch(low)
        if amount is not None:
            before, whole, broken, after = amount.groups()
            klass = "amount" if broken or before or after else _WHOLE
            out.append((klass, _canonical(whole or broken), start, end))
            return
        if _DATE.fullmatch(low):
            return
        if low.count(".") == 3 and _IP.fullmatch(low):
            out.append(("host", low, start, end))
            return
    if len(low) < 4:
        return
    data = low.encode()
    letters = data.translate(None, b"0123456789")
    count = len(data) - len(letters)
    if count >= 9 and (
        (first.isalpha() and _IBAN.fullmatch(low.replace("-", ""))) or not letters.strip(b"-")
    ):
        out.append(("account", _account(low), start, end))
    elif _is_named(low):
        rest = _unwww(low)
        out.append(("path" if rest is low else "host", rest, end - len(rest), end))
    elif count >= 2 and len(low) >= 6 and letters.strip(b".,-+_%"):
        out.append(("id", low, start, end))


def _account(groups: str) -> str:
    account = groups.translate(_NO_GAPS).casefold()
    return _canonical(account) if account.isdigit() else account


@lru_cache(maxsize=1024)
def _is_money(before: str, after: str) -> bool:
    """Whether a currency stands in the four characters before a number, or behind it."""
    before = before.strip().lower()
    if before in _MONEY or before[-1:] in _SIGNS:
        return True
    after = after.strip().lower()
    return after[:3] in _MONEY or after[:1] in _SIGNS


def _canonical(digits: str) -> str:
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma < 0 and digits.find(".") == point:
        pass  # the usual writing
    elif _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "").replace(".", "")
    elif comma > point:
        digits = digits.replace(".", "").replace(",", ".")  # 1.000,50
    elif comma >= 0:
        digits = digits.replace(",", "")
    whole, _, decimals = digits.partition(".")
    decimals = decimals.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{decimals}" if decimals else whole
