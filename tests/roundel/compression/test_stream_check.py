"""Weight streams that were seen to be right are not checked again; all others are, however they were packed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from roundel.compression import streams
from roundel.compression.streams import check_streams
from roundel.golden.codec import fit, write
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import Weighted
from roundel.quantization import StreamOptions, array_order, layer_stream

FORM = Format(width=4, signed=True, fraction=0)
OPTIONS = StreamOptions(lanes=4, columns=4, slices=1)


def layer(seed, name="dense"):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-8, 8, (8, 4)) * (rng.random((8, 4)) < 0.4)
    return Weighted(
        name=name, sources=("x",), output=FORM, weights=weights, bias=np.zeros(4, np.int64), x=FORM, w=FORM, b=FORM
    )


@pytest.fixture
def checked(monkeypatch, tmp_path):
    """Layers whose streams are looked at; the cache is empty."""
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path / "cache"))
    names = []

    def counted(layer, options):
        names.append(layer.name)
        return layer_stream(layer, options)

    monkeypatch.setattr(streams, "layer_stream", counted)
    return names


def test_right_streams_are_checked_once(checked, seed):
    first, second = layer(seed, "first"), layer(seed + 1, "second")
    streams = [(Path(item.name), item, layer_stream(item, OPTIONS).data) for item in (first, second)]
    check_streams(streams, OPTIONS)
    check_streams(streams, OPTIONS)
    assert checked == ["first", "second"]
    check_streams(streams[:1], OPTIONS)
    assert checked == ["first", "second", "first"]
    other = np.where(first.weights == 0, 1, 0)
    with pytest.raises(InputError, match=r"^first: expected the weights of layer first, but it holds others$"):
        check_streams([(Path("first"), replace(first, weights=other), streams[0][2])], OPTIONS)


def test_wrong_streams_are_checked_each_time(checked, seed):
    item, other = layer(seed), layer(seed + 1)
    for data, message in (
        (layer_stream(other, OPTIONS).data, r"^file: expected the weights of layer dense, but it holds others$"),
        (layer_stream(item, OPTIONS).data[:-4], r"^file: weight stream, bit "),
    ):
        for _ in range(2):
            with pytest.raises(InputError, match=message):
                check_streams([(Path("file"), item, data)], OPTIONS)
    assert checked == ["dense"] * 4


def test_a_longer_stream_of_the_same_weights_is_right(checked, seed):
    """The shortest one is what `compress` writes; a file may hold any that decodes to the weights."""
    item = layer(seed)
    beats = array_order(item, OPTIONS)
    shortest = fit(beats, OPTIONS.codec(width=4))
    data = write(beats, replace(shortest, run_bits=shortest.run_bits + 1))
    assert data != layer_stream(item, OPTIONS).data
    check_streams([(Path("file"), item, data)], OPTIONS)
