"""Networks on the RTL of the array: equal to golden, fed with the RTL's own results, and every difference is named."""

import tempfile
from dataclasses import replace

import numpy as np
import pytest

import roundel.array
from golden.conv import Window
from golden.errors import InputError, ToolError
from golden.formats import Format
from golden.layers import Flatten, MaxPool, Weighted
from golden.network import Network, outputs, steps
from golden.requant import Scheme
from golden.rounding import Rounding
from roundel.array import Replay, difference, differences, rounds, run_on_array
from roundel.array_design import array_params, build_arrays, generate_array, generate_arrays, unsupported
from sim.runner import Result

SMALL = {"lanes": 4, "columns": 4, "depth": 8}  # builds in seconds; ragged edges in all directions
ONE = Window(kernel=(1, 1))
SIGNED, UNSIGNED = (Format(width=8, signed=signed, fraction=0) for signed in (True, False))
RNG = np.random.default_rng(5)


def weighted(name, source, x, output, products, channels, window=None, **more):
    """A layer with random weights and bias, whose shift is the fractional bits of its input."""
    return Weighted(
        name=name,
        sources=(source,),
        output=output,
        weights=RNG.integers(-128, 128, (products, channels)),
        bias=RNG.integers(-128, 128, channels),
        x=x,
        w=replace(SIGNED, fraction=8),
        window=window,
        **{"b": replace(SIGNED, fraction=4)} | more,
    )


@pytest.fixture(scope="module")
def network():
    """Signed input, convolution to 5 unsigned channels, pooling, dense layer to 3 signed scores."""
    window = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    pool = Window(kernel=(2, 2), stride=(2, 2))
    layers = (
        weighted("conv", "image", SIGNED, UNSIGNED, 9 * 2, 5, window),
        MaxPool(name="pool", sources=("conv",), output=UNSIGNED, window=pool),
        Flatten(name="flat", sources=("pool",), output=UNSIGNED),
        weighted("dense", "flat", UNSIGNED, SIGNED, 2 * 2 * 5, 3),
    )
    return Network(source="image", input=SIGNED, layers=layers)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(6).integers(-128, 128, (5, 4, 4, 2))


@pytest.fixture(scope="module")
def arrays(network):
    return generate_arrays(array_params(network, **SMALL))


def perfect(array, beats, stream=None, corrupt=0):
    """In place of `simulate`: what golden says, `corrupt` added to the very first value."""
    outputs = beats.outputs.copy()
    outputs[0, 0] += corrupt
    return Replay(outputs=outputs, cycles=len(beats.position) + 10, faults=(), speed=1.0)


def test_layers_of_equal_settings_share_an_array(network, arrays):
    assert arrays["conv"].name == "mac_s8_u8"
    assert arrays["dense"].name == "mac_u8_s8"
    assert arrays["conv"].params.reduction == arrays["dense"].params.reduction == 20
    twice = replace(network, layers=(*network.layers, weighted("more", "flat", UNSIGNED, SIGNED, 20, 7)))
    params = array_params(twice, **SMALL)
    assert params["more"] == params["dense"] != params["conv"]
    assert {array.name for array in generate_arrays({"a": params["conv"], "b": params["conv"]}).values()} == {"mac"}


def test_rtl_equals_golden_in_every_layer(network, images, arrays, monkeypatch):
    monkeypatch.setattr(roundel.array, "BATCH", 2)  # three batches, the last one ragged
    build_arrays(arrays.values())
    done = []
    run = run_on_array(network, images, arrays, done.append)
    golden = list(steps(network, images))
    assert differences(run, golden) == []
    assert set(run.outputs) == {"conv", "dense"}
    for step in golden:
        if step.layer.name in run.outputs:
            np.testing.assert_array_equal(run.outputs[step.layer.name], step.outputs)
    np.testing.assert_array_equal(run.result, golden[-1].outputs)
    assert sorted(done) == ["conv"] * 3 + ["dense"] * 3
    assert len(done) == 2 * rounds(images)
    conv, dense = run.layers
    # positions x blocks of lanes x blocks of columns, all of 4
    assert (conv.positions, conv.products, conv.channels, conv.beats) == (80, 18, 5, 80 * 5 * 2)
    assert (dense.positions, dense.products, dense.channels, dense.beats) == (5, 20, 3, 5 * 5 * 1)
    assert conv.beats < conv.cycles
    assert 0 < conv.beats_per_cycle == conv.beats / conv.cycles < 1


def test_rtl_that_rounds_otherwise_is_found(network, images, arrays):
    params = arrays["conv"].params
    other = generate_array(
        arrays["conv"].name, replace(params, requant=replace(params.requant, rounding=Rounding.FLOOR))
    )
    wrong = replace(arrays["conv"], verilog=other.verilog)
    run = run_on_array(network, images, {**arrays, "conv": wrong})
    first = differences(run, steps(network, images))[0]
    expected = next(iter(steps(network, images))).outputs
    index = tuple(np.argwhere(run.outputs["conv"] != expected)[0].tolist())
    count = int((run.outputs["conv"] != expected).sum())
    values = f"RTL {run.outputs['conv'][index]}, golden {expected[index]}"
    assert first == f"conv: {count} of {expected.size} outputs differ, first {list(index)}: {values}"


