"""`roundel run`: golden and the engine's RTL, the float network beside them, and what is said when anything differs."""

import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import roundel.runtime.execution
from roundel.detection import load as load_detector
from roundel.frontend import export_onnx, read_onnx
from roundel.golden.network import load, load_meta, save, steps
from roundel.golden.rounding import Rounding
from roundel.graph import Conv, read_npz
from tests.support.command import call

EXAMPLES = Path(str(files("roundel.data")))
DIGITS, DETECTOR = EXAMPLES / "digits", EXAMPLES / "detector"
HELD_OUT, SPARSE = DIGITS / "heldout.npz", DIGITS / "digits_sparse.onnx"
TINY = ("--on", "rtl", "--config", "tiny")
COUNT = 3
PROGRESS = ("build the simulator: ", "images on RTL: ")  # on a slow machine


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The fine-tuned digits network, compressed."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    assert call("compress", SPARSE, "--calibration", DIGITS / "calibration.npz", "-o", folder) == 0
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The example's detector, compressed."""
    folder = tmp_path_factory.mktemp("run") / "detector"
    model, calibration = DETECTOR / "detector.onnx", DETECTOR / "calibration.npz"
    assert call("compress", model, "--calibration", calibration, "-o", folder) == 0
    return folder


def test_golden_and_rtl_give_the_same_integers(digits, tmp_path, capsys):
    for on in (("--on", "golden"), TINY):
        arguments = ("run", digits, "--input", HELD_OUT, "--count", COUNT, *on, "-o", tmp_path / on[1])
        assert call(*arguments, "--json") == 0
        assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / on[1] / "run.json").read_text())
    with np.load(tmp_path / "golden" / "outputs.npz") as golden, np.load(tmp_path / "rtl" / "outputs.npz") as rtl:
        assert golden.files == rtl.files == ["scores", "scores.real"]
        np.testing.assert_array_equal(golden["scores"], rtl["scores"])
        real = golden["scores.real"]
    found = json.loads((tmp_path / "rtl" / "run.json").read_text())
    assert found["equal"] is True
    assert found["compared"] == len(load(digits / "network.npz").layers)
    rows = {row["layer"]: row for row in found["layers"]}
    assert {"conv1", "conv2", "conv3", "dense"} <= set(rows)
    assert rows["conv1"]["macs"] == 64 * 9 * 16  # pixels, taps, channels
    for row in rows.values():
        assert row["cycles"] == sum(row[part] for part in ("compute", "fill", "memory", "decoder"))
    assert rows["all"]["cycles"] <= min(found["cycles"])
    # the integers stand for numbers close to the float network's
    expected = read_onnx(SPARSE).run(read_npz(HELD_OUT)["images"][:COUNT])
    assert np.abs(real - expected).max() < 0.05 * np.abs(expected).max()


