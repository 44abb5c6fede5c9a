"""`roundel compress` and `roundel run` on the digits network: what they write, promise and refuse."""

import errno
import json
import re
import runpy
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.codec import decode
from roundel.golden.network import load, load_meta, save
from roundel.graph import load_images
from tests.support.command import call
from tests.support.places import DOCS, NETWORKS

MAPS = NETWORKS / "two_scales_script.onnx"  # its results are maps
MODEL, SPARSE = DIGITS / "digits.onnx", DIGITS / "digits_sparse.onnx"
IMAGES = ("--calibration", DIGITS / "calibration.npz", "--held-out", DIGITS / "heldout.npz")
SMALL = ("--lanes", 4, "--columns", 4, "--slices", 2)


def read(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """The fine-tuned network, compressed for a small array."""
    folder = tmp_path_factory.mktemp("compressed") / "sparse"
    assert call("compress", SPARSE, *IMAGES, *SMALL, "-o", folder) == 0
    return folder


def test_dense_at_8_bits_loses_at_most_half_a_point(tmp_path):
    assert call("compress", MODEL, *IMAGES, "-o", tmp_path) == 0
    report = read(tmp_path)
    assert report["accuracy"]["images"] == 400
    assert report["accuracy"]["points_lost"] <= 0.5
    assert report["quantizations"] == {"before": 10, "after": 4}  # 3 convolutions of 3 operators, a matrix product
    assert report["opq"] == []


def test_cures_are_told_and_bring_scores_nearer(tmp_path):
    """At 4 bits, each by itself: the last layer's error on the calibration images, which is that of the scores."""
    narrow = ("--weight-bits", 4, "--activation-bits", 6, "--bias-bits", 16)
    assert call("compress", MODEL, *IMAGES, *narrow, "-o", tmp_path / "plain") == 0
    plain = read(tmp_path / "plain")
    assert plain["cures"] == []
    told = {"equalize": "Factors between layers:", "correct_biases": "Biases corrected:"}
    told["round_to_results"] = "Weights rounded by a layer's results:"
    for name, line in told.items():
        option = f"--{name.replace('_', '-')}"
        assert call("compress", MODEL, *IMAGES, *narrow, option, "-o", tmp_path / name) == 0
        report = read(tmp_path / name)
        assert [found.startswith(line) for found in report["cures"]] == [True]
        assert report["options"][name]
        assert not plain["options"][name]
        assert report["layers"][-1]["sqnr_db"] > plain["layers"][-1]["sqnr_db"], name
        assert report["accuracy"]["points_lost"] <= plain["accuracy"]["points_lost"] + 0.5
        assert f"- {report['cures'][0]}" in (tmp_path / name / "report.md").read_text()


def test_sparse_and_4_bits_is_20_times_smaller_and_loses_at_most_half_a_point(tmp_path):
    """Of the fine-tuned network, against the float network it came from."""
    assert call("compress", SPARSE, *IMAGES, "-o", tmp_path) == 0
    report, model = read(tmp_path), read_onnx(MODEL)
    held_out = load_images(DIGITS / "heldout.npz", model)
    assert 100 * (held_out.accuracy(model.run(held_out.images)) - report["accuracy"]["integer"]) <= 0.5
    size = report["size"]
    files = sum(file.stat().st_size for file in (tmp_path / "streams").iterdir())
    assert size["stream_bytes"] == files
    assert size["float32_bytes"] == 4 * (15_248 + 90)
    assert size["bias_bytes"] == 16 + 32 + 32 + 10
    assert size["parameter_bytes"] == 3  # four shifts of 5 bits
    assert size["ratio"] == size["float32_bytes"] / (files + 90 + 3)
    assert size["ratio"] >= 20


def test_one_shot_pruning_and_quantization(tmp_path, capsys):
    assert call("compress", MODEL, *IMAGES, "--sparsity", 0.8, "--bits", 4, "-o", tmp_path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == read(tmp_path)
    assert report["size"]["zeros"] >= round(0.8 * 15_248) / 15_248
    rows = {row["layer"]: row for row in report["opq"]}
    assert set(rows) == {"conv1", "conv2", "conv3", "dense", "all"}
    network = load(tmp_path / "network.npz")
    for layer in network.weighted:
        assert layer.w.width == rows[layer.name]["width"] <= 4
        assert 2.0**-layer.w.fraction == rows[layer.name]["step"]
        assert np.mean(layer.weights == 0) == pytest.approx(rows[layer.name]["zeros"])
    # what was compressed, as ONNX, gives the same network again
    again = tmp_path / "again"
    assert call("compress", tmp_path / "quantized.onnx", *IMAGES, "-o", again) == 0
    for one, other in zip(network.weighted, load(again / "network.npz").weighted, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
    page = (tmp_path / "report.md").read_text()
    for title in ("Layers", "Weight streams", "Pruning and quantization (OPQ)", "Unified modules"):
        assert f"\n## {title}\n" in page


def test_free_steps_are_moved(tmp_path):
    """Pruned weights stay zeros; what OPQ did is told, and compresses to the same again."""
    arguments = (*IMAGES, "--refit")
    opq = ("--sparsity", 0.5, "--bits", 4, "--steps", "free")
    assert call("compress", MODEL, *arguments, *opq, "-o", tmp_path / "one") == 0
    report, network = read(tmp_path / "one"), load(tmp_path / "one" / "network.npz")
    assert [np.log2(row["step"]).is_integer() for row in report["opq"][:-1]] == [False] * 4
    assert report["size"]["zeros"] >= report["opq"][-1]["zeros"] >= 0.5
    assert {layer.requant.value for layer in network.weighted} == {"shift"}
    assert call("compress", tmp_path / "one" / "quantized.onnx", *arguments, "-o", tmp_path / "two") == 0
    for one, other in zip(network.weighted, load(tmp_path / "two" / "network.npz").weighted, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize(
    ("model", "arguments", "rounding"),
    [
        (MODEL, (), "half_up"),
        (MODEL, ("--rounding", "floor"), "floor"),
        (DIGITS / "digits_qdq.onnx", ("--refit",), "half_even"),
        (DIGITS / "digits_qdq.onnx", ("--requant", "fixed32"), "half_away"),  # has no other
    ],
)
def test_the_rounding_is_what_the_file_means_unless_told(model, arguments, rounding, tmp_path):
    assert call("compress", model, *IMAGES[:2], *arguments, "-o", tmp_path) == 0
    assert read(tmp_path)["options"]["rounding"] == rounding
    assert {layer.rounding.value for layer in load(tmp_path / "network.npz").weighted} == {rounding}


def test_pruning_alone_leaves_the_bits_to_the_search(tmp_path):
    assert call("compress", MODEL, *IMAGES, "--sparsity", 0.5, "--weight-bits", 6, "-o", tmp_path) == 0
    network = load(tmp_path / "network.npz")
    assert {layer.w.width for layer in network.weighted} == {6}
    assert np.concatenate([layer.weights.ravel() for layer in network.weighted]).astype(bool).mean() <= 0.5


@pytest.mark.parametrize("codec", ["mask", "relative", "rice"])
def test_every_codec_holds_the_same_weights(codec, tmp_path, sparse):
    assert call("compress", SPARSE, *IMAGES, *SMALL, "--codec", codec, "-o", tmp_path) == 0
    for file in sorted((tmp_path / "streams").iterdir()):
        np.testing.assert_array_equal(decode(file.read_bytes()), decode((sparse / "streams" / file.name).read_bytes()))


def test_the_same_command_writes_the_same_bytes(tmp_path, sparse):
    assert call("compress", SPARSE, *IMAGES, *SMALL, "-o", tmp_path / "twice") == 0
    files = [file.relative_to(sparse) for file in sorted(sparse.rglob("*")) if file.is_file()]
    assert files
    for file in files:
        assert (tmp_path / "twice" / file).read_bytes() == (sparse / file).read_bytes(), file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sparsity", 1), "sparsity must be 0 to below 1, not 1.0"),
        (("--bits", 1), "--bits: expected 2 to 8, not 1.0"),
        (("--lanes", 5), "lanes must be a power of two, not 5"),
        (("--columns", 0), "columns must be 1 to 64, not 0"),
        (("--sparsity", 0.5, "--steps", "free"), "--steps free: expected --bits as well"),
        (("--equalize", "--requant", "fixed16"), "--equalize: expected neither --refit nor --requant"),
        (("--correct-biases", "--refit"), "--correct-biases: expected neither --refit nor --requant"),
        (("--round-to-results", "--refit"), "--round-to-results: expected neither --refit nor --requant"),
        (("--epochs", 3), "--epochs: expected --finetune as well"),
        (("--finetune", DIGITS / "calibration.npz"), "--finetune: expected --sparsity, --bits or --patterns as well"),
        (("--held-out", DIGITS / "digits.onnx"), "digits.onnx: not a valid .npz file of arrays"),
    ],
)
def test_bad_options(arguments, message, tmp_path, capsys):
    assert call("compress", MODEL, *IMAGES[:2], *arguments, "-o", tmp_path / "out") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_integers_are_not_pruned_again(tmp_path, capsys):
    assert call("compress", SPARSE, *IMAGES, "--sparsity", 0.9, "-o", tmp_path / "out") == 2
    assert "digits_sparse.onnx: node conv1: its weights are integers already" in capsys.readouterr().err


def damage_network(folder):
    path = folder / "network.npz"
    path.write_bytes(path.read_bytes()[:-100])


def damage_stream(folder):
    path = folder / "streams" / "001.rws"
    path.write_bytes(path.read_bytes()[:-4])


def swap_streams(folder):
    (folder / "streams" / "001.rws").write_bytes((folder / "streams" / "002.rws").read_bytes())


def lose_stream(folder):
    (folder / "streams" / "003.rws").unlink()


@pytest.mark.parametrize("shape", [None, [], [True, 8, 8], [2, 8, 8], [64], [1, 8, 8, 1], [1, 2, 2], [1, 8, 2**50]])
def test_shapes_of_images_that_no_layer_takes(shape, sparse, tmp_path, capsys):
    shutil.copytree(sparse, tmp_path / "copy")
    file = tmp_path / "copy" / "network.npz"
    save(load(file), file, load_meta(file) | {"input_shape": shape})
    assert call("run", tmp_path / "copy", "--input", DIGITS / "heldout.npz", "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "network.npz: meta: input_shape: expected " in error
    assert error.count("\n") == 1


def test_names_of_streams_that_are_none(sparse, tmp_path, capsys):
    shutil.copytree(sparse, tmp_path / "copy")
    file = tmp_path / "copy" / "network.npz"
    meta = load_meta(file)
    for name in ("/etc/passwd", "../000.rws", "a\0b", 3):
        streams = meta["streams"] | {"files": meta["streams"]["files"] | {"conv1": name}}
        save(load(file), file, meta | {"streams": streams})
        assert call("run", tmp_path / "copy", "--input", DIGITS / "heldout.npz", "-o", tmp_path / "out") == 2
        assert "meta: streams: expected a file beside it for layer conv1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_network, "network.npz: expected a network file"),
        (damage_stream, "001.rws: weight stream, bit "),
        (swap_streams, "001.rws: expected the weights of layer conv2, but it holds others"),
        (lose_stream, "003.rws: cannot be read (No such file or directory)"),
        (shutil.rmtree, "expected a network that `roundel compress` wrote, but there is none"),
    ],
)
def test_damaged_folders(harm, message, sparse, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(sparse, folder)
    harm(folder)
    assert call("run", folder, "--input", DIGITS / "heldout.npz", "-o", tmp_path / "out") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_accuracy_is_that_of_the_first_result(tmp_path):
    """Of two results, in float and in integers alike; they contradict each other."""
    weights = np.array([[4.0, -4.0], [-4.0, 4.0]], np.float32)
    nodes = [helper.make_node("Gemm", ["x", name], [name + "_scores"]) for name in ("right", "wrong")]
    scores = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, ["n", 2]) for node in nodes]
    held = [numpy_helper.from_array(weights, "right"), numpy_helper.from_array(-weights, "wrong")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "two", [x], scores, held)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "two.onnx"
    )
    images = tmp_path / "images.npz"
    np.savez(images, images=np.eye(2, dtype=np.float32), labels=np.arange(2))
    arguments = (tmp_path / "two.onnx", "--calibration", images, "--held-out", images)
    assert call("compress", *arguments, "-o", tmp_path / "two") == 0
    accuracy = read(tmp_path / "two")["accuracy"]
    assert (accuracy["float32"], accuracy["integer"]) == (1.0, 1.0)
    assert call("run", tmp_path / "two", "--input", images, "-o", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("model", "labels", "message"),
    [
        (MODEL, 10, "labels: expected 0 to 9, not 10 to 10"),
        (MAPS, 0, "labels: expected a network of one score a class"),
    ],
)
def test_labels_that_no_result_can_be_right_about(model, labels, message, tmp_path, capsys):
    shape = read_onnx(model).shape
    np.savez(tmp_path / "images.npz", images=np.ones((4, *shape), np.float32), labels=np.full(4, labels))
    images = ("--calibration", tmp_path / "images.npz", "--held-out", tmp_path / "images.npz")
    assert call("compress", model, *images, "-o", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_network_without_weights(tmp_path, capsys):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "bare", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "bare.onnx"
    )
    np.savez(tmp_path / "images.npz", images=np.eye(3, dtype=np.float32))
    arguments = ("compress", tmp_path / "bare.onnx", "--calibration", tmp_path / "images.npz", "-o", tmp_path / "out")
    assert call(*arguments, "--bits", 4) == 2
    assert "bare.onnx: expected weights for --sparsity and --bits, but no layer has any" in capsys.readouterr().err
    assert call(*arguments) == 0
    size = read(tmp_path / "out")["size"]
    assert (size["weights"], size["zeros"], size["ratio"]) == (0, 0.0, 1.0)


