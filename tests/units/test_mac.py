"""The MAC array: golden against numpy, onnxruntime and unbounded integers, then RTL against golden."""

from itertools import product

import numpy as np
import onnxruntime
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from roundel.golden.mac import MacParams, Schedule, concatenate, interpret, schedule, tiles
from roundel.golden.mac.tiling import assemble
from roundel.golden.network import Window, im2col
from roundel.golden.rounding import limits
from roundel.hw.emit import to_verilog
from roundel.hw.mac import MacArray, ProductDot
from roundel.hw.mac.dot_product import PairDot, activation_layout
from roundel.hw.units import UNITS
from roundel.sim.runner import Design, run
from roundel.sim.verify import Case, cases
from tests.support.rtl import check

WIDTHS = {
    "lanes": st.integers(1, 20),
    "act_width": st.integers(2, 8),
    "act_signed": st.booleans(),
    "weight_width": st.integers(2, 8),
    "reduction": st.integers(1, 10_000),
    "bias_width": st.integers(2, 32),
}
SMALL = MacParams(lanes=3, columns=4, depth=6, reduction=40)


def run_onnx(op, x, w, **attributes):
    """One integer operator of onnxruntime."""
    node = helper.make_node(op, ["x", "w"], ["y"], **attributes)
    tensors = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape))
        for name, value in (("x", x), ("w", w))
    ]
    result = helper.make_tensor_value_info("y", TensorProto.INT32, None)
    graph = helper.make_graph([node], "g", tensors, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x, "w": w})[0]


def random_layer(rng, params, positions, products, channels):
    """Activations, weights, bias and shift of a layer that `params` can compute."""
    return (
        rng.integers(*limits(params.act_width, params.act_signed), (positions, products), endpoint=True),
        rng.integers(*limits(params.weight_width, True), (products, channels), endpoint=True),
        rng.integers(*limits(params.bias_width, True), channels, endpoint=True),
        {"shift": rng.integers(0, 20, channels)},
    )


# Golden ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_accumulate_equals_onnxruntime_matmul(dtype, seed):
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, (9, 300), endpoint=True).astype(dtype)
    w = rng.integers(-128, 127, (300, 7), endpoint=True).astype(np.int8)
    params = MacParams(act_signed=dtype is np.int8)
    assert np.array_equal(params.accumulate(x, w), run_onnx("MatMulInteger", x, w))


def test_convolution_equals_onnxruntime(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 255, (2, 5, 8, 9), endpoint=True).astype(np.uint8)
    w = rng.integers(-128, 127, (6, 5, 3, 3), endpoint=True).astype(np.int8)
    bias = rng.integers(-1000, 1000, 6)
    matrix = im2col(x.transpose(0, 2, 3, 1), Window(kernel=(3, 3), stride=(2, 1), pad=(1, 1, 1, 1)))
    acc = MacParams().accumulate(matrix, w.transpose(2, 3, 1, 0).reshape(-1, 6), bias)
    expected = run_onnx("ConvInteger", x, w, strides=(2, 1), pads=(1, 1, 1, 1)).transpose(0, 2, 3, 1).reshape(-1, 6)
    assert np.array_equal(acc, expected + bias)


