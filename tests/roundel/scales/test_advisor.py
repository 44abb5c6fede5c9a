"""The power-of-two advisor: its figures found again by other means, its commands, what `compress` does with it."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.network import load, run
from roundel.golden.requant import RequantParams, Scheme
from roundel.graph import fold, load_images
from roundel.quantization import QuantizeOptions, quantize
from roundel.scales import advise, given_nodes
from roundel.scales import area as requant_area
from tests.support.command import call
from tests.support.made_graphs import ratio_db
from tests.support.places import NETWORKS
from tests.support.qdq_models import every_tensor

QDQ, FLOAT = DIGITS / "digits_qdq.onnx", DIGITS / "digits.onnx"
IMAGES = ("--calibration", DIGITS / "calibration.npz")


@pytest.fixture(scope="module")
def digits():
    """The advice on the digits, and its first 32 images."""
    graph = read_onnx(QDQ)
    images = load_images(DIGITS / "calibration.npz", graph).images
    return advise(graph, images), images[:32]


@pytest.fixture(scope="module")
def constants():
    return {item.name: numpy_helper.to_array(item) for item in onnx.load(QDQ).graph.initializer}


def rows_of(advised, role):
    return {row.tensor: row for row in advised.rows if row.role == role}


def nearest(scale):
    """By ratio: the N whose power of two differs from the scale by the least factor."""
    return min(range(-40, 41), key=lambda n: max(scale * 2.0**n, 1 / (scale * 2.0**n)))


def test_a_row_for_every_scale_of_the_file(digits, constants):
    """The file's own constants, read by onnx."""
    steps = {name for name, values in constants.items() if name.endswith("_scale") and "bias" not in name}
    weights = [constants[name] for name in steps if np.ndim(constants[name])]
    weight_rows = rows_of(digits[0], "weights")
    assert sorted(row.scale for row in weight_rows.values()) == pytest.approx(sorted(map(np.min, weights)))
    assert sorted(row.scale_most for row in weight_rows.values()) == pytest.approx(sorted(map(np.max, weights)))
    scalars = {float(constants[name]) for name in steps if not np.ndim(constants[name])}
    assert {row.scale for row in rows_of(digits[0], "activation").values()} == scalars


def test_shifts_are_the_nearest_by_ratio(digits):
    for row in digits[0].rows:
        assert (row.shift_most, row.shift) == (nearest(row.scale), nearest(row.scale_most))
        assert 0.7071 <= row.ratio <= row.ratio_most <= 1.4143
        if row.role == "activation":
            assert row.ratio == pytest.approx(row.scale * 2.0**row.shift)


def test_moved_weights_are_the_best_that_powers_of_two_can_do(digits):
    """By trying every power of two for every channel; units are those of the moves."""
    advised, _ = digits
    moves, nodes = advised.refit.moves, {node.name: node for node in given_nodes(fold(read_onnx(QDQ)))}
    for name, row in rows_of(advised, "weights").items():
        node = nodes[name]
        weights = np.moveaxis(node.weights, 0 if node.weights.ndim == 4 else 1, 0).reshape(len(node.bias), -1)
        unit = moves[node.inputs[0]].ratio / moves[node.output].ratio
        noise = 0.0
        for channel in weights.astype(np.float64):
            steps = [unit * 2.0**-n for n in range(20)]
            noise += min(np.square(np.clip(np.rint(channel / s), -128, 127) * s - channel).sum() for s in steps)
        assert row.after_db == pytest.approx(
            10 * np.log10(np.square(weights, dtype=np.float64).sum() / noise), abs=1e-3
        )
        assert row.before_db is None


