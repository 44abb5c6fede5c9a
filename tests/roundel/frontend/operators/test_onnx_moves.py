"""Operators that move values, with random attributes, against onnxruntime; and the graph's normal form against both."""

from math import prod

import numpy as np
import pytest
from onnx import TensorProto, helper

from roundel.frontend import Host, divide, examine, prepare, read_onnx
from roundel.golden.errors import InputError
from roundel.graph import (
    AveragePool,
    Clip,
    Concat,
    Conv,
    Crop,
    Dense,
    DepthToSpace,
    Flatten,
    MaxPool,
    Pad,
    Quantize,
    Relu,
    Select,
    fold,
    needed,
)
from tests.support.onnx_models import NEWEST, check, model, saved

WEIGHTS = np.random.default_rng(7).normal(size=(5, 8, 3, 3)).astype(np.float32)


def both(tmp_path, proto, shape):
    """Compare the import with onnxruntime, and the normal form with the import; returns the normal form."""
    graph = check(tmp_path, proto, shape)
    plain = fold(graph)
    assert not any(isinstance(node, Pad | Crop) for node in plain.nodes)
    x = np.random.default_rng(5).normal(size=(2, *shape)).astype(np.float32)
    expected, got = graph.outputs(x), plain.outputs(x)
    for name in graph.results:
        assert plain.shapes[name] == got[name].shape[1:]
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-4)
    return plain


def kinds(graph):
    return [type(node) for node in graph.nodes]


def integers(rng, low, high, count):
    return [int(value) for value in rng.integers(low, high + 1, count)]


