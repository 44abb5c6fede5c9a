"""Random networks: the fold computes the same, and the integers come close to float, result by result."""

import numpy as np
import pytest

from roundel.golden.network import load, outputs, save
from roundel.graph import fold
from roundel.quantization import QuantizeOptions, feature_order, modules_table, quantize
from tests.support.made_graphs import ratio_db, real
from tests.support.random_graphs import random_graph


@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed, tmp_path):
    graph = random_graph(seed, moves=seed % 2 == 1)
    images = real(np.random.default_rng(seed), 8, *graph.shape)
    expected, folded = graph.outputs(images), fold(graph)
    for name, values in folded.outputs(images).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4)
    options = QuantizeOptions(bias_bits=16, window=1, per_channel=bool(seed % 2), positions=200)
    quantized = quantize(graph, images, options)
    save(quantized.network, tmp_path / "network.npz", {})
    integers = load(tmp_path / "network.npz")
    table = modules_table(graph, quantized.modules)
    assert table.saved >= 0
    assert table.after == len(quantized.choices)
    made_by = {node.output: module.name for module in quantized.modules for node in module.nodes}
    formats = {layer.name: layer.output for layer in integers.layers}
    codes = outputs(integers, integers.encode(images))
    for name, values in expected.items():
        order = feature_order(folded, name)
        values = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values if order is None else values[:, order]
        got = formats[made_by[name]].decode(codes[made_by[name]])
        assert ratio_db(values.astype(np.float64), got) > 22
