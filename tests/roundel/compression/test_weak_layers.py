"""Layers below 10 dB are named with the cause that was put there: weights, biases, formats, inputs."""

from dataclasses import replace

import numpy as np
import pytest

import roundel
from roundel.compression import CompressOptions, run_passes
from roundel.compression.weak_layers import SHOWN, Tensors, likely_cause
from roundel.data import DIGITS
from roundel.golden.network import steps
from roundel.quantization import QuantizeOptions
from roundel.ui import silent
from tests.support.command import call
from tests.support.made_graphs import SINGLE, conv, network, ratio_db

CHANNELS = 16
SHAPE = (CHANNELS, 6, 6)


def compressed(graph, images, **options):
    """All passes on a graph made by hand."""
    search = QuantizeOptions(**options)
    return run_passes(CompressOptions(model=graph, calibration=images, search=search), silent)


def chain(rng, count, *, weights=1.0, bias=(0.0,) * CHANNELS):
    """Convolutions of 1x1 in a row, random weights times `weights`: errors of inputs go through in equal parts."""
    layers = [conv(rng, f"c{index - 1}" if index else "x", f"c{index}", CHANNELS, CHANNELS, SINGLE)
              for index in range(count)]  # fmt: skip
    nodes = [replace(layer, weights=layer.weights * np.float32(weights), bias=np.float32(bias))
             for layer in layers]  # fmt: skip
    return network(SHAPE, *nodes)


def images_of(rng):
    """Images about 0: a layer's error is that of its weights, as a part of either."""
    return rng.uniform(-1, 1, (6, *SHAPE)).astype(np.float32)


def sqnr_of(graph, made, images):
    """SQNR of each layer, from the float graph and the integer network alone."""
    real = graph.values(images)
    return {
        step.layer.name: ratio_db(
            real[step.layer.name.removeprefix("conv_")].transpose(0, 2, 3, 1).astype(np.float64),
            step.layer.output.decode(step.outputs),
        )
        for step in steps(made.network, made.network.encode(images))
    }


def test_every_layer_below_is_named_and_no_other(seed):
    """Three bits leave some layers above 10 dB and some below; eight leave none below."""
    rng = np.random.default_rng(seed)
    graph, images = chain(rng, 5), images_of(rng)
    assert compressed(graph, images).warnings == ()
    made = compressed(graph, images, weight_bits=4, activation_bits=4)
    values = sqnr_of(graph, made, images)
    weak = [name for name, value in values.items() if value < 10]
    assert 0 < len(weak) < len(values)
    assert [line.split(":")[0] for line in made.warnings] == [f"layer {name}" for name in weak]
    for name, line in zip(weak, made.warnings, strict=True):
        assert f": {values[name]:.1f} dB of signal to error, less than 10 dB: " in line


@pytest.mark.parametrize(
    ("scales", "options", "expected"),
    [
        ({}, {"weight_bits": 2}, "its weights of 2 bits (--weight-bits)"),
        ({"weights": 0.05, "bias": (3.0, *[0.8] * 15)}, {"bias_bits": 2}, "its biases of 2 bits (--bias-bits)"),
        ({}, {"output_bits": {"conv_c0": 2}}, "2 bits (--activation-bits)"),
    ],
    ids=["weights", "biases", "format"],
)
def test_the_cause_that_was_put_there(scales, options, expected, seed):
    for offset in range(3):
        rng = np.random.default_rng((seed, offset))
        (line,) = compressed(chain(rng, 1, **scales), images_of(rng), **options).warnings
        assert line.startswith("layer conv_c0: ")
        assert expected in line


def test_what_follows_a_weak_layer_inherits(seed):
    """The share of values that the first one clamps is NumPy's."""
    rng = np.random.default_rng(seed)
    graph, images = chain(rng, 2), images_of(rng)
    made = compressed(graph, images, output_bits={"conv_c0": 2})
    first, second = made.warnings
    assert second.endswith(f"its input conv_c0 has only {sqnr_of(graph, made, images)['conv_c0']:.1f} dB of signal "
                           "to error")  # fmt: skip
    form, real = made.network.layers[0].output, graph.values(images)["c0"]
    low, high = (end * form.scale for end in form.limits)
    share = ((real < low - form.scale / 2) | (real > high + form.scale / 2)).mean()
    if np.square(real - np.clip(real, low, high)).mean() > form.scale**2 / 12:
        assert f"{share:.2%} of its values are beyond {low:.4g} to {high:.4g}, which its 2 bits" in first
    else:
        assert f"its values, {np.sqrt(np.square(real).mean()):.3g} (root mean square), are small" in first
        assert f"the step of {form.scale:.3g}, with which its 2 bits" in first


def test_no_more_lines_than_one_can_read(seed):
    rng = np.random.default_rng(seed)
    made = compressed(chain(rng, 11), images_of(rng), weight_bits=2)
    assert len(made.warnings) == SHOWN + 1
    assert made.warnings[-1] == "layers below 10 dB besides: conv_c8, conv_c9, conv_c10"


def test_a_result_that_is_zero(seed):
    rng = np.random.default_rng(seed)
    graph, images = chain(rng, 1), images_of(rng)
    made = compressed(graph, images)
    (layer,) = made.network.layers
    real, codes = np.zeros((6, 6, 6, CHANNELS)), np.ones((6, 6, 6, CHANNELS), np.int64)
    tensors = Tensors(network=made.network, real={layer.name: real}, codes={layer.name: codes})
    assert likely_cause(layer, tensors).startswith("its float result is 0 on all calibration images")


def test_command_and_report(tmp_path, capsys):
    arguments = ("compress", DIGITS / "digits.onnx", "--calibration", DIGITS / "calibration.npz")
    assert call(*arguments, "--weight-bits", 2, "-o", tmp_path) == 0
    error, network = capsys.readouterr().err, roundel.CompressedNetwork.load(tmp_path)
    lines = [line for line in error.splitlines() if not line.startswith("joint search")]  # on a slow machine
    assert lines == [f"warning: {line}" for line in network.warnings]
    weak = [row["name"] for row in network.report["layers"] if row["sqnr_db"] < 10]
    assert len(weak) > 1
    assert [line.split(":")[0] for line in network.warnings] == [f"layer {name}" for name in weak]
    page = (tmp_path / "report.md").read_text()
    assert all(f"\n- {line}.\n" in page for line in network.warnings)
