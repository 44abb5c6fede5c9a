"""Sizes of the input that a file leaves open or that a user wants otherwise, and networks cut at inner tensors."""

import json

import numpy as np
import onnx
import pytest

import roundel
from roundel.data import DIGITS
from roundel.frontend import against_onnxruntime, read_original
from roundel.golden.errors import InputError
from tests.support.command import call
from tests.support.onnx_models import model, reference

IMAGE = (3, 7, 6)


def real(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def network(sizes, batch="batch", *, opset=17):
    """Convolution, pool and sum over a map of any size; `half` is an inner tensor."""
    rng = np.random.default_rng(4)
    weights = {"w": real(rng, 4, 3, 3, 3), "b": real(rng, 4), "v": real(rng, 2, 4, 1, 1)}
    nodes = [
        ("Conv", ["x", "w", "b"], "wide", {"pads": [1, 1, 1, 1]}),
        ("Relu", ["wide"], "a", {}),
        ("MaxPool", ["a"], "half", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Conv", ["half", "v"], "y", {}),
        ("Sigmoid", ["y"], "p", {}),
    ]
    return model(nodes, sizes, weights, outputs=("p", "half"), batch=batch, opset=opset)


def resized(proto, sizes):
    """The same file for another size, for onnxruntime: nothing else is declared."""
    other = onnx.ModelProto.FromString(proto.SerializeToString())
    for dim, size in zip(other.graph.input[0].type.tensor_type.shape.dim, sizes, strict=True):
        dim.dim_value = size
    for item in other.graph.output:
        item.type.tensor_type.ClearField("shape")
    return other


def images(shape, count=3):
    return np.random.default_rng(5).normal(size=(count, *shape)).astype(np.float32)


OPEN = {
    "names": ("batch", (3, "rows", "columns")),
    "one name": ("batch", (3, "rows", 6)),
    "all": ("batch", ("channels", "rows", "columns")),
    "-1": (-1, (3, -1, -1)),
    "0": (0, (3, 0, 6)),
    "a batch of 10": (10, (3, "rows", "columns")),
    "fixed otherwise": (10, (3, 32, 32)),
}


@pytest.mark.parametrize("shape", [(2, *IMAGE), IMAGE])
@pytest.mark.parametrize("case", OPEN)
def test_a_user_gives_the_size(case, shape):
    batch, sizes = OPEN[case]
    proto = network(sizes, batch)
    before = proto.SerializeToString()
    graph = roundel.read_onnx(proto, input_shape=shape)
    x = images(IMAGE, 2)
    [_, half] = reference(resized(proto, x.shape), x)
    np.testing.assert_allclose(graph.outputs(x)["half"], half, rtol=1e-5, atol=1e-5)
    assert graph.shapes["y"] == (2, 3, 3)
    assert against_onnxruntime(graph, proto, images(IMAGE)).difference < 1e-5
    assert proto.SerializeToString() == before


@pytest.mark.parametrize("case", [case for case in OPEN if case != "fixed otherwise"])
def test_images_give_sizes_that_are_open(case, tmp_path):
    batch, sizes = OPEN[case]
    proto, x = network(sizes, batch), images(IMAGE)
    np.savez(tmp_path / "images.npz", images=x)
    for source in (x, {"images": x}, tmp_path / "images.npz"):
        graph = roundel.read_onnx(proto, images=source)
        assert graph.shape == IMAGE
        assert graph.notes == ("The file leaves the size of its input open: 3 x 7 x 6, as the calibration images are",)
    assert against_onnxruntime(graph, proto, x).difference < 1e-5


def test_fixed_sizes_are_not_those_of_images():
    graph = roundel.read_onnx(network(IMAGE), images=images((3, 9, 9)))
    assert (graph.shape, graph.notes) == (IMAGE, ())


REFUSED = {
    "channels": ((1, 1, 7, 6), r"declared \(batch, 3, rows, 6\): expected 3 channels, not \(1, 1, 7, 6\)"),
    "axes": ((7, 6), r"declared \(batch, 3, rows, 6\): expected 4 sizes, with the batch, or 3, not \(7, 6\)"),
    "five axes": ((1, 1, 3, 7, 6), r"^--input-shape: expected sizes such as \(1, 3, 320, 320\)"),
    "a text": ("1,3,7,6", "^--input-shape: expected sizes such as"),
    "no size": ((1, 3, 0, 6), "^--input-shape: expected an integer, 1 or more, not 0"),
    "part of a size": ((1, 3, 7.0, 6), "^--input-shape: expected an integer"),
    "too many": ((1, 3, 1 << 20, 1 << 20), "^--input-shape: expected at most 67108864 values an image"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_do_not_fit_are_refused(case):
    shape, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        roundel.read_onnx(network((3, "rows", 6)), input_shape=shape)


def test_features_that_do_not_fit_are_refused():
    proto = model([("Gemm", ["x", "w", "b"], "y", {})], (5,), {"w": np.ones((5, 2), np.float32), "b": np.float32([1])})
    with pytest.raises(InputError, match=r"input x: declared \(batch, 5\): expected 5 features, not \(1, 6\)"):
        roundel.read_onnx(proto, input_shape=(1, 6))
    assert roundel.read_onnx(proto, input_shape=(1, 5)).shape == (5,)


def test_what_follows_the_input_decides_whether_a_size_fits():
    nodes = [("Flatten", ["x"], "a", {}), ("MatMul", ["a", "w"], "y", {})]
    proto = model(nodes, IMAGE, {"w": np.ones((126, 2), np.float32)})
    with pytest.raises(InputError, match=r"node matmul_y \(MatMul\): weights for 126 input channels, .* are 243"):
        roundel.read_onnx(proto, input_shape=(1, 3, 9, 9))


def test_open_sizes_without_images_name_the_way_on():
    with pytest.raises(InputError, match=r"input x: declared \(N, 3, H, W\): .* give --input-shape 1,3,ROWS,COLUMNS$"):
        roundel.read_onnx(network((3, "H", "W"), "N"))


@pytest.mark.parametrize(("opset", "names"), [(17, ["half", "a"]), (9, ["half"]), (13, ["y", "half", "y"])])
def test_a_network_ends_where_the_user_wants(opset, names):
    proto, x = network(IMAGE, opset=opset), images(IMAGE)
    graph = roundel.read_onnx(proto, outputs=names)
    assert list(graph.names) == list(dict.fromkeys(names))
    assert not graph.host
    shown = onnx.ModelProto.FromString(proto.SerializeToString())
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in graph.names)
    for name, values in zip(graph.names, reference(shown, x), strict=True):
        np.testing.assert_allclose(graph.outputs(x)[graph.names[name]], values, rtol=1e-5, atol=1e-5)
    assert against_onnxruntime(graph, proto, x).difference < 1e-5


def test_what_lies_behind_the_cut_is_not_read():
    nodes = [("Relu", ["x"], "a", {}), ("Sin", ["a"], "b", {}), ("Add", ["b", "no number"], "y", {})]
    proto = model(nodes, IMAGE, {"no number": np.float32("nan")})
    with pytest.raises(InputError, match=r"\(Sin\)"):
        roundel.read_onnx(proto)
    assert [node.output for node in roundel.read_onnx(proto, outputs=["a"]).nodes] == ["a"]


UNKNOWN = {
    "halv": r"^model: outputs: expected tensors that operators make, not 'halv'; similar ones are half$",
    "x": r"not 'x'",
    "": r"not ''$",
    "q" * 100_000: "not 'qqq",
}


@pytest.mark.parametrize("name", UNKNOWN, ids=range(len(UNKNOWN)))
def test_unknown_tensors_are_refused_with_similar_ones(name):
    with pytest.raises(InputError, match=UNKNOWN[name]):
        roundel.read_onnx(network(IMAGE), outputs=["half", name])


def test_at_least_one_output_is_needed():
    with pytest.raises(InputError, match="outputs: expected the name of at least one tensor"):
        roundel.read_onnx(network(IMAGE), outputs=[])


def test_tensors_that_inner_graphs_read_stay():
    """Both branches read `a`, which nobody else does."""
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["a"], ["t"])], "b", [], [onnx.helper.make_tensor_value_info("t", 1, None)]
    )
    proto = model([("Relu", ["x"], "a", {}), ("Relu", ["x"], "c", {})], IMAGE, {"which": np.array(True)}, ("c",))
    proto.graph.node.append(onnx.helper.make_node("If", ["which"], ["z"], then_branch=branch, else_branch=branch))
    with pytest.raises(InputError, match=r"\(If\): this operator is not supported"):
        roundel.read_onnx(proto, outputs=["z"])
    assert [node.output for node in roundel.read_onnx(proto, outputs=["c"]).nodes] == ["c"]


