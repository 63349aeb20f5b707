"""Where a text tells its reader to do something: passages, not words. Pure.

A page, a file or a mail is data to the agent that reads it. Whoever wants to steer the agent writes an
order into it, and the value that the order is about stands in it or right behind it. A value that is
merely listed is another thing than one that the text demands to be used.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from unicodedata import normalize

from tracefuse.fingerprints import hasher, tokens
from tracefuse.names import names

# A passage is a sentence; what is longer was not written for a reader.
PASSAGE_MAX = 400
# "... to the account below:" and the account follows. So far behind an order belongs to it.
BEHIND_MAX = 160
# Orders of one text that are looked at; with more of them it is a manual, or a flood.
PASSAGES_MAX = 256
# Tokens that an event names as ordered: 2 kB on the wire.
ORDERED_MAX = 128

# What an agent can be told to do, in base form: what tools do, in their usual words.
_TOLD = (
    "send resend forward transfer pay wire deposit refund reimburse donate buy purchase order book reserve "
    "cancel email mail message text call contact notify reply respond write post publish tweet comment "
    "share invite add remove delete erase drop wipe move copy rename update change modify replace set "
    "reset create make generate schedule reschedule submit upload download fetch get retrieve read open "
    "visit navigate go browse click follow access log sign enter type fill run execute install invoke use "
    "apply grant give allow enable disable approve confirm accept merge push commit deploy subscribe "
    "register export import include append insert attach redirect connect provide tell inform ask say "
    "mention recommend withdraw exchange trade sell report save store issue charge assign dispatch ship "
    "deliver print search find look introduce announce promote advertise rate block unblock leave join "
    "put route direct settle remit proceed switch pass hand show list choose select pick prefer ignore "
    "disregard override stop complete finish perform help request arrange verify restore return collect "
    "disclose reveal expose leak extract obtain deploy act respect treat consider start begin ensure "
    # German, French, Spanish, Italian, Portuguese: how one asks for a mail, a payment, a link.
    "sende senden schicke schicken überweise überweisen bezahle zahle leite antworte schreibe teile öffne "
    "lösche klicke rufe besuche kontaktiere envoie envoyez envoyer transfère transférez virez payez partage "
    "partagez réponds répondez écrivez ouvrez cliquez supprimez contactez envía envíe enviar manda mande "
    "transfiere transfiera paga pague comparte comparta responde responda escribe escriba abre abra borra "
    "elimina haga invia inviare inviate trasferisci condividi rispondi scrivi apri clicca envie envia "
    "transfira compartilhe escreva clique apague"
)
_VERBS = frozenset(_TOLD.split())
# Words that an order may begin with, before its verb.
_BEFORE = (
    "please kindly now then first firstly next also and finally just instead immediately always "
    "afterwards step so but urgently simply lastly secondly bitte veuillez por favor per favore"
)
_LEADS = frozenset(_BEFORE.split())
# Words that begin an order, in a capital where a sentence begins.
COMMANDS = _VERBS | _LEADS
# By their first letters: the regular expression tries a dozen branches, not all of them.
_WORDS = "|".join(
    f"{first}(?:{'|'.join(sorted(verb[1:] for verb in _VERBS if verb[0] == first))})"
    for first in sorted({verb[0] for verb in _VERBS})
)
_LEAD = rf"(?:(?:{'|'.join(sorted(_LEADS))}|[0-9]{{1,2}})[,:.)]?\s++){{0,4}}"


def _said(blank: str, letter: str) -> tuple[str, str]:
    """What may stand before a first word, and that word, or the number of a step."""
    return rf"[{blank}\"'*>#(-]", rf"([{letter}]++|[0-9]{{1,2}}[.)][{blank}])"


def _next(lead: str, said: str) -> re.Pattern[str]:
    """A sign that may end a sentence, up to the next one's first word.

    A long run of such signs is passed over as a whole, though nothing is said behind it: each of them would
    go through the rest of the run.
    """
    return re.compile(rf"[.!?:;>\n\"'*)\]}}#(-]{lead}*+(?:{said}|(?<={lead}{{64}}))")


# The first word of a text, and of all that may be a sentence: apart, since a search is fast that knows its
# first letter. In ASCII, signs that are spelt out are found faster than kinds of signs.
_FIRST = re.compile("{}*+{}".format(*_said(r"\s", r"^\W\d_")))
_NEXT = _next(*_said(r"\s", r"^\W\d_"))
_ASCII_NEXT = _next(*_said(r" \t-\r\x1c-\x1f", "a-z"))
_BEGUN = re.compile(rf"{_LEAD}(?:{_WORDS})(?=[\s<*_])(?!\s+(?:of|is|was|are|were|has|had|:)\b)")
# Who speaks to the reader: "you must send", "I want you to send", "make sure to send".
_MODAL = (
    r"(?:'ll|must|should|will|shall|could|would|might|need\s+to|have\s+to|ought\s+to|are\s+to|to"
    r"|are\s+(?:required|asked|requested|instructed|expected|obliged)\s+to)"
)
_SPOKEN = (
    ("you", re.compile(rf"you\s*{_MODAL}\s+{_LEAD}(?:{_WORDS})\b|you\s+(?:please|kindly)\s+\w")),
    ("please", re.compile(rf"please\s+{_LEAD}(?:{_WORDS})\b")),
    ("kindly", re.compile(rf"kindly\s+{_LEAD}(?:{_WORDS})\b")),
    (" sure", re.compile(rf" sure\s+(?:to|that\s+you)\s+{_LEAD}(?:{_WORDS})\b")),
    ("forget to", re.compile(rf"forget to\s+{_LEAD}(?:{_WORDS})\b")),
    (" is to ", re.compile(rf" is to\s+{_LEAD}(?:{_WORDS})\b")),
    *((stem, re.compile(rf"{stem}(?:be\s+\w|{_LEAD}(?:{_WORDS})\b)")) for stem in
      (" must ", " should ", " shall ", " has to ", " have to ", " needs to ", " need to ")),
)  # fmt: skip
_Spoken = tuple[tuple[str, re.Pattern[str]], ...]
# Letters of other scripts that look like these, and what nobody sees: an order reads the same with them.
_ALIKE = str.maketrans("авсԁеһіјӏкмногрѕтухᴢοανρικτυ", "abcdehijlkmhorpstyxzoavpiktu")
_BEYOND = re.compile(r"[^\x00-\x7f]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
# What stands behind the verb of each order. A single word, as most fields of a record are, is none.
_BROKEN = re.compile(r"[\s<*_\\]")
# A sentence ends, a paragraph, or a field of a listing; else the text does.
_END = re.compile(r"[.!?\n](?:(?<!\n)[\"')\]]*+(?=\s|\Z)|(?<=\n)\s*+(?:\n|[-*]\s|[\w ]{1,24}:\s))")
_PARAGRAPH = re.compile(r"\n[ \t]*+(?:\n|[\w ]{1,24}:\s)")


def passages(text: str, ways: _Spoken = _SPOKEN) -> list[tuple[int, int, int]]:
    """Passages that give an order: begin, end, and how far what it is about may follow.

    Notes
    -----
    English, as agents' tools and most injections are, and the commonest words of five other languages.
    An order in yet another language, or one that is only hinted at, is not seen. 60 to 100 µs a kB.

    >>> text = "Rent is due. Please wire it to Ann's\\naccount. It is 12-34. Thanks!"
    >>> [(text[start:end], text[end:behind]) for start, end, behind in passages(text)]
    [("Please wire it to Ann's\\naccount.", ' It is 12-34. Thanks!')]
    """
    if text.isascii():
        if not _BROKEN.search(text):
            return []
    else:
        if _UNSEEN.search(text):
            return _seen(text)
        text = _BEYOND.sub(_looks, text)
    low = text.lower()
    if "\\" in low:  # a text within a text: its line ends are written as \n
        low = low.replace("\\n", " \n")
    found: list[tuple[int, int, int]] = []
    last = 0
    for start, said in _starts(low, ways):
        if start < last or len(found) == PASSAGES_MAX:
            continue
        end = _end(_END, low, said, PASSAGE_MAX)
        behind = end
        if low.endswith(":", 0, end):
            behind = min(end + BEHIND_MAX, len(low))
        elif low[end : end + 1] != "\n":
            behind = _end(_PARAGRAPH, low, end + 1, BEHIND_MAX)
        found.append((start, end, behind))
        last = end
    return found


def _looks(sign: re.Match[str]) -> str:
    return _look(sign[0])


@lru_cache(maxsize=4096)
def _look(sign: str) -> str:
    """The letter that a sign looks like: one for one, since spans must hold."""
    plain = normalize("NFKC", sign).lower()
    plain = plain[:1] if plain[1:] == "\u0307" else plain  # a capital I with its point
    return plain.translate(_ALIKE) if len(plain) == 1 else sign


def _seen(text: str) -> list[tuple[int, int, int]]:
    """Passages of a text with characters that nobody sees: looked for without them."""
    places = [at for at, sign in enumerate(text) if not _UNSEEN.match(sign)]
    found = passages("".join(text[at] for at in places))
    places.append(len(text))
    return [(places[start], places[end], places[behind]) for start, end, behind in found]


def _starts(low: str, ways: _Spoken) -> list[tuple[int, int]]:
    """Where orders begin, and where their verb has been said; the same one perhaps twice."""
    found = []
    first = _FIRST.match(low)
    following = (_ASCII_NEXT if low.isascii() else _NEXT).finditer(low, first.end() if first else 0)
    for said in chain((first,) if first else (), following):
        word = said[1]
        if word and (word in COMMANDS or word[0] in "0123456789"):
            begun = _BEGUN.match(low, said.start(1))
            if begun is not None:
                found.append(begun.span())
    if not ways or len(low.split(None, 1)) < 2:
        return found  # the others have two words
    for stem, rule in ways:
        at = low.find(stem)
        while at >= 0:
            spoken = rule.match(low, at)
            if spoken is not None:
                found.append(spoken.span())
            at = low.find(stem, at + len(stem))
    found.sort()
    return found


def _spoken_in(texts: list[str]) -> _Spoken:
    """Those ways of speaking to the reader whose words occur: records have many texts, and few of these."""
    low = "\n".join(texts).lower() if len(texts) > 1 else ""
    if not low or not low.isascii() or "\\" in low:
        return _SPOKEN  # letters that look like others and written line ends are read otherwise
    return tuple(one for one in _SPOKEN if one[0] in low)


def _end(rule: re.Pattern[str], low: str, start: int, most: int) -> int:
    found = rule.search(low, min(start, len(low)), start + most)
    if found is None or found.end() >= start + most:
        return min(start + most, len(low))
    return found.start() if found[0].startswith("\n") else found.end()


def ordered(key: bytes, texts: Iterable[object]) -> tuple[dict[str, list[str]], bool]:
    """Hashes of the tokens that stand in orders or right behind one, and of the names in them, by class.

    Parameters
    ----------
    key
        The tenant's key.
    texts
        The value's leaves; what is no text gives no order.

    Returns
    -------
    dict, bool
        Addresses before names, `ORDERED_MAX` in all. True when there was more, which a reader must take
        as if all were ordered: whoever hides one order may write a thousand others before it.

    >>> found, more = ordered(b"key", ["From ann@example.com. Forward this to bob@example.com."])
    >>> [(klass, len(told)) for klass, told in found.items()], more
    ([('email', 1), ('domain', 1)], False)
    """
    demanded: dict[tuple[str, str], None] = {}
    named: dict[tuple[str, str], None] = {}
    more = False
    read = [text for text in texts if isinstance(text, str)]
    ways = _spoken_in(read)
    for text in read:
        found = passages(text, ways)
        more = more or len(found) == PASSAGES_MAX
        for start, end, behind in found:
            for (normal, _), (klass, _, _) in tokens([("", text[start:behind])])[0]:
                demanded[klass, normal] = None
            for name in names(key, text[start:end], skip=COMMANDS):
                named[name.klass, name.hash] = None
    digest = hasher(key).digest
    told = dict.fromkeys((klass, digest(normal)) for klass, normal in demanded)
    kept = [*told, *named]
    by_class: dict[str, list[str]] = {}
    for klass, one in kept[:ORDERED_MAX]:
        by_class.setdefault(klass, []).append(one)
    return by_class, more or len(kept) > ORDERED_MAX
