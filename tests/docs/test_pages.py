"""All pages: files and modules that they name are there, and their links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.support.places import DOCS, EXAMPLES, ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"), *EXAMPLES.rglob("README.md")])
FOLDERS = "golden|hw|sim|synth|roundel|tests|docs|examples"
MODULE = re.compile(r"roundel(?:\.[a-z]\w*)+")


def name(page: Path) -> str:
    """The page's path, for the test's id."""
    return str(page.relative_to(ROOT))


def named_paths(text: str) -> set[str]:
    """Paths below a folder of the project, in prose, tables and code; `*` and `<name>` stand for any text."""
    paths = re.findall(rf"(?<![\w./-])(?:{FOLDERS})/[\w./*<>-]*", text)
    return {re.sub(r"<\w+>", "*", path).rstrip(".,:<>-") for path in paths}


def anchors(text: str) -> set[str]:
    """What links within a page may say: headings as GitHub and MyST write them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_a_page_names_exist(page):
    assert [path for path in named_paths(page.read_text()) if not exists(path)] == []


def exists(path: str) -> bool:
    """Whether something in the project has this path, or, with `*`, one of this form."""
    return any(True for _ in ROOT.glob(path.rstrip("/"))) if "*" in path else (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{target}: no such file"
        if anchor:
            assert anchor in anchors(other.read_text()), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_modules_that_a_page_names_exist(page):
    """`roundel.a.b.name` is a module, or a name of the longest part of it that is a module."""
    for dotted in sorted(set(MODULE.findall(page.read_text()))):
        assert resolves(dotted), f"{dotted}: neither a module nor a name of one"


def resolves(dotted: str) -> bool:
    """Whether a dotted name leads to a module or to something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            if importlib.util.find_spec(".".join(parts[:length])) is None:
                continue
        except ModuleNotFoundError:
            continue
        value = importlib.import_module(".".join(parts[:length]))
        for part in parts[length:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def prose(text: str) -> list[str]:
    """Lines that are neither code, nor a table, a picture or written by a script."""
    for between in (r"^```.*?^```", r"^<!-- (\w+).*?^<!-- /\1 -->"):
        text = re.sub(between, "", text, flags=re.DOTALL | re.MULTILINE)
    return [line for line in text.splitlines() if not line.startswith(("|", "!", "    "))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_prose_has_at_most_100_columns(page):
    assert [line for line in prose(page.read_text()) if len(line) > 100] == []


def test_the_search_sees_what_is_wrong():
    assert named_paths("`hw/mac/array.py`, docs/mac.md. And build/hw/x or a/docs/y") == {
        "hw/mac/array.py",
        "docs/mac.md",
    }
    assert not exists("hw/mac/arrays.py")
    assert not exists("hw/mac_*.py")
    assert exists("hw/*/array.py")
    assert anchors("# One\n## `Two` and three\n```\n# no\n```\n") == {"one", "two-and-three"}
    assert prose("one\n```\ntwo\n```\n| three |\n<!-- x -->\nfour\n<!-- /x -->\n    five\nsix") == [
        "one",
        "",
        "",
        "six",
    ]
    assert resolves("roundel.golden.mac.MacParams")
    assert not resolves("roundel.golden.mac.Nothing")
