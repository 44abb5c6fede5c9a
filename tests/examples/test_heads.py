"""The detectors of `roundel/data/heads`: each file is recognised, compressed and run to boxes as it is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import roundel
from roundel.compiler import Compiled, compile_network
from roundel.data import DETECTOR, HEADS
from roundel.detection import Detector, HeadForm, read_scenes
from roundel.frontend import examine, prepare, read_onnx
from roundel.golden.cycles import found_by, predict
from roundel.golden.engine import Engine, EngineParams, Opcode
from roundel.golden.nms import iou
from roundel.hw.configs import ENGINE_CONFIGS
from roundel.recognition import Recognised, recognise, split_model
from roundel.sim.engine_run import Row, simulate
from tests.support.outside import need

PRODUCT = {"score": "product", "box": "centre"}
FORMS = {
    "yolov5": HeadForm(**PRODUCT, centre="sigmoid", sigmoid=(2.0, -0.5), side="square_sigmoid"),
    "yolov8": HeadForm(box="dfl"),
    "yolox": HeadForm(**PRODUCT, side="exp"),
    "ssd": HeadForm(score="softmax", background=0, box="centre", side="exp", every_class=True, iou=0.45),
    "one_to_one": HeadForm(box="dfl", every_class=True, max_detections=50),
}
PRIORS = {"yolov5": 3, "ssd": 3}
SCORE_BITS = 12  # what products and softmaxes take
TINY = ENGINE_CONFIGS["tiny_heads"]
NMS = TINY["nms"] | {"format": TINY["nms"]["format"] | {"score_width": SCORE_BITS}}
ENGINE = EngineParams(**TINY | {"nms": NMS})
FOUND = dict.fromkeys(FORMS, 0.7)  # least share of the objects in the scenes that are run
SCENES, LEAST, NEAR = 3, 0.25, 1e-4  # scenes that are run, least probability of a box, and pixels between two corners


def files() -> list[Path]:
    return sorted(HEADS.glob("*.onnx"))


def test_there_are_five_small_files() -> None:
    assert {file.stem for file in files()} == set(FORMS)
    for file in files():
        assert 100_000 < file.stat().st_size < 400_000
        assert b"/tmp" not in file.read_bytes()


@pytest.fixture(scope="module", params=sorted(FORMS))
def recognised(request: pytest.FixtureRequest) -> tuple[str, Recognised]:
    found = recognise(examine(prepare(str(HEADS / f"{request.param}.onnx"))))
    assert isinstance(found, Recognised)
    return request.param, found


def images(count: int) -> np.ndarray:
    return read_scenes(DETECTOR / "heldout.npz", (1, 96, 96)).images[:count].astype(np.float32)


def test_the_head_is_the_one_that_was_trained(recognised: tuple[str, Recognised]) -> None:
    name, found = recognised
    detector, form = found.detector, FORMS[name]
    assert replace(detector.form, iou=form.iou) == form
    assert detector.form.iou == pytest.approx(form.iou)
    assert [scale.stride for scale in detector.scales] == [8, 16]
    assert {scale.prior_count for scale in detector.scales} == {PRIORS.get(name, 1)}
    assert len(detector.classes) == 10
    assert detector.suppresses == (name != "one_to_one")


def own_boxes(name: str, image: np.ndarray) -> np.ndarray:
    """What onnxruntime gives for the file itself: rows of corners, probability, class."""
    session = need("onnxruntime").InferenceSession(str(HEADS / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    results = session.run(None, {"image": image[None]})
    if name == "ssd":
        boxes, scores, labels = results
        return np.column_stack([boxes, scores, labels])
    rows = results[0][0]
    if name == "one_to_one":
        return rows
    rows = rows.T if name == "yolov8" else rows
    centres, sides = rows[:, :2], rows[:, 2:4]
    chances = rows[:, 4:] if name == "yolov8" else rows[:, 4:5] * rows[:, 5:]
    corners = np.hstack([centres - sides / 2, centres + sides / 2])
    return np.column_stack([corners, chances.max(axis=1), chances.argmax(axis=1)])


def test_boxes_of_the_split_network_are_those_of_the_file(recognised: tuple[str, Recognised]) -> None:
    """Boxes above the threshold, before a suppression of ours and behind one of the file's."""
    name, found = recognised
    detector, graph = found.detector, read_onnx(split_model(found))
    low = replace(detector, threshold=np.log(LEAST / (1 - LEAST)) if detector.form.score == "logit" else LEAST)
    total = 0
    for image in images(SCENES):
        [boxes] = low.detections(graph.outputs(image[None]))
        kept = low.kept(boxes) if name in ("ssd", "one_to_one") else np.arange(len(boxes))
        rows = own_boxes(name, image)
        rows = rows[rows[:, 4] >= LEAST]
        rows[:, :4] = rows[:, :4].clip(0, 96)
        assert len(kept) == len(rows)
        for box, label in zip(boxes.boxes[kept], boxes.labels[kept], strict=True):
            apart = np.abs(rows[rows[:, 5] == label, :4] - box).max(axis=1)
            assert apart.min() < NEAR
        total += len(kept)
    assert total >= SCENES


