"""Layers in areas, pools larger than the memory, wide kernels and a channel of ones on the RTL: golden's integers."""

import pytest

from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Fill, Interpolate, MaxPool, Network, Upsample, Window
from roundel.runtime import proof
from tests.roundel.compiler.test_compile import engine
from tests.roundel.compiler.test_compile_layers import S8, SAME, U8, image_of, weighted

W = Format(width=12, signed=True, fraction=18)
SEVEN = Window(kernel=(7, 7), stride=(2, 2), pad=(2, 2, 3, 3))
NETWORKS = {
    "areas": ((7, 6, 5), (
        AveragePool(name="mean", sources=("image",), x=U8, output=S8, window=SAME, w=Format(
            width=12, signed=True, fraction=11), count_padding=False),
        Interpolate(name="large", sources=("mean",), x=S8, output=U8, factor=(2, 4), offset=(-1, 0)),
        MaxPool(name="max", sources=("large",), output=U8, window=Window(kernel=(5, 5), pad=(2,) * 4)),
    )),
    "large pools": ((92, 90, 3), (
        AveragePool(name="mean", sources=("image",), x=U8, output=S8, window=Window(kernel=(92, 90)), w=W),
        MaxPool(name="max", sources=("image",), output=U8, window=Window(kernel=(92, 90))),
    )),
    "ones": ((12, 11, 3), (
        Fill(name="ones", sources=("image",), output=U8, value=200),
        weighted("conv", "ones", 4, 5, SEVEN),
        Upsample(name="up", sources=("conv",), output=U8, factor=3),
    )),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_rtl_is_golden(name, seed):
    shape, layers = NETWORKS[name]
    network = Network(source="image", input=U8, layers=layers, results=tuple(layer.name for layer in layers[-2:]))
    proof.check(engine("tiny"), network, image_of(*shape), settings={}, seed=seed)
