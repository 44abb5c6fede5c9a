"""`roundel.detection.detector`: its file, the box decoder that formats ask for, and boxes in float against integers."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from roundel.detection import Detector, HeadForm, Scale, load
from roundel.detection import written as text_of
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.nms import BoxFormat, ExactParams, NmsParams, TopKParams

NMS = NmsParams(format=BoxFormat(width=64, height=40, fraction=3, score_width=10, classes=3), areas=(64, 256), stride=4)
DETECTOR = Detector(
    classes=("a", "b", "c"),
    threshold=-1.3,
    scales=(Scale(cls="c8", box="b8", stride=8, unit=3), Scale(cls="c16", box="b16", stride=16, unit=4)),
    nms=NMS,
)
SIGNED, UNSIGNED = Format(width=8, signed=True, fraction=5), Format(width=8, signed=False, fraction=5)
FORMATS = {"c8": SIGNED, "b8": UNSIGNED, "c16": replace(SIGNED, fraction=4), "b16": replace(UNSIGNED, fraction=6)}

FILE = """
classes = ["a", "b", "c"]
threshold = -1.3
scales = [{cls = "c8", box = "b8", stride = 8, unit = 3}, {cls = "c16", box = "b16", stride = 16, unit = 4}]
[nms]
areas = [64, 256]
stride = 4
[nms.format]
width = 64
height = 40
fraction = 3
score_width = 10
classes = 3
"""


def network(formats: dict[str, Format]) -> SimpleNamespace:
    """As much of an integer network as `heads` looks at."""
    layers = [SimpleNamespace(name=name, output=form) for name, form in formats.items()]
    return SimpleNamespace(layers=layers, output_names=tuple(formats))


def written(folder: Path, text: str) -> Path:
    path = folder / "detector.toml"
    path.write_text(text)
    return path


def test_file(tmp_path: Path) -> None:
    path = written(tmp_path, FILE)
    assert load(path) == replace(DETECTOR, file=str(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threshold = -1.3", "threshold = ", "not a valid TOML file"),
        ("threshold = -1.3", "", "threshold: is missing"),
        ("threshold = -1.3", "threshold = -1.3\nmost = 3", "most: is unknown"),
        ("threshold = -1.3", "threshold = -1.3\nlimit = 0", "form: limit must be 1 to 65536, not 0"),
        ("threshold = -1.3", "threshold = -1.3\nscore = 'softmax'", "detector: threshold must be 0 to 1"),
        ("threshold = -1.3", "threshold = 0.3\nscore = 'softmax'\nbackground = 2", "background must be 0 or 3, not 2"),
        ("threshold = -1.3", "threshold = 0.3\nscore = 'product'", "objectness must name an output"),
        ("threshold = -1.3", "threshold = '1'", "threshold: expected a number, not '1'"),
        ("threshold = -1.3", "threshold = true", "threshold must be a number, not True"),
        ("threshold = -1.3", "threshold = nan", "threshold must be within"),
        ('["a", "b", "c"]', '"abc"', "classes: expected a list, not 'abc'"),
        ('["a", "b", "c"]', "[]", "classes must be 1 to 256 names"),
        ('["a", "b", "c"]', "[1, 2, 3]", "classes must be names, not 1"),
        ("stride = 16", "stride = 0", "scales: stride must be 1 to 4096, not 0"),
        ("stride = 16", "stride = 1e-320", "scales: stride must be 0.0625 to 4096, not 1e-320"),
        ("stride = 16", "stride = true", "scales: stride must be a number, not True"),
        (", unit = 4", ", units = 4", "scales: .*units"),
        ("unit = 4", "unit = 40", "scales: unit must be -8 to 12, not 40"),
        ('cls = "c16"', "cls = 16", "scales: cls must be the name of an output, not 16"),
        ('cls = "c16"', 'cls = "c8"', "outputs must be named once each"),
        ("scales = [", "scales = []\nscale = [", "scale: is unknown"),
        ("areas = [64, 256]", "areas = [256, 64]", "nms: areas"),
        ("areas = [64, 256]", "area = [64, 256]", "nms: .*area"),
        ("width = 64", "width = 0", "nms: width must be 1 to 4096, not 0"),
        ("classes = 3", "classes = 2", "nms.format.classes must be at least 3, not 2"),
        ("classes = 3", "form = 'centre'", "nms.format.form must be corners, not centre"),
    ],
)
def test_refuses_a_bad_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert FILE.count(old) == 1
    with pytest.raises(InputError, match=message) as error:
        load(written(tmp_path, FILE.replace(old, new)))
    assert str(error.value).startswith(str(tmp_path / "detector.toml"))
    assert "\n" not in str(error.value)


def test_refuses_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a readable text file"):
        load(tmp_path / "no.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a readable text file"):
        load(tmp_path / "binary.toml")


def test_heads_follow_from_formats() -> None:
    """Worked out by hand: -1.3 is -41.6 / 32 and -20.8 / 16; 2^-5 of 8 pixels are two eighths, 2^-6 of 16 too."""
    fine, coarse = DETECTOR.heads(network(FORMATS))
    assert (fine.rows, fine.columns, fine.stride, fine.threshold) == (5, 8, 8, -41)
    assert (coarse.rows, coarse.columns, coarse.stride, coarse.threshold) == (3, 4, 16, -20)
    assert (fine.shift, coarse.shift) == (1, 1)
    assert (fine.score_shift, coarse.score_shift) == (0, 1)
    assert (fine.classes, fine.width, fine.height, fine.fraction, fine.score_width) == (3, 64, 40, 3, 10)
    assert (fine.cls_signed, fine.box_signed) == (True, False)


def test_heads_by_layers_of_other_names() -> None:
    layers = {name: f"{name}_conv" for name in FORMATS}
    renamed = network({layers[name]: form for name, form in FORMATS.items()})
    assert DETECTOR.heads(renamed, layers) == DETECTOR.heads(network(FORMATS))


def test_a_threshold_below_all_logits_lets_all_through() -> None:
    low = replace(DETECTOR, threshold=-100)
    assert [head.threshold for head in low.heads(network(FORMATS))] == [-128, -128]


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ({"c16": None}, "output c16: the network has only c8, b8, b16"),
        ({"c16": replace(SIGNED, signed=False)}, "logits: expected all scales to be signed, or none"),
        ({"c16": replace(SIGNED, fraction=8)}, "outputs c8 and b8: score_width must be at least 11"),
        ({"b8": replace(UNSIGNED, zero=3)}, "output b8: expected a power of two"),
        ({"b8": replace(UNSIGNED, fraction=40)}, "outputs c8 and b8: shift must be -15 to 12, not -34"),
    ],
)
def test_refuses_formats(formats: dict[str, Format | None], message: str) -> None:
    found = {name: form for name, form in (FORMATS | formats).items() if form}
    with pytest.raises(InputError, match=message):
        DETECTOR.heads(network(found))


EXACT = ExactParams(format=DETECTOR.nms.format)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scales": (replace(DETECTOR.scales[0], stride=12),), "form": HeadForm(box="dfl")},
            "stride of distributions must be a power of two, not 12",
        ),
        (
            {
                "form": HeadForm(peaks=True, score="product"),
                "threshold": 0.5,
                "scales": tuple(replace(scale, objectness=f"o{scale.cls}") for scale in DETECTOR.scales),
            },
            "peaks must be those of logits, not of the score product",
        ),
        ({"form": HeadForm(peaks=True)}, "peaks need every_class where there are several"),
        ({"form": HeadForm(limit=7)}, "limit needs the method exact of nms, not "),
        ({"form": HeadForm(max_detections=7)}, "max_detections needs the method exact of nms, not "),
        ({"form": HeadForm(limit=7), "nms": EXACT}, "nms.capacity is 1024, but the head needs 7"),
        ({"form": HeadForm(agnostic=True), "nms": EXACT}, "nms.class_agnostic is False, but the head needs True"),
        ({"form": HeadForm(iou=0.6), "nms": EXACT}, "nms.threshold is 0.5, but the head needs 0.6"),
        ({"nms": TopKParams(format=DETECTOR.nms.format)}, "method of nms is none, but boxes suppress each other"),
    ],
)
def test_refuses_what_the_box_unit_cannot_decode(change: dict, message: str) -> None:
    other = replace(DETECTOR, **change)
    assert DETECTOR.in_box_unit
    assert not other.in_box_unit
    with pytest.raises(InputError, match=f"detector: the box unit cannot decode it: {message}"):
        other.heads(network(FORMATS))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"suppresses": False, "form": HeadForm(limit=7, max_detections=3, agnostic=True)},
        {"classes": ('a "b"', "c\\d", "\n\x7f")},
        {
            "threshold": 0.25,
            "form": HeadForm(score="product", root=True, box="centre", centre="sigmoid", sigmoid=(2, -0.5), side="exp"),
            "scales": (
                Scale(cls="c", box="b", objectness="o", stride=300 / 38, priors=((3.1, 4),), rows=3, columns=2),
            ),
        },
        {"nms": replace(NMS, passes=NMS.pyramid.passes)},
    ],
)
def test_a_file_that_is_written_reads_back(tmp_path: Path, change: dict) -> None:
    made = replace(DETECTOR, **change)
    assert load(written(tmp_path, text_of(made, ["a comment"]))) == made


def test_refuses_a_threshold_that_no_logit_reaches() -> None:
    with pytest.raises(InputError, match=r"threshold 5: the greatest logit is 3\.96875"):
        replace(DETECTOR, threshold=5).heads(network(FORMATS))


def drawn(rng: np.random.Generator, batch: int) -> dict[str, np.ndarray]:
    """Random integers of `FORMATS`, as an integer network gives them."""
    found = {}
    for scale in DETECTOR.scales:
        for name, depth in ((scale.cls, 3), (scale.box, 4)):
            low, high = FORMATS[name].limits
            found[name] = rng.integers(low, high + 1, (batch, *DETECTOR.grid(scale), depth))
    return found


def test_integers_of_another_grid_are_refused() -> None:
    """As of a file whose stride is not the network's."""
    integers = drawn(np.random.default_rng(1), 2)
    integers["b16"] = integers["b16"][:, :2]
    with pytest.raises(InputError, match=r"output b16: expected \(4, 3, 4\) for each image, not \(4, 2, 4\)"):
        DETECTOR.integer(DETECTOR.heads(network(FORMATS)), integers)


