"""Tables of files in the pages: current, and made from docstrings."""

import re
import runpy

import pytest

from tests.support.places import DOCS, MAKE, ROOT

SCRIPT = runpy.run_path(str(MAKE / "file_tables.py"))
PAGES = sorted(page for page in DOCS.glob("*.md") if "<!-- files " in page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_current(page):
    assert SCRIPT["fill"](page.read_text()) == page.read_text(), "run `python docs/make/file_tables.py`"


def test_pages_that_have_tables():
    names = {page.stem for page in PAGES}
    assert {"developer", "mac", "decoder", "nms_hardware", "quantization", "engine_cycles"} <= names


def test_a_table_has_each_module_of_its_patterns():
    text = SCRIPT["fill"]("before\n<!-- files hw/mac/*.py hw/lib/memory.py -->\nSTALE\n<!-- /files -->\nafter\n")
    paths = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    expected = sorted(path.name for path in (ROOT / "hw" / "mac").glob("*.py") if path.name != "__init__.py")
    assert paths == [*(f"hw/mac/{name}" for name in expected), "hw/lib/memory.py"]
    assert text.startswith("before\n")
    assert text.endswith("<!-- /files -->\nafter\n")
    assert "STALE" not in text


def test_folders_are_named_by_what_their_docstring_says():
    text = SCRIPT["table"]("golden/*/")
    assert "| `golden/cycles/` | How long a program takes, without RTL |" in text.splitlines()
    assert text.splitlines()[0] == "| folder | holds |"


def test_links_are_no_rooms():
    assert not any(f"`roundel/{name}/`" in SCRIPT["table"]("roundel/*/") for name in ("golden", "hw", "sim", "synth"))


def test_a_pattern_without_modules():
    with pytest.raises(ValueError, match=r"^hw/nothing/\*\.py: no such module$"):
        SCRIPT["table"]("hw/nothing/*.py")


def test_a_sentence_of_two_lines(tmp_path):
    module = tmp_path / "module.py"
    module.write_text('"""First half,\nand the second | of it.\n\nMore.\n"""\n')
    assert SCRIPT["summary"](module) == "First half, and the second \\| of it"
    module.write_text('"""All of it.\nAnd more.\n"""\n')
    assert SCRIPT["summary"](module) == "All of it"


def test_layers_stand_from_the_ground_up():
    rows = dict(line.strip("| ").split(" | ") for line in SCRIPT["layers"]().splitlines()[2:])
    order = re.split("; |, ", rows["`golden/`"])
    assert order.index("errors") < order.index("requant") < order.index("engine") < order.index("cycles")
    assert rows["`roundel/`"].endswith("; cli")


@pytest.mark.parametrize("name", ["opq.md", "demo.md"])
def test_tables_of_other_scripts_stay(name):
    """These pages have a table of a network's layers, which the order of the rooms has nothing to do with."""
    text = (DOCS / name).read_text()
    assert "conv1" in text.partition("<!-- layers -->")[2].partition("<!-- /layers -->")[0]
    assert SCRIPT["fill"](text) == text
