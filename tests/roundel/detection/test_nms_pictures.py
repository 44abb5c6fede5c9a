"""The picture of a suppression: which boxes are drawn, in which order, how heavy, and what is written beside them."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from roundel.detection import nms_pictures
from roundel.detection.nms_pictures import CLASS_COLOURS, GHOST, OTHERS, draw_suppression, palette
from roundel.golden.nms import Detections
from tests.support.figures import keep_figures


def detections(boxes: list, scores: list, labels: list) -> Detections:
    return Detections(boxes=np.array(boxes, float), scores=np.array(scores, float), classes=np.array(labels))


FOUR = detections(
    [[10, 20, 30, 60], [12, 22, 33, 61], [50, 5, 90, 45], [0, 0, 8, 8]], [0.5, 0.9, 0.25, 0.75], [3, 3, 1, 1]
)
COLOURS = {1: "#112233", 3: "#445566"}


def corners(collection) -> list[list[tuple[float, float]]]:
    return [[tuple(map(float, point)) for point in path.vertices[:4]] for path in collection.get_paths()]


def box(x1: float, y1: float, x2: float, y2: float) -> list[tuple[float, float]]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


@pytest.fixture
def figures(monkeypatch):
    return keep_figures(monkeypatch, nms_pictures)


def test_what_is_shown_of_an_image(figures):
    draw_suppression(Path("a.png"), "image 7", FOUR, np.array([1, 2]), (100, 80), COLOURS)
    [(drawing, name, size)] = figures
    assert (name, drawing.get_suptitle()) == ("a.png", "image 7")
    assert size == pytest.approx((11, 11 / 2 * 0.8 + 0.9))  # two panels of 100 x 80, and room for the legend
    before, after = drawing.axes
    assert (before.get_title(), after.get_title()) == ("before: 4 boxes", "after: 2 kept")
    # The worst first, so that the best lies on top; a quarter heavier each.
    (everything,) = before.collections
    rows = [tuple(row) for row in FOUR.boxes.tolist()]
    assert corners(everything) == [box(*rows[place]) for place in (2, 0, 3, 1)]
    assert everything.get_linewidths() == pytest.approx([0.3 + 1.8 * part for part in (0.25, 0.5, 0.75, 1)])
    shades = everything.get_edgecolors()
    assert [to_hex(shade) for shade in shades] == [COLOURS[1], COLOURS[3], COLOURS[1], COLOURS[3]]
    assert shades[:, 3] == pytest.approx([0.4 + 0.6 * part**2 for part in (0.25, 0.5, 0.75, 1)])
    ghosts, kept = after.collections
    assert corners(ghosts) == [box(*row) for row in rows]
    assert [to_hex(colour) for colour in ghosts.get_edgecolors()] == [GHOST]
    assert corners(kept) == [box(*rows[2]), box(*rows[1])]
    assert kept.get_linewidths() == pytest.approx([0.3 + 1.8 * 0.25, 2.1])
    for axes in drawing.axes:
        assert axes.get_xlim() == pytest.approx((-1, 101))
        assert axes.get_ylim() == pytest.approx((80.8, -0.8))
        assert axes.get_aspect() == 1
        (border,) = axes.patches
        assert (border.get_xy(), border.get_width(), border.get_height(), border.get_fill()) == ((0, 0), 100, 80, False)
        assert not any(spine.get_visible() for spine in axes.spines.values())
    assert [(text.get_text(), text.xy) for text in before.texts] == [
        ("0.25", (50, 5)),
        ("0.50", (10, 20)),
        ("0.75", (0, 0)),
        ("0.90", (12, 22)),
    ]
    assert [text.get_color() for text in after.texts] == [COLOURS[1], COLOURS[3]]
    assert {text.xyann for text in after.texts} == {(2, -2)}
    (legend,) = drawing.legends
    assert [text.get_text() for text in legend.get_texts()] == ["class 1: 2 to 1", "class 3: 2 to 1"]
    assert [line.get_color() for line in legend.get_lines()] == [COLOURS[1], COLOURS[3]]


def test_an_image_without_borders_is_as_large_as_its_boxes(figures):
    draw_suppression(Path("a.png"), "", FOUR, np.array([1]), None, COLOURS)
    axes = figures[0].drawing.axes[0]
    (border,) = axes.patches
    assert (border.get_xy(), border.get_width(), border.get_height()) == ((0, 0), 90, 61)
    moved = Detections(boxes=FOUR.boxes + 5, scores=FOUR.scores, classes=FOUR.labels)
    draw_suppression(Path("a.png"), "", moved, np.array([1]), None, COLOURS)
    (border,) = figures[1].drawing.axes[0].patches
    assert (border.get_xy(), border.get_width(), border.get_height()) == ((5, 5), 90, 61)
    assert figures[1].drawing.axes[0].get_xlim() == pytest.approx((5 - 0.9, 95 + 0.9))


@pytest.mark.parametrize(("size", "aspect"), [((1000, 10), 0.25), ((10, 1000), 2.5), ((100, 100), 1)])
def test_long_images_do_not_make_long_pictures(figures, size, aspect):
    one = detections([[1, 1, 5, 5]], [1], [1])
    draw_suppression(Path("a.png"), "", one, np.array([0]), size, COLOURS)
    assert figures[0].size == pytest.approx((11, 5.5 * aspect + 0.9))


def test_many_boxes_have_lighter_lines_and_no_scores(figures):
    count = 120
    many = detections([[k, 0, k + 5, 5] for k in range(count)], [k + 3 for k in range(count)], [1] * count)
    draw_suppression(Path("a.png"), "", many, np.arange(20), (200, 100), COLOURS)
    before, after = figures[0].drawing.axes
    lines = before.collections[0]
    assert [lines.get_linewidths()[end] for end in (0, -1)] == pytest.approx([0.3 + 1.35 / 120, 0.3 + 1.35])
    assert lines.get_edgecolors()[[0, -1], 3] == pytest.approx([0.25 + 0.75 / 120**2, 1])
    assert list(before.texts) == []
    # Twenty are not many; scores beyond 1 have three digits.
    assert [text.get_text() for text in after.texts][:2] == ["3", "4"]
    assert len(after.texts) == 20
    draw_suppression(Path("a.png"), "", many, np.arange(21), (200, 100), COLOURS)
    assert list(figures[1].drawing.axes[1].texts) == []


def test_no_boxes(figures):
    none = Detections(boxes=np.zeros((0, 4)), scores=np.zeros(0), classes=np.zeros(0, int))
    draw_suppression(Path("a.png"), "", none, np.zeros(0, int), (10, 10), {})
    assert figures[0].drawing.axes[1].get_title() == "after: 0 kept"


def test_classes_with_the_most_boxes_have_colours_of_their_own():
    """Ten classes, of 1 to 10 boxes: that of one box is among the others."""
    labels = [label for label in range(10) for _ in range(10 - label)]
    first = detections([[0, 0, 1, 1]] * 50, [1] * 50, labels[:50])
    second = detections([[0, 0, 1, 1]] * 5, [1] * 5, labels[50:])
    colours = palette([first, second])
    assert list(colours) == list(range(10))
    assert [colours[label] for label in range(9)] == list(CLASS_COLOURS)
    assert colours[9] == OTHERS
    assert len(set(CLASS_COLOURS)) == 9
    assert palette([detections([[0, 0, 1, 1]] * 3, [1] * 3, [8, 2, 8])]) == {2: CLASS_COLOURS[0], 8: CLASS_COLOURS[1]}


def test_classes_without_a_colour_share_a_line_of_the_legend(figures):
    given = detections([[0, 0, 1, 1]] * 6, [1, 2, 3, 4, 5, 6], [5, 6, 6, 7, 7, 7])
    draw_suppression(Path("a.png"), "", given, np.array([0, 1, 3, 4]), (9, 9), {5: "#123456", 6: OTHERS, 7: OTHERS})
    (legend,) = figures[0].drawing.legends
    assert [text.get_text() for text in legend.get_texts()] == ["class 5: 1 to 1", "2 more classes: 5 to 3"]
    assert [line.get_color() for line in legend.get_lines()] == ["#123456", OTHERS]
