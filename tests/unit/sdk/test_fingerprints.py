"""What fingerprints promise: the same thing hashes alike wherever and however it is written."""

import hmac
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracefuse.events import Fingerprint
from tracefuse.fingerprints import CLASSES, fingerprints, leaves

KEY = b"a tenant's key of thirty-two bytes"


def told(text: object, key: bytes = KEY) -> dict[str, list[str]]:
    """Texts of the tokens by class."""
    out: dict[str, list[str]] = {}
    for one in fingerprints(key, [("", text)])[0]:
        out.setdefault(one.klass, []).append(str(text)[one.start : one.end])
    return out


def hashes(text: object) -> set[str]:
    return {one.hash for one in fingerprints(KEY, [("", text)])[0]}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("see https://B.example/a?b=1#c.", {"url": ["https://B.example/a?b=1#c"], "host": ["B.example"]}),
        ("(http://a.example:80/x),next", {"url": ["http://a.example:80/x"], "host": ["a.example"]}),
        ("at www.shop.example/path now", {"url": ["www.shop.example/path"], "host": ["shop.example"]}),
        ("to A.Lee+x@Mail.example, please", {"email": ["A.Lee+x@Mail.example"], "domain": ["Mail.example"]}),
        ("open /etc/hosts or ~/a.b, C:\\x\\y", {"path": ["/etc/hosts", "~/a.b", "C:\\x\\y"]}),
        ("read notes.txt and docs/plan.md.", {"path": ["notes.txt", "docs/plan.md"]}),
        ("ABC-1234, order:991234, #7654321", {"id": ["ABC-1234", "991234", "7654321"]}),
        ("5f0c9e0e-8a3c-4f0e-9f4e-2b1d7c9e0a11", {"id": ["5f0c9e0e-8a3c-4f0e-9f4e-2b1d7c9e0a11"]}),
        ("commit 9e107d9d372bb6826bd8", {"id": ["9e107d9d372bb6826bd8"]}),
        ("IBAN DE89 3704 0044 0532 0130 00 ok", {"account": ["DE89 3704 0044 0532 0130 00"]}),
        ("GB82WEST12345698765432", {"account": ["GB82WEST12345698765432"]}),
        ("GB82 WEST 1234 5698 7654 32", {"account": ["GB82 WEST 1234 5698 7654 32"]}),
        ("card 4111 1111 1111 1111 or 4111-1111-1111-1111", {"account": ["4111 1111 1111 1111"]}),
        ("costs $5, 25.00 or EUR 7 and 30 dollars", {"amount": ["$5", "25.00", "7", "30"]}),
        ("host 10.0.0.1:8080", {"host": ["10.0.0.1"]}),
        ('{"id":"ab12cd34","n":[1,22,333]}', {"id": ["ab12cd34"]}),
        ("https://a.example,https://b.example", {"url": ["https://a.example", "https://b.example"]}),
    ],
)  # fmt: skip
def test_telling_tokens_are_found_with_their_spans(text: str, tokens: dict[str, list[str]]) -> None:
    """Each class is found where it stands, without the punctuation around it."""
    found = told(text)
    found.pop("host", None) if "host" not in tokens else None

    assert found == tokens


@pytest.mark.parametrize(
    "text",
    [
        "Bought 12 days ago, so it is eligible for a refund. Then again.",
        "on 2026-01-02 at 12:30, 12/27, 1/2 and 2026-01-02T03:04:05Z",
        "either and/or both, 3 of 4 in a row: yes",
        "e.g. version 2, step 3.",
        "",
        ". / @ // :// ..",
    ],
)
def test_ordinary_words_tell_nothing(text: str) -> None:
    """Dates, times, small numbers and words give no fingerprint."""
    assert told(text) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000.50", 1000.5),
        ("$1,000.50", "1000,50 EUR"),
        ("1.000,50", "1000.5"),
        ("1,000 USD", 1000),
        ("25.00", 25),
        ("0025.0", "$25"),
        ("1.000.000,00", 10**6),
        ("Ann@Shop.Example", "<ann@shop.example>"),
        ("https://www.shop.example/A/", "http://shop.example/a"),
        ("www.shop.example/a", "https://shop.example/a"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("4111-1111-1111-1111", "4111 1111 1111 1111"),
        ("C:\\Data\\x.txt", "c:/data/X.TXT"),
        ("00123456", 123456),
        ("0012 3456 7890", 1234567890),
        ("ａｎｎ＠ｓｈｏｐ．ｅｘａｍｐｌｅ", "ann@shop.example"),  # full width
    ],
)
def test_writing_does_not_matter(one: object, other: object) -> None:
    """The same thing, written in two ways, has the same hashes."""
    assert hashes(one) == hashes(other) != set()