def test_compute_rounds_and_clamps_sums(seed):
    acts, weights, bias, runtime = random_layer(np.random.default_rng(seed), SMALL, 5, 40, 3)
    for position, channel in product(range(5), range(3)):
        exact = sum(int(a) * int(w) for a, w in zip(acts[position], weights[:, channel], strict=True))
        half_up = (2 * (exact + int(bias[channel])) // 2 ** int(runtime["shift"][channel]) + 1) // 2
        expected = max(-128, min(127, half_up))
        assert SMALL.compute(acts, weights, bias, runtime)[position, channel] == expected


@given(**WIDTHS)
def test_widths_hold_every_sum_and_no_less_would(lanes, reduction, bias_width, **widths):
    params = MacParams(lanes=lanes, reduction=reduction, bias_width=bias_width, **widths)
    acts, weights = limits(params.act_width, params.act_signed), limits(params.weight_width, True)
    corners = [act * weight for act, weight in product(acts, weights)]

    def fits(total, width):
        return -(2 ** (width - 1)) <= total < 2 ** (width - 1)

    sums = [reduction * corner + bias for corner, bias in product(corners, limits(bias_width, True))]
    assert all(fits(total, params.acc_width) for total in sums)
    assert params.acc_width == 16 or not all(fits(total, params.acc_width - 1) for total in sums)
    dots = [lanes * corner for corner in corners]
    assert all(fits(total, params.dot_width) for total in dots)
    assert not all(fits(total, params.dot_width - 1) for total in dots)
    assert params.requant.acc_width == params.acc_width


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"lanes": 0}, ValueError, "lanes must be 1 to 64, not 0"),
        ({"columns": 65}, ValueError, "columns must be 1 to 64, not 65"),
        ({"act_width": 9}, ValueError, "act_width must be 2 to 8, not 9"),
        ({"weight_width": 1}, ValueError, "weight_width must be 2 to 8, not 1"),
        ({"depth": 2.0}, TypeError, "depth must be an integer, not 2.0"),
        ({"act_signed": 1}, TypeError, "act_signed must be a bool, not 1"),
        ({"requant": 8}, TypeError, "requant must be a RequantParams, not 8"),
        ({"structure": "tree"}, ValueError, "structure must be one of pairs, product, not 'tree'"),
        ({"requant": {"out_width": 1}}, ValueError, "out_width must be 2 to 16, not 1"),
    ],
)
def test_bad_parameters(keywords, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        MacParams(**keywords)


@pytest.mark.parametrize(
    ("acts", "weights", "bias", "message"),
    [
        (np.full((1, 2), 256), np.ones((2, 1), int), 0, "activations must be 0 to 255, not 256 to 256"),
        (np.ones((1, 2), int), np.full((2, 1), -129), 0, "weights must be -128 to 127, not -129 to -129"),
        (np.ones((1, 2), int), np.ones((2, 1), int), 1 << 23, "bias must be -8388608 to 8388607, not 8388608 to"),
        (np.ones((1, 2), int), np.ones((3, 1), int), 0, r"activations \(1, 2\) and weights \(3, 1\) must be"),
        (np.ones((1, 41), int), np.ones((41, 1), int), 0, "a sum must have at most 40 products, not 41"),
        (np.ones((1, 2), int), np.ones((2, 3), int), [1, 2], r"bias must have shape \(3,\), not \(2,\)"),
    ],
)
def test_bad_matrices(acts, weights, bias, message):
    with pytest.raises(ValueError, match=message):
        SMALL.accumulate(acts, weights, bias)


def test_fractions_are_refused():
    with pytest.raises(TypeError, match="weights must be integers, not float64"):
        SMALL.accumulate(np.ones((1, 2), int), np.ones((2, 1)))


def test_plain_values_make_the_same_parameters():
    params = MacParams(lanes=5, structure="product", requant={"scheme": "float32", "relu": True})
    assert MacParams(**params.as_dict()) == params


# Tiling ---------------------------------------------------------------------------------------------------------------


@given(positions=st.integers(1, 5000), depth=st.integers(1, 300))
def test_tiles_cover_all_positions_evenly(positions, depth):
    cut = tiles(positions, depth)
    assert [index for tile in cut for index in range(tile.start, tile.stop)] == list(range(positions))
    sizes = [tile.stop - tile.start for tile in cut]
    assert max(sizes) <= depth
    assert max(sizes) - min(sizes) <= 1
    assert (len(cut) - 1) * depth < positions


@pytest.mark.parametrize(("positions", "products", "channels"), [(1, 1, 1), (6, 3, 4), (7, 4, 5), (20, 40, 9)])
def test_schedule_means_the_matrix_product(positions, products, channels, seed):
    """The beats, interpreted one by one, give what numpy's product gives."""
    acts, weights, bias, runtime = random_layer(np.random.default_rng(seed), SMALL, positions, products, channels)
    beats = schedule(SMALL, acts, weights, bias, runtime)
    inputs = {name: value for name, value in vars(beats).items() if not name.startswith("output")}
    meant = interpret(SMALL, **inputs)
    assert np.array_equal(meant.outputs, beats.outputs)
    assert np.array_equal(meant.output_position, beats.output_position)
    expected = SMALL.requant.compute(acts @ weights + bias, runtime)
    assert np.array_equal(assemble(SMALL, meant.outputs, positions, channels), expected)


def test_shared_runtime_parameters_must_be_equal():
    params = MacParams(lanes=3, columns=4, per_channel=False)
    acts, weights = np.ones((2, 3), int), np.ones((3, 2), int)
    with pytest.raises(ValueError, match="shift must be the same for all channels of an array without per_channel"):
        schedule(params, acts, weights, 0, {"shift": [1, 2]})
    assert np.array_equal(schedule(params, acts, weights, 0, {"shift": 2}).runtime["shift"], [2, 2, 2, 2])


def test_schedule_refuses_empty_matrices():
    with pytest.raises(ValueError, match=r"activations \(0, 3\) and weights \(3, 2\) must not be empty"):
        schedule(SMALL, np.ones((0, 3), int), np.ones((3, 2), int))


def test_schedules_survive_a_file(tmp_path, seed):
    rng = np.random.default_rng(seed)
    beats = concatenate([schedule(SMALL, *random_layer(rng, SMALL, 7, 5, 6)) for _ in range(2)])
    beats.save(tmp_path / "beats.npz")
    loaded = Schedule.load(tmp_path / "beats.npz")
    for name, value in vars(beats).items():
        assert name == "runtime" or np.array_equal(getattr(loaded, name), value)
    assert loaded.runtime.keys() == beats.runtime.keys()
    assert np.array_equal(loaded.runtime["shift"], beats.runtime["shift"])


# RTL ------------------------------------------------------------------------------------------------------------------


def dot_products(kind, params, activations, weights):
    """The column arithmetic as a function, by Amaranth's simulator: (beats, lanes) twice to (beats,)."""
    m = Module()
    m.submodules.dot = dot = kind(params)
    operand = Signal(activation_layout(params))
    m.d.comb += dot.operand.eq(kind.prepare(operand))
    results = []

    async def bench(ctx):
        for acts, held in zip(activations.tolist(), weights.tolist(), strict=True):
            ctx.set(operand, acts)
            ctx.set(dot.weights, held)
            await ctx.delay(1e-9)
            results.append(ctx.get(dot.dot))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results)


