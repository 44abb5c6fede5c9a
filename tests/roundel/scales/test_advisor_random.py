"""Random networks quantized as other tools do: kept they are what they were, moved they come close."""

import numpy as np
import pytest

from roundel.golden.network import load, save
from roundel.golden.requant import Scheme
from roundel.graph import fold
from roundel.quantization import QuantizeOptions
from roundel.scales import advise, given_nodes
from tests.support.made_graphs import real
from tests.support.quantized_graphs import quantize_graph
from tests.support.random_graphs import random_graph

SCHEMES = (Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32)


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed, tmp_path):
    graph = random_graph(seed)
    images = real(np.random.default_rng(seed), 8, *graph.shape)
    graph, scheme = quantize_graph(graph, images, seed), SCHEMES[seed % 3]
    advised = advise(graph, images, scheme=scheme, options=QuantizeOptions(positions=200, window=1))
    assert len(advised.rows) == len(given_nodes(fold(graph)))
    assert advised.kept_db == pytest.approx(advised.file_db, abs=1)
    assert advised.moved_db > max(28, advised.file_db - 10)
    assert {layer.requant for layer in advised.moved.network.weighted} <= {Scheme.SHIFT}
    for quantized in (advised.kept, advised.moved):  # the file holds whatever was made
        save(quantized.network, tmp_path / "network.npz", {})
        assert load(tmp_path / "network.npz").output_names == quantized.network.output_names