def test_costs_of_the_results_scale(digits):
    """Its zero point 106 is lost, so its 8 bits need a sign. From what onnxruntime computes before it is quantized."""
    advised, images = digits
    row = rows_of(advised, "activation")[advised.rows[-1].tensor]
    assert (row.zero_point, row.fold) == (
        106,
        "ratio not folded: the tensor is a result; zero point not folded: the tensor is a result",
    )
    [made] = [node.input[0] for node in onnx.load(QDQ).graph.node if node.name == row.tensor]
    before = every_tensor(QDQ, [made], images.astype(np.float32))[made].astype(np.float64)
    before = np.clip(before, -106 * row.scale, 149 * row.scale)
    kept = np.clip(np.rint(before / row.scale), -106, 149) * row.scale
    tries = [np.clip(np.rint(before * 2.0**n), -128, 127) / 2.0**n for n in range(-4, 12)]
    moved = max(tries, key=lambda values: ratio_db(before, values))
    assert row.before_db == pytest.approx(ratio_db(before, kept), abs=0.01)
    assert row.after_db == pytest.approx(ratio_db(before, moved), abs=0.01)
    assert row.results_db < advised.file_db


def test_all_together_is_what_the_integer_networks_give(digits):
    """Real activations come from the float network with the file's weights, by onnxruntime without any quantizer."""
    advised, _ = digits
    graph = read_onnx(QDQ)
    images = load_images(DIGITS / "calibration.npz", graph).images
    for advised_db, network in ((advised.kept_db, advised.kept.network), (advised.moved_db, advised.moved.network)):
        got = network.output.decode(run(network, network.encode(images)))
        float_db = ratio_db(read_onnx(FLOAT).run(images).astype(np.float64), got)  # whose weights are not rounded
        assert float_db - 1 < advised_db < float_db + 6
    assert advised.kept_db == pytest.approx(advised.file_db, abs=0.5)
    assert advised.moved_db < advised.kept_db


def test_folded_tensors_cost_nothing_alone(digits):
    advised, _ = digits
    folded = [row for row in advised.rows if row.fold.startswith("ratio folded into the weights of")]
    assert len(folded) >= 3
    for row in folded:
        assert row.before_db == row.after_db
        assert row.results_db == pytest.approx(advised.file_db, abs=0.01)


def test_each_requantizer_is_measured_once(monkeypatch, digits):
    """With parameters that fit the layer and a legal stimulus; measuring itself is tested elsewhere."""
    asked = []

    def measure(params, cells, stimulus, *, source):
        params.compute(stimulus["acc"], {name: value for name, value in stimulus.items() if name != "acc"})
        asked.append(params)
        return {"area_um2": 1000.0 if params.scheme is Scheme.FIXED16 else 100.0}

    monkeypatch.setattr(requant_area, "measure_operator", measure)
    layers = {layer.name: layer for layer in requant_area.requantized(digits[0].kept.network)}
    areas = requant_area.layer_areas(digits[0].kept.network)
    assert [area.layer for area in areas] == list(layers)
    for area in areas:
        assert area.saved_um2 == 900
        assert area.acc_width % 8 == 0
        assert 0 <= area.acc_width - max(16, layers[area.layer].requantizer_width) < 8
    assert {params.scheme for params in asked} == {Scheme.FIXED16, Scheme.SHIFT}
    assert {params.acc_width for params in asked} == {area.acc_width for area in areas}
    assert all(isinstance(params, RequantParams) and params.out_width == 8 for params in asked)


def test_the_command(tmp_path, capsys):
    assert call("advise", QDQ, *IMAGES, "--no-area", "-o", tmp_path / "advice", "--json") == 0
    advice = json.loads(capsys.readouterr().out)
    assert advice == json.loads((tmp_path / "advice" / "advice.json").read_text())
    assert len(advice["tensors"]) == len(given_nodes(fold(read_onnx(QDQ))))
    assert advice["requantizers"] == []
    page = (tmp_path / "advice" / "advice.md").read_text()
    assert all(row["tensor"] in page for row in advice["tensors"])
    assert call("advise", QDQ, *IMAGES, "--no-area") == 0
    assert "not powers of two" in capsys.readouterr().out


def test_a_network_without_scales_gets_no_advice(capsys):
    assert call("advise", FLOAT, *IMAGES, "--no-area") == 2
    error = capsys.readouterr().err
    assert "digits.onnx: expected a quantized network (QDQ or QONNX), but it gives no scale" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("options", [("--requant", "fixed16"), ("--requant", "float32"), ("--refit",)])