def test_compressed_networks_of_another_size_and_end(tmp_path):
    """Their float network is read alike when they run."""
    proto, x = network((3, 32, 32), 10), images(IMAGE, 6)
    small = roundel.compress(proto, x, input_shape=(1, *IMAGE), outputs=["half"])
    assert small.shape == IMAGE
    assert list(small.results) == ["half"]
    run = roundel.run(small, x, original=proto)
    assert run.integers["half"].shape == (6, 3, 3, 4)
    assert run.figures["import"]["difference"] < 1e-5
    assert read_original(proto, IMAGE, ["half"]).shape == IMAGE


def test_compress_says_what_size_it_took():
    small = roundel.compress(network((3, "rows", "columns")), images(IMAGE, 6))
    assert "- The file leaves the size of its input open: 3 x 7 x 6, as the calibration images are." in small.lines()


@pytest.mark.parametrize("option", [{"input_shape": (1, 1, 8, 8)}, {"outputs": ["scores"]}])
def test_a_graph_has_its_sizes_and_outputs(option):
    graph = roundel.read_onnx(DIGITS / "digits.onnx")
    with pytest.raises(InputError, match="expected an ONNX file, not a graph"):
        roundel.compress(graph, DIGITS / "calibration.npz", **option)


def test_options_of_the_command_line(tmp_path, capsys):
    proto = network((3, "rows", "columns"))
    model_path, images_path = tmp_path / "net.onnx", tmp_path / "images.npz"
    model_path.write_bytes(proto.SerializeToString())
    np.savez(images_path, images=images(IMAGE, 6))
    options = ("compress", model_path, "--calibration", images_path, "-o", tmp_path / "small")
    assert call(*options, "--outputs", "half,a", "--input-shape", "1,3,7,6", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
    assert set(roundel.CompressedNetwork.load(tmp_path / "small").results) == {"half", "a"}
    assert call(*options, "--input-shape", "1x3x7x6") == 2
    assert "--input-shape '1x3x7x6': expected sizes such as 1,3,320,320" in capsys.readouterr().err
    assert call(*options, "--input-shape", "1,3,9,9") == 2
    assert "images: expected shape (count, 3, 9, 9), not (6, 3, 7, 6)" in capsys.readouterr().err


@pytest.mark.parametrize("sizes", [IMAGE, (1, *IMAGE)])
def test_a_file_that_declares_no_axes_takes_sizes_without_and_with_the_batch(sizes):
    proto = network(IMAGE)
    declared = proto.graph.input[0].type.tensor_type
    declared.ClearField("shape")
    declared.shape.SetInParent()
    assert roundel.read_onnx(proto, input_shape=sizes).shape == IMAGE
