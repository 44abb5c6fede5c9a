"""`roundel nms`: what is kept, written and drawn, the way of boxes to the RTL and back, and what bad input is told."""

import json
import re
import runpy

import numpy as np
import pytest

from roundel.detection import nms_rtl
from roundel.detection.detections import read_detections
from roundel.detection.nms_pictures import CLASS_COLOURS, OTHERS, palette
from roundel.detection.scenes import KINDS, scenes
from roundel.detection.suppression import by_class, joined
from roundel.golden.errors import InputError
from roundel.golden.nms import PRESETS, Detections, NmsParams, greedy_nms, preset, psrr_nms
from tests.support.command import call
from tests.support.places import DOCS

# Two copies of one object and a neighbour of another class in image 7; the object again, alone, in image 3.
BOXES = [[0, 0, 100, 100], [200, 200, 300, 260], [4, 4, 104, 104], [0, 0, 100, 100], [2, 2, 102, 102]]
SCORES = [0.5, 0.6, 0.9, 0.2, 0.7]
CLASSES = [1, 0, 1, 1, 0]
IMAGE_IDS = [7, 7, 7, 3, 7]
KEPT = [1, 2, 3, 4]

PAGE = (DOCS / "nms.md").read_text()


def written(folder, **change):
    """Path of a file of the boxes above, with changes; None leaves an array out."""
    arrays = {"boxes": BOXES, "scores": SCORES, "classes": CLASSES, "image_ids": IMAGE_IDS} | change
    path = folder / "found.npz"
    np.savez(path, **{name: np.array(values) for name, values in arrays.items() if values is not None})
    return path


def scene_file(folder, *, kind="easy", count=2, seed=1, grid=None):
    """Path of a file of synthetic scenes; with a `grid`, of corners that are multiples of it in pixels."""
    found = [one.detections for one in scenes(KINDS[kind], count, seed=seed)]
    boxes = np.concatenate([one.boxes for one in found])
    if grid:
        boxes = np.hstack([np.floor(boxes[:, :2] / grid), np.ceil(boxes[:, 2:] / grid)]) * grid
    path = folder / "scenes.npz"
    ids = np.repeat(np.arange(count), [len(one) for one in found])
    scores, classes = (np.concatenate(parts) for parts in zip(*((d.scores, d.labels) for d in found), strict=True))
    np.savez(path, boxes=boxes, scores=scores, classes=classes, image_ids=ids)
    return path


@pytest.mark.parametrize("method", [*PRESETS, "greedy"])
def test_classes_and_images_do_not_meet(method, tmp_path, capsys):
    assert call("nms", written(tmp_path), "--method", method, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == KEPT
    assert found["images"] == [
        {"image_id": 7, "boxes": 4, "kept": [1, 2, 4]},
        {"image_id": 3, "boxes": 1, "kept": [3]},
    ]


@pytest.mark.parametrize("method", PRESETS)
def test_options_reach_the_golden_model(method, tmp_path, capsys, seed):
    path = scene_file(tmp_path, seed=seed)
    options = {"semantics": "cascade", "shift": "diagonal", "alpha": 0.6, "stride": 32, "guard": 0.3}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert call("nms", path, "--method", method, *words, "--image", "640x650", "--json") == 0
    params = preset(method, width=640, height=650, **options)
    wanted = [one.indices[psrr_nms(one.detections, params)].tolist() for one in read_detections(path)]
    assert [one["kept"] for one in json.loads(capsys.readouterr().out)["images"]] == wanted


@pytest.mark.parametrize(("words", "threshold"), [((), 0.5), (("--guard", "0.1"), 0.1)])
def test_guard_is_the_threshold_of_greedy(words, threshold, tmp_path, capsys, seed):
    path = scene_file(tmp_path, kind="crowded", seed=seed)
    assert call("nms", path, "--method", "greedy", *words, "--json") == 0
    images = read_detections(path)
    wanted = np.sort(np.concatenate([one.indices[greedy_nms(one.detections, threshold)] for one in images]))
    assert json.loads(capsys.readouterr().out)["kept"] == wanted.tolist()


def test_greedy_has_no_borders_unless_given(tmp_path, capsys):
    path = written(tmp_path, boxes=[[-9000, 0, 9000, 100], *BOXES[1:]])
    assert call("nms", path, "--method", "greedy", "-o", tmp_path / "out") == 0
    assert (tmp_path / "out" / "image_7.png").exists()
    assert call("nms", path, "--method", "greedy", "--image", "640x640") == 2
    assert "found.npz: boxes[0] is" in capsys.readouterr().err


def test_table_has_images_and_totals(tmp_path, capsys):
    assert call("nms", written(tmp_path)) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if row] == [["7", "4", "3"], ["3", "1", "1"], ["all", "5", "4"]]