@pytest.mark.parametrize("name", ["a[/b]", "a|b", "file", "allow_pickle", "two\nlines", "../above"])
def test_layers_and_outputs_of_any_name(name, tmp_path, capsys):
    x, y = (helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["n", 2]) for tensor in ("x", name))
    weights = numpy_helper.from_array(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], [name], name=name)], "named", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "n.onnx")
    np.savez(tmp_path / "images.npz", images=np.eye(2, dtype=np.float32))
    assert call("compress", tmp_path / "n.onnx", "--calibration", tmp_path / "images.npz", "-o", tmp_path / "n") == 0
    assert name.splitlines()[0] in capsys.readouterr().out
    page = (tmp_path / "n" / "report.md").read_text().splitlines()
    tables = [line.replace(r"\|", "").count("|") for line in page if line.startswith("|")]
    assert set(tables) == {10, 9, 5}  # layers, streams, modules: every row has its table's columns
    assert call("run", tmp_path / "n", "--input", tmp_path / "images.npz", "-o", tmp_path / "out") == 0
    with np.load(tmp_path / "out" / "outputs.npz") as results:
        assert results.files == [name, f"{name}.real"]
        np.testing.assert_allclose(results[f"{name}.real"], [[1, 2], [3, 4]], atol=0.05)


