"""The digits network at 80 % zeros of 4 bits (`roundel/data/digits/digits_sparse.onnx`), without torch."""

import importlib
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.codec import CodecParams, Packing, decode, encode
from roundel.golden.network import run
from roundel.golden.opq import OpqParams, opq
from roundel.graph import Conv, Dense, fold, layer_codes, layer_weights, load_images
from roundel.quantization import QuantizeOptions, quantize
from tests.support.outside import need
from tests.support.places import EXAMPLES, ROOT

PARAMS = OpqParams(sparsity=0.8, bits=4, max_width=4, power_of_two=True)
CODECS = [
    CodecParams(packing=Packing.RICE, width=4, slices=1),
    CodecParams(packing=Packing.RICE, width=4, slices=4),
]


def constants() -> dict[str, np.ndarray]:
    """What the file holds, as ONNX itself reads it."""
    model = onnx.load(DIGITS / "digits_sparse.onnx")
    onnx.checker.check_model(model, full_check=True)
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def codes() -> dict[str, np.ndarray]:
    """The integers of each layer."""
    return {name.removesuffix(".codes"): value for name, value in constants().items() if name.endswith(".codes")}


def test_the_file_holds_what_pruning_and_quantization_fixed() -> None:
    plans, held = opq(layer_weights(fold(read_onnx(DIGITS / "digits.onnx"))), PARAMS), constants()
    assert codes().keys() == plans.keys()
    for name, plan in plans.items():
        assert plan.levels is not None
        assert held[f"{name}.step"] == plan.levels.step
        assert np.log2(held[f"{name}.step"]) % 1 == 0
        assert np.abs(held[f"{name}.codes"]).max() <= 7
        assert not held[f"{name}.codes"][~plan.mask].any()
    assert (DIGITS / "digits_sparse.onnx").stat().st_size < 20_000


def test_at_least_80_percent_are_zeros() -> None:
    every = np.concatenate([value.ravel() for value in codes().values()])
    assert every.size == 15_248
    assert (every == 0).mean() >= 0.8


@pytest.mark.parametrize("params", CODECS, ids=lambda params: f"{params.slices} slices")
def test_at_least_20_times_smaller_with_positions(params: CodecParams) -> None:
    streams = {name: encode(value, params) for name, value in codes().items()}
    for name, value in codes().items():
        assert np.array_equal(decode(streams[name]), value.ravel())
    weights, biases = sum(value.size for value in codes().values()), 16 + 32 + 32 + 10
    assert 4 * (weights + biases) >= 20 * (sum(map(len, streams.values())) + 2 * biases)  # biases of 16 bits


def test_at_most_half_a_point_is_lost() -> None:
    dense = read_onnx(DIGITS / "digits.onnx")
    held_out = load_images(DIGITS / "heldout.npz", dense)
    session = onnxruntime.InferenceSession(str(DIGITS / "digits_sparse.onnx"))
    (scores,) = session.run(None, {dense.source: held_out.images.astype(np.float32)})
    assert held_out.accuracy(scores) >= held_out.accuracy(dense.run(held_out.images)) - 0.005
    sparse = read_onnx(DIGITS / "digits_sparse.onnx")
    np.testing.assert_allclose(sparse.run(held_out.images), scores, rtol=1e-4, atol=1e-4)
    assert {name: value.tolist() for name, value in layer_codes(sparse).items()} == {
        name: value.tolist() for name, value in codes().items()
    }
    assert all(node.code_width == 4 for node in sparse.nodes if isinstance(node, Conv | Dense))


def test_the_integer_network_has_the_same_codes_and_loses_at_most_half_a_point() -> None:
    dense, sparse = read_onnx(DIGITS / "digits.onnx"), read_onnx(DIGITS / "digits_sparse.onnx")
    calibration, held_out = (load_images(DIGITS / f"{name}.npz", dense) for name in ("calibration", "heldout"))
    network = quantize(sparse, calibration.images, QuantizeOptions(activation_bits=8)).network
    for layer in network.weighted:
        expected = codes()[layer.name]
        if expected.ndim == 4:
            assert np.array_equal(layer.weights, expected.transpose(2, 3, 1, 0).reshape(layer.weights.shape))
        else:  # features of a map stand in another order
            assert np.array_equal(np.sort(layer.weights, axis=0), np.sort(expected, axis=0))
        assert layer.w.fraction == -np.log2(constants()[f"{layer.name}.step"])
    assert {layer.name for layer in network.weighted} == codes().keys()
    scores = run(network, network.encode(held_out.images))
    assert held_out.accuracy(scores) >= held_out.accuracy(dense.run(held_out.images)) - 0.005


def test_the_page_is_what_its_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "make"))
    text = (ROOT / "docs" / "finetuning.md").read_text()
    page = tmp_path / "finetuning.md"
    page.write_text(text)
    runpy.run_path(str(ROOT / "docs" / "make" / "finetuning.py"))["main"](page)
    assert page.read_text() == text, "run `python docs/make/finetuning.py`"


def test_the_script_that_makes_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs of it: enough to see that it works, and that what it writes imports."""
    need("torch")
    need("sklearn")
    shutil.copy(DIGITS / "digits.onnx", tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES / "digits"))
    sparse = importlib.import_module("sparse")
    monkeypatch.setattr(sparse, "DIGITS", tmp_path)
    monkeypatch.setattr(sparse, "CHOSEN", replace(sparse.CHOSEN, epochs=2))
    monkeypatch.setattr(sys, "argv", ["sparse.py"])
    sparse.main()
    assert "heldout: 99.50% right in float" in capsys.readouterr().out
    written = layer_codes(read_onnx(tmp_path / "digits_sparse.onnx"))
    assert {name: value.shape for name, value in written.items()} == {
        name: value.shape for name, value in codes().items()
    }
