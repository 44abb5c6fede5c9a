"""The picture of the architecture: what its script draws, well-formed, in both palettes."""

import runpy
from xml.etree import ElementTree

from tests.support.places import DOCS, MAKE

SCRIPT = runpy.run_path(str(MAKE / "architecture.py"))
PICTURE = DOCS / "pictures" / "architecture.svg"


def test_the_picture_is_what_its_script_draws(tmp_path):
    SCRIPT["main"](tmp_path / "drawn.svg")
    assert (tmp_path / "drawn.svg").read_text() == PICTURE.read_text(), "run `python docs/make/architecture.py`"


def test_boxes_lie_on_the_panel():
    root = ElementTree.fromstring(PICTURE.read_text())
    boxes = root.findall("{http://www.w3.org/2000/svg}rect")
    assert boxes[0].get("class") == "panel"
    for box in boxes:
        x, y, width, height = (float(box.get(side, "nan")) for side in ("x", "y", "width", "height"))
        assert 0 <= x < x + width <= SCRIPT["WIDTH"]
        assert 0 <= y < y + height <= SCRIPT["HEIGHT"]


def test_palettes_name_the_same_colours():
    assert SCRIPT["LIGHT"].keys() == SCRIPT["DARK"].keys()
    assert "prefers-color-scheme: dark" in PICTURE.read_text()