def test_float_and_integer_boxes_are_the_same(seed: int) -> None:
    """No distance is rounded here, so that boxes and the order of scores are exactly those of the real numbers."""
    detector, integers = replace(DETECTOR, threshold=2.03), drawn(np.random.default_rng(seed), 20)
    reals = {name: FORMATS[name].decode(values).transpose(0, 3, 1, 2) for name, values in integers.items()}
    found = detector.integer(detector.heads(network(FORMATS)), integers)
    expected = detector.detections(reals)
    for one, other in zip(found, expected, strict=True):
        pixels = detector.pixels(one)
        assert 0 < len(pixels) < 5 * 8 + 3 * 4
        np.testing.assert_array_equal(pixels.boxes, other.boxes)
        np.testing.assert_array_equal(pixels.labels, other.labels)
        np.testing.assert_array_equal((pixels.scores - 512) / 32, other.scores)


def test_rounded_distances_move_a_corner_by_half_a_unit_at_most(seed: int) -> None:
    coarse = replace(DETECTOR, nms=replace(NMS, format=replace(NMS.format, fraction=0)))
    integers = drawn(np.random.default_rng(seed), 20)
    integers = {name: values if name.startswith("c") else values | 8 for name, values in integers.items()}
    reals = {name: FORMATS[name].decode(values).transpose(0, 3, 1, 2) for name, values in integers.items()}
    found = coarse.integer(coarse.heads(network(FORMATS)), integers)
    moved = [
        np.abs(coarse.pixels(one).boxes - other.boxes)
        for one, other in zip(found, coarse.detections(reals), strict=True)
    ]
    assert 0 < max(part.max() for part in moved) <= 0.5


def test_refuses_tensors() -> None:
    reals = {name: values.transpose(0, 3, 1, 2) for name, values in drawn(np.random.default_rng(1), 2).items()}
    with pytest.raises(InputError, match=r"output b8: expected \(4, 5, 8\) for each image, not \(4, 8, 5\)"):
        DETECTOR.detections(reals | {"b8": reals["b8"].transpose(0, 1, 3, 2)})
    with pytest.raises(InputError, match=r"output c16: expected \(3, 3, 4\) for each image, not none"):
        DETECTOR.detections({name: values for name, values in reals.items() if name != "c16"})