def test_no_room_for_the_output(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("roundel.compression.compressed_network.save", full)
    assert call("compress", SPARSE, *IMAGES, "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err.endswith("out: cannot be written (No space left on device)\n")
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_shape(sparse, tmp_path, capsys):
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 1, 9, 8)))
    assert call("run", sparse, "--input", tmp_path / "images.npz", "-o", tmp_path / "out") == 2
    assert "images: expected shape (count, 1, 8, 8), not (2, 1, 9, 8)" in capsys.readouterr().err


def test_the_page_is_what_its_command_writes(tmp_path, monkeypatch):
    """Numbers may be a little off: float sums in another order, on another machine, may tip a choice of the search."""
    monkeypatch.syspath_prepend(str(DOCS / "make"))
    text, page = (DOCS / "compress.md").read_text(), tmp_path / "compress.md"
    page.write_text(text)
    runpy.run_path(str(DOCS / "make" / "compress.py"))["main"](page)
    number = re.compile(r"\d[\d,]*(?:\.\d+)?")
    assert number.sub("#", page.read_text()) == number.sub("#", text), "run `python docs/make/compress.py`"
    figures, written = (
        [float(item.replace(",", "")) for item in number.findall(source)] for source in (page.read_text(), text)
    )
    np.testing.assert_allclose(figures, written, rtol=0.02, atol=0.6, err_msg="run `python docs/make/compress.py`")


