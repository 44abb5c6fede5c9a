"""docs/advisor.md: what it quotes is what the programs say, its example runs, what it names is there."""

import re

import pytest

from tests.support.command import call
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "advisor.md").read_text()


def test_the_refusal_is_the_one_that_compress_gives(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    quoted = re.search(r"<!-- refused -->\n```\n(.*)\n```", PAGE)
    arguments = ("roundel/data/digits/digits_qdq.onnx", "--calibration", "roundel/data/digits/calibration.npz")
    assert call("compress", *arguments, "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err.strip() == quoted[1]


def test_the_example_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/advisor.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    table = PAGE.partition("<!-- advice -->")[2].partition("\n\n")[0].splitlines()
    assert len(lines) == len(table) - 3  # marker's end, head and rule
    for line, row in zip(lines, table[3:], strict=True):
        tensor, _, _, nearest = (cell.strip() for cell in row.split("|")[1:5])
        name, shift = line.split()[:2]
        assert name == tensor
        assert f"2^{-int(shift)}" in nearest.split(" to ")


@pytest.mark.parametrize("marker", ["refused", "kept", "advice", "costs"])
def test_tables_are_filled(marker):
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    assert len(PAGE.partition(begin)[2].partition(end)[0].splitlines()) >= 3
