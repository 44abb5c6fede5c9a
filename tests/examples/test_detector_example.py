"""The detector of `examples/detector`: how good it is in float and in integers, and what its files are."""

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roundel.data import DETECTOR
from roundel.detection import Detector, Scenes, evaluate, load, read_scenes
from roundel.frontend import read_onnx
from roundel.golden.head import Boxes
from roundel.golden.network import Network, outputs
from roundel.golden.nms import Detections, GreedyParams, NmsParams, greedy_nms
from roundel.golden.nms.detections import areas, intersections
from roundel.graph import Graph
from roundel.quantization import quantize
from tests.support.outside import need
from tests.support.places import EXAMPLES

MODELS = ("detector.onnx", "detector_sparse.onnx")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load(DETECTOR / "detector.toml")


@pytest.fixture(scope="module", params=MODELS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return read_onnx(DETECTOR / request.param)


@pytest.fixture(scope="module")
def held_out() -> Scenes:
    return read_scenes(DETECTOR / "heldout.npz", (1, 96, 96))


@pytest.fixture(scope="module")
def float_ap50(detector: Detector, held_out: Scenes) -> float:
    """Of the dense float network with the better GreedyNMS."""
    found = detector.detections(read_onnx(DETECTOR / MODELS[0]).outputs(held_out.images))
    return max(evaluate(held_out.objects, found, partial(greedy_nms, threshold=t))[0] for t in (0.4, 0.5))


@pytest.fixture(scope="module")
def network(graph: Graph) -> Network:
    calibration = read_scenes(DETECTOR / "calibration.npz", graph.shape)
    return quantize(graph, calibration.images).network


@pytest.fixture(scope="module")
def integer_boxes(detector: Detector, network: Network, held_out: Scenes) -> list[Boxes]:
    return detector.integer(detector.heads(network), outputs(network, network.encode(held_out.images)))


def test_float_ap50_is_at_least_90(held_out: Scenes, float_ap50: float) -> None:
    assert len(held_out.images) >= 200
    assert float_ap50 >= 0.90


@pytest.mark.parametrize("name", ["greedy", "psrr"])
def test_integers_are_within_two_points_of_the_dense_float_network(
    detector: Detector, integer_boxes: list[Boxes], held_out: Scenes, float_ap50: float, name: str
) -> None:
    nms = detector.nms if name == "psrr" else GreedyParams(format=detector.nms.format)
    verdicts = [nms.compute(*one) for one in integer_boxes]
    assert not any(verdict.overflow or len(verdict.malformed) for verdict in verdicts)
    kept = iter(verdict.kept for verdict in verdicts)

    def suppress(_: Detections) -> Any:
        return next(kept)

    found = evaluate(held_out.objects, [detector.pixels(one) for one in integer_boxes], suppress)
    assert found[0] >= float_ap50 - 0.02


def test_the_nms_is_parallel_and_for_these_scenes(detector: Detector) -> None:
    nms = detector.nms
    assert isinstance(nms, NmsParams)
    assert (nms.format.width, nms.format.height, nms.format.classes) == (96, 96, len(detector.classes))
    assert nms.pyramid.semantics.value == "parallel"
    assert nms.class_key
    assert sum(np.prod(detector.grid(scale)) for scale in detector.scales) <= nms.capacity


def test_files_are_small() -> None:
    assert (DETECTOR / "detector.onnx").stat().st_size < 300_000
    assert sum(path.stat().st_size for path in DETECTOR.iterdir() if path.is_file()) < 1_200_000


def test_objects_overlap_but_can_be_told_apart(held_out: Scenes) -> None:
    """The task has what it is for: sizes from small to large, and objects that cover each other's corners."""
    sides = np.concatenate([(one.boxes[:, 2:] - one.boxes[:, :2]).max(axis=1) for one in held_out.objects])
    assert sides.min() < 14
    assert sides.max() > 36
    shared = 0
    for one in held_out.objects:
        for i, j in np.argwhere(~np.tri(len(one.boxes), dtype=bool)):
            both = intersections(one.boxes[i], one.boxes[j]) / min(areas(one.boxes[i]), areas(one.boxes[j]))
            assert both <= 0.25 + 1e-6
            shared += both > 0.1
    assert shared > 50
    assert set(np.concatenate([one.classes for one in held_out.objects])) == set(range(10))


@pytest.fixture
def example() -> Iterator[Callable[[str], Any]]:
    """A module of `examples/detector` by name; other examples have modules of the same names."""
    names = ("scenes", "network", "train")
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(EXAMPLES / "detector"))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(EXAMPLES / "detector"))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(others)