def transposed(rng):
    """A ConvTranspose with random attributes, its weights and the shape that it reads."""
    groups, inner, outer = integers(rng, 1, 3, 3)
    kernel, size = integers(rng, 1, 8, 2), integers(rng, 1, 6, 2)
    strides = [int(rng.choice([1, 2, 2, 3, 4])) for _ in "ab"]
    about = {"strides": strides, "group": groups, "kernel_shape": kernel}
    if rng.random() < 0.2:
        about["dilations"] = integers(rng, 1, 2, 2)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, about.get("dilations", (1, 1)), strict=True)]
    way = rng.integers(8)
    if way < 5:
        about["pads"] = [int(rng.integers(0, max(1, reach[axis % 2] // 2 + 1))) for axis in range(4)]
        about["output_padding"] = [int(rng.integers(0, stride)) for stride in strides]
    elif way == 5:
        about["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    elif way == 6:
        largest = [stride * (s - 1) + r for stride, s, r in zip(strides, size, reach, strict=True)]
        about["output_shape"] = [int(rng.integers(max(1, most - 3), most + 1)) for most in largest]
    weights = {"w": rng.normal(size=(groups * inner, outer, *kernel)).astype(np.float32)}
    if rng.random() < 0.5:
        weights["b"] = rng.normal(size=groups * outer).astype(np.float32)
    return about, weights, (groups * inner, *size)


@pytest.mark.parametrize("part", range(4))
def test_conv_transpose_equals_onnxruntime(part, tmp_path, seed):
    tried = 0
    for number in range(30):
        rng = np.random.default_rng((seed, part, number))
        about, weights, shape = transposed(rng)
        nodes = [("ConvTranspose", ["x", *weights], "t", about), ("Relu", ["t"], "y", {})]
        try:
            proto = model(nodes, shape, weights, opset=int(rng.integers(7, 23)))
            graph = read_onnx(saved(tmp_path, proto))
        except InputError as error:
            if not any(why in str(error) for why in ("expected at least one result", "have no agreed meaning")):
                raise
            continue
        tried += 1
        result = graph.shapes[graph.result]
        plain = both(tmp_path, proto, shape)
        assert plain.shapes[plain.result] == result
        made = sum(node.weights.size for node in plain.nodes if isinstance(node, Conv) and node.name.startswith("conv"))
        useful = weights["w"].size
        conv = next(node for node in plain.nodes if isinstance(node, Conv))
        assert np.count_nonzero(conv.weights) == useful  # each weight once: no zero is multiplied by more than padding
        assert made >= useful
    assert tried > 20


def test_batch_normalization_and_relu_behind_conv_transpose_go_into_its_weights(tmp_path, seed):
    rng = np.random.default_rng(seed)
    weights = {"w": rng.normal(size=(8, 6, 2, 2)).astype(np.float32)}
    weights |= {name: rng.uniform(0.5, 2, 6).astype(np.float32) for name in ("scale", "b", "mean", "var")}
    nodes = [
        ("ConvTranspose", ["x", "w"], "t", {"strides": [2, 2]}),
        ("BatchNormalization", ["t", "scale", "b", "mean", "var"], "n", {}),
        ("Relu", ["n"], "y", {}),
    ]
    plain = both(tmp_path, model(nodes, (8, 5, 4), weights), (8, 5, 4))
    assert kinds(plain) == [Conv, Relu, DepthToSpace]
    assert plain.nodes[0].window.kernel == (1, 1)
    assert plain.nodes[0].weights.shape == (24, 8, 1, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(size, mode, tmp_path):
    shape = (2 * size**2, 3, 4)
    rows = [("DepthToSpace", ["x"], "d", {"blocksize": size, "mode": mode}), ("Relu", ["d"], "r", {}),
            ("SpaceToDepth", ["r"], "y", {"blocksize": size})]  # fmt: skip
    graph = check(tmp_path, model(rows, shape, outputs=("d", "y")), shape)
    assert isinstance(graph.nodes[0], DepthToSpace)
    both(tmp_path, model(rows, shape, outputs=("d", "y")), shape)


def focus(order=((0, 0), (1, 0), (0, 1), (1, 1)), block=2, at_once=True):
    """Every second row and column, from all first ones on, as exporters write it: at once, or rows before columns."""
    rows, weights, parts = [], {"rows": np.array([2]), "columns": np.array([3]), "both": np.array([2, 3])}, []
    weights |= {"step": np.array([block]), "steps": np.array([block] * 2), "end": np.array([2**62])}
    weights |= {"ends": np.array([2**63 - 1] * 2), **{f"from{index}": np.array([index]) for index in range(block)}}
    for top, left in order:
        name = f"p{top}{left}"
        weights[f"first{name}"] = np.array([top, left])
        if at_once:
            rows.append(("Slice", ["x", f"first{name}", "ends", "both", "steps"], name, {}))
        else:
            rows.append(("Slice", ["x", f"from{top}", "end", "rows", "step"], f"{name}r", {}))
            rows.append(("Slice", [f"{name}r", f"from{left}", "end", "columns", "step"], name, {}))
        parts.append(name)
    return [*rows, ("Concat", parts, "all", {"axis": 1})], weights


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "dilation"),
    [(3, 1, [1, 1, 1, 1], 1), (1, 1, [0, 0, 0, 0], 1), (3, 2, [1, 0, 0, 2], 1), (2, 3, [0, 1, 1, 0], 2)],
)
def test_focus_is_one_convolution_of_the_whole_map(kernel, stride, pads, dilation, at_once, tmp_path, seed):
    rows, weights = focus(at_once=at_once)
    weights["w"] = np.random.default_rng(seed).normal(size=(5, 12, kernel, kernel)).astype(np.float32)
    about = {"pads": pads, "strides": [stride] * 2, "dilations": [dilation] * 2}
    proto = model([*rows, ("Conv", ["all", "w"], "y", about)], (3, 12, 16), weights)
    plain = both(tmp_path, proto, (3, 12, 16))
    assert kinds(plain) == [Conv]
    (node,) = plain.nodes
    assert node.window.stride == (2 * stride, 2 * stride)
    if dilation == 1:
        assert node.window.kernel == (2 * kernel, 2 * kernel)
        assert np.count_nonzero(node.weights) == node.weights.size


@pytest.mark.parametrize("shape", [(3, 12, 16), (2, 11, 9), (1, 4, 5)])
def test_space_to_depth_and_odd_parts_before_convolutions(shape, tmp_path, seed):
    rng = np.random.default_rng(seed)
    for block, count in ((2, 3), (3, 4), (2, 1)):
        order = [(int(top), int(left)) for top, left in rng.integers(0, block, (count, 2))]
        sizes = {(-(-(shape[1] - top) // block), -(-(shape[2] - left) // block)) for top, left in order}
        if len(sizes) > 1:
            continue
        rows, weights = focus(order, block)
        weights["w"] = rng.normal(size=(5, count * shape[0], 2, 1)).astype(np.float32)
        rows = [*{row[2]: row for row in rows}.values(), ("Conv", ["all", "w"], "y", {"pads": [1, 1, 1, 0]})]
        both(tmp_path, model(rows, shape, weights), shape)


@pytest.mark.parametrize("number", range(12))
def test_any_slice_equals_onnxruntime(number, tmp_path, seed):
    """Of channels in any direction, of rows and columns at any distance, by themselves and before a convolution."""
    rng, shape = np.random.default_rng((seed, number)), (6, 9, 8)
    axes = [int(axis) for axis in rng.permutation([1, 2, 3])[: rng.integers(1, 4)]]
    starts, ends, steps = [], [], []
    for axis in axes:
        size = shape[axis - 1]
        first, last = sorted(integers(rng, 0, size - 1, 2))
        step = int(rng.choice([1, 2, 3]))
        if axis == 1 and rng.random() < 0.5:
            first, last, step = last, first - 1 - (first == 0) * (size + 9), -step
        else:
            last = last + 1 if rng.random() < 0.7 else 2**31
            first -= size * int(rng.integers(2))
        starts, ends, steps = [*starts, first], [*ends, last], [*steps, step]
    weights = {"s": np.array(starts), "e": np.array(ends), "a": np.array(axes), "t": np.array(steps)}
    rows = [("Slice", ["x", "s", "e", "a", "t"], "y", {})]
    graph = check(tmp_path, model(rows, shape, weights), shape)
    channels = graph.shapes[graph.result][0]
    weights["w"] = rng.normal(size=(2, channels, 1, 1)).astype(np.float32)
    rows = [*rows[:1], ("Conv", ["y", "w"], "z", {"pads": [0, 0, 1, 0]})]
    both(tmp_path, model(rows, shape, weights, outputs=("z",)), shape)


@pytest.mark.parametrize("opset", [11, 13, 18, NEWEST])
def test_split_equals_onnxruntime(opset, tmp_path):
    sizes = [3, 1, 4]
    given = {"split": sizes} if opset < 13 else {}
    inputs = ["x"] if opset < 13 else ["x", "sizes"]
    node = helper.make_node("Split", inputs, ["a", "b", "c"], axis=1, name="cut", **given)
    halves = helper.make_node("Split", ["a"], ["d", "e", "f"], axis=-3, **({"num_outputs": 3} if opset >= 18 else {}))
    proto = model([("Relu", ["x"], "y", {})], (8, 4, 5), {"sizes": np.array(sizes)}, opset=opset)
    proto.graph.node.extend([node, halves])
    for name in "bcdef":
        proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        proto.graph.output[-1].type.tensor_type.shape.SetInParent()
    graph = check(tmp_path, proto, (8, 4, 5))
    assert [node.channels for node in graph.nodes if isinstance(node, Select)][1:3] == [(3,), (4, 5, 6, 7)]
    both(tmp_path, proto, (8, 4, 5))


def shuffle(source, output, groups, shape, batch=0):
    """Channel c of g groups goes to place c % n * g + c // n, as exporters write it: Reshape, Transpose, Reshape."""
    channels, *size = shape
    weights = {
        f"{output}.split": np.array([batch, groups, channels // groups, *size]),
        f"{output}.back": np.array([batch, channels, *size]),
    }
    return [
        ("Reshape", [source, f"{output}.split"], f"{output}.1", {}),
        ("Transpose", [f"{output}.1"], f"{output}.2", {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", [f"{output}.2", f"{output}.back"], output, {}),
    ], weights


@pytest.mark.parametrize("batch", [0, -1])
def test_a_channel_shuffle_goes_into_the_weights_before_it(batch, tmp_path):
    rows, weights = shuffle("r", "s", 2, (8, 6, 4), batch)
    weights |= {"w": WEIGHTS[:, :, :1, :1].repeat(2, axis=0)[:8], "v": WEIGHTS}
    rows = [("Conv", ["x", "w"], "c", {}), ("Relu", ["c"], "r", {}), *rows, ("Conv", ["s", "v"], "y", {})]
    plain = both(tmp_path, model(rows, (8, 6, 4), weights), (8, 6, 4))
    assert kinds(plain) == [Conv, Relu, Conv]


def test_a_channel_shuffle_of_a_group_convolution_stays(tmp_path):
    rows, weights = shuffle("c", "s", 2, (6, 4, 2))
    weights |= {"w": WEIGHTS[:1, :4].repeat(6, axis=0)}
    rows = [("Conv", ["x", "w"], "c", {"group": 2}), *rows, ("Relu", ["s"], "y", {})]
    plain = both(tmp_path, model(rows, (8, 6, 4), weights), (8, 6, 4))
    assert kinds(plain) == [Conv, Relu, Select]
    assert plain.nodes[2].channels == (0, 3, 1, 4, 2, 5)


CHAINS = {
    "pixels": ((0, 2, 2, 2, 3, 4), [0, 3, 4, 1, 5, 2], (0, 2, 6, 8), [Select, DepthToSpace]),
    "pixels by channel": ((0, 2, 2, 2, 3, 4), [0, 1, 4, 2, 5, 3], (0, 2, 6, 8), [DepthToSpace]),
    "depth": ((0, 8, 1, 3, 2, 2), [0, 3, 5, 1, 2, 4], (0, 48, 1, 2), [*[Crop] * 6, Concat, Select]),
    "the same": ((0, 96), [0, 1], (0, 8, 3, 4), []),
    "there and back": ((0, 4, 2, 12), [0, 1, 2, 3], (0, 8, 3, 4), []),
    "flat": ((0, 4, 2, 12), [0, 1, 2, 3], (0, 96), [Flatten]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_recognised_by_what_they_do(name, tmp_path):
    split, order, back, made = CHAINS[name]
    weights = {"split": np.array(split), "back": np.array(back)}
    rows = [("Relu", ["x"], "r", {}), ("Reshape", ["r", "split"], "a", {}),
            ("Transpose", ["a"], "b", {"perm": order}), ("Reshape", ["b", "back"], "c", {}),
            ("LeakyRelu", ["c"], "y", {"alpha": 0.5})]  # fmt: skip
    graph = check(tmp_path, model(rows, (8, 3, 4), weights), (8, 3, 4))
    assert kinds(needed(graph))[1:-1] == made
    if name != "flat":
        both(tmp_path, model(rows, (8, 3, 4), weights), (8, 3, 4))


@pytest.mark.parametrize(
    ("order", "back", "why"),
    [
        ([0, 2, 3, 1], (0, 96), r"node transpose_b \(Transpose\): values in the order \(0, 2, 3, 1\) of axes are"),
        ([0, 1, 3, 2], (0, 8, 4, 3), r"node transpose_b \(Transpose\): values in the order"),
        ([1, 0, 2, 3], (0, 96), r"node transpose_b \(Transpose\): perm must be an order of 4 axes"),
    ],
)
def test_chains_that_come_to_nothing_are_refused_where_they_begin(order, back, why, tmp_path):
    rows = [("Transpose", ["x"], "b", {"perm": order}), ("Reshape", ["b", "back"], "c", {}), ("Relu", ["c"], "y", {})]
    proto = model(rows, (8, 3, 4), {"back": np.array(back)}, batch=3)
    with pytest.raises(InputError, match=why):
        read_onnx(saved(tmp_path, proto))
    proto = model(rows[:2], (8, 3, 4), {"back": np.array(back)}, outputs=("c",), batch=3)
    with pytest.raises(InputError, match=why):
        read_onnx(saved(tmp_path, proto))


def test_what_works_on_each_value_may_stand_within_a_chain(tmp_path):
    """As onnxruntime's quantizer writes it: between the steps of a shuffle stand the two of a quantization."""
    (first, second, third), weights = shuffle("r", "s", 2, (8, 6, 4))
    weights |= {"scale": np.float32(0.25), "zero": np.uint8(3), "w": WEIGHTS}
    rows = [
        ("Relu", ["x"], "r", {}),
        first,
        ("QuantizeLinear", ["s.1", "scale", "zero"], "q", {}),
        ("DequantizeLinear", ["q", "scale", "zero"], "d", {}),
        (*second[:1], ["d"], *second[2:]),
        ("Clip", ["s.2", "", "most"], "c", {}),
        (*third[:1], ["c", "s.back"], *third[2:]),
        ("Conv", ["s", "w"], "y", {}),
    ]
    proto = model(rows, (8, 6, 4), weights | {"most": np.float32(1.5)})
    plain = both(tmp_path, proto, (8, 6, 4))
    assert kinds(plain) == [Relu, Quantize, Clip, Select, Conv]
    engine = divide(examine(prepare(proto)), Host.TAIL).parts
    assert [part.engine for part in engine] == [True]


TAILS = {
    "locations": [("Transpose", ["c"], "t", {"perm": [0, 2, 3, 1]}), ("Reshape", ["t", "rows"], "y", {})],
    "scores": [("Reshape", ["c", "split"], "r", {}), ("Softmax", ["r"], "y", {"axis": -1})],
    "turned scores": [("Reshape", ["c", "split"], "r", {}), ("Transpose", ["r"], "t", {"perm": [0, 1, 3, 2]}),
                      ("Sigmoid", ["t"], "y", {})],
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_chains_that_come_to_nothing_are_the_host_s(name):
    """From their first operator on, with its reason; the engine's part ends before it."""
    weights = {"w": WEIGHTS[:, :3], "rows": np.array([0, -1, 5]), "split": np.array([0, 5, 4, -1])}
    proto = model([("Conv", ["x", "w"], "c", {}), *TAILS[name]], (3, 8, 8), weights, batch=1)
    examination = examine(prepare(proto))
    reasons = [item.reason for item in examination.verdicts]
    assert reasons[0] is None
    assert "supported" in reasons[1]
    engine, tail = divide(examination, Host.TAIL).parts
    assert [item.operator for item in engine.verdicts] == ["Conv"]
    assert engine.outputs == tail.inputs == ("c",)
    assert [item.operator for item in tail.verdicts] == [row[0] for row in TAILS[name]]


def test_a_shuffle_stays_on_the_engine_before_a_tail():
    rows, weights = shuffle("c", "s", 2, (8, 6, 4))
    weights |= {"w": WEIGHTS[0][:, :1, :1, None].repeat(3, axis=1), "split": np.array([0, 8, 12, 2])}
    tail = [("Reshape", ["s", "split"], "t", {}), ("Softmax", ["t"], "y", {"axis": -1})]
    proto = model([("Conv", ["x", "w"], "c", {}), *rows, *tail], (3, 6, 4), weights, batch=1)
    engine, host = divide(examine(prepare(proto)), Host.TAIL).parts
    assert [item.operator for item in engine.verdicts] == ["Conv", "Reshape", "Transpose", "Reshape"]
    assert [item.operator for item in host.verdicts] == ["Reshape", "Softmax"]


def padded(pads, value=None, x="x"):
    weights = {"pads": np.array([0, 0, *pads[:2], 0, 0, *pads[2:]])}
    weights |= {} if value is None else {"value": np.float32(value)}
    return [("Pad", [x, *weights], "p", {})], weights


@pytest.mark.parametrize("pads", [(1, 2, 3, 0), (0, 0, 1, 1), (2, 2, 2, 2)])
def test_a_border_of_zeros_is_padding_of_what_reads_it(pads, tmp_path):
    rows, weights = padded(pads, 0)
    conv = ("Conv", ["p", "w"], "y", {"pads": [0, 1, 0, 0], "strides": [2, 2]})
    plain = both(tmp_path, model([*rows, conv], (8, 6, 7), weights | {"w": WEIGHTS}), (8, 6, 7))
    assert kinds(plain) == [Conv]
    assert plain.nodes[0].window.pad == (pads[0], pads[1] + 1, *pads[2:])
    mean = ("AveragePool", ["p"], "y", {"kernel_shape": [3, 3], "strides": [2, 2]})
    plain = both(tmp_path, model([*rows, mean], (8, 6, 7), weights), (8, 6, 7))
    assert kinds(plain) == [AveragePool]
    uncounted = ("AveragePool", ["p"], "y", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})
    plain = both(tmp_path, model([*rows, uncounted], (8, 6, 7), weights), (8, 6, 7))
    assert kinds(plain) == [Conv, AveragePool]
    largest = ("MaxPool", ["p"], "y", {"kernel_shape": [3, 4], "strides": [2, 1]})
    plain = both(tmp_path, model([*rows, largest], (8, 6, 7), weights), (8, 6, 7))
    assert kinds(plain) == [Conv, MaxPool]  # negative values are less than the border
    rows, weights = padded(pads, 0, x="r")
    rows = [("Relu", ["x"], "r", {}), *rows]
    plain = both(tmp_path, model([*rows, largest], (8, 6, 7), weights), (8, 6, 7))
    assert kinds(plain) == ([Relu, MaxPool] if max(pads) < 3 else [Relu, Conv, MaxPool])


def test_a_border_of_the_least_numbers_is_padding_of_a_maximum(tmp_path):
    for value in (-np.inf, np.finfo(np.float32).min):
        rows, weights = padded((1, 1, 2, 0), value)
        rows.append(("MaxPool", ["p"], "y", {"kernel_shape": [3, 3], "strides": [2, 2]}))
        plain = both(tmp_path, model(rows, (3, 6, 7), weights), (3, 6, 7))
        assert kinds(plain) == [MaxPool]


def test_a_border_moves_behind_activations_that_keep_zero(tmp_path):
    rows, weights = padded((1, 1, 1, 1), x="c")
    rows = [("Conv", ["x", "w"], "c", {}), *rows, ("Relu", ["p"], "r", {}), ("Conv", ["r", "v"], "y", {})]
    weights |= {"w": WEIGHTS[:, :3].repeat(2, axis=0)[:8], "v": WEIGHTS}
    assert kinds(both(tmp_path, model(rows, (3, 9, 9), weights), (3, 9, 9))) == [Conv, Relu, Conv]


def test_borders_that_stay_and_borders_that_are_parts(tmp_path):
    rows, weights = padded((1, 0, 2, 1))
    rows.append(("Relu", ["p"], "y", {}))
    assert kinds(both(tmp_path, model(rows, (3, 4, 5), weights), (3, 4, 5))) == [Relu, Conv]
    rows, weights = padded((-1, 2, 0, -2))
    rows.append(("Relu", ["p"], "y", {}))
    both(tmp_path, model(rows, (3, 4, 5), weights), (3, 4, 5))
    rows, weights = padded((0, 0, 0, 0))
    rows.append(("Relu", ["p"], "y", {}))
    assert kinds(both(tmp_path, model(rows, (3, 4, 5), weights), (3, 4, 5))) == [Relu]
    rows, weights = padded((1, 1, 1, 1), 0.5)
    rows.append(("Relu", ["p"], "y", {}))
    graph = check(tmp_path, model(rows, (3, 4, 5), weights), (3, 4, 5))
    with pytest.raises(InputError, match=r"node pad_p: a border of 0.5 is supported before a maximum only"):
        fold(graph)


def gathered(channels, axis=1):
    return [("Gather", ["x", "i"], "y", {"axis": axis})], {"i": np.array(channels)}


def test_gather_of_channels(tmp_path):
    rows, weights = gathered([4, -1, 0])
    graph = both(tmp_path, model(rows, (6, 2, 3), weights), (6, 2, 3))
    assert graph.nodes[0].channels == (4, 5, 0)


FAULTS = {
    "one channel twice": (*gathered([1, 1]), "channels of the 6 that there are, each at most once"),
    "rows by number": (*gathered([1, 0], axis=2), r"expected a list of channels \(axis 1\), not \(2,\) along axis 2"),
    "another mode": ([("Pad", ["x", "p"], "y", {"mode": "reflect"})], {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
                     "mode must be constant, not reflect"),
    "padded channels": ([("Pad", ["x", "p"], "y", {})], {"p": np.array([0, 1, 1, 1, 0, 0, 1, 1])},
                        "batch and channels cannot be padded"),
    "rows upside down": ([("Slice", ["x", "s", "e", "a", "t"], "y", {})],
                         {"s": np.array([3]), "e": np.array([-9]), "a": np.array([2]), "t": np.array([-1])},
                         "rows and columns cannot change their order"),
    "part of the batch": ([("Slice", ["x", "s", "e", "a"], "y", {})],
                          {"s": np.array([0]), "e": np.array([1]), "a": np.array([0])}, "all images of the batch"),
    "too large a stride": ([("ConvTranspose", ["x", "w"], "y", {"strides": [17, 1]})],
                           {"w": np.ones((6, 1, 2, 2), np.float32)}, "strides must be at most 16, not 17"),
    "no step within a kernel": ([("ConvTranspose", ["x", "w"], "y", {"dilations": [1, 0]})],
                                {"w": np.ones((6, 1, 2, 2), np.float32)}, "dilations must be 2 numbers of 1 to"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_refused(name, tmp_path):
    rows, weights, why = FAULTS[name]
    with pytest.raises(InputError, match=why):
        read_onnx(saved(tmp_path, model(rows, (6, 4, 5), weights)))


def test_dense_behind_pixels(tmp_path):
    rows = [("DepthToSpace", ["x"], "d", {"blocksize": 2}), ("Flatten", ["d"], "f", {})]
    rows.append(("MatMul", ["f", "w"], "y", {}))
    weights = {"w": WEIGHTS.reshape(-1)[: prod((8, 2, 3)) * 3].reshape(-1, 3)}
    assert kinds(both(tmp_path, model(rows, (8, 2, 3), weights), (8, 2, 3))) == [DepthToSpace, Flatten, Dense]
