"""The demo's pictures: bars, points and boxes stand where the numbers of `demo.json` put them."""

from pathlib import Path

import numpy as np
import pytest

from roundel.demo import pictures
from roundel.demo.pictures import draw_cycles, draw_energy, draw_roofline, draw_scenes, short_names
from roundel.detection.detections import Objects
from roundel.ui import COLOURS, bars, figure
from tests.support.figures import keep_figures


@pytest.fixture
def figures(monkeypatch):
    return keep_figures(monkeypatch, pictures)


def layer(name: str, macs: int, cycles: int, size: int, *parts: int, used: float = 0.5) -> dict:
    spent = dict(zip(("compute", "fill", "memory", "decoder"), parts, strict=False))
    return {"layer": name, "macs": macs, "cycles": cycles, "bytes": size, "utilization": used} | spent


def rectangles(axes) -> list[tuple[float, float, float]]:
    """Left end, length and middle of each bar."""
    return [(bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in axes.patches]


def test_bars_are_stacked_with_a_note_behind(tmp_path):
    with figure(tmp_path / "a.png", 3, 2) as drawing:
        axes = drawing.subplots()
        bars(axes, ["one", "two"], [("a", [1, 2]), ("b", [3, 5])], ["x", "y"], "units")
        assert rectangles(axes) == [(0, 1, 0), (0, 2, 1), (1, 3, 0), (2, 5, 1)]
        assert [(text.get_text(), *text.get_position()) for text in axes.texts] == [("x", 4.07, 0), ("y", 7.07, 1)]
        assert axes.get_xlim() == pytest.approx((0, 7 * 1.18))
        bottom, top = axes.get_ylim()
        assert bottom > top, "the first is on top"
        assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
        assert axes.get_yticks().tolist() == [0, 1]
        assert axes.get_xlabel() == "units"
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
        other = drawing.add_subplot()
        bars(other, ["one"], [("a", [1])], [""], "units")
        assert other.get_legend() is None
        assert tuple(drawing.get_size_inches()) == (3, 2)
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"Software" not in data


def test_cycles_by_what_they_were_spent_on(figures):
    layers = [layer("conv", 9, 10, 3, 4, 3, 2, 1, used=0.875), layer("pool", 0, 8, 3, 8, 0, 0, 0)]
    draw_cycles(Path("cycles.png"), layers)
    [(drawing, name, size)] = figures
    (axes,) = drawing.axes
    assert (name, size) == ("cycles.png", pytest.approx((9, 0.3 * 2 + 1.2)))
    assert rectangles(axes) == [
        *((0, 4, 0), (0, 8, 1), (4, 3, 0), (8, 0, 1)),
        *((7, 2, 0), (8, 0, 1), (9, 1, 0), (8, 0, 1)),
    ]
    assert [text.get_text() for text in axes.texts] == ["88%", ""], "a layer without products has no utilization"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["compute", "fill", "memory", "decoder"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv", "pool"]
    assert axes.get_xlabel() == "cycles of a frame"
    assert axes.get_title().startswith("Where the cycles go")


def test_short_names_of_layers_tell_them_apart():
    paths = ["/net/a/conv1/Conv", "/net/a/conv2/Conv", "/net/Resize", "/net/b/up/conv", "cls", "boxes"]
    assert short_names(paths) == ["a/conv1", "a/conv2", "Resize", "b/up/conv", "cls", "boxes"]
    assert short_names(["/net/conv1/Conv"]) == ["Conv"]
    assert short_names(["conv1", "conv2"]) == ["conv1", "conv2"]
    both = ["/net/a/Conv", "/net/a/Add"]
    assert short_names(both) == ["Conv", "Add"]
    same = ["/net/a/Conv", "/net/a/Add", "/net/b/Conv"]
    assert short_names(same) == same


def test_points_under_the_roof(figures):
    """64 multipliers, 8 bytes a cycle: the roof bends at 8 products a byte, and nothing can lie above it."""
    layers = [
        layer("slow", 800, 100, 400),
        layer("near", 6300, 100, 100),
        layer("beside", 6400, 100, 99),
        layer("half", 6400, 200, 50),
        layer("moved", 0, 900, 40),
        layer("inside", 500, 900, 0),
    ]
    draw_roofline(Path("roof.png"), layers, 64, 8)
    [(drawing, _, size)] = figures
    (axes,) = drawing.axes
    assert size == (8, 4.4)
    (roof,) = axes.lines
    x, y = roof.get_data()
    assert len(x) == 200
    assert (x[0], x[-1]) == pytest.approx((64 / 8 / 4, 2 * 128))
    assert np.diff(np.log(x)) == pytest.approx(np.log(128) / 199)
    assert y == pytest.approx([min(8 * value, 64) for value in x])
    (points,) = axes.collections
    assert points.get_offsets().tolist() == pytest.approx(np.array([[2, 8], [63, 63], [6400 / 99, 64], [128, 32]]))
    assert points.get_sizes() == pytest.approx([8 + 45, 53, 53, 98])  # areas are the layers' cycles
    assert (axes.get_xlim(), axes.get_ylim()) == ((2, 256), pytest.approx((0, 64 * 1.35)))
    assert axes.get_xscale() == "log"
    notes = {text.get_text(): text for text in axes.texts}
    assert {name: text.xy for name, text in notes.items()} == {
        "slow": (2, 8),
        "near": (63, 63),
        "beside": (6400 / 99, 64),
        "half": (128, 32),
    }
    # Below the roof the name stands under its point; on the roof it stands slanted above, not over the one before.
    assert {name: (text.xyann, text.get_rotation()) for name, text in notes.items()} == {
        "slow": ((2, 6), 0),
        "near": (pytest.approx((63, 64 * 1.06)), 60),
        "beside": (pytest.approx((63 * 1.1, 64 * 1.06)), 60),
        "half": ((128, 30), 0),
    }
    assert {name: text.get_va() for name, text in notes.items()} == {
        **{"slow": "top", "half": "top"},
        **{"near": "bottom", "beside": "bottom"},
    }
    assert {name for name, text in notes.items() if text.arrow_patch is not None} == {"near", "beside"}
    assert axes.get_title() == "Roofline: 64 multipliers, 8 bytes a cycle; areas are the layers' cycles"
    assert "each byte" in axes.get_xlabel()
    assert axes.get_ylabel() == "useful products a cycle"


def test_a_layer_on_nine_tenths_of_the_roof_is_on_it(figures):
    draw_roofline(Path("roof.png"), [layer("edge", 5760, 100, 100), layer("below", 5759, 100, 100)], 64, 8)
    turned = {text.get_text(): text.get_rotation() for text in figures[0].drawing.axes[0].texts}
    assert turned == {"edge": 60, "below": 0}


def test_energies_of_logic_and_memory_stand_apart(figures):
    rows = [
        {"unit": "array", "kind": "logic", "nj": 2500.0, "node": "130 nm"},
        {"unit": "boxes", "kind": "logic", "nj": None, "node": "130 nm"},
        {"unit": "SRAM", "kind": "memory", "nj": 12345.0, "node": "45 nm"},
        {"unit": "DRAM", "kind": "memory", "nj": 500.0, "node": "45 nm"},
    ]
    draw_energy(Path("energy.png"), rows)
    [(drawing, _, size)] = figures
    assert size == (9, 2.7)
    logic, memory = drawing.axes
    assert (logic.get_title(), memory.get_title()) == ("logic (130 nm)", "memory (45 nm)")
    assert rectangles(logic) == [(0, 2.5, 0)]
    assert rectangles(memory) == [(0, 12.345, 0), (0, 0.5, 1)]
    assert [text.get_text() for text in (*logic.texts, *memory.texts)] == ["2.5", "12.3", "0.5"]
    assert logic.get_subplotspec().get_geometry()[:2] == (1, 2)
    assert [axes.get_xlabel() for axes in drawing.axes] == ["µJ a frame"] * 2
    colours = [{tuple(patch.get_facecolor()) for patch in axes.patches} for axes in drawing.axes]
    assert all(len(found) == 1 for found in colours)
    assert colours[0] != colours[1]
    draw_energy(Path("energy.png"), rows[2:])
    assert figures[1].drawing.axes[0].get_title() == "logic", "where nothing is known of it"
    assert figures[1].drawing.axes[0].get_xlim() == (0, 1.18)


def frame(number: int, *boxes: dict) -> dict:
    counts = {"scene": number, "objects": 1, "true": 1, "missed": 0, "false": 0, "unsure": 0}
    return counts | {"detections": list(boxes), "missed_objects": []}


def detection(
    x1: float, y1: float, x2: float, y2: float, name: str = "7", score: float = 1, match: str = "true"
) -> dict:
    return {"box": [x1, y1, x2, y2], "class": name, "score": score, "match": match}


def test_a_scene_with_its_boxes(figures):
    """Names stand above their box, or inside of it at the upper border; the best is drawn last."""
    image = np.arange(2 * 4 * 6).reshape(2, 4, 6)
    boxes = (detection(3, 5, 5, 9, "b", 3), detection(1, 4.5, 2.5, 8, "a", 9), detection(0, 6, 4, 7, "b", 1, "false"))
    draw_scenes(
        Path("scenes.png"), [image], [Objects(boxes=np.zeros((0, 4)), classes=np.zeros(0, int))], [frame(3, *boxes)]
    )
    [(drawing, _, size)] = figures
    assert size == pytest.approx((2.9 * 4, 3.2 + 0.6))
    assert len(drawing.axes) == 4
    assert not any(axes.axison for axes in drawing.axes)
    axes = drawing.axes[0]
    (shown,) = axes.images
    assert shown.get_extent() == [0, 6, 4, 0]
    assert np.array_equal(shown.get_array(), (image[0] + image[1]) / 2)
    assert shown.get_clim()[0] == 0
    outlines = [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in axes.patches]
    assert outlines == [(0, 6, 4, 1), (3, 5, 2, 4), (1, 4.5, 1.5, 3.5)]
    assert not any(patch.get_fill() for patch in axes.patches)
    assert [(text.get_text(), *text.get_position(), text.get_va()) for text in axes.texts] == [
        ("b?", 0, 6, "bottom"),
        ("b", 3, 5, "bottom"),
        ("a", 1, 4.5, "top"),
    ]
    shades = [text.get_bbox_patch().get_facecolor() for text in axes.texts]
    assert shades[0] == shades[1] != shades[2]


def test_eight_scenes_at_most_and_colours_by_class(figures):
    """Two rows of four; the eleventh class has the first one's colour."""
    images = np.zeros((12, 1, 4, 4))
    names = [f"{number:02}" for number in range(11)]
    frames = [frame(number, *(detection(0, 0, 2, 2, name) for name in names)) for number in range(12)]
    there = [Objects(boxes=np.array([[1, 1, 3, 2.0]]), classes=np.array([0]))] * 12
    draw_scenes(Path("scenes.png"), images, there, frames)
    [(drawing, _, size)] = figures
    assert size == pytest.approx((2.9 * 4, 3.2 * 2 + 0.6))
    assert [axes.get_title().split(",")[0] for axes in drawing.axes] == [f"scene {number}" for number in range(8)]
    first = drawing.axes[0].patches
    assert (*first[0].get_xy(), first[0].get_width(), first[0].get_height()) == (1, 1, 2, 1)
    colours = [patch.get_edgecolor() for patch in first[1:]]
    assert colours[10] == colours[0]
    assert len(set(colours)) == 10
    assert drawing.get_facecolor() != (1, 1, 1, 1)
    draw_scenes(Path("scenes.png"), images[:5], there[:5], frames[:5])
    assert len(figures[1].drawing.axes) == 8
    assert len(COLOURS) == 6
