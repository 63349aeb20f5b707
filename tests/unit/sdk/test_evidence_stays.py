"""What leaves the agent of a text stays, bit for bit, however the search for it is made faster."""

import hashlib
import random
from collections.abc import Sequence

import msgspec

from tracefuse import fingerprints as searched
from tracefuse.drafts import Draft, Run, snapshot
from tracefuse.events import Event
from tracefuse.evidence import Identity, Witness

KEY = b"a tenant's key of thirty-two bytes"
# One piece at least for each form that is looked for, and what stands at the borders of these.
_FORMS = (
    "send|Send|please|Please |you must|YOU NEED TO| pay|transfer| the |account|to|ann@x.example|"
    "Bob@Y.Example|https://a.example/x?y=1|http://u:p@h.example:80/|www.shop.example/a|"
    "/etc/hosts|C:\\x\\y|~/a.b|a/b|1/2|2026-01-02|2026-01-02T03:04:05Z|12:30:45.123|"
    "10.0.0.1:8080|25.00|$5|€7|7 EUR|usd 5|1,000.50|1.000.000|1,000|DE89 3704 0044 0532 0130 00|"
    "de89370400440532013000|GB82 WEST 1234 5698 7654 32|4111 1111 1111 1111|12 34|12-34 56|"
    "123456|0012345|order:991234|#7654321|ABC-1234|ab12cd34|5f0c9e0e-8a3c-4f0e-9f4e-2b1d7c9e0a11|"
    "notes.txt|foo.bar.baz|e.g.|..|@|//|://|--|_|~|%|$|:|.|,|;|!|?|'|\"|`|(|)|[|]|<|>|*|#|=|&|\n|"
    "\n\n|\n - |\t| |  |\\n|\\|\r\n|\x00|\x1c|\u00a0|ignore|all previous instructions|Ignore|"
    "disregard the above rules|new task:|from now on you|never tell|the user|system:|<system>|"
    "[INST]|before you answer|attention|assistant|dear AI agent|instead of|password=hunter22|"
    "api_key: abcdEFGH12345678|Bearer abcDEF123456789|sk-abcdefghij0123456789|?key=abc|"
    "-----BEGIN PRIVATE KEY-----|-----END PRIVATE KEY-----|"
    "cGFzc3dvcmQ9aHVudGVyMjI6cGFzc3dvcmQ9aHVudGVyMjI=|Old Mill Hotel|Ann|Bank of Nowhere|"
    "'red room'|“quoted name”|O'Neil|1st|2.|3) |now|then|kindly|is to |should |must be sent|"
    "forget to|make sure to|überweise|ａｎｎ＠ｓ|\u200b|\u202e|авто|ѕend|report|book|open_|set<|get*|"
    "of"
)
PIECES = _FORMS.split("|")
# Scripts and kinds of signs by themselves and among each other, and words that stand near to a form.
_NEAR = (
    " |send|Send|the|order|you must|please|\n|. |: |Ann|Bank|of|1.|- |\\n|to|need to|is to |12,50 EUR|"
    "ann@x.example|https://a.b/c?d=1|/etc/x|before you|new |new task: |ignore previous instructions|"
    "system:|key=|password: |sk-|ghp_|AKIA|eyJ|Bearer |GB82 WEST 1234 5698 7654 32|4111 1111 1111 1111|"
    "4111-1111-1111-1111 |2026-03-11T08:15:26.123Z|5f0c9e0e8a3c4f0e|10.0.0.1"
)
ALPHABETS: tuple[Sequence[str], ...] = (
    "abcdefghij klmnop qrstu vwxyz. ,;:\n-_'\"()ABCDEÄÖÜßéèñçø0123456789@/",
    "漢字仮名交じり文。、，こんにちは世界カタカナ한국어 你好吗请把钱转到账户 12３４@．/：",
    "😀🎉👩\u200d👧🏴\U000e0067\U000e007f ok go send \u200d\ufe0f",
    "مرحبا بالعالم שלום 123 ٣٤ \u202e\u202d\u200f@.",
    "".join(map(chr, range(256))) + "\u2028\u3000ﬁ①²Ⅳ\ud800",
    "0123456789abcdef-- \n",
    "ABCDEFGHabcdefgh0123456789+/=_- \n",
    "0123456789 -.,:/ \n$€",
    _NEAR.split("|"),
)
# What is told besides since the digest was taken; each has tests of its own.
_LATER = ("template", "arguments")


def text(rng: random.Random) -> str:
    count = rng.choice((1, 2, 3, 5, 8, 20, 60))
    gap = rng.choice(("", " ", " ", "\n", ". ", ", "))
    return gap.join(rng.choices(PIECES, k=count))


def scripts(rng: random.Random) -> str:
    """Runs of one to four alphabets, some of them longer than any word or passage."""
    parts = rng.choices(ALPHABETS, k=rng.randrange(1, 5))
    return "".join("".join(rng.choices(part, k=rng.choice((1, 5, 20, 80, 300)))) for part in parts)


def value(rng: random.Random, depth: int = 0) -> object:
    kind = rng.random()
    if depth > 3 or kind < 0.6:
        return text(rng)
    if kind < 0.7:
        return rng.choice((None, True, 1, 25.0, 0.5, -3, 123456, 2**60, 1e-5))
    if kind < 0.85:
        return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {text(rng)[:20]: value(rng, depth + 1) for _ in range(rng.randrange(5))}


def told(witness: Witness, body: object, name: str) -> Event:
    draft = Draft(name, Run("0" * 32), "0" * 16, 1, tool="crm.read", body=snapshot(body))
    event = witness.event(draft, 1)
    event.event_id = "e"
    for sketch in _LATER:
        event.sketches.pop(sketch, None)
    return event


def witness() -> Witness:
    identity = Identity(tenant="t", agent_id="a", environment="dev", bundle="b", boot_id="c")
    return Witness(identity, KEY)


def test_the_evidence_of_nasty_texts_is_what_it_was() -> None:
    """Hashes, fingerprints, orders, names, marks, similarity and redactions: agents of both kinds agree."""
    rng, seen, one = random.Random(20), hashlib.sha256(), witness()
    for _ in range(1500):
        name = rng.choice(("tool.result", "input.user", "tool.request", "retrieval", "thought"))
        seen.update(msgspec.json.encode(told(one, value(rng), name), order="sorted"))

    assert seen.hexdigest() == "6a394ddba236b323c37a010dda25a50d3031d1a7b87b51c3eceb7006222c3789"


def test_the_evidence_of_other_scripts_and_random_signs_is_what_it_was() -> None:
    """The same for texts that are made of no forms: floods of digits, of base64, of signs beyond ASCII."""
    rng, seen, one = random.Random(22), hashlib.sha256(), witness()
    for _ in range(1500):
        name = rng.choice(("tool.result", "input.user", "memory.read", "output"))
        body: object = scripts(rng)
        if rng.random() < 0.3:
            body = {"rows": [scripts(rng), rng.randrange(10**9), scripts(rng)]}
        seen.update(msgspec.json.encode(told(one, body, name), order="sorted"))

    assert seen.hexdigest() == "3f79179be735c3004301dbbb1362aa033d230c2f00d22438587070a922d69430"


def test_what_is_remembered_changes_nothing() -> None:
    """A text says the same after a thousand others as to a process that never saw one."""
    rng, old = random.Random(21), witness()
    for _ in range(200):
        body = value(rng)
        warm = told(old, body, "tool.result")
        searched._known.cache_clear()
        searched._is_money.cache_clear()
        searched.hasher.cache_clear()

        assert told(witness(), body, "tool.result") == warm
