"""`roundel nms`: what is kept, written and drawn, the way of boxes to the RTL and back, and what bad input is told."""

import json
import re
import runpy

import numpy as np
import pytest

from roundel.detection import nms_rtl
from roundel.detection.box_rows import box_rows
from roundel.detection.detections import read_arrays
from roundel.detection.fixed_point import box_format, fixed_point
from roundel.detection.nms_options import NmsOptions
from roundel.detection.nms_pictures import CLASS_COLOURS, OTHERS, palette
from roundel.detection.scenes import KINDS, scenes
from roundel.golden.errors import InputError
from roundel.golden.nms import PRESETS, BoxFormat, Detections, GreedyParams, NmsParams, greedy_nms, preset, psrr_nms
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


def read(path, **options):
    """The rows of a file."""
    return box_rows(path.name, read_arrays(path), NmsOptions(**options))


def image_by_image(path):
    """Rows and boxes of each image of a file, one after the other."""
    with np.load(path) as file:
        arrays = dict(file)
    for image in dict.fromkeys(arrays["image_ids"].tolist()):
        rows = np.flatnonzero(arrays["image_ids"] == image)
        yield rows, Detections(**{name: arrays[name][rows] for name in ("boxes", "scores", "classes")})


@pytest.mark.parametrize("on", ["float", "golden"])
@pytest.mark.parametrize("method", [*PRESETS, "greedy", "exact"])
def test_classes_and_images_do_not_meet(method, on, tmp_path, capsys):
    assert call("nms", written(tmp_path), "--method", method, "--on", on, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == KEPT
    assert found["images"] == [
        {"image_id": 7, "boxes": 4, "kept": [1, 2, 4]},
        {"image_id": 3, "boxes": 1, "kept": [3]},
    ]


@pytest.mark.parametrize("method", PRESETS)
def test_options_reach_the_float_model(method, tmp_path, capsys, seed):
    path = scene_file(tmp_path, seed=seed)
    options = {"semantics": "cascade", "shift": "diagonal", "alpha": 0.6, "stride": 32, "guard": 0.3}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert call("nms", path, "--method", method, *words, "--image", "640x650", "--on", "float", "--json") == 0
    params = preset(method, width=640, height=650, **options)
    wanted = [rows[psrr_nms(detections, params)].tolist() for rows, detections in image_by_image(path)]
    assert [one["kept"] for one in json.loads(capsys.readouterr().out)["images"]] == wanted


@pytest.mark.parametrize("method", [*PRESETS, "greedy", "exact"])
def test_golden_is_the_model_of_the_unit_image_by_image(method, tmp_path, capsys, seed):
    """The unit's own model on codes, each class of each image alone, and what floating point decides otherwise."""
    path = scene_file(tmp_path, kind="crowded", seed=seed)
    greedy = method in ("greedy", "exact")
    options = {"guard": 0.45} if greedy else {"shift": "quad", "alpha": 0.6, "stride": 32, "guard": 0.45}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert call("nms", path, "--method", method, *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    form = BoxFormat(fraction=4, classes=1)
    unit = GreedyParams(format=form, threshold=0.45) if greedy else NmsParams(format=form, method=method, **options)
    integers, floats = [], []
    for rows, detections in image_by_image(path):
        for label in np.unique(detections.labels):
            places = np.flatnonzero(detections.labels == label)
            boxes = Detections(boxes=detections.boxes[places], scores=detections.scores[places])
            codes, ranks = form.encode(boxes)
            integers += rows[places[unit.compute(codes, ranks, np.zeros(len(codes), int)).kept]].tolist()
            kept = greedy_nms(boxes, 0.45) if greedy else psrr_nms(boxes, preset(method, **options))
            floats += rows[places[kept]].tolist()
    assert found["kept"] == sorted(integers)
    assert found["difference"] == {
        "float_only": sorted({*floats} - {*integers}),
        "golden_only": sorted({*integers} - {*floats}),
    }
    with np.load(path) as file:
        moved = np.abs(np.floor(file["boxes"] * 16 + 0.5) / 16 - file["boxes"]).max(axis=1)
    assert found["on"] == "golden"
    assert found["fixed_point"]["fraction"] == 4
    assert found["fixed_point"]["rounded_boxes"] == np.count_nonzero(moved)
    assert found["fixed_point"]["largest_change"] == moved.max()
    used = found["fixed_point"]["thresholds"]["iou" if greedy else "guard"]
    assert used == [{"asked": 0.45, "used": [9, 20]}]


# A box that covers more than half of the first one, but not when its corner is rounded to 1/16 pixel.
APART = [[0, 0, 100, 10], [0, 0, 50.02, 10]]


@pytest.mark.parametrize(("on", "kept"), [("float", [0]), ("golden", [0, 1])])
def test_a_line_says_what_floating_point_decides_otherwise(on, kept, tmp_path, capsys):
    path = written(tmp_path, boxes=APART, scores=[0.9, 0.8], classes=None, image_ids=None)
    assert call("nms", path, "--method", "greedy", "--on", on, "-o", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "float and golden keep different boxes: 1 kept by golden alone (row 1)" in said
    assert "fixed point: coordinates of 14 bits in 1/16 pixel, 1 of 2 boxes rounded, by up to 0.02 pixel" in said
    saved = json.loads((tmp_path / "out" / "kept.json").read_text())
    assert (saved["on"], saved["kept"]) == (on, kept)
    assert saved["difference"] == {"float_only": [], "golden_only": [1]}
    assert saved["fixed_point"]["exact"] is False


def test_no_line_where_floating_point_keeps_the_same(tmp_path, capsys):
    assert call("nms", written(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "different" not in said
    assert "fixed point: coordinates of 10 bits in whole pixels, all exact" in said


def test_floating_point_takes_what_the_hardware_cannot(tmp_path, capsys):
    path = written(tmp_path, boxes=[[0, 0, 0.001, 10], *BOXES[1:]])
    assert call("nms", path, "--on", "float", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["fixed_point"], found["difference"]) == (None, None)
    assert call("nms", path, "--on", "float") == 0
    said = capsys.readouterr().out
    assert "not compared with golden: boxes[0] is [0.0, 0.0, 0.001, 10.0]: expected an area above zero" in said
    assert call("nms", path) == 2
    said = capsys.readouterr().err
    assert "(--drop-bad drops such boxes, --on float takes them)" in said


@pytest.mark.parametrize("on", ["float", "golden"])
def test_dropped_boxes_are_counted(on, tmp_path, capsys):
    """Without them the file keeps what it keeps without such rows."""
    boxes = [*BOXES[:1], [5, 5, 5, 9], *BOXES[1:], [0, 0, 9, 9]]
    change = {"scores": [0.5, 1, 0.6, 0.9, 0.2, 0.7, np.nan], "classes": [1, 1, 0, 1, 1, 0, 0]}
    path = written(tmp_path, boxes=boxes, **change, image_ids=[7, 7, 7, 7, 3, 7, 7])
    assert call("nms", path, "--on", on) == 2
    assert "boxes[1] is [5.0, 5.0, 5.0, 9.0]: expected x1 < x2" in (said := capsys.readouterr().err)
    assert "(--drop-bad drops such boxes)" in said
    assert call("nms", path, "--on", on, "--drop-bad", "--json", "-o", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "found.npz: 2 of 7 boxes dropped: 1 without area, 1 without a score" in said.err
    found = json.loads(said.out)
    assert found["kept"] == [2, 3, 4, 5]
    assert found["dropped"] == {"rows": [1, 6], "reasons": {"without area": 1, "without a score": 1}}
    assert found["images"] == [{"image_id": 7, "boxes": 6, "kept": [2, 3, 5]}, {"image_id": 3, "boxes": 1, "kept": [4]}]


def test_boxes_that_vanish_in_integers_are_dropped(tmp_path, capsys):
    path = written(tmp_path, boxes=[[0, 0, 0.001, 10], *BOXES[1:]])
    assert call("nms", path, "--drop-bad", "--json") == 0
    assert json.loads(capsys.readouterr().out)["dropped"] == {"rows": [0], "reasons": {"without area when rounded": 1}}


@pytest.mark.parametrize("on", ["float", "golden", "rtl"])
def test_a_file_of_which_all_is_dropped(on, tmp_path, capsys):
    path = written(tmp_path, boxes=[[5, 5, 5, 9]] * 5)
    assert call("nms", path, "--on", on, "--drop-bad", "--json", "-o", tmp_path / "out") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["dropped"]["rows"]) == ([], [0, 1, 2, 3, 4])
    assert [image["boxes"] for image in found["images"]] == [4, 1]


@pytest.mark.parametrize("method", ["guarded", "greedy"])
def test_parts_of_the_image_are_not_taken_for_pixels_in_silence(method, tmp_path, capsys):
    """161 boxes of a scene: as parts of the image they keep what they keep in pixels, with the option that is named."""
    path = scene_file(tmp_path, count=1)
    assert call("nms", path, "--method", method, "--json") == 0
    pixels = json.loads(capsys.readouterr().out)["kept"]
    with np.load(path) as file:
        arrays = dict(file)
    parts = written(tmp_path, **arrays | {"boxes": arrays["boxes"] / 640})
    named = "all corners are below 2, in pixels of an image of 640 x 640: if they are parts of the image, from 0 to 1"
    assert call("nms", parts, "--method", method, "--json") == 2  # some vanish in 1/16 pixel
    assert named in capsys.readouterr().err
    assert call("nms", parts, "--method", method, "--on", "float", "--json") == 0
    said = capsys.readouterr()
    kept = json.loads(said.out)["kept"]
    if method == "greedy":  # whatever the unit, the IoU is the same
        assert (kept, said.err) == (pixels, "")
    else:
        assert kept != pixels
        assert f"found.npz: {named}, give --normalized and --image WxH" in said.err
    assert call("nms", parts, "--method", method, "--normalized", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["kept"] == pixels
    assert "below 2" not in said.err


def test_parts_of_an_image_that_is_no_square(tmp_path, capsys):
    path = written(tmp_path, boxes=np.array(BOXES) / [640, 320, 640, 320])
    assert call("nms", path, "--normalized", "--image", "640x320", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["fixed_point"]["exact"]) == (KEPT, True)
    with np.load(written(tmp_path, boxes=np.array(BOXES) / 200)) as file:
        assert file["boxes"].max() > 1
    assert call("nms", path, "--normalized", "--image", "640x320") == 2
    assert "expected corners within the image, 640 x 320" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "threshold"), [((), 0.5), (("--guard", "0.1"), 0.1)])
def test_guard_is_the_threshold_of_greedy(words, threshold, tmp_path, capsys, seed):
    path = scene_file(tmp_path, kind="crowded", seed=seed)
    assert call("nms", path, "--method", "greedy", *words, "--on", "float", "--json") == 0
    wanted = np.sort(np.concatenate([rows[greedy_nms(boxes, threshold)] for rows, boxes in image_by_image(path)]))
    assert json.loads(capsys.readouterr().out)["kept"] == wanted.tolist()


def test_greedy_has_no_borders_unless_given(tmp_path, capsys):
    path = written(tmp_path, boxes=[[-9000, 0, 9000, 100], *BOXES[1:]])
    assert call("nms", path, "--method", "greedy", "--on", "float", "-o", tmp_path / "out") == 0
    assert (tmp_path / "out" / "image_7.png").exists()
    assert "not compared with golden: boxes[0] is" in capsys.readouterr().out
    assert call("nms", path, "--method", "greedy") == 2
    assert "give the size of the images with --image WxH; --on float has no borders" in capsys.readouterr().err
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
        (("--method", "magic"), "'magic' is not one of 'psrr', 'adjacent', 'guarded', 'maxpool', 'greedy', 'exact'"),
        (("--semantics", "both"), "'both' is not one of 'parallel', 'cascade'"),
        (("--shift", "left"), "'left' is not one of 'none', 'diagonal', 'quad'"),
        (("--on", "paper"), "'paper' is not one of 'float', 'golden', 'rtl'"),
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
        (("--method", "exact", "--shift", "quad"), "shift is about pyramids, and exact has none"),
        (("--method", "exact", "--guard", "2"), "guard must be 0 to 1, the IoU threshold of exact, not 2.0"),
        (("--method", "exact", "--max-detections", "0"), "max_detections: expected an integer, 1 to 65536, not 0"),
        (("--max-detections", "9"), "max_detections is for method exact, not guarded"),
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


@pytest.mark.parametrize("on", ["float", "golden", "rtl"])
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


def many_classes(folder, seed):
    """Path of two crowded images whose objects are of 90 classes, each of which has a number of its own."""
    path = scene_file(folder, kind="crowded", seed=seed, grid=0.5)
    with np.load(path) as file:
        arrays = dict(file)
    rng = np.random.default_rng(seed)
    arrays["classes"] = rng.permutation(1000)[:90][rng.integers(0, 90, len(arrays["classes"]))]
    np.savez(path, **arrays)
    return path


def greedy_by_hand(boxes, scores, labels, threshold, most):
    """The rows of an image that GreedyNMS keeps, one after the other, by loops."""
    kept = []
    for row in sorted(range(len(scores)), key=lambda row: (-scores[row], row)):
        x1, y1, x2, y2 = boxes[row]
        for other in (other for other in kept if labels[other] == labels[row]):
            u1, v1, u2, v2 = boxes[other]
            inter = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            if inter > threshold * ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter):
                break
        else:
            kept.append(row)
    return sorted(kept[:most])


@pytest.mark.parametrize("on", ["float", "golden", "rtl"])
def test_exact_takes_all_classes_of_an_image_together(on, tmp_path, capsys, seed):
    """The most boxes kept are those of the image, not of a class; on the RTL an image is sent once."""
    path = many_classes(tmp_path, seed)
    assert (
        call("nms", path, "--method", "exact", "--guard", "0.25", "--max-detections", "60", "--on", on, "--json") == 0
    )
    found = json.loads(capsys.readouterr().out)
    for (rows, image), told in zip(image_by_image(path), found["images"], strict=True):
        wanted = greedy_by_hand(image.boxes.tolist(), image.scores.tolist(), image.labels.tolist(), 0.25, 60)
        assert told["kept"] == rows[wanted].tolist()
        assert len(wanted) == 60
    assert found["difference"] == {"float_only": [], "golden_only": []}
    if on == "rtl":
        assert found["rtl"]["boxes"] == sum(image["boxes"] for image in found["images"])


def test_exact_tells_few_thousand_classes_apart(tmp_path, capsys):
    count = 4097
    path = written(tmp_path, boxes=[BOXES[0]] * count, scores=[1] * count, classes=np.arange(count), image_ids=None)
    assert call("nms", path, "--method", "exact") == 2
    said = capsys.readouterr().err
    assert "4097 classes: expected at most 4096 for exact; greedy and --on float take any number" in said
    assert call("nms", path, "--method", "exact", "--on", "float", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["kept"]) == count


@pytest.mark.parametrize(
    ("corner", "fraction", "exact"), [(20, 0, True), (20.5, 1, True), (20 + 1 / 256, 8, True), (20.1, 4, False)]
)
def test_fraction_is_the_smallest_that_is_exact(corner, fraction, exact):
    boxes = np.array([[0, 0, 10.0, 10.0], [1.0, 2.0, corner, 30.0]])
    found = box_format(boxes, (640, 480))
    assert found.fraction == fraction
    assert (found.width, found.height, found.classes) == (640, 480, 1)
    assert found.exact(Detections(boxes=boxes, scores=np.zeros(2))) == exact


def test_capacity_is_a_power_of_two_that_holds_the_largest_group():
    groups = [np.arange(3), np.arange(65), np.arange(64)]
    assert nms_rtl.capacity("found.npz", groups) == 128
    assert nms_rtl.capacity("found.npz", [np.arange(65536)]) == 65536
    message = "65537 boxes of one class in one image: expected at most 65536 on the RTL; --on golden takes more"
    with pytest.raises(InputError, match=message):
        nms_rtl.capacity("found.npz", [np.arange(65537)])


def test_stimulus_has_every_class_of_an_image_as_an_image(tmp_path):
    boxes = read(written(tmp_path))
    assert boxes.detections.boxes.tolist() == BOXES
    assert boxes.detections.scores.tolist() == SCORES
    assert boxes.detections.labels.tolist() == CLASSES
    groups = boxes.members
    assert [rows.tolist() for rows in groups] == [[1, 4], [0, 2], [3]]
    sent = nms_rtl.images(fixed_point(boxes, NmsOptions()), groups)
    assert [one.boxes.tolist() for one in sent] == [[BOXES[1], BOXES[4]], [BOXES[0], BOXES[2]], [BOXES[3]]]
    assert [one.scores.tolist() for one in sent] == [[2, 3], [1, 4], [0]]  # ranks of 0.6, 0.7, 0.5, 0.9, 0.2
    assert [one.labels.tolist() for one in sent] == [[0, 0], [0, 0], [0]]
    assert all(one.present.all() for one in sent)


@pytest.mark.parametrize("method", PRESETS)
def test_integers_keep_what_the_float_model_keeps(method, tmp_path, seed):
    """On coordinates that both hold exactly; guards of more than 8 bits would differ."""
    path = scene_file(tmp_path, seed=seed, grid=0.25)
    fixed = fixed_point(read(path, method=method), NmsOptions(method=method))
    assert fixed.exact
    wanted = [rows[psrr_nms(detections, preset(method))] for rows, detections in image_by_image(path)]
    assert fixed.kept(lambda share: None).tolist() == np.sort(np.concatenate(wanted)).tolist()


def simulated(unit, params, images, *, seed):
    """In the place of a simulation."""
    return {"kept": np.array([0, 1, 3, 4]), "cycles": np.array(20)}


def test_rows_come_back_from_the_rtl(tmp_path, monkeypatch):
    """Places in the stimulus become rows of the file; the simulation is not part of this test."""
    monkeypatch.setattr(nms_rtl, "run_images", simulated)
    found = nms_rtl.run_rtl(fixed_point(read(written(tmp_path)), NmsOptions()))
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
    path = written(tmp_path, boxes=boxes)
    assert call("nms", path, "--on", "rtl") == 0
    assert "in 1/16 pixel, 5 of 5 boxes rounded, by up to 0.025 pixel" in capsys.readouterr().out
    assert call("nms", path, "--on", "rtl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rtl"]["exact"] is False
    assert found["fixed_point"]["rounded_boxes"] == 5


def test_rows_that_golden_does_not_keep_are_a_mismatch(tmp_path, monkeypatch, capsys):
    """Whatever the bench says: the rows come back through the groups."""
    kept = simulated("nms", None, None, seed=1) | {"kept": np.array([0, 1, 2, 4])}
    monkeypatch.setattr(nms_rtl, "run_images", lambda unit, params, images, *, seed: kept)
    assert call("nms", written(tmp_path), "--on", "rtl") == 1
    assert "the RTL keeps other boxes" in capsys.readouterr().err


def test_a_box_that_rounding_leaves_without_area_is_named(tmp_path, capsys):
    path = written(tmp_path, boxes=[*BOXES[:3], [0, 0, 0.01, 100], BOXES[4]])
    assert call("nms", path, "--on", "rtl") == 2
    assert "boxes[3] is [0.0, 0.0, 0.01, 100.0]: expected an area above zero" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["guarded", "greedy"])
def test_no_boxes_are_as_good_on_the_rtl(method, tmp_path, capsys):
    path = written(tmp_path, boxes=np.zeros((0, 4)), scores=[], classes=None, image_ids=None)
    assert call("nms", path, "--method", method, "--on", "rtl", "--json", "-o", tmp_path / "out") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["rtl"]["cycles"], found["rtl"]["boxes_per_cycle"]) == ([], 0, None)
    assert call("nms", path, "--method", method, "--on", "rtl") == 0
    assert "no boxes: nothing ran on the RTL" in capsys.readouterr().out
