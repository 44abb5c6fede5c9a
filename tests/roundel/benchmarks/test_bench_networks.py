"""Figures of networks by kinds of layers: what is a kind, what is counted, and of which engines."""

import json
from dataclasses import replace

import pytest

from roundel.benchmarks import networks
from roundel.benchmarks.networks import CONVOLUTIONS, WHOLE, NetworkFigures, figures, kind, variants
from roundel.benchmarks.shapes import Builder
from roundel.benchmarks.show import tables
from roundel.compiler import compile_network, predicted_layers
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from tests.support.command import call

SHAPE = (12, 12, 3)


def small(builder):
    """A first layer, an inverted residual of stride 2, a mean and a classifier."""
    wide = builder.conv(builder.conv("image", 8, 3, 2), 24)
    deep = builder.conv(builder.conv(wide, 24, 3, groups=24), 24, 3, 2, groups=24)
    return builder.network(builder.dense(builder.mean(builder.conv(deep, 16)), 10))


def test_kinds_and_their_products():
    """Products by hand: positions times the kernel's taps times channels."""
    network = small(Builder(shape=SHAPE))
    compiled = compile_network(network, SHAPE, replace(EngineParams.named("small"), nms=None, beat_words=4))
    found = figures(network, compiled)
    products = {name: macs for name, (macs, _, _) in found.items()}
    assert products == {
        "first convolution": 36 * 9 * 3 * 8, "1x1 convolutions": 36 * 8 * 24 + 9 * 24 * 16,
        "depthwise 3x3, stride 1": 36 * 9 * 24, "depthwise 3x3, stride 2": 9 * 9 * 24, "means": 0,
        "matrix products": 160, CONVOLUTIONS: 7776 + 10368 + 7776 + 1944, WHOLE: 27864 + 160,
    }  # fmt: skip
    layers, cycles = predicted_layers(compiled)
    parts = [name for name in found if name not in (CONVOLUTIONS, WHOLE)]
    assert sum(found[name][1] for name in parts) == sum(layer.cycles for layer in layers)
    assert found[CONVOLUTIONS][1] == sum(found[name][1] for name in parts if "convol" in name or "depth" in name)
    assert found[WHOLE][1] == cycles
    for macs, spent, utilization in found.values():
        assert utilization == pytest.approx(macs / spent / 64)


def test_another_input_is_no_first_convolution():
    layers = small(Builder(shape=SHAPE)).layers
    assert kind(layers[0], "image") == "first convolution"
    assert kind(layers[0], "other") == "3x3 convolutions"
    assert kind(layers[-2], "image") == "others"


def test_engines():
    found = variants()
    assert [(item.network, item.engine, item.params.act_lanes) for item in found] == [
        ("mobilenet_v2", "`medium`", 0),
        ("efficientnet_b0", "`medium`, act_lanes=8", 8),
        ("efficientnet_b0", "`medium`, act_lanes=16", 16),
    ]
    assert all(item.params.nms is None and item.params.beat_words == 4 for item in found)
    first, second = variants(EngineParams.named("medium").as_dict() | {"beat_words": 1, "act_lanes": 2})
    assert first.engine == second.engine == "`medium`, act_lanes=2, act_fifo=64, beat_words=1"
    assert first.params == second.params
    _, second = variants(replace(EngineParams.named("medium"), taps=4))
    assert (second.engine, second.params.act_lanes) == ("`medium`, taps=4, act_lanes=16", 16)
    with pytest.raises(InputError, match="unit engine: lanes must be"):
        variants({"lanes": 5, "columns": 5})


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "NETWORKS", {"mobilenet_v2": small, "efficientnet_b0": small})
    monkeypatch.setattr(networks, "SHAPE", SHAPE)
    assert call("bench", "networks", "--set", "config=small", "--set", "beat_words=2", "-o", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {item["name"] for item in rows} == {f"networks.{name}" for name in ("products", "cycles", "utilization")}
    assert {item["params"]["network"] for item in rows} == {"mobilenet_v2", "efficientnet_b0"}
    assert "beat_words=2" in rows[0]["params"]["engine"]
    titles = [title for title, *_ in tables(rows)]
    assert [title.split(" on ")[0] for title in titles] == ["mobilenet_v2", "efficientnet_b0"]
    capsys.readouterr()


@pytest.mark.parametrize("units", [(), ("engine",), ("networks", "codec")])
def test_settings_are_of_networks_alone(units, tmp_path, capsys):
    assert call("bench", *units, "--set", "taps=4", "-o", tmp_path / "out") == 2
    assert "parameters of an engine: expected one of networks alone with them" in capsys.readouterr().err


def test_a_whole_network_is_modelled(monkeypatch):
    monkeypatch.setattr(networks, "NETWORKS", {"mine": small})
    monkeypatch.setattr(networks, "SHAPE", SHAPE)
    made = NetworkFigures(network="mine", params=replace(EngineParams.named("tiny"), nms=None), engine="e").rows(3)
    whole = {item["name"]: item["value"] for item in made if item["params"]["kind"] == WHOLE}
    assert whole["networks.products"] == 28024
    assert whole["networks.utilization"] == pytest.approx(28024 / whole["networks.cycles"] / 16)
    assert {item["params"]["seed"] for item in made} == {3}