def test_compress_says_what_it_did(options, tmp_path):
    held_out = ("--held-out", DIGITS / "heldout.npz")
    assert call("compress", QDQ, *IMAGES, *held_out, *options, "-o", tmp_path) == 0
    report, page = json.loads((tmp_path / "report.json").read_text()), (tmp_path / "report.md").read_text()
    assert report["accuracy"]["integer"] >= report["accuracy"]["float32"] - 0.005
    assert len(report["advice"]["tensors"]) == len(given_nodes(fold(read_onnx(QDQ))))
    kept = options[0] == "--requant"
    assert report["options"]["refit"] is not kept
    assert report["options"]["requant"] == (options[1] if kept else "shift")
    assert (f"kept by {options[-1]}" if kept else "moved to powers of two (--refit)") in page
    assert report["options"]["per_channel"] is not kept  # of the search, which kept scales have none of
    assert report["options"]["bias_bits"] == (8 if kept else 16)
    network = load(tmp_path / "network.npz")
    assert {layer.requant.value for layer in network.weighted} == {report["options"]["requant"]}


def test_compress_never_chooses_by_itself(tmp_path, capsys):
    def error(*arguments):
        assert call("compress", *arguments, "-o", tmp_path / "no") == 2
        assert not (tmp_path / "no").exists()
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    message = error(QDQ, *IMAGES)
    for part in ("node image_QuantizeLinear", "tensors with such scales", "--requant", "--refit", "`roundel advise`"):
        assert part in message
    assert "--refit: expected none of --requant" in error(QDQ, *IMAGES, "--refit", "--requant", "fixed32")
    assert "expected a quantized network" in error(FLOAT, *IMAGES, "--refit")
    assert "node conv1: step of the weights" in error(FLOAT, *IMAGES, "--bits", 4, "--steps", "free")


def test_free_steps_are_kept(tmp_path):
    """OPQ's own steps, exactly, and its codes."""
    options = ("--sparsity", 0.5, "--bits", 4, "--steps", "free", "--requant", "fixed16")
    assert call("compress", FLOAT, *IMAGES, *options, "-o", tmp_path) == 0
    report, network = json.loads((tmp_path / "report.json").read_text()), load(tmp_path / "network.npz")
    steps = {row["layer"]: row["step"] for row in report["opq"]}
    for layer in network.weighted:
        assert layer.w.scale == float(np.float32(steps[layer.name]))
        assert layer.w.mantissa != 1
    codes = np.concatenate([layer.weights.ravel() for layer in network.weighted])
    assert np.mean(codes == 0) == pytest.approx(0.5, abs=0.001)
    assert np.abs(codes).max() == 7


def test_wide_weights_have_no_stream(tmp_path):
    """Unsigned weights with a zero point need 9 bits."""
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "images.npz", images=rng.normal(size=(4, 3, 32, 32)).astype(np.float32))
    options = ("--calibration", tmp_path / "images.npz", "--requant", "fixed16")
    assert call("compress", NETWORKS / "two_scales_qdq.onnx", *options, "-o", tmp_path / "net") == 0
    network = load(tmp_path / "net" / "network.npz")
    narrow = [layer.name for layer in network.weighted if layer.w.width <= 8]
    assert 0 < len(narrow) < len(network.weighted)
    report = json.loads((tmp_path / "net" / "report.json").read_text())
    assert [row["layer"] for row in report["streams"]] == narrow
    assert report["size"]["weights"] == sum(layer.weights.size for layer in network.weighted)
    assert call("run", tmp_path / "net", "--input", tmp_path / "images.npz", "-o", tmp_path / "run") == 0


def test_given_scales_need_no_option_where_they_are_powers(tmp_path):
    """What compression itself writes."""
    assert call("compress", DIGITS / "digits_sparse.onnx", *IMAGES, "-o", tmp_path) == 0
    assert json.loads((tmp_path / "report.json").read_text())["advice"] is None
    graph = read_onnx(DIGITS / "digits_sparse.onnx")
    images = load_images(DIGITS / "calibration.npz", graph).images[:4]
    assert quantize(graph, images, QuantizeOptions()).network.weighted
