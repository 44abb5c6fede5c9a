"""MTCNN's P-Net as its files have it: slopes below -1 and above 1, boxes not decoded, and a host in its middle."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import roundel
from roundel.golden.errors import InputError
from tests.support.command import call
from tests.support.onnx_models import model, reference, saved

SHAPE = (3, 32, 40)
STEEP = np.float32([-0.625, -0.212, 1.012, 0.441, -1.035, 0.322, -0.298, 0.252, -0.883, -1.278])
"""Slopes of the published network's first layer."""


def pnet(rng: np.random.Generator, first: np.ndarray = STEEP) -> onnx.ModelProto:
    """The published structure with random weights: 14 x 18 locations, two raw outputs."""
    constants, rows = {}, []

    def conv(source: str, target: str, inputs: int, outputs: int, size: int) -> None:
        scale = 1 / np.sqrt(inputs * size * size)
        constants[f"{target}_w"] = (rng.normal(size=(outputs, inputs, size, size)) * scale).astype(np.float32)
        constants[f"{target}_b"] = rng.normal(0, 0.3, outputs).astype(np.float32)
        rows.append(("Conv", [source, f"{target}_w", f"{target}_b"], target, {}))

    def prelu(source: str, target: str, slopes: np.ndarray) -> None:
        constants[f"{target}_s"] = slopes.astype(np.float32).reshape(-1, 1, 1)
        rows.append(("PRelu", [source, f"{target}_s"], target, {}))

    conv("x", "a", 3, 10, 3)
    prelu("a", "b", first)
    rows.append(("MaxPool", ["b"], "c", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}))
    conv("c", "d", 10, 16, 3)
    prelu("d", "e", rng.uniform(-0.5, 0.4, 16))
    conv("e", "f", 16, 32, 3)
    prelu("f", "g", rng.uniform(-0.4, 0.6, 32))
    conv("g", "h", 32, 2, 1)
    rows.append(("Softmax", ["h"], "chances", {"axis": 1}))
    conv("g", "moves", 32, 4, 1)
    constants["h_w"] *= 6
    constants["moves_w"] *= 0.2
    constants["moves_b"] *= 0.2
    return model(rows, SHAPE, constants, ("moves", "chances"), opset=17)


def found_boxes(proto: onnx.ModelProto, images: np.ndarray) -> list[np.ndarray]:
    """Cells of the float network whose chance of a face is at least 0.6, moved, before any suppression.

    [S] MTCNN's code: a cell of 12 x 12 every 2 pixels, whose corners move by 11 times what the network gives.
    """
    moves, chances = reference(proto, images)
    boxes = []
    for image in range(len(images)):
        own = []
        for y, x in np.argwhere(chances[image, 1] >= 0.6):
            cell = np.array([2 * x + 1, 2 * y + 1, 2 * x + 12, 2 * y + 12], float)
            own.append(cell + 11 * moves[image, :, y, x])
        boxes.append(np.array(own).reshape(-1, 4))
    return boxes


@pytest.mark.parametrize("first", [STEEP, STEEP * 2.5], ids=["on the engine", "in parts"])
def test_boxes_are_cells_of_the_float_network(first: np.ndarray, tmp_path: Path) -> None:
    """Slopes beyond 63/32 are the host's: then the first part is not the one that gives the maps."""
    rng = np.random.default_rng(8)
    proto, images = pnet(rng, first), rng.normal(size=(6, *SHAPE)).astype(np.float32)
    roundel.compress(proto, images[:4], host="any", per_channel=True).save(tmp_path / "small")
    run = roundel.run(tmp_path / "small", images[4:])
    parts = run.figures.get("parts")
    assert (parts is None) == (first is STEEP)
    wanted = found_boxes(proto, images[4:])
    given = [run.boxes["boxes"][run.boxes["image_ids"] == image] for image in range(2)]
    assert sum(map(len, given)) > 5
    for cells, boxes in zip(wanted, given, strict=True):
        for box in boxes:  # cut at the border
            near = np.abs(np.clip(cells, 0, (40, 32, 40, 32)) - box).max(axis=1)
            assert near.min() < 1.5, box


def test_the_command_finds_the_boxes_of_a_network_in_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    images = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    file = saved(tmp_path, pnet(rng, STEEP * 2.5))
    np.savez(tmp_path / "x.npz", images=images)
    small, out = tmp_path / "small", tmp_path / "out"
    assert call("compress", file, "--calibration", tmp_path / "x.npz", "--host", "any", "-o", small) == 0
    assert call("run", small, "--input", tmp_path / "x.npz", "-o", out) == 0
    with np.load(out / "boxes.npz") as arrays:
        assert arrays["boxes"].shape[1] == 4


def test_maps_of_several_parts_are_told() -> None:
    """One map alone passes a host's operator behind its convolution's input."""
    rng = np.random.default_rng(10)
    proto = pnet(rng)
    [head] = [node for node in proto.graph.node if node.output[0] == "moves"]
    head.input[0] = "cut"
    proto.graph.node.insert(len(proto.graph.node) - 1, onnx.helper.make_node("LRN", ["g"], ["cut"], size=3))
    images = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    with pytest.raises(InputError, match=r"boxes are made in one part of the engine, .*--no-head leaves boxes"):
        roundel.compress(proto, images, host="any")
    assert roundel.compress(proto, images, host="any", head=False).chain is not None
