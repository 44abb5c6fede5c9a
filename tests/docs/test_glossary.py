"""docs/glossary.md: the house words are in it, once each, with a definition."""

import re
from collections import Counter

import pytest

from tests.support.places import DOCS

PAGE = (DOCS / "glossary.md").read_text()
ENTRIES = re.findall(
    r"^((?:[^\s`#].*\n)+)((?:  .+\n)+)",
    "\n".join(re.findall(r"```\{glossary\}\n(.*?)```", PAGE, re.DOTALL)),
    re.MULTILINE,
)
TERMS = [term for names, _ in ENTRIES for term in names.splitlines()]
HOUSE_WORDS = [
    "beat",
    "step",
    "block",
    "tile",
    "plane",
    "slot",
    "role",
    "band",
    "fence",
    "token",
    "mark",
    "chunk",
    "segment",
    "frame",
    "head",
    "scale",
    "record",
    "lead",
    "every",
    "lanes",
    "columns",
    "strip",
    "halo",
    "region",
    "descriptor",
    "fingerprint",
    "module",
    "position",
    "tap",
    "slice",
    "round",
    "OPQ",
    "PSRR-MaxpoolNMS",
]


@pytest.mark.parametrize("word", HOUSE_WORDS)
def test_house_words_are_defined(word):
    assert word in TERMS


def test_terms_stand_once():
    assert [term for term, count in Counter(TERMS).items() if count > 1] == []


def test_references_lead_to_terms():
    for reference in re.findall(r"\{term\}`([^`]+)`", PAGE):
        assert reference in TERMS


def test_abbreviations_are_spelled_out():
    text = " ".join(PAGE.split())
    assert "One-shot Pruning-Quantization" in text
    assert "Pyramid Shifted MaxpoolNMS with Relationship Recovery" in text