@pytest.fixture
def made(example: Callable[[str], Any]) -> Any:
    """`scenes.py`, where the digits are there."""
    need("sklearn")
    return example("scenes")


def test_scenes_follow_from_their_seeds(made: Any) -> None:
    parts = made.glyphs()
    for name, part, seed in made.FILES:
        found = made.as_arrays(made.take(parts[part], seed, made.COUNTS[name]))
        with np.load(DETECTOR / f"{name}.npz") as stored:
            assert set(stored.files) == set(found)
            for array, values in found.items():
                np.testing.assert_array_equal(values, stored[array])


def test_held_out_digits_are_in_no_other_part(made: Any) -> None:
    from sklearn.datasets import load_digits

    parts = made.glyphs()
    assert sum(len(part.classes) for part in parts.values()) == len(load_digits().images) == 1797
    everything = [part.pixels.tobytes() for part in parts.values()]
    assert len(set(everything)) == len(everything)
    for one, other in pairwise([*parts.values(), parts["heldout"]]):
        rows = {glyph.tobytes() for glyph in one.pixels}
        assert not any(glyph.tobytes() in rows for glyph in other.pixels)


def test_the_file_computes_what_the_trained_module_does(example: Callable[[str], Any], tmp_path: Path) -> None:
    torch = need("torch")
    network = example("network")
    torch.manual_seed(1)
    model = network.Detector()
    images = np.random.default_rng(1).integers(0, 256, (2, 1, 96, 96))
    for _ in range(3):
        model(torch.tensor(images / network.PIXEL, dtype=torch.float32))  # statistics other than 0 and 1
    model.eval()
    with torch.no_grad():
        expected = model(torch.tensor(images / network.PIXEL, dtype=torch.float32))
    (tmp_path / "made.onnx").write_bytes(network.to_onnx(model).SerializeToString())
    found = read_onnx(tmp_path / "made.onnx").outputs(images)
    assert tuple(found) == network.OUTPUTS
    for name, values in zip(network.OUTPUTS, expected, strict=True):
        np.testing.assert_allclose(found[name], values.numpy(), atol=1e-4)
    assert network.macs() < 6_000_000


def test_a_location_is_about_the_nearest_object_of_its_scale(example: Callable[[str], Any]) -> None:
    """A small object about (20, 20), a large one about (68, 60) and one of a size that both scales learn."""
    need("torch")
    scenes, train = example("scenes"), example("train")
    boxes = np.array([[14.0, 13, 26, 27], [50, 40, 86, 80], [8, 60, 30, 84]])
    scene = scenes.Scene(image=np.zeros((96, 96), np.uint8), boxes=boxes, classes=np.array([3, 7, 5]))
    classes, about = train.Targets()(scene)
    fine, coarse = classes[:144].reshape(12, 12), classes[144:].reshape(6, 6)
    assert set(fine.ravel()) == {-1, 3, 5}
    assert set(coarse.ravel()) == {-1, 5, 7}
    assert fine[2, 2] == 3  # its centre is (20, 20)
    assert fine[5, 5] == -1
    assert coarse[3, 4] == 7  # (72, 56)
    assert fine[8, 2] == coarse[4, 1] == 5
    found = np.concatenate([classes[:144], classes[144:]])
    for box, label in zip(boxes, (3, 7, 5), strict=True):
        assert (about[found == label] == box).all()
