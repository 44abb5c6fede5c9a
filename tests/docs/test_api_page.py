"""The Python API in the pages: every public name has its place, the snippets run and print what the tutorial shows."""

import re

import pytest

import roundel
from tests.support.places import DOCS, ROOT

PAGE = (DOCS / "api.md").read_text()
PAGES = (ROOT / "README.md", DOCS / "api.md", DOCS / "tutorial.md")


def test_all_public_names_are_described():
    described = re.findall(r"^\.\. auto(?:function|class|exception):: (\w+)$", PAGE, re.MULTILINE)
    assert sorted([*described, "__version__"]) == sorted(roundel.__all__)
    assert "`roundel.__version__`" in PAGE


def test_the_summary_has_all_functions():
    summary = PAGE.partition(".. autosummary::\n\n")[2].partition("```")[0].split()
    assert summary == re.findall(r"^\.\. autofunction:: (\w+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_snippet_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [snippet] = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(snippet.splitlines()) <= 10
    exec(compile(snippet, page.name, "exec"), {})
    assert re.fullmatch(r"187 boxes (kept )?in 20 images\n", capsys.readouterr().out)
    written = sorted(re.findall(r'(?:save\(|folder=)"(\w+)"', snippet))
    assert sorted(path.name for path in tmp_path.iterdir()) == written
    assert all(any(path.iterdir()) for path in tmp_path.iterdir())
