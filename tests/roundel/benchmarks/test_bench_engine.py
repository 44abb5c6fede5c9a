"""`roundel bench engine`: a layer small enough for a test on the RTL, a small network in the cycle model."""

import numpy as np
import pytest

from roundel.benchmarks import engine as bench_engine
from roundel.benchmarks.engine import LayerOnRtl, NetworkModel, ZeroBlocks, block_masks
from roundel.benchmarks.shapes import Builder
from roundel.benchmarks.show import tables
from roundel.ui import row

SHAPE = (12, 12, 16)


def small(builder):
    """Two convolutions and a pooling, the second one with channels in blocks."""
    return builder.network(builder.conv(builder.pool(builder.conv("image", 32, 3), 2, 2), 64, 3))


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(bench_engine, "NETWORKS", {"small": (small, SHAPE)})
    monkeypatch.setattr(bench_engine, "SPARSE", "small")


def test_a_layer_on_the_rtl():
    rows = {row["name"]: row for row in LayerOnRtl(config="tiny", side=8, channels=8, filters=8, speed=True).rows(1)}
    assert rows["engine.simulation_speed"]["value"] > 0
    used, cycles = rows["engine.utilization"]["value"], rows["engine.cycles"]["value"]
    assert used * cycles * 16 == pytest.approx(64 * 72 * 8)  # positions, products, filters
    assert 0.85 < used < 1
    assert 0 <= rows["engine.weight_stalls"]["value"] < 0.05


def test_a_layer_of_wider_weights_than_the_array_on_the_rtl():
    """Digits take a step each: two for 8 bits on an array of 4."""
    layer = LayerOnRtl(config="tiny", side=8, channels=8, filters=8, array_bits=4, weight_bits=8)
    rows = {row["name"]: row for row in layer.rows(1)}
    assert 0.44 < rows["engine.utilization"]["value"] < 0.5
    assert rows["engine.cycles"]["params"]["layer"].endswith("weights of 8 bits on an array of 4")


def test_a_network_in_the_model(network):
    convolutions, everything, cycles = NetworkModel(config="tiny", network="small").rows(1)
    macs = 144 * 9 * 16 * 32 + 36 * 9 * 32 * 64
    assert macs / 16 < cycles["value"]
    assert 0.5 < everything["value"] < convolutions["value"] < 1


def test_zero_blocks_take_no_cycles(network):
    rows = {row["params"]["pruning"]: row["value"] for row in ZeroBlocks(config="tiny", zeros=0.9).rows(1)}
    assert rows["blocks"] > 2 > rows["opq"] * 0.9
    assert rows["opq"] >= 0.99


def test_blocks_of_least_magnitude_are_pruned(seed):
    builder = Builder(shape=SHAPE, seed=seed)
    layers = small(builder).weighted
    lanes, zeros = 8, 0.75
    masks = block_masks(layers, lanes, zeros)
    kept, pruned = [], []
    for layer in layers:
        rows, outputs = layer.weights.shape
        for top in range(0, rows, lanes):
            for left in range(0, outputs, lanes):
                block = np.s_[top : top + lanes, left : left + lanes]
                mask, mean = masks[layer.name][block], np.abs(layer.weights[block]).mean()
                assert mask.min() == mask.max()
                (kept if mask.all() else pruned).append(mean)
    assert max(pruned) < min(kept)
    assert len(pruned) == pytest.approx(zeros * (len(kept) + len(pruned)), abs=1)


def test_layers_that_do_not_fit_blocks_keep_all():
    builder = Builder(shape=SHAPE)
    builder.conv(builder.conv("image", 32, 3), 12, 3)
    first, second = builder.network().weighted
    masks = block_masks((first, second), 8, 0.5)
    assert masks[second.name].all()
    assert not masks[first.name].all()


def test_tables():
    about = {"config": "medium", "on": "model", "seed": 1}
    rows = [
        row("engine.utilization", 0.5, "useful MACs of all", about | {"network": "small", "layer": "all layers"}),
        row("engine.cycles", 1000, "cycles", about | {"network": "small", "layer": "all layers"}),
        row("engine.weight_stalls", 0.25, "of cycles", about | {"layer": "3x3", "zeros": 0.8, "weight_width": 4}),
        *(
            row("engine.zero_block_speedup", value, "times", about | {"network": "n", "pruning": name, "zeros": zeros})
            for name, zeros, value in (("opq", 0.8, 1), ("blocks", 0.8, 4), ("opq", 0.9, 1), ("blocks", 0.9, 8))
        ),
    ]
    engine, blocks = tables(rows)
    assert engine[0] == "Engine"
    assert [line[1] for line in engine[2]] == ["small, all layers", "3x3, 80% zeros, 4 bits"]
    assert engine[2][0][3:5] == ["0.500", "1,000"]
    assert blocks[1:] == (["pruning", "80%", "90%"], [["opq", "1", "1"], ["blocks", "4", "8"]])
