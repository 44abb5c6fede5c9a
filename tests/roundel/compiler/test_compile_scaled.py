"""Sums and concatenations of scales that are no powers of two, on engines that multiply: the golden network's bits."""

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import Add, AveragePool, Concat, MaxPool, Network, Weighted, Window, total_format
from roundel.golden.requant import Scheme
from tests.roundel.compiler.test_compile import check, engine

SCHEMES = [Scheme.FIXED8, Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32]
SAME = Window(kernel=(3, 3), pad=(1, 1, 1, 1))


def requantizer(scheme):
    """An engine's, with the rounding of its own."""
    return {"scheme": scheme, "rounding": EngineParams(scheme=scheme).rounding}


class Drawn:
    """Layers of one requantizer, with any scales and zero points, of signed and unsigned bytes."""

    def __init__(self, seed, scheme, channels):
        self.rng, self.scheme, self.channels, self.layers = np.random.default_rng(seed), scheme, channels, []
        self.how = {"requant": scheme, "rounding": requantizer(scheme)["rounding"]}
        self.formats = {"image": self.form()}

    def form(self):
        signed, width = bool(self.rng.integers(2)), int(self.rng.integers(6, 9))
        low, high = Format(width=width, signed=signed, fraction=0).limits
        scale = float(np.float32(self.rng.uniform(0.02, 0.08)))
        return Format.of_scale(width=width, signed=signed, scale=scale, zero=int(self.rng.integers(low, high + 1)))

    def add(self, kind, name, *sources, **fields):
        self.layers.append(kind(name=name, sources=sources, **fields, **self.how))
        self.formats[name] = fields["output"]

    def convolution(self, name, source):
        self.add(
            Weighted, name, source, x=self.formats[source], output=self.form(), window=SAME,
            w=Format.of_scale(width=8, signed=True, scale=0.003), b=Format(width=24, signed=True, fraction=0),
            weights=self.rng.integers(-127, 128, (9 * self.channels, self.channels)),
            bias=self.rng.integers(-9999, 9999, self.channels),
        )  # fmt: skip

    def sum(self, name, x, y):
        output = self.form()
        first, second = self.formats[x], self.formats[y]
        total = total_format(first, second, output, self.scheme)
        low, high = output.limits
        self.add(Add, name, x, y, x=first, y=second, total=total, output=output, bounds=(low + 5, high - 3))

    def concat(self, name, *sources, output=None):
        inputs = tuple(self.formats[source] for source in sources)
        self.add(Concat, name, *sources, inputs=inputs, output=output or self.form())

    def network(self):
        """Sums of two results, of one tensor twice, with the image and across layers; rescaled and plain parts."""
        self.convolution("a", "image")
        self.sum("with_image", "image", "a")
        self.sum("twice", "with_image", "with_image")
        self.convolution("b", "twice")
        self.sum("across", "a", "b")
        self.layers.append(MaxPool(name="max", sources=("across",), window=SAME, output=self.formats["across"]))
        self.formats["max"] = self.formats["across"]
        self.concat("joined", "across", "b", "a", "max", output=self.formats["across"])
        self.concat("again", "joined", "twice")
        self.sum("last", "joined", "joined")
        w, pool = Format(width=16, signed=True, fraction=16), Window(kernel=(3, 2), stride=(2, 1))
        self.add(AveragePool, "mean", "last", x=self.formats["last"], w=w, window=pool, output=self.form())
        names = ("again", "mean")
        return Network(source="image", input=self.formats["image"], layers=tuple(self.layers), results=names)


def drawn(seed, scheme, rows, columns, channels):
    """A network and an image."""
    network = Drawn(seed, scheme, channels).network()
    image = np.random.default_rng(seed).integers(*network.input.limits, (rows, columns, channels), endpoint=True)
    return network, image


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sums_and_concatenations_on_chip(scheme, seed):
    for offset, name in enumerate(("tiny", "small", "tiny", "medium")):
        compiled = check(*drawn(4 * seed + offset, scheme, 7, 5, 3 + 4 * offset), engine(name, **requantizer(scheme)))
        assert not compiled.plan.streamed


@pytest.mark.parametrize(("columns", "memory"), [(12, 2048), (40, 2048), (33, 1024)])
def test_sums_and_concatenations_in_bands_and_strips(columns, memory, seed):
    """Operands on chip and streamed, both or one of them; rows that do not fit whole."""
    streamed, strips = 0, 0
    for offset in range(2):
        network, image = drawn(2 * seed + offset, Scheme.FIXED16, 7, columns, 4)
        compiled = check(network, image, engine("tiny", scheme="fixed16", memory=memory), trace=False)
        streamed += len(compiled.plan.streamed)
        strips += sum(bands.columns < columns for bands in compiled.plan.bands)
    assert streamed > 2
    assert strips > 0 or columns < 40


def test_weights_of_few_bits_take_more_steps():
    network, image = drawn(1, Scheme.FIXED16, 4, 4, 4)
    check(Network(source="image", input=network.input, layers=(Add(
        name="sum", sources=("image", "image"), x=network.input, y=network.input, output=network.input,
        total=total_format(network.input, network.input, network.input, Scheme.FIXED16),
        requant=Scheme.FIXED16, rounding=EngineParams(scheme="fixed16").rounding,
    ),)), image, engine("tiny", scheme="fixed16", weight_width=4))  # fmt: skip


def test_what_the_engine_does_not_have_is_named():
    network, image = drawn(1, Scheme.FIXED16, 4, 4, 4)
    with pytest.raises(InputError, match=r"^a: requantizes by fixed16, the engine by shift"):
        compile_network(network, image.shape, engine("tiny"))
    with pytest.raises(InputError, match=r"^a: rounds half_up, the engine floor"):
        compile_network(network, image.shape, engine("tiny", scheme="fixed16", rounding="floor"))