def test_long_tables_are_cut(tmp_path, capsys):
    boxes, ids = np.tile(BOXES[0], (1030, 1)), np.repeat(np.arange(30), [1001, *[1] * 29])
    assert call("nms", written(tmp_path, boxes=boxes, scores=np.arange(1030), classes=None, image_ids=ids)) == 0
    said = capsys.readouterr().out
    assert "│ 19" in said
    assert "│ 20 " not in said
    assert ["10 more", "10", "10"] in [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines()]
    assert "1,001" in said


def test_no_boxes_are_no_kept_boxes(tmp_path, capsys):
    path = written(tmp_path, boxes=np.zeros((0, 4)), scores=[], classes=None, image_ids=None)
    assert call("nms", path, "--json", "-o", tmp_path / "out") == 0
    assert json.loads(capsys.readouterr().out)["kept"] == []
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["kept.json", "kept.npz"]


def test_output_holds_what_was_kept(tmp_path, capsys):
    assert call("nms", written(tmp_path, image_ids=IMAGE_IDS), "--json", "-o", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "kept.json").read_text()) == json.loads(capsys.readouterr().out)
    with np.load(tmp_path / "out" / "kept.npz") as file:
        for name, values in {"boxes": BOXES, "scores": SCORES, "classes": CLASSES, "image_ids": IMAGE_IDS}.items():
            assert file[name].tolist() == np.array(values)[KEPT].tolist()
            assert file[name].dtype == np.array(values).dtype
    for image in (3, 7):
        assert (tmp_path / "out" / f"image_{image}.png").read_bytes().startswith(b"\x89PNG")


def test_arrays_that_the_file_has_not_are_not_written(tmp_path):
    assert call("nms", written(tmp_path, classes=None, image_ids=None), "-o", tmp_path / "out") == 0
    with np.load(tmp_path / "out" / "kept.npz") as file:
        assert sorted(file.files) == ["boxes", "scores"]