@pytest.mark.parametrize("kind", [PairDot, ProductDot])
@pytest.mark.parametrize("act_signed", [False, True])
def test_dot_product_exhaustively(kind, act_signed):
    """Two lanes of 2 x 2 bits: every activation meets every weight in both lanes."""
    params = MacParams(lanes=2, act_width=2, act_signed=act_signed, weight_width=2)
    values = list(product(range(*_open(2, act_signed)), range(*_open(2, act_signed)), range(-2, 2), range(-2, 2)))
    acts, weights = np.array(values)[:, :2], np.array(values)[:, 2:]
    assert np.array_equal(dot_products(kind, params, acts, weights), (acts * weights).sum(axis=1))


@pytest.mark.parametrize("kind", [PairDot, ProductDot])
@pytest.mark.parametrize(
    ("lanes", "act_width", "act_signed", "weight_width"),
    [(1, 8, False, 8), (3, 5, True, 3), (8, 8, True, 8), (7, 8, False, 2), (16, 2, True, 4)],
)
def test_dot_product(kind, lanes, act_width, act_signed, weight_width, seed):
    params = MacParams(lanes=lanes, act_width=act_width, act_signed=act_signed, weight_width=weight_width)
    rng = np.random.default_rng(seed)
    bounds = limits(act_width, act_signed), limits(weight_width, True)
    acts, weights = (rng.integers(*bound, (100, lanes), endpoint=True) for bound in bounds)
    extremes = np.array(list(product(*bounds)))
    acts = np.vstack([acts, np.repeat(extremes[:, :1], lanes, axis=1)])
    weights = np.vstack([weights, np.repeat(extremes[:, 1:], lanes, axis=1)])
    assert np.array_equal(dot_products(kind, params, acts, weights), (acts * weights).sum(axis=1))


def _open(width, signed):
    low, high = limits(width, signed)
    return low, high + 1


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases(UNITS["mac"])])
def test_rtl_equals_golden(case: Case, seed: int):
    check(case, seed)


def replay(tmp_path, beats, params, seed):
    """Drive a schedule through the array's RTL; returns the run's result and the array's latency."""
    beats.save(tmp_path / "beats.npz")
    array = MacArray(params)
    design = Design(sources=(to_verilog(array, "mac"),), top="mac")
    settings = {"params": params.as_dict(), "latency": array.latency, "stimulus": str(tmp_path / "beats.npz")}
    return run(design, "roundel.sim.benches.tb_mac", seed=seed, config=settings, folder=tmp_path / "run"), array.latency


def test_replayed_convolution_keeps_one_beat_per_cycle(tmp_path, seed):
    """A 3 x 3 convolution, 16 to 8 channels, 8 x 8 outputs: the outputs are golden's and no cycle is lost."""
    rng = np.random.default_rng(seed)
    params = MacParams(columns=4)
    acts = im2col(rng.integers(0, 256, (1, 10, 10, 16)), Window(kernel=(3, 3)))
    weights, bias, runtime = rng.integers(-128, 128, (144, 8)), rng.integers(-5000, 5000, 8), {"shift": 9}
    result, latency = replay(tmp_path, schedule(params, acts, weights, bias, runtime), params, seed)
    assert result.passed, result.failures
    with np.load(result.folder / "outputs.npz") as archive:
        outputs, cycles = archive["outputs"], int(archive["cycles"])
    assert np.array_equal(assemble(params, outputs, 64, 8), params.compute(acts, weights, bias, runtime))
    assert cycles <= 2 * 9 * 64 + params.columns + latency + 2


def test_the_bench_notices_a_wrong_result(tmp_path, seed):
    params = MacParams(columns=4)
    beats = schedule(params, *random_layer(np.random.default_rng(seed), params, 3, 20, 4))
    beats.outputs[1, 2] ^= 1
    result, _ = replay(tmp_path, beats, params, seed)
    assert not result.passed
    assert "stimulus: output beat 1, column 2" in result.failures[0]