@pytest.fixture(scope="module", params=sorted(FORMS))
def compressed(request: pytest.FixtureRequest) -> tuple[str, roundel.CompressedNetwork]:
    """Without a head's file."""
    calibration = read_scenes(DETECTOR / "calibration.npz", (1, 96, 96)).images[:8]
    return request.param, roundel.compress(str(HEADS / f"{request.param}.onnx"), calibration, per_channel=True)


def test_a_file_runs_to_boxes(compressed: tuple[str, roundel.CompressedNetwork], tmp_path: Path) -> None:
    """`run` without a head's file: boxes of the integers, and most objects found."""
    name, small = compressed
    assert isinstance(small.head, Detector)
    small.save(tmp_path / "small")
    held_out = read_scenes(DETECTOR / "heldout.npz", (1, 96, 96))
    run = roundel.run(tmp_path / "small", held_out.images[:SCENES])
    assert run.boxes is not None
    found = objects = 0
    for image, there in enumerate(held_out.objects[:SCENES]):
        here = run.boxes["image_ids"] == image
        objects += len(there.boxes)
        for box, label in zip(there.boxes, there.classes, strict=True):
            own = run.boxes["boxes"][here & (run.boxes["classes"] == label)]
            found += bool(len(own)) and bool(iou(own, box).max() >= 0.5)
    assert found >= FOUND[name] * objects


def test_boxes_of_a_file_on_rtl_are_golden(compressed: tuple[str, roundel.CompressedNetwork], seed: int) -> None:
    """From a scene to boxes, on one engine that has all heads and places: every byte that it writes."""
    _, small = compressed
    program = roundel.compile(small, "tiny")
    image = program.source.network.encode(images(1))[0]
    heads = [replace(head, params=replace(head.params, score_width=SCORE_BITS)) for head in program.compiled.heads]
    compiled = compile_network(program.source.network, image.shape, ENGINE, heads=heads)
    regions = compiled.regions(image)
    run = simulate(ENGINE, regions, seed=seed)
    golden = Engine(params=ENGINE, regions=regions)
    golden.run()
    assert run.registers["status"] == golden.status
    assert run.registers["boxes"] == golden.boxes > 0
    for region, content in regions.items():
        assert np.array_equal(run.regions[region], content), region.name
    assert_cycles_of_boxes(compiled, golden, run.rows)


def assert_cycles_of_boxes(compiled: Compiled, golden: Engine, ran: Sequence[Row]) -> None:
    """The cycle model, told what golden found, knows how long the box unit took."""
    rows, _ = predict(compiled.params, np.frombuffer(compiled.image, np.uint8), found=found_by(golden))
    modelled = {row.index: row.end - row.start for row in rows if row.opcode is Opcode.BOXES}
    measured = {row.index: row.end - row.start for row in ran if row.index in modelled}
    assert len(measured) == 2
    for index, cycles in measured.items():
        assert abs(modelled[index] - cycles) <= max(3, 0.01 * cycles)