def test_pictures_of_the_first_images_only(tmp_path, capsys):
    path = written(tmp_path, boxes=[BOXES[0]] * 18, scores=[1] * 18, classes=None, image_ids=np.arange(18))
    assert call("nms", path, "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 16
    assert "pictures of the first 16 of 18 images" in capsys.readouterr().err


def test_palette_gives_the_commonest_classes_a_colour_of_their_own():
    labels = np.repeat(np.arange(12), [1, *[3] * 9, 1, 2])
    boxes = np.tile([0.0, 0.0, 1.0, 1.0], (len(labels), 1))
    colours = palette([Detections(boxes=boxes, scores=np.zeros(len(labels)), classes=labels)])
    assert sorted(colours) == list(range(12))
    assert [colours[label] for label in range(1, 10)] == list(CLASS_COLOURS)
    assert {colours[label] for label in (0, 10, 11)} == {OTHERS}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "magic"), "'magic' is not one of 'psrr', 'adjacent', 'guarded', 'maxpool', 'greedy'"),
        (("--semantics", "both"), "'both' is not one of 'parallel', 'cascade'"),
        (("--shift", "left"), "'left' is not one of 'none', 'diagonal', 'quad'"),
        (("--on", "paper"), "'paper' is not one of 'golden', 'rtl'"),
        (("--alpha", "0"), "alpha must be above 0 and at most 1000, not 0.0"),
        (("--alpha", "-1"), "alpha must be above 0 and at most 1000, not -1.0"),
        (("--alpha", "nan"), "alpha must be above 0 and at most 1000, not nan"),
        (("--alpha", "much"), "'much' is not a valid float"),
        (("--stride", "12"), "stride must be a power of two, not 12"),
        (("--stride", "0"), "stride must be 1 to 4096, not 0"),
        (("--guard", "1"), "guard must be 0 to below 1, or None, not 1.0"),
        (("--guard", "-0.1"), "guard must be 0 to below 1, or None, not -0.1"),
        (("--method", "greedy", "--guard", "1.5"), "guard must be 0 to 1, the IoU threshold of greedy, not 1.5"),
        (("--method", "greedy", "--guard", "nan"), "guard must be 0 to 1, the IoU threshold of greedy, not nan"),
        (("--method", "greedy", "--alpha", "1"), "alpha is about pyramids, and greedy has none"),
        (("--method", "greedy", "--semantics", "cascade"), "semantics is about pyramids, and greedy has none"),
        (("--image", "640"), "image must be WIDTHxHEIGHT in pixels, 1 to 4096 each, not '640'"),
        (("--image", "0x640"), "image must be WIDTHxHEIGHT"),
        (("--image", "640x5000"), "image must be WIDTHxHEIGHT"),
        (("--image", f"640x{'9' * 5000}"), "image must be WIDTHxHEIGHT"),
        (("--image", ""), "image must be WIDTHxHEIGHT"),
        (("--image", "300x250"), "found.npz: boxes[1] is [200.0, 200.0, 300.0, 260.0]: expected corners within"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(words, message, tmp_path, capsys):
    path = written(tmp_path)
    assert call("nms", path, *words, "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert [item.name for item in tmp_path.iterdir()] == ["found.npz"]


@pytest.mark.parametrize("on", ["golden", "rtl"])
def test_boxes_beyond_the_usual_image_need_its_size(on, tmp_path, capsys):
    """The row is that of the file, not of its image; nothing is guessed."""
    path = written(tmp_path, boxes=[*BOXES[:3], [0, 0, 100, 700], BOXES[4]])
    assert call("nms", path, "--on", on) == 2
    said = capsys.readouterr().err
    assert "boxes[3] is [0.0, 0.0, 100.0, 700.0]: expected corners within the image, 640 x 640; give the size" in said
    assert "--image WxH" in said


def test_missing_file(tmp_path, capsys):
    assert call("nms", tmp_path / "nothing.npz") == 2
    assert "nothing.npz: expected an .npz file, but there is none" in capsys.readouterr().err


# The page docs/nms.md


def test_the_example_of_the_page(tmp_path, capsys, monkeypatch):
    """The page's snippet makes the file, and its command prints what the page shows."""
    monkeypatch.chdir(tmp_path)
    snippet = PAGE.partition("```python\n")[2].partition("```")[0]
    exec(compile(snippet, "docs/nms.md", "exec"), {})
    command, _, shown = PAGE.partition("```\n$ roundel ")[2].partition("```")[0].partition("\n")
    assert call(*command.split()) == 0
    assert capsys.readouterr().out.split() == shown.split()


def test_the_pictures_of_the_page(tmp_path):
    """Its script draws all of them, the same every time, small enough to be kept."""
    draw = runpy.run_path(str(DOCS / "make" / "nms_figures.py"))["main"]
    shown = sorted(re.findall(r"\(pictures/(nms_\w+\.png)\)", PAGE))
    for name in ("once", "twice"):
        draw(tmp_path / name)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == shown
    for picture in shown:
        content = (tmp_path / "once" / picture).read_bytes()
        assert content == (tmp_path / "twice" / picture).read_bytes()
        assert len(content) < 80_000
        assert (DOCS / "pictures" / picture).exists()


# The way to the RTL and back


@pytest.mark.parametrize(
    ("corner", "fraction", "exact"), [(20, 0, True), (20.5, 1, True), (20 + 1 / 256, 8, True), (20.1, 4, False)]
)
def test_fraction_is_the_smallest_that_is_exact(corner, fraction, exact):
    boxes = np.array([[0, 0, 10.0, 10.0], [1.0, 2.0, corner, 30.0]])
    found = nms_rtl.box_format(Detections(boxes=boxes, scores=np.zeros(2)), (640, 480))
    assert (found[0].fraction, found[1]) == (fraction, exact)
    assert (found[0].width, found[0].height, found[0].classes) == (640, 480, 1)


def test_capacity_is_a_power_of_two_that_holds_the_largest_group():
    groups = [np.arange(3), np.arange(65), np.arange(64)]
    assert nms_rtl.capacity(groups) == 128
    assert nms_rtl.capacity([np.arange(65536)]) == 65536
    with pytest.raises(InputError, match="65537 boxes of one class in one image: expected at most 65536"):
        nms_rtl.capacity([np.arange(65537)])


def test_stimulus_has_every_class_of_an_image_as_an_image(tmp_path):
    images = read_detections(written(tmp_path))
    everything = joined(images)
    assert everything.boxes.tolist() == BOXES
    assert everything.scores.tolist() == SCORES
    assert everything.labels.tolist() == CLASSES
    groups = [one.indices[places] for one in images for places in by_class(one.detections)]
    assert [rows.tolist() for rows in groups] == [[1, 4], [0, 2], [3]]
    form, _ = nms_rtl.box_format(everything, (640, 640))
    sent = nms_rtl.images(form, everything, groups)
    assert [one.boxes.tolist() for one in sent] == [[BOXES[1], BOXES[4]], [BOXES[0], BOXES[2]], [BOXES[3]]]
    assert [one.scores.tolist() for one in sent] == [[2, 3], [1, 4], [0]]  # ranks of 0.6, 0.7, 0.5, 0.9, 0.2
    assert [one.labels.tolist() for one in sent] == [[0, 0], [0, 0], [0]]
    assert all(one.present.all() for one in sent)


@pytest.mark.parametrize("method", PRESETS)
def test_groups_on_integers_keep_what_the_float_model_keeps(method, tmp_path, seed):
    """On coordinates that both hold exactly; guards of more than 8 bits would differ."""
    images = read_detections(scene_file(tmp_path, seed=seed, grid=0.25))
    everything = joined(images)
    groups = [one.indices[places] for one in images for places in by_class(one.detections)]
    form, exact = nms_rtl.box_format(everything, (640, 640))
    assert exact
    params, sent = NmsParams(format=form, method=method), nms_rtl.images(form, everything, groups)
    kept = [
        rows[params.compute(one.boxes, one.scores, one.labels).kept] for rows, one in zip(groups, sent, strict=True)
    ]
    wanted = [one.indices[psrr_nms(one.detections, preset(method))] for one in images]
    assert np.sort(np.concatenate(kept)).tolist() == np.sort(np.concatenate(wanted)).tolist()


def simulated(unit, params, images, *, seed):
    """In the place of a simulation."""
    return {"kept": np.array([0, 1, 3, 4]), "cycles": np.array(20)}


def test_rows_come_back_from_the_rtl(tmp_path, monkeypatch):
    """Places in the stimulus become rows of the file; the simulation is not part of this test."""
    images = read_detections(written(tmp_path))
    everything = joined(images)
    groups = [one.indices[places] for one in images for places in by_class(one.detections)]
    monkeypatch.setattr(nms_rtl, "run_images", simulated)
    found = nms_rtl.run_rtl("nms", everything, groups, size=(640, 640), method="guarded")
    assert found.kept.tolist() == [1, 4, 2, 3]
    assert found.as_dict() == {"boxes": 5, "cycles": 20, "fraction": 0, "exact": True, "boxes_per_cycle": 0.25}


@pytest.mark.parametrize("method", ["guarded", "greedy"])
def test_rtl_keeps_what_golden_keeps(method, tmp_path, capsys):
    """From the command line through the hardware and back; on whole pixels float and integers agree."""
    path = written(tmp_path, boxes=np.array(BOXES) // 2)
    assert call("nms", path, "--method", method, "--image", "160x130", "--on", "rtl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == KEPT
    assert found["rtl"]["boxes"] == 5
    assert found["rtl"]["exact"]
    assert found["rtl"]["cycles"] > 5


def test_rounding_for_the_rtl_is_said(tmp_path, monkeypatch, capsys):
    boxes = np.add(BOXES, [0.1, 0, 0, 0])
    monkeypatch.setattr(nms_rtl, "run_images", simulated)
    assert call("nms", written(tmp_path, boxes=boxes), "--on", "rtl", "--json") == 0
    said = capsys.readouterr()
    assert "found.npz: boxes were rounded to 1/16 pixel for the RTL" in said.err
    assert json.loads(said.out)["rtl"]["exact"] is False


def test_a_box_that_rounding_leaves_without_area_is_named(tmp_path, capsys):
    path = written(tmp_path, boxes=[*BOXES[:3], [0, 0, 0.01, 100], BOXES[4]])
    assert call("nms", path, "--on", "rtl") == 2
    assert "boxes[3] is [0.0, 0.0, 0.01, 100.0]: expected an area above zero" in capsys.readouterr().err


def test_no_boxes_cannot_run_on_the_rtl(tmp_path, capsys):
    path = written(tmp_path, boxes=np.zeros((0, 4)), scores=[], classes=None, image_ids=None)
    assert call("nms", path, "--on", "rtl") == 2
    assert "found.npz: boxes: expected at least one to run on the RTL" in capsys.readouterr().err