def test_outputs_have_the_names_of_the_file(tmp_path):
    """Two outputs of one tensor are two results; what the host computes is there, and what it reads."""
    x, *ys = (helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["n", 2]) for tensor in ("x", "a", "b", "p"))
    weights = numpy_helper.from_array(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="layer"),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"]),
    ]
    graph = helper.make_graph(nodes, "named", [x], ys, [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "n.onnx")
    np.savez(tmp_path / "images.npz", images=np.eye(2, dtype=np.float32))
    assert call("compress", tmp_path / "n.onnx", "--calibration", tmp_path / "images.npz", "-o", tmp_path / "n") == 0
    assert call("run", tmp_path / "n", "--input", tmp_path / "images.npz", "-o", tmp_path / "out") == 0
    with np.load(tmp_path / "out" / "outputs.npz") as results:
        assert results.files == ["a", "a.real", "b", "b.real", "logits", "logits.real", "p.real"]
        np.testing.assert_array_equal(results["a"], results["b"])
        np.testing.assert_allclose(results["a.real"], [[1, 2], [3, 4]], atol=0.05)
        np.testing.assert_allclose(results["logits.real"], [[7, 10], [15, 22]], atol=0.2)
        np.testing.assert_allclose(results["p.real"].sum(axis=1), 1, rtol=1e-6)
