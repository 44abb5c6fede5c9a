"""Layers that move integers: against onnxruntime, in files of version 2, and what is refused."""

import json
import zipfile
from itertools import product

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import DepthToSpace, Interpolate, Network, Select, load, outputs, save
from tests.support import network_reference as reference

S8 = Format(width=8, signed=True, fraction=3)


def moved(*layers):
    return Network(source="image", input=S8, layers=layers)


def layers(by_channel):
    yield Select(name="some", sources=("image",), output=S8, channels=(5, 0, 7, 1, 2, 3))
    yield DepthToSpace(name="pixels", sources=("some",), output=S8, factor=(1, 3), by_channel=by_channel)
    yield Interpolate(name="large", sources=("pixels",), output=S8, x=S8, factor=(2, 4), offset=(-1, int(by_channel)))


@pytest.mark.parametrize(("size", "mode"), list(product([1, 2, 3], ["DCR", "CRD"])))
def test_depth_to_space_equals_onnxruntime(size, mode, seed):
    x = np.random.default_rng(seed).integers(-128, 128, (2, 3, 4, 18 * size**2))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=size, mode=mode)
    graph = helper.make_graph([node], "moves", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, {"x": x.transpose(0, 3, 1, 2).astype(np.float32)})
    layer = DepthToSpace(name="y", sources=("x",), output=S8, factor=(size, size), by_channel=mode == "CRD")
    assert np.array_equal(layer.compute(x).outputs, expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("by_channel", [False, True])
def test_a_file_of_version_2_holds_them(by_channel, tmp_path, seed):
    network, path = moved(*layers(by_channel)), tmp_path / "network.npz"
    save(network, path)
    header = reference.read(path)
    assert header["version"] == 2
    x = np.random.default_rng(seed).integers(-128, 128, (2, 3, 4, 8))
    expected = reference.run(header, reference.Tensor(x.shape, x.ravel().tolist()))["large"]
    assert expected.shape == (2, 6, 48, 2)
    for read in (network, load(path)):
        assert outputs(read, x)["large"].ravel().tolist() == expected.values


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
@pytest.mark.parametrize("factor", [(2, 2), (4, 1), (8, 4)])
@pytest.mark.parametrize("size", [(4, 5), (1, 3)])
def test_interpolation_is_onnxruntime_s_rounded_once(coordinates, factor, size, seed):
    """Its sums, which are exact in binary32, as halves round up."""
    x = np.random.default_rng(seed).integers(-128, 128, (2, *size, 3))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    about = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], **about)
    scales = numpy_helper.from_array(np.array([1, 1, *factor], np.float32), "s")
    graph = helper.make_graph([node], "linear", info[:1], info[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, {"x": x.transpose(0, 3, 1, 2).astype(np.float32)})
    offset = tuple(1 - one if coordinates == "half_pixel" else 0 for one in factor)
    layer = Interpolate(name="y", sources=("x",), output=S8, x=S8, factor=factor, offset=offset)
    assert np.array_equal(layer.compute(x).outputs, np.floor(expected.transpose(0, 2, 3, 1) + 0.5).clip(-128, 127))


def test_interpolation_by_powers_of_two_only():
    with pytest.raises(ValueError, match=r"y: factor must be powers of two, not \(3, 2\)"):
        Interpolate(name="y", sources=("x",), output=S8, x=S8, factor=(3, 2), offset=(0, 0))


def test_version_1_has_no_such_layers(tmp_path):
    save(moved(*layers(by_channel=True)), tmp_path / "new.npz")
    with zipfile.ZipFile(tmp_path / "new.npz") as archive:
        header = json.loads(archive.read("header.json"))
    del header["encoding"]
    with zipfile.ZipFile(tmp_path / "old.npz", "w") as archive:
        archive.writestr("header.json", json.dumps(header | {"version": 1}))
    with pytest.raises(InputError, match=r"layers\[0\]: a layer of this kind needs version 2 of the file"):
        load(tmp_path / "old.npz")


@pytest.mark.parametrize(
    ("channels", "why"),
    [((), "at least one"), ((1, 1), "each at most once"), ((-1,), "channels must be 0 to 1048576, not -1")],
)
def test_channels_that_no_layer_selects(channels, why):
    with pytest.raises(ValueError, match=f"some: .*{why}"):
        Select(name="some", sources=("image",), output=S8, channels=channels)


def test_channels_that_are_not_there():
    layer = Select(name="some", sources=("image",), output=S8, channels=(3,))
    with pytest.raises(ValueError, match="some: channel 3 of 3"):
        layer.compute(np.zeros((1, 2, 2, 3), np.int64))
    layer = DepthToSpace(name="pixels", sources=("image",), output=S8, factor=(2, 2))
    with pytest.raises(ValueError, match="pixels: 6 channels do not divide into 4 pixels"):
        layer.compute(np.zeros((1, 2, 2, 6), np.int64))
    with pytest.raises(ValueError, match="factor must be 1 to 64, not 65"):
        DepthToSpace(name="pixels", sources=("image",), output=S8, factor=(1, 65))
