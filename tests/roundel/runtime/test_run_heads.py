"""Peaks, limits, boxes of several classes and heads without suppression: float, integers and the compiled program."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roundel
from roundel.detection import Detector, HeadForm, Scale, load, written
from roundel.golden.engine import RECORD, Engine
from roundel.golden.nms import BoxFormat, ExactParams, NmsParams, TopKParams
from tests.support import head_models as models
from tests.support.command import call

CLASSES = ("a", "b", "c")
FORM = BoxFormat(width=96, height=64, fraction=8, score_width=12, classes=3)
NAMES = ("cls8", "box8", "cls16", "box16")
HEADS = {
    "plain": (HeadForm(), True),
    "peaks": (HeadForm(peaks=True, every_class=True), True),
    "peaks, limited": (HeadForm(peaks=True, every_class=True, limit=30, max_detections=20), True),
    "limit": (HeadForm(limit=9), True),
    "max_detections": (HeadForm(every_class=True, max_detections=5, iou=0.3), True),
    "both": (HeadForm(every_class=True, limit=17, max_detections=6, iou=0.6), True),
    "agnostic": (HeadForm(every_class=True, agnostic=True, limit=200, iou=0.4), True),
    "none": (HeadForm(every_class=True), False),
    "none, limited": (HeadForm(every_class=True, limit=40, max_detections=25), False),
}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).normal(0, 1, (3, 3, 64, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def small(images: np.ndarray) -> roundel.CompressedNetwork:
    """Head convolutions alone, at two strides; distances are rectified by the network."""
    t = models.Tail()
    names = []
    for stride in (8, 16):
        names += [t.head(stride, len(CLASSES)), t("Relu", t.head(stride, 4))]
    model = t.model(*names)
    for old, new in zip(names, NAMES, strict=True):
        for node in model.graph.node:
            node.output[:] = [new if name == old else name for name in node.output]
        for item in model.graph.output:
            item.name = new if item.name == old else item.name
    return roundel.compress(model, images)


def detector(form: HeadForm, suppresses: bool, **more: Any) -> Detector:
    """A detector whose boxes the unit has exactly: whole units of 1/256 pixel."""
    scales = (Scale(cls="cls8", box="box8", stride=8, unit=3), Scale(cls="cls16", box="box16", stride=16, unit=3))
    nms = ExactParams(format=FORM) if suppresses else NmsParams(format=FORM)
    given = {"classes": CLASSES, "threshold": -0.5, "scales": scales, "nms": nms} | more
    return Detector(form=form, suppresses=suppresses, **given)


def fitted(made: Detector, small: roundel.CompressedNetwork) -> Detector:
    """The detector with the unit that follows from it, GreedyNMS where boxes suppress each other."""
    if made.suppresses and made.form.limit is made.form.max_detections is None:
        return replace(made, nms=replace(made.nms, capacity=512, threshold=made.form.iou))
    own = made.fitted(small.network, small.results, None)
    return replace(own, nms=replace(own.nms, format=FORM))


@pytest.mark.parametrize("name", HEADS)
def test_float_integers_and_program_keep_the_same_boxes(
    small: roundel.CompressedNetwork, images: np.ndarray, tmp_path: Path, name: str
) -> None:
    made = fitted(detector(*HEADS[name]), small)
    assert made.why_not_in_box_unit == ""
    assert isinstance(made.nms, ExactParams if made.suppresses else TopKParams)
    run = roundel.run(small, images, head=made)
    outputs = {name: run.real[name] for name in NAMES}
    for number, found in enumerate(made.detections(outputs)):
        kept = made.kept(found)
        own = run.boxes["image_ids"] == number
        assert own.sum() == len(kept) > 2
        np.testing.assert_array_equal(run.boxes["boxes"][own], found.boxes[kept])
        np.testing.assert_array_equal(run.boxes["classes"][own], found.labels[kept])
        np.testing.assert_allclose(run.boxes["probabilities"][own], 1 / (1 + np.exp(-found.scores[kept])), rtol=1e-12)
    program = roundel.compile(small, "small", head=made)
    program.save(tmp_path / "program")
    again = roundel.EngineProgram.load(tmp_path / "program")
    assert again.params == program.params
    assert again.detector == made
    records = [engine_records(again, image) for image in images]
    np.testing.assert_array_equal(np.concatenate(records)[:, :4] / 256, run.boxes["boxes"])
    np.testing.assert_array_equal(np.concatenate(records)[:, 4], run.boxes["scores"])
    np.testing.assert_array_equal(np.concatenate(records)[:, 5], run.boxes["classes"])
    assert [len(rows) for rows in records] == run.figures["boxes"]


def engine_records(program: roundel.EngineProgram, image: np.ndarray) -> np.ndarray:
    """What the program leaves on the golden engine, (boxes, fields of a record)."""
    compiled = program.compiled
    regions = compiled.regions(program.source.network.encode(image[None])[0])
    Engine(params=compiled.params, regions=regions).run()
    rows = [tuple(record.values()) for record in RECORD.unpack(compiled.records(regions))]
    return np.array(rows, np.int64).reshape(-1, len(RECORD.names))


def test_each_choice_keeps_other_boxes(small: roundel.CompressedNetwork, images: np.ndarray) -> None:
    """None of the heads above is another one in disguise."""
    kept = {}
    for name, choice in HEADS.items():
        run = roundel.run(small, images, head=fitted(detector(*choice), small))
        kept[name] = run.boxes["boxes"].tolist(), run.boxes["image_ids"].tolist()
    for name, found in kept.items():
        assert [other for other in kept if kept[other] == found] == [name]


def test_a_file_says_what_its_suppression_is(small: roundel.CompressedNetwork, tmp_path: Path) -> None:
    for choice in HEADS.values():
        made = fitted(detector(*choice), small)
        (tmp_path / "head.toml").write_text(written(made))
        assert load(tmp_path / "head.toml") == made
        assert load(tmp_path / "head.toml", (96, 64)) == made


def test_a_file_without_nms_gets_the_images_of_the_network(
    small: roundel.CompressedNetwork, images: np.ndarray, tmp_path: Path
) -> None:
    text = written(detector(HeadForm(max_detections=7), True)).partition("[nms]")[0]
    (tmp_path / "head.toml").write_text(text)
    run = roundel.run(small, images, head=tmp_path / "head.toml")
    assert run.figures["boxes"] == [7, 7, 7]
    program = roundel.compile(small, head=tmp_path / "head.toml")
    nms = program.params.nms
    assert isinstance(nms, ExactParams)
    assert (nms.format.width, nms.format.height, nms.format.classes) == (96, 64, 3)
    assert (nms.max_detections, nms.candidates) == (7, 8 * 12 + 4 * 6)
    with pytest.raises(roundel.InputError, match=r"head.toml: nms: format.width is missing"):
        load(tmp_path / "head.toml")
    (tmp_path / "head.toml").write_text(f"{text}\n[nms.format]\nwidth = 640\n")
    with pytest.raises(roundel.InputError, match=r"head.toml: nms: format.width is 640, but the network's images have"):
        roundel.run(small, images, head=tmp_path / "head.toml")


def test_a_head_of_other_images_is_refused(small: roundel.CompressedNetwork, images: np.ndarray) -> None:
    other = detector(HeadForm(), True, nms=ExactParams(format=replace(FORM, width=128)))
    for use in (lambda: roundel.run(small, images, head=other), lambda: roundel.compile(small, head=other)):
        with pytest.raises(roundel.InputError, match="is for images of 128 x 64, but the network's have 96 x 64"):
            use()


def test_boxes_without_a_place_are_told(small: roundel.CompressedNetwork, images: np.ndarray) -> None:
    """A pyramid of a few places drops boxes, which a run says; one that keeps the best has no such limit."""
    few = detector(HeadForm(), True, nms=NmsParams(format=FORM, capacity=4))
    counts = [len(found) for found in few.detections({n: roundel.run(small, images).real[n] for n in NAMES})]
    assert min(counts) > 4
    [line] = roundel.run(small, images, head=few).warnings
    assert (
        f"image 0: {counts[0]} boxes reach the threshold, and 4 of them take part, as in 3 of 3 images: raise" in line
    )
    assert (
        roundel.run(small, images, head=replace(few, nms=NmsParams(format=FORM, capacity=max(counts)))).warnings == []
    )
    best = replace(few, nms=ExactParams(format=FORM, capacity=4, candidates=200))
    assert roundel.run(small, images, head=best).warnings == []
    assert len(roundel.run(small, images, head=replace(best, nms=replace(best.nms, candidates=5))).warnings) == 1


CENTRES = HeadForm(box="centre", side="exp", score="product")


def with_priors(*priors: tuple[float, float]) -> Detector:
    """A head whose file is fine but for what a test puts into it."""
    scale = Scale(cls="cls8", box="box8", objectness="o8", stride=8, priors=priors)
    return Detector(classes=CLASSES, threshold=0.5, scales=(scale,), nms=ExactParams(format=FORM), form=CENTRES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("priors = [[3.0, 4.0]]", f"priors = {[[3.0, 4.0]] * 10}", "scales: priors must be a list of at most 9, not"),
        ("priors = [[3.0, 4.0]]", "priors = [[nan, 4.0]]", "scales: priors must be finite, not nan"),
        ("priors = [[3.0, 4.0]]", "priors = [[0.0, 4.0]]", "detector: priors must have sides above 0, not [0.0, 4.0]"),
        ('["a", "b", "c"]', str([str(n) for n in range(257)]), "detector: classes must be 1 to 256 names, not 257"),
        ('["a", "b", "c"]', "[]", "detector: classes must be 1 to 256 names, not 0"),
        ("threshold = 0.5\nscore", "threshold = nan\nscore", "detector: threshold must be within +-1e6, not nan"),
        ("capacity = 1024", "capacity = 70000", "nms: capacity must be 1 to 65536, not 70000"),
        ("capacity = 1024", "capacity = 6\nmax_detections = 7", "nms: max_detections must be 1 to 6, not 7"),
        ("capacity = 1024", "capacity = 6\ncandidates = 5", "nms: candidates must be 6 to 16777216, not 5"),
        ("capacity = 1024", "windows = 6", "nms: windows is no parameter of method 'exact'"),
        (
            'method = "exact"',
            'method = "best"',
            "nms: method must be one of maxpool, psrr, adjacent, guarded, exact,",
        ),
        ("[nms]", "nms = 5\n[other]", "other: is unknown"),
        ("stride = 8", "stride = inf", "scales: stride must be finite, not inf"),
        ("width = 96", "width = 9600", "nms: format.width is 9600, but the network's images have 96"),
    ],
)
def test_bad_heads_are_one_line(
    small: roundel.CompressedNetwork,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    message: str,
) -> None:
    text = written(with_priors((3.0, 4.0)))
    assert text.count(old) == 1
    small.save(tmp_path / "small")
    (tmp_path / "head.toml").write_text(text.replace(old, new))
    arguments = ("compile", tmp_path / "small", "--head", tmp_path / "head.toml", "-o", tmp_path / "out")
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert f"head.toml: {message}" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_engine_of_another_head_is_refused(
    small: roundel.CompressedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine of a program, the folder or the file, runs the same head and no other."""
    small.save(tmp_path / "small")
    for name, form in (("limit", HeadForm(limit=9)), ("other", HeadForm(limit=10))):
        (tmp_path / f"{name}.toml").write_text(written(fitted(detector(form, True), small)))
    head = ("--head", tmp_path / "limit.toml")
    assert call("compile", tmp_path / "small", *head, "-o", tmp_path / "program") == 0
    capsys.readouterr()
    engine = ("--engine", tmp_path / "program" / "engine.toml")
    assert call("compile", tmp_path / "small", *head, *engine, "-o", tmp_path / "again") == 0
    for name in ("program.bin", "engine.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "program" / name).read_bytes()
    capsys.readouterr()
    other = ("--head", tmp_path / "other.toml")
    assert call("compile", tmp_path / "small", *other, "--engine", tmp_path / "program", "-o", tmp_path / "third") == 2
    said = capsys.readouterr().err
    assert "nms.capacity is 9, but" in said
    assert "needs 10: compile the network without --engine" in said
    assert said.count("\n") == 1
    (tmp_path / "program" / "engine.toml").write_text("lanes = 8\nmemory = [")
    assert call("compile", tmp_path / "small", *engine, "-o", tmp_path / "third") == 2
    assert "but it is not TOML" in capsys.readouterr().err
    both = (*head, "--no-head")
    assert call("compile", tmp_path / "small", *both, "-o", tmp_path / "third") == 2
    assert "expected either --head or --no-head" in capsys.readouterr().err


def test_the_networks_own_head_ends_the_program(
    small: roundel.CompressedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = replace(small, head=fitted(detector(HeadForm(limit=9), True), small))
    own.save(tmp_path / "small")
    assert call("compile", tmp_path / "small", "-o", tmp_path / "boxes") == 0
    assert "ends in boxes: nms of method exact, capacity 9 (engine.toml)" in capsys.readouterr().out.replace("\n", " ")
    assert roundel.EngineProgram.load(tmp_path / "boxes").detector == own.head
    assert call("compile", tmp_path / "small", "--no-head", "-o", tmp_path / "results") == 0
    assert "boxes" not in capsys.readouterr().out
    assert roundel.EngineProgram.load(tmp_path / "results").detector is None
    high = replace(own, head=replace(own.head, threshold=500.0))
    program = roundel.compile(high)
    assert program.detector is None
    assert "ends in the network's results, not in boxes: " in " ".join(program.lines())