def test_layers_are_fed_with_what_the_rtl_gave(network, images, arrays, monkeypatch):
    monkeypatch.setattr(roundel.array, "simulate", lambda array, beats, stream: perfect(array, beats, stream, -1000))
    monkeypatch.setattr(roundel.array, "BATCH", len(images))
    run = run_on_array(network, images, arrays)
    conv, _, _, dense = steps(network, images)
    altered = conv.outputs.copy()
    altered[0, 0, 0, 0] -= 1000  # far below everything: not the greatest of its window any more
    pooled = altered.reshape(5, 2, 2, 2, 2, 5).max(axis=(2, 4)).reshape(5, -1)
    expected = dense.layer.compute(pooled).outputs
    expected[0, 0] -= 1000
    np.testing.assert_array_equal(run.outputs["conv"], altered)
    np.testing.assert_array_equal(run.result, expected)


def test_a_difference_names_layer_element_and_both_values():
    outputs = np.arange(24).reshape(2, 3, 4)
    expected = outputs.copy()
    assert difference("conv1", outputs, expected) == []
    expected[1, 0, 2] = 99
    expected[1, 2, 3] = 98
    assert difference("conv1", outputs, expected) == [
        "conv1: 2 of 24 outputs differ, first [1, 0, 2]: RTL 14, golden 99"
    ]


def test_a_fault_without_a_wrong_value_counts_as_well(network, images, arrays, monkeypatch):
    late = ("matches_golden: 99 cycles, not at most 50",)
    monkeypatch.setattr(roundel.array, "simulate", lambda *args: replace(perfect(*args), faults=late))
    run = run_on_array(network, images, arrays)
    assert differences(run, steps(network, images)) == [f"conv: {late[0]}", f"dense: {late[0]}"]


def test_a_simulation_without_results_is_a_tool_error(network, images, arrays, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(roundel.array, "run", lambda *_, **__: Result(1, ("matches_golden: stream dried up",)))
    with pytest.raises(ToolError, match=r"mac_s8_u8 gave no results: matches_golden: stream dried up\nlog: .*run.log"):
        run_on_array(network, images, arrays)


@pytest.fixture(scope="module")
def varied():
    """What networks may ask of an array: groups, a shift for each channel, bounds, another requantizer, no array."""
    window = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
    scaled = replace(SIGNED, fraction=-3, mantissa=1.3)
    layers = (
        weighted("grouped", "image", SIGNED, UNSIGNED, 9 * 2, 6, window, groups=2, bounds=(3, 90)),
        weighted("depthwise", "grouped", UNSIGNED, UNSIGNED, 9, 6, window, groups=6),
        weighted("by_channel", "depthwise", UNSIGNED, SIGNED, 6, 5, ONE, w_fractions=(5, 7, 8, 6, 9)),
        weighted("leaky", "by_channel", SIGNED, SIGNED, 5, 5, ONE, leak=3),
        replace(weighted("sum", "leaky", SIGNED, SIGNED, 5, 5, ONE, residual=SIGNED), sources=("leaky", "by_channel")),
        weighted("scaled", "sum", SIGNED, scaled, 5, 4, ONE, b=SIGNED, requant=Scheme.FIXED16),
    )
    return Network(source="image", input=SIGNED, layers=layers, results=("by_channel", "scaled"))


def test_every_kind_of_weighted_layer(varied):
    """On RTL where the array can do it, else in golden; either way every result is golden's."""
    images = np.random.default_rng(7).integers(-128, 128, (2, 4, 4, 4))
    arrays = generate_arrays(array_params(varied, **SMALL))
    assert set(arrays) == {"grouped", "depthwise", "by_channel", "scaled"}
    assert [arrays[name].mac.per_channel for name in ("depthwise", "by_channel")] == [False, True]
    build_arrays(arrays.values())
    run = run_on_array(varied, images, arrays)
    golden = list(steps(varied, images))
    assert differences(run, golden) == []
    assert [row.layer for row in run.layers] == list(arrays)
    for name, values in outputs(varied, images).items():
        np.testing.assert_array_equal(run.results[name], values)
    assert all(len(np.unique(step.outputs)) > 3 for step in golden)  # no layer that everything clamps in


def test_what_the_array_cannot_run(network, varied):
    assert {layer.name: unsupported(layer) for layer in varied.weighted if unsupported(layer)} == {
        "leaky": "shifts by the sign (LeakyRelu), which the requantizer cannot do",
        "sum": "adds a residual, which the MAC array cannot do",
    }
    wide = replace(network.layers[-1], w=replace(SIGNED, width=9, fraction=8))
    assert unsupported(wide) == "has operands of 9 bits, more than 8"
    with pytest.raises(InputError, match="at least one convolution or dense layer"):
        array_params(Network(source="x", input=SIGNED, layers=()))
    with pytest.raises(InputError, match="layer conv: lanes must be 1 to 64, not 65"):
        array_params(network, lanes=65)
