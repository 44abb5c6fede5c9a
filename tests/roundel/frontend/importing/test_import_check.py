"""The import against onnxruntime: what a wrong import looks like, and what is no fault of it."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

import roundel
from roundel.cli.main import main
from roundel.data import DIGITS
from roundel.frontend import against_onnxruntime, read_onnx
from roundel.golden.errors import InputError
from tests.support.onnx_models import model
from tests.support.places import ROOT

IMAGE = (2, 8, 8)
NETWORKS = sorted((ROOT / "tests/data/networks").glob("*.onnx"))


def real(*shape, seed=12):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def damaged(proto, change, *, node=0):
    """What the import of `proto` would be with one of its nodes changed."""
    graph = read_onnx(proto)
    nodes = list(graph.nodes)
    nodes[node] = replace(nodes[node], **change(nodes[node]))
    return replace(graph, nodes=tuple(nodes))


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_networks_of_all_exporters(path):
    """Quantized ones too, whose rounding would turn the last bit of a float sum into a whole step."""
    graph = read_onnx(path)
    check = against_onnxruntime(graph, path, np.random.default_rng(12).random((4, *graph.shape)))
    if "qonnx" in path.stem:
        assert check.reason.startswith("onnxruntime refuses the file: ")
        assert "Quant(-1) is not a registered function/op" in check.reason
        assert (check.images, check.difference, check.tensor) == (0, None, None)
    else:
        assert (check.images, check.reason) == (4, None)
        assert check.difference < 1e-5


CONV = model(
    [("Conv", ["x", "w", "b"], "a", {}), ("Relu", ["a"], "y", {})], IMAGE, {"w": real(3, 2, 3, 3), "b": real(3)}
)


def test_the_difference_is_relative_to_the_largest_value():
    images = real(4, *IMAGE)
    largest = np.abs(read_onnx(CONV).values(images)["a"]).max()
    check = against_onnxruntime(damaged(CONV, lambda conv: {"bias": conv.bias + 5e-4 * largest}), CONV, images)
    assert check.tensor == "a"
    assert check.difference == pytest.approx(5e-4, rel=0.02)
    assert str(check) == (
        "Imported tensors differ from onnxruntime's by at most 0.0005 of their largest value (tensor a) on 4 images."
    )
    with pytest.raises(
        InputError, match=r"model: node conv_a \(Conv\): .* by 0\.002 of the largest value, more than 0"
    ):
        against_onnxruntime(damaged(CONV, lambda conv: {"bias": conv.bias + 2e-3 * largest}), CONV, images)


def test_a_difference_in_one_image_of_many():
    """A bound that only the last image reaches."""
    proto = model([("Clip", ["x", "", "h"], "y", {})], IMAGE, {"h": np.float32(3)})
    wrong, images = damaged(proto, lambda clip: {"high": 4.0}), np.zeros((70, *IMAGE))
    assert against_onnxruntime(wrong, proto, images).difference == 0
    images[69, 0, 0, 0] = 4
    with pytest.raises(InputError, match=r"node clip_y \(Clip\): .* by 0\.33 of the largest value"):
        against_onnxruntime(wrong, proto, images)


def test_sums_that_cancel_leave_only_rounding():
    """An edge filter on grey images: the right result is 0, and both networks have something near it."""
    edges = np.zeros((1, 2, 3, 3), np.float32)
    edges[:, :, :, 0], edges[:, :, :, 2] = 0.1, -0.1
    proto = model([("Conv", ["x", "w"], "y", {})], IMAGE, {"w": edges})
    grey = np.full((3, *IMAGE), 0.7)
    wrong = damaged(proto, lambda conv: {"bias": conv.bias + 1e-7})
    assert against_onnxruntime(wrong, proto, grey).difference < 1e-4
    with pytest.raises(InputError, match="the import differs from onnxruntime"):
        against_onnxruntime(damaged(proto, lambda conv: {"bias": conv.bias + 1e-4}), proto, grey)


def test_other_shapes_and_infinities_differ():
    proto = model([("Resize", ["x", "", "s"], "y", {})], IMAGE, {"s": np.array([1, 1, 2, 2], np.float32)})
    with pytest.raises(InputError, match=r"node resize_y \(Upsample\): .* by inf of the largest value"):
        against_onnxruntime(damaged(proto, lambda resize: {"factor": 3}), proto, real(1, *IMAGE))
    proto = model([("Mul", ["c", "c"], "d", {}), ("Add", ["x", "d"], "y", {})], IMAGE, {"c": np.float32(1e19)})
    huge = np.full((1, *IMAGE), 3e38)
    assert against_onnxruntime(read_onnx(proto), proto, huge).difference == 0  # infinite in both
    with pytest.raises(InputError, match="by inf of"):
        against_onnxruntime(damaged(proto, lambda add: {"offset": add.offset * 0}), proto, huge)


def test_outputs_under_the_wrong_name():
    proto = model([("Relu", ["x"], "a", {}), ("Identity", ["x"], "y", {})], IMAGE, outputs=("y", "a"))
    graph = read_onnx(proto)
    assert against_onnxruntime(graph, proto, real(2, *IMAGE)).difference == 0
    with pytest.raises(InputError, match="output y: the import differs"):
        against_onnxruntime(replace(graph, names={"y": "a", "a": "a"}), proto, real(2, *IMAGE))


def test_files_for_one_size_of_the_batch():
    proto = model(
        [("Relu", ["x"], "a", {}), ("Reshape", ["a", "to"], "y", {})], IMAGE, {"to": np.array([5, 128])}, batch=5
    )
    assert against_onnxruntime(read_onnx(proto), proto, real(7, *IMAGE)).images == 7


def test_functions_hosts_and_tensors_that_only_the_import_has():
    nodes = [("ReduceMean", ["x"], "m", {"axes": [2, 3], "keepdims": 0}), ("Softmax", ["m"], "y", {})]
    proto = model(nodes, IMAGE)
    assert against_onnxruntime(read_onnx(proto), proto, real(3, *IMAGE)).difference < 1e-6


def test_without_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    check = against_onnxruntime(read_onnx(CONV), CONV, real(2, *IMAGE))
    assert str(check) == (
        "The import was not compared with onnxruntime: onnxruntime is not installed (pip install 'roundel[bench]')."
    )
    small = roundel.compress(CONV, real(2, *IMAGE))
    assert small.report["import"]["reason"] == check.reason
    assert any(line == f"- {check}" for line in small.lines())


def test_networks_without_their_file():
    graph = read_onnx(CONV)
    assert against_onnxruntime(graph, graph, real(2, *IMAGE)).reason == "the network came without its file"


def test_compress_and_run_say_the_difference(tmp_path, capsys):
    small, images = tmp_path / "small", ["--input", str(DIGITS / "heldout.npz"), "--count", "3"]
    with pytest.raises(SystemExit, match="0"):
        main(
            [
                "compress",
                str(DIGITS / "digits.onnx"),
                "--calibration",
                str(DIGITS / "calibration.npz"),
                "-o",
                str(small),
            ]
        )
    assert "Imported tensors differ from onnxruntime's by at most" in capsys.readouterr().out
    assert "Imported tensors differ" in (small / "report.md").read_text()
    report = json.loads((small / "report.json").read_text())["import"]
    assert (report["images"], report["reason"]) == (128, None)
    assert 0 < report["difference"] < 1e-5
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(small), *images, "--float", str(DIGITS / "digits.onnx"), "-o", str(tmp_path / "out")])
    assert "Imported tensors differ" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/run.json").read_text())["import"]["images"] == 3


def test_a_wrong_import_ends_compress_and_run(tmp_path, capsys, monkeypatch):
    """A scale of 2.1 taken for a factor of 2, as it once was."""
    attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [("Conv", ["x", "w"], "a", {}), ("Resize", ["a", "", "s"], "y", attributes)]
    proto = model(nodes, IMAGE, {"w": real(2, 2, 1, 1), "s": np.array([1, 1, 2.1, 2.1], np.float32)})
    (tmp_path / "wrong.onnx").write_bytes(proto.SerializeToString())
    proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s"))
    (tmp_path / "right.onnx").write_bytes(proto.SerializeToString())
    np.savez(tmp_path / "images.npz", images=real(4, *IMAGE))
    files = {name: str(tmp_path / name) for name in ("wrong.onnx", "right.onnx", "images.npz", "small", "out", "none")}
    roundel.compress(files["right.onnx"], files["images.npz"]).save(files["small"])
    monkeypatch.setattr("roundel.frontend.operators.resize._repeats", lambda op, axis, factor: True)
    for command in (
        ["compress", files["wrong.onnx"], "--calibration", files["images.npz"], "-o", files["none"]],
        ["run", files["small"], "--input", files["images.npz"], "--float", files["wrong.onnx"], "-o", files["none"]],
    ):
        with pytest.raises(SystemExit, match="2"):
            main(command)
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert told.startswith(f"roundel: {files['wrong.onnx']}: node resize_y (Upsample): the import differs")
        assert not (tmp_path / "none").exists()


def test_more_calibration_than_fits(monkeypatch):
    monkeypatch.setattr("roundel.compression.passes.MOST_VALUES", 1000)
    with pytest.raises(
        InputError, match=r"expected at most 7 calibration images of this network, not 9: .* 128 values"
    ):
        roundel.compress(CONV, real(9, *IMAGE))
