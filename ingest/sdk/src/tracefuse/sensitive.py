"""Where secrets and personal data stand in a text: bytes in, places out. Pure.

Behind `redact.py`. Only what announces itself is looked for, each form behind a test for a
substring, so clean text costs a dozen searches. Every search goes on behind what it looked at, and
every repetition is possessive or bounded: time is linear in the length of the text.
"""

import re
from binascii import a2b_base64
from collections.abc import Iterator

# Names after which a value is a secret, however it looks.
_STRONG = (b"passw", b"pwd", b"secret", b"credential", b"authorization")
# Names after which it is one if it looks random, or stands in the query of a URL.
_WEAK = (b"key", b"token", b"sig", b"session")
_ISSUED = (
    *(b"sk-", b"xoxb-", b"xoxp-", b"xoxa-", b"xoxr-", b"xoxs-", b"glpat-", b"pypi-", b"AIza"),
    *(b"sk_live_", b"sk_test_", b"rk_live_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
    *(b"github_pat_", b"npm_", b"hf_", b"whsec_", b"shpat_", b"dop_v1_"),
)
_ISSUED_DOTTED = (b"SG.", b"ya29.")
_AWS = (b"AKIA", b"ASIA")
_KEY_BYTES = 20  # the shortest issued keys (AWS access key ids) have so many characters
_WORDS = frozenset({b"null", b"none", b"true", b"false", b"undefined", b"bearer", b"basic"})

# Lengths by country, from the IBAN registry (ISO 13616).
_IBAN = {
    name[:2].encode(): int(name[2:])
    for name in (  # noqa: SIM905 - a table is read in columns
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 "
        "DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 "
        "IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 "
        "MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 "
        "SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
    ).split()
}

# Every character of a class becomes x (0 for digits), everything else a blank.
_ALNUM = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE64 = bytes(120 if c in _ALNUM + b"+/_-" else 32 for c in range(256))
_DIGITS = bytes(48 if 48 <= c < 58 else 32 for c in range(256))
_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
# Signs of ids and hashes: read as base64 they give none of the forms that are looked for.
_HEX = b"0123456789abcdef-"
# No issued key and no base64 of a secret is without a run of so many; few English words are.
_RUN = b"x" * 16
_KEY_RUN = b"x" * _KEY_BYTES

_TOKEN = re.compile(rb"[A-Za-z0-9_-]*+")
_DOTTED = re.compile(rb"[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]*+){0,4}")
_BEGIN = re.compile(rb"-----BEGIN [A-Z ]{0,32}PRIVATE KEY[A-Z ]{0,8}-----")
_AUTHORITY = re.compile(rb"[^\s/?#\"'<>]*+")
# 0xff stands for any character beyond ASCII: names and domains may hold them.
_DOMAIN = re.compile(rb"[A-Za-z0-9.\xff-]*+")
_LOCAL = _ALNUM + b"._%+-\xff"
_NAME = _ALNUM + b"_-"
# After the name: its ending, a sign, then the value in quotes (also escaped ones) or a word. A word
# that starts small belongs to another name: secretary, keyboard.
_VALUE = re.compile(
    rb"""(?:word|ord|ort|d|phrase|s|ials?)?(?:[A-Z0-9_-][A-Za-z0-9_-]{0,24}+|(?![A-Z0-9_-]))"""
    rb"""\\?["']?\s{0,3}+(?:[:=]|([iI][sS])\s)[>\s]{0,3}+"""
    rb"""(?:\\?"([^"\n]{1,512})|\\?'([^'\n]{1,512})"""
    rb"""|(?:(?:[Bb]earer|[Bb]asic|[Tt]oken|[Dd]igest)\s{1,3}+)?([^\s"',;&<>\]})]{1,512}+))"""
)
_BEARER = re.compile(rb"\s{1,3}+([A-Za-z0-9._~+/=-]*+)")
_GROUP = re.compile(rb"[0-9]++")
# Digits that are enough for a card, each behind the last or one sign behind it.
_ROW = re.compile(rb"[0-9](?:[ -]?[0-9]){12,}")
# Letters of a country and two digits, which are rare; what follows them.
_CLASSES = bytes(48 if 48 <= c < 58 else 97 if c in _ALNUM else 32 for c in range(256))
_COUNTRY = b"aa00"
_ACCOUNT = re.compile(rb"(?:[ -]?[A-Za-z0-9]){11,30}")

Span = tuple[int, int, str]  # start, end, class


def spans(data: bytes, probe: bool) -> list[Span]:
    """Places of secrets. `data` has one byte a character, so places are those of the text."""
    out: list[Span] = []
    if b"://" in data:
        out += _authorities(data)
    if b"@" in data or b"%40" in data:
        ends = {end for _, end, _ in out}  # a password and its host look like an address
        out += [span for span in _emails(data) if data.find(b"@", span[0]) not in ends]
    if b"-----" in data:
        out += _private_keys(data)
    if b":" in data or b"=" in data:
        low = data.lower()
        for name in _STRONG:
            if name in low:
                out += _named(data, low, name, strong=True)
        for name in _WEAK:
            if name in low:
                out += _named(data, low, name, strong=False)
    elif b"assw" in data:  # "the password is ..."
        out += _named(data, data.lower(), b"passw", strong=True)
    digits = data.translate(_DIGITS, b" -")
    if b"00000000" in digits:  # the example IBAN of each country has so many in a row
        out += _accounts(data)
        if b"0000000000000" in digits:
            out += _cards(data)
    masked = data.translate(_BASE64)
    if _RUN in masked:
        out += _tokens(data, masked)
        if probe:
            out += _encoded(data, masked)
    return out


def _tokens(data: bytes, masked: bytes) -> list[Span]:
    """Secrets that their issuer made long; only looked for where a long word stands."""
    out: list[Span] = []
    long = _long(data, masked)
    for prefix in _ISSUED:
        if prefix in long:
            out += _issued(data, prefix, "api_key", _TOKEN)
    for prefix in _ISSUED_DOTTED:  # with a point in it, which no run has
        if prefix in data:
            out += _issued(data, prefix, "api_key", _DOTTED)
    for prefix in _AWS:
        if prefix in long:
            out += _issued(data, prefix, "aws_key", _TOKEN)
    if b"eyJ" in data:
        out += _issued(data, b"eyJ", "jwt", _DOTTED)
    low = data.lower()
    if b"bearer" in low:
        out += _bearers(data, low)
    return out


def _long(data: bytes, masked: bytes) -> bytes:
    """All words that are long enough for an issued key, a blank between."""
    words = []
    at = masked.find(_KEY_RUN)
    while at >= 0:
        end = masked.find(b" ", at)
        end = len(data) if end < 0 else end
        words.append(data[at:end])
        at = masked.find(_KEY_RUN, end)
    return b" ".join(words)


def _emails(data: bytes) -> Iterator[Span]:
    for sign in (b"@", b"%40"):
        at = data.find(sign)
        while at >= 0:
            right = _DOMAIN.match(data, at + len(sign))
            domain = b"" if right is None else right[0].rstrip(b".-")
            head = data[max(0, at - 64) : at]
            local = len(head) - len(head.rstrip(_LOCAL))
            _, dot, top = domain.rpartition(b".")
            if local and dot and len(top) > 1 and not _has_digit(top):
                yield at - local, at + len(sign) + len(domain), "email"
            at = data.find(sign, at + len(sign) + len(domain))


def _authorities(data: bytes) -> Iterator[Span]:
    at = data.find(b"://")
    while at >= 0:
        host = _AUTHORITY.match(data, at + 3)
        if host is None:
            return
        sign = host[0].rfind(b"@")
        if sign > 0 and b":" in host[0][:sign]:
            yield host.start(), host.start() + sign, "url_credentials"
        at = data.find(b"://", host.end())


def _private_keys(data: bytes) -> Iterator[Span]:
    at = data.find(b"-----BEGIN")
    while at >= 0:
        begin, end = _BEGIN.match(data, at), at + 10
        if begin is not None:
            last = data.find(b"-----END", begin.end())
            dashes = data.find(b"-----", last + 8) if last >= 0 else -1
            end = dashes + 5 if dashes >= 0 else len(data)  # cut off, it is a secret all the same
            yield at, end, "private_key"
        at = data.find(b"-----BEGIN", end)


def _issued(data: bytes, prefix: bytes, kind: str, pattern: re.Pattern[bytes]) -> Iterator[Span]:
    at = data.find(prefix)
    while at >= 0:
        token = pattern.match(data, at)
        end = token.end() if token is not None else at + len(prefix)
        whole = data[at:end].rstrip(b".-_")
        before = data[at - 1 : at]
        long = len(whole) >= _KEY_BYTES and (kind != "jwt" or whole.count(b".") >= 2)
        if long and before not in _LETTERS and _has_digit(whole):
            yield at, at + len(whole), kind
        at = data.find(prefix, max(end, at + len(prefix)))


_LETTERS = frozenset(_ALNUM[i : i + 1] for i in range(len(_ALNUM)))


def _has_digit(token: bytes) -> bool:
    return len(token.translate(None, b"0123456789")) < len(token)


def _looks_random(value: bytes) -> bool:
    if len(value) < 12 or not _has_digit(value):
        return False
    # A random string repeats few characters; a date or an amount has no letters.
    return value.translate(None, b"0123456789.,:-") != b"" and len(set(value)) >= 8


def _named(data: bytes, low: bytes, name: bytes, strong: bool) -> Iterator[Span]:
    at = low.find(name)
    while at >= 0:
        end = at + len(name)
        found = _VALUE.match(data, end)
        if found is not None:
            group = found.lastindex or 0
            value = found[group]
            named = strong and len(value) >= 4 and (found[1] is None or _has_digit(value))
            likely = named or _looks_random(value) or _in_query(data, at)
            if likely and value.lower() not in _WORDS and not value.startswith(b"[redacted"):
                yield found.start(group), found.end(group), "secret"
                end = found.end(group)
        at = low.find(name, end)


def _in_query(data: bytes, at: int) -> bool:
    head = data[max(0, at - 32) : at].rstrip(_NAME)
    return head[-1:] in (b"?", b"&")


def _bearers(data: bytes, low: bytes) -> Iterator[Span]:
    at = low.find(b"bearer")
    while at >= 0:
        token = _BEARER.match(data, at + 6)
        if token is not None and _looks_random(token[1]):
            yield token.start(1), token.end(1), "bearer"
        at = low.find(b"bearer", token.end() if token is not None else at + 6)


def _cards(data: bytes) -> Iterator[Span]:
    for row in _ROW.finditer(data):
        yield from _cards_of_row(data, *row.span())


def _cards_of_row(data: bytes, begin: int, last: int) -> Iterator[Span]:
    row: list[tuple[int, bytes]] = []  # groups of digits, each one sign behind the last
    for found in _GROUP.finditer(data, begin, last):
        group = found[0]
        if len(group) == 1:
            row.clear()
        end = found.end()
        row.append((found.start(), group))
        number = b""
        for start, part in reversed(row):
            number = part + number
            if len(number) > 19:
                break
            # 2 to 6: the first digits of payment cards; a time in microseconds begins with 1.
            # Groups, where there are any, begin with one of four.
            if len(part) != 4 and len(part) != len(number):
                continue
            if len(number) >= 13 and b"2" <= number[:1] <= b"6" and _luhn(number):
                yield start, end, "card"
                row.clear()
                break
        del row[:-9]


def _luhn(number: bytes) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = (digit - 48) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _accounts(data: bytes) -> Iterator[Span]:
    classes = data.translate(_CLASSES)
    start = classes.find(_COUNTRY)
    while start >= 0:
        country, check = data[start : start + 2], data[start + 2 : start + 4]
        length = _IBAN.get(country.upper(), 0) - 4
        rest = _ACCOUNT.match(data, start + 4) if length > 0 else None
        if rest is not None and classes[start - 1 : start] in (b" ", b""):
            account = b""
            for size, char in enumerate(rest[0], 1):
                if char not in b" -":
                    account += bytes((char,))
                if len(account) == length:
                    if int(b"".join(_AS_NUMBER[c] for c in account + country + check)) % 97 == 1:
                        yield start, start + 4 + size, "iban"
                    break
        start = classes.find(_COUNTRY, start + 4)


# mod 97 is taken of the text with A written as 10, B as 11 and so on (ISO 7064).
_AS_NUMBER = {c: str(int(chr(c), 36)).encode() for c in _ALNUM}


def _encoded(data: bytes, masked: bytes) -> Iterator[Span]:
    at = masked.find(_RUN)
    while at >= 0:
        end = masked.find(b" ", at)
        end = len(data) if end < 0 else end
        while masked[end : end + 3].lstrip(b" ")[:1] == b"x" and data[end : end + 1] in (
            b"\r",
            b"\n",
        ):
            # Wrapped lines (MIME) are one text.
            more = masked.find(b"x", end)
            end = masked.find(b" ", more)
            end = len(data) if end < 0 else end
        kind = _inside(data[at:end])
        if kind:
            while data[end : end + 1] == b"=":
                end += 1
            yield at, end, kind
        at = masked.find(_RUN, end)


def _inside(run: bytes) -> str:
    """Class of the first secret that the run holds in base64, empty when it holds none."""
    if not run.translate(None, _HEX):
        return ""
    text = run.translate(_STANDARD, _NOT_BASE64)
    for skip in range(4):  # a path or a name may stand before it without a gap
        part = text[skip:]
        part = part[:-1] if len(part) % 4 == 1 else part + b"=" * (-len(part) % 4)
        plain = a2b_base64(part)
        if len(plain.translate(None, _PRINTABLE)) * 5 > len(plain):
            continue  # hashes, pictures and keys of other kinds decode to noise
        found = spans(plain.translate(_BEYOND), probe=False)
        if found:
            return min(found)[2]
    return ""


_NOT_BASE64 = bytes(c for c in range(256) if _BASE64[c] == 32)
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BEYOND = bytes(min(c, 127) if c < 128 else 255 for c in range(256))