def test_the_engine_takes_the_requantizer_of_the_network(tmp_path):
    folder, calibration = tmp_path / "fixed16", DIGITS / "calibration.npz"
    arguments = ("compress", DIGITS / "digits_qdq.onnx", "--calibration", calibration, "--requant", "fixed16")
    assert call(*arguments, "-o", folder) == 0
    assert {layer.requant.value for layer in load(folder / "network.npz").weighted} == {"fixed16"}
    assert call("run", folder, "--input", HELD_OUT, "--count", COUNT, *TINY, "-o", tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["equal"] is True


def test_first_difference_is_named_with_exit_code_1(digits, tmp_path, monkeypatch, capsys):
    """Golden is made to expect something else of two layers and of one image."""
    values = {}

    def corrupted(network, images):
        for step in steps(network, images):
            wrong = step.outputs.copy()
            if step.layer.name in ("conv2", "dense"):
                place = (1, *(size - 1 for size in wrong.shape[1:]))
                values[step.layer.name] = int(wrong[place])
                wrong[place] += 1
            yield replace(step, results=wrong)

    monkeypatch.setattr(roundel.runtime.execution, "steps", corrupted)
    arguments = ("run", digits, "--input", HELD_OUT, "--count", 2, *TINY, "-o", tmp_path)
    assert call(*arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(PROGRESS)]
    network, value = load(digits / "network.npz"), values["conv2"]
    shapes = {step.layer.name: step.outputs.shape[1:] for step in steps(network, np.zeros((1, 8, 8, 1), np.int64))}
    place = ", ".join(str(size - 1) for size in shapes["conv2"])
    assert lines[0] == (
        f"image 1: conv2: 1 of {np.prod(shapes['conv2'])} elements differ, first [{place}]: "
        f"RTL {value}, golden {value + 1}"
    )
    assert lines[1].startswith("image 1: dense: 1 of 10 elements differ, first [9]: ")
    assert len(lines) == 2
    assert json.loads((tmp_path / "run.json").read_text())["equal"] is False


def test_float_network_that_is_the_same(digits, tmp_path, capsys):
    arguments = ("run", digits, "--input", HELD_OUT, "--count", 20, "--float", SPARSE, "-o", tmp_path)
    assert call(*arguments) == 0
    assert "apart" not in capsys.readouterr().err
    rows = {row["tensor"]: row for row in json.loads((tmp_path / "run.json").read_text())["chain"]}
    model, network = read_onnx(SPARSE), load(digits / "network.npz")
    images = read_npz(HELD_OUT)["images"][:20]
    real = model.run(images)
    codes = list(steps(network, network.encode(images)))[-1].outputs
    apart = real - codes * 2.0**-network.output.fraction
    assert rows["dense"]["sqnr_db"] == pytest.approx(10 * np.log10(np.square(real).sum() / np.square(apart).sum()))
    place = tuple(rows["dense"]["element"])
    assert abs(apart[place]) == np.abs(apart).max()
    assert rows["dense"]["real"] == pytest.approx(real[place])
    assert not any(row["diverges"] for row in rows.values())


def test_first_tensor_that_leaves_the_float_network_is_named(digits, tmp_path, capsys):
    """Of a float network whose third layer has lost its signs."""
    graph = read_onnx(SPARSE)
    nodes = [
        replace(node, weights=abs(node.weights)) if isinstance(node, Conv) and node.name == "conv3" else node
        for node in graph.nodes
    ]
    export_onnx(replace(graph, nodes=tuple(nodes)), tmp_path / "other.onnx")
    arguments = ("run", digits, "--input", HELD_OUT, "--count", 8, "--float", tmp_path / "other.onnx")
    assert call(*arguments, "-o", tmp_path / "out") == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("conv3: float and integer ")
    first = next(row for row in json.loads((tmp_path / "out" / "run.json").read_text())["chain"] if row["diverges"])
    assert first["tensor"] == "conv3"
    assert f"float {first['real']:.5g}, integer {first['integer']:.5g}" in line


def test_boxes_of_a_detector(detector, tmp_path):
    head = DETECTOR / "detector.toml"
    arguments = ("run", detector, "--input", DETECTOR / "heldout.npz", "--count", 2, "--head", head, "-o", tmp_path)
    assert call(*arguments) == 0
    with np.load(tmp_path / "boxes.npz") as file:
        boxes, classes, images = (file[name] for name in ("boxes", "classes", "image_ids"))
        scales, rows, columns, priors = (file[name] for name in ("scales", "rows", "columns", "priors"))
    counts = json.loads((tmp_path / "run.json").read_text())["boxes"]
    assert counts == np.bincount(images, minlength=2).tolist()
    assert 0 <= boxes.min() < boxes.max() <= 96
    form = load_detector(head).nms.format
    np.testing.assert_array_equal(boxes * 2**form.fraction % 1, 0)
    assert set(classes.tolist()) <= set(range(10))
    strides = np.array([scale.stride for scale in load_detector(head).scales])[scales]
    centres = np.stack([columns, rows], axis=1) * strides[:, None] + strides[:, None] / 2
    assert ((boxes[:, :2] <= centres) & (centres <= boxes[:, 2:])).all()  # where they were found
    assert len(set(scales.tolist())) > 1
    assert not priors.any()
    assert call("nms", tmp_path / "boxes.npz", "--image", "96x96", "--method", "greedy") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--head", DIGITS / "none.toml"), "none.toml: expected a readable text file"),
        (
            ("--head", DETECTOR / "detector.toml"),
            "detector.toml: nms: format.width is 96, but the network's images have 8",
        ),
        (("--float", DETECTOR / "detector.onnx"), "detector.onnx: expected images of (1, 8, 8), not (1, 96, 96)"),
        (("--float", DIGITS / "none.onnx"), "none.onnx"),
        (("--config", "huge"), "--config"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, message, digits, tmp_path, capsys):
    assert call("run", digits, "--input", HELD_OUT, *arguments, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_networks_beyond_the_engine_are_refused_with_their_layer(digits, tmp_path, capsys):
    """An engine has one way to round."""
    shutil.copytree(digits, tmp_path / "copy")
    file = tmp_path / "copy" / "network.npz"
    network = load(file)
    layers = tuple(
        replace(layer, rounding=Rounding.FLOOR) if layer.name == "conv3" else layer for layer in network.layers
    )
    save(replace(network, layers=layers), file, load_meta(file))
    assert call("run", file, "--input", HELD_OUT, "--count", 1, *TINY, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"{file}: the engine cannot run it: conv3: " in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