def test_a_host_and_a_domain_are_the_same_name() -> None:
    """A mail's domain, a URL's host and a bare host meet."""
    url, mail = hashes("https://shop.example/x"), hashes("ann@shop.example")

    assert len(url & mail) == 1
    assert url & mail == hashes("www.shop.example") == hashes("shop.example")


def test_the_hash_is_hmac_of_the_normal_form() -> None:
    """The gateway, or an auditor with the key, computes the same; another key tells nothing."""
    for key in (KEY, b"k", b"k" * 64, b"k" * 65):
        digest = hmac.digest(key, b"ann@shop.example", "sha256")[:8].hex()

        assert fingerprints(key, [("", "Ann@Shop.example")])[0][0].hash == digest
    assert hashes("ann@shop.example").isdisjoint(
        one.hash for one in fingerprints(b"other", [("", "ann@shop.example")])[0]
    )


def test_paths_and_repetitions() -> None:
    """A token is told once a path; nested values keep theirs; a number has no span."""
    value = {"to": ["a@b.example", "a@b.example a@b.example"], "amount": 25.0, "n": 3, "ok": True}
    found, cut = fingerprints(KEY, leaves(value))

    assert [(one.klass, one.path, one.start, one.end) for one in found] == [
        ("email", "to.0", 0, 11),
        ("domain", "to.0", 2, 11),
        ("email", "to.1", 0, 11),
        ("domain", "to.1", 2, 11),
        ("amount", "amount", 0, 0),
    ]
    assert not cut
    assert fingerprints(KEY, [("x", float("nan")), ("x", True), ("x", None), ("x", b"a@b.c")]) == (
        [],
        False,
    )


def test_addresses_and_ids_are_kept_when_the_cap_cuts() -> None:
    """Above the limit the second value tells so, and amounts go first."""
    amounts = [("a", f"{i}.50") for i in range(300)]
    tail = [("b", "ann@shop.example ABC-1234 /etc/hosts")]
    found, cut = fingerprints(KEY, amounts + tail)
    all_of_it, not_cut = fingerprints(KEY, amounts[:200] + tail)

    assert cut
    assert len(found) == 256
    assert [one.klass for one in found[:5]] == ["email", "domain", "id", "path", "amount"]
    assert (len(all_of_it), not_cut) == (204, False)
    assert set(CLASSES) >= {one.klass for one in found}


def test_a_flood_is_bounded() -> None:
    """A million numbers, or a text beyond the limit, end early and are marked as cut."""
    start = time.process_time()
    many = fingerprints(KEY, [("n", i) for i in range(1_000_000, 1_100_000)])
    long = fingerprints(KEY, [("t", "x " * 300_000 + "ann@shop.example")])
    text = fingerprints(KEY, [("t", " ".join(f"{i}.5" for i in range(50_000)))])

    assert (len(many[0]), many[1], long) == (256, True, ([], True))
    assert (len(text[0]), text[1]) == (256, True)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("flood", ["ann@shop.example ", "https://shop.example ", "://\\"])
def test_what_stands_behind_a_flood_is_not_silently_left_out(flood: str) -> None:
    """Whoever repeats one address thousands of times before another one has told that there is more."""
    found, cut = fingerprints(KEY, [("t", f"{flood * 5000} eve@evil.example")])

    assert cut or hashes("eve@evil.example") <= {one.hash for one in found}


def test_the_wire_form_is_a_short_array() -> None:
    """Fingerprints travel as arrays of five."""
    one = fingerprints(KEY, [("to", "a@b.example")])[0][0]
    line = msgspec.json.encode(one)

    assert line == f'["{one.hash}","email","to",0,11]'.encode()
    assert msgspec.json.decode(line, type=Fingerprint) == one


SEEDS = [
    *("a", "@", "a@", "a@a", "://", "x://", "/", "/a", "\\", ".", "a.", "a.b", "1", "1.", "1,", "12 "),
    *("DE89 3704 ", "1:", "a:1", "-1", "ab1-", "$1", "1$ ", "https://a,", "www.a/", "é1", "１", "_"),
    *("://\\", "a://\\", "a" * 500 + "@", "~", "a@b.c,", "1/2/", "\ud8001"),
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_time_is_linear(seed: str) -> None:
    """100 kB of any repetition take less than a second."""
    text = "a@" + seed * (100_000 // len(seed))
    start = time.process_time()
    fingerprints(KEY, [("", text)])

    assert time.process_time() - start < 1.0


@given(st.text(max_size=200), st.text(max_size=50))
@settings(max_examples=300, deadline=None)
def test_an_address_is_found_in_any_company(before: str, after: str) -> None:
    """Nothing raises, spans fit the text, and an address between blanks is always found."""
    text = f"{before} ann@shop.example {after}"
    found, _ = fingerprints(KEY, [("", text)])

    assert hashes("ann@shop.example") <= {one.hash for one in found}
    assert all(0 <= one.start < one.end <= len(text) for one in found)
