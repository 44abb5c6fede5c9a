"""docs/onnx.md says what the import does: its tables hold every operator and no other, its example runs."""

import re

import pytest

from roundel.frontend.operators import FOLDED, OPERATORS
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "onnx.md").read_text()


def section(title):
    """The text under a heading."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_table_of_operators():
    rows = re.findall(r"^\| `(\w+)` \|", section("Operators"), re.MULTILINE)
    assert rows == sorted(OPERATORS)


def test_what_is_worked_out_from_constants():
    sentence = section("Operators").split("Where all inputs are constant, each of ")[1].split(" is evaluated")[0]
    assert re.findall(r"`(\w+)`", sentence) == sorted(FOLDED)


def test_the_example(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(PAGE.split("```python\n")[1].split("```")[0], {})
    shapes = re.findall(r"\(4, [\d, ]+\)", capsys.readouterr().out)
    assert shapes == ["(4, 18, 4, 4)", "(4, 18, 8, 8)"]


@pytest.mark.parametrize("target", re.findall(r"\]\(#([\w-]+)\)", PAGE))
def test_links_within_the_page(target):
    headings = [line.lstrip("# ").lower().replace(" ", "-") for line in PAGE.splitlines() if line.startswith("#")]
    assert target in headings
