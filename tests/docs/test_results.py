"""Tables of results: the scripts of docs/make fill the README's one and those of docs/results.md, and nothing else."""

import json
import re
import runpy
import shutil
import sys

import pytest

from tests.support.places import DOCS, MAKE, ROOT

RESULTS = ("engine", "fpga", "size", "ratios", "nms")
DEMO = {
    "accuracy": [
        {"network": "float", "nms": "GreedyNMS", "on": "golden", "scenes": 200, "ap50": 0.9012, "agreeing": 1},
        {"network": "integer", "nms": "PSRR", "on": "golden", "scenes": 200, "ap50": 0.89, "agreeing": 0.985},
        {"network": "integer", "nms": "other", "on": "golden", "scenes": 200, "ap50": 0.1, "agreeing": 0.2},
        {"network": "integer", "nms": "PSRR", "on": "RTL", "scenes": 8, "ap50": 0.875, "agreeing": 0.75},
    ],
    "model": "m.onnx",
    "nms": {"name": "PSRR"},
    "total": {"cycles": 12345, "utilization": 0.5},
    "compared": {"tensors": 20, "elements": 1000},
    "scenes": 8,
    "equal": True,
}
BENCH = [
    {"name": "engine.utilization", "value": 0.75, "params": {"layer": "3x3", "config": "tiny", "on": "rtl"}},
    {"name": "engine.weight_stalls", "value": 0.01, "params": {"layer": "3x3", "config": "tiny", "on": "rtl"}},
    {"name": "engine.zero_block_speedup", "value": 2.5, "params": {"zeros": 0.8, "pruning": "blocks"}},
]
BUILD = {"resources": {"unit": {"lut": 1000, "dsp": 2, "bram": 3}}, "lut_per_mac": 10.0, "fmax_mhz": 50.25}


def tables(text: str) -> dict[str, str]:
    """The tables of a page by the names of their markers."""
    return dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", text, re.DOTALL))


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Copies of the pages, which the scripts write in place of the project's."""
    monkeypatch.syspath_prepend(str(MAKE))
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    import figures

    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "README.md", root)
    shutil.copy(DOCS / "results.md", root / "docs")
    monkeypatch.setattr(figures, "ROOT", root)
    yield root
    monkeypatch.delitem(sys.modules, "figures")


def test_the_engines_figures_go_to_their_tables(pages, tmp_path):
    for path, content in {"demo/demo": DEMO, "bench/bench": BENCH, "fpga/with_nms/fpga": BUILD}.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / f"{path}.json").write_text(json.dumps(content))
    runpy.run_path(str(MAKE / "engine_figures.py"))["main"](tmp_path)
    readme, results = (pages / "README.md").read_text(), (pages / "docs" / "results.md").read_text()
    assert "| AP50, integer + PSRR, RTL, 8 scenes | 87.5 |" in tables(readme)["detector"]
    assert "1,000, all equal |" in tables(readme)["detector"]
    assert "| `m.onnx` as it was exported" in tables(readme)["detector"]
    for where, share in (("golden has too, IoU >= 0.9, 200", "98.5%"), ("RTL has too, IoU >= 0.9, 8", "75.0%")):
        assert f"| boxes of the float network that {where} scenes | {share} |" in tables(readme)["detector"]
    assert "| 3x3, `tiny` | RTL | 0.750 | 1.00% of cycles wait for weights |" in tables(results)["engine"]
    assert "in blocks of the array's shape: 2.50 at 80% |" in tables(results)["engine"]
    assert "| with box unit and NMS | 1,000 | 10 | 2 | 3 | 50.2 |" in tables(results)["fpga"]
    for page, changed in (("README.md", {"detector"}), ("docs/results.md", {"engine", "fpga"})):
        before, after = tables((ROOT / page).read_text()), tables((pages / page).read_text())
        assert {name for name in before if before[name] != after[name]} == changed


def test_what_is_missing_stays(pages, tmp_path):
    runpy.run_path(str(MAKE / "engine_figures.py"))["main"](tmp_path / "nothing")
    for page in ("README.md", "docs/results.md"):
        assert (pages / page).read_text() == (ROOT / page).read_text()


def test_a_page_without_the_markers(pages):
    import figures

    with pytest.raises(SystemExit, match=r"^no markers <!-- other --> and <!-- /other -->$"):
        figures.write("README.md", {"other": "| |"})


def test_the_pages_have_all_tables_and_no_other():
    assert tables((ROOT / "README.md").read_text()).keys() == {"detector", "trained"}
    filled = tables((DOCS / "results.md").read_text())
    assert filled.keys() == set(RESULTS)
    assert all(len(table.splitlines()) >= 3 for table in filled.values())


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    assert re.findall(r"^    make (\w+)", text, re.MULTILINE) == ["demo", "test", "zoo"]
