"""Weight streams of a network: the array's order, the counts, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.codec import decode
from roundel.golden.formats import Format
from roundel.golden.mac import MacParams, schedule
from roundel.golden.network import Network, Weighted, Window
from roundel.quantization import StreamOptions, array_order, network_streams
from roundel.quantization.streams import layer_stream

FORM = Format(width=8, signed=True, fraction=0)
SMALL = StreamOptions(packing="rice", lanes=4, columns=3, slices=2)


def layer(weights, *, groups=1, window=None):
    """A layer of these weights."""
    form = replace(FORM, width=4)
    return Weighted(
        name="layer",
        sources=("x",),
        output=FORM,
        weights=weights,
        bias=np.zeros(weights.shape[1], np.int64),
        x=FORM,
        w=form,
        b=FORM,
        window=window,
        groups=groups,
    )


def sparse(rng, shape, zeros=0.7):
    return rng.integers(-8, 8, shape) * (rng.random(shape) >= zeros)


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (9, 7), (18, 3)])
@pytest.mark.parametrize("packing", ["mask", "relative", "rice"])
def test_a_stream_holds_what_the_array_loads(shape, packing, seed):
    """Decoded, it is the weight port's beats of the array's own schedule."""
    weights = sparse(np.random.default_rng(seed), shape)
    options = replace(SMALL, packing=packing)
    stream = layer_stream(layer(weights), options)
    mac = MacParams(lanes=4, columns=3, weight_width=4, reduction=100)
    beats = schedule(mac, np.zeros((1, shape[0]), np.int64), weights, 0, {"shift": 0})
    np.testing.assert_array_equal(decode(stream.data).reshape(-1, 4), beats.weights)
    assert (stream.weights, stream.nonzero) == (weights.size, np.count_nonzero(weights))
    assert stream.bits_per_weight == 8 * len(stream.data) / weights.size


def test_groups_follow_each_other(seed):
    """As if each group were a layer of its own, column blocks padded."""
    weights = sparse(np.random.default_rng(seed), (9, 8))
    window = Window(kernel=(3, 3))
    parts = [array_order(layer(part, window=window), SMALL) for part in np.split(weights, 4, axis=1)]
    np.testing.assert_array_equal(array_order(layer(weights, groups=4, window=window), SMALL), np.concatenate(parts))


def test_blocks_of_nothing_but_zeros_are_counted():
    """Blocks of 4 products by 3 channels; those of products 4 to 7 are empty for channels 0 to 2, which leaves two."""
    weights = np.zeros((12, 6), np.int64)
    weights[0, 0] = weights[11, 2] = weights[5, 3] = 1
    stream = layer_stream(layer(weights), SMALL)
    assert (stream.blocks, stream.zero_blocks) == (6, 3)


def test_all_layers_in_order(seed):
    rng = np.random.default_rng(seed)
    first = layer(sparse(rng, (5, 6)))
    second = replace(layer(sparse(rng, (6, 2))), name="second", sources=("layer",))
    done = []
    streams = network_streams(Network(source="x", input=FORM, layers=(first, second)), SMALL, done.append)
    assert [stream.layer for stream in streams] == done == ["layer", "second"]
    assert [stream.data for stream in streams] == [layer_stream(item, SMALL).data for item in (first, second)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"packing": "zip"}, "codec must be one of mask, relative, rice, not 'zip'"),
        ({"lanes": 12}, "lanes must be a power of two, not 12"),
        ({"columns": 65}, "columns must be 1 to 64, not 65"),
        ({"slices": 8}, "slices must be at most lanes, not 8 of 4"),
    ],
)
def test_bad_options(given, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **given)
