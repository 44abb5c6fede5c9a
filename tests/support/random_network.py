"""Networks of every kind of layer, drawn at random."""

from dataclasses import replace

import numpy as np

from roundel.golden.activation import WORDS, Fold, random_table
from roundel.golden.formats import Format
from roundel.golden.network import (
    Activated,
    Add,
    AveragePool,
    Concat,
    Flatten,
    MaxPool,
    Network,
    Upsample,
    Weighted,
    Window,
    total_format,
)
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding

ROUNDINGS = {Scheme.FIXED32: [Rounding.HALF_AWAY], Scheme.FLOAT32: [Rounding.HALF_EVEN]}
SHAPE = (2, 6, 5, 4)  # of the images


class Random:
    """Random layers of every kind for one requantizer; with `activations` behind all that have weights."""

    def __init__(self, seed, scheme, *, activations=False):
        self.activations = activations
        self.rng, self.scheme, self.layers, self.formats = np.random.default_rng(seed), scheme, [], {}

    def bit(self):
        return bool(self.rng.integers(2))

    def activation(self, fraction, *, zero=False):
        """A format of about this fraction, scaled where the requantizer can do it; shifts may be given a `zero` too."""
        if self.scheme is Scheme.SHIFT:
            offset = int(self.rng.integers(0, 16)) if zero else 0
            return Format(width=int(self.rng.integers(5, 9)), signed=self.bit(), fraction=fraction, zero=offset)
        scale = float(np.float32(self.rng.uniform(0.5, 2) * 2.0**-fraction))
        return Format.of_scale(width=8, signed=False, scale=scale, zero=int(self.rng.integers(0, 256)))

    def how(self):
        """A requantizer."""
        roundings = ROUNDINGS.get(self.scheme, list(Rounding))
        return {"requant": self.scheme, "rounding": roundings[self.rng.integers(len(roundings))]}

    def activated(self, output):
        """A requantizer with a clamp and a leak, half of the time each."""
        low, high = output.limits
        bounds = (int(self.rng.integers(low - 9, low + 9)), int(self.rng.integers(high - 20, high + 20)))
        return {
            **self.how(),
            "output": output,
            "bounds": bounds if self.bit() else None,
            "leak": int(self.rng.integers(0, 4)) if self.bit() else 0,
        }

    def behind(self, outputs, residual):
        """A layer's output and its activation: random knots, words that reach beyond them."""
        table = random_table(self.rng, segments=WORDS.segments, knot_width=WORDS.knot_width, core=WORDS.greatest_core)
        finer = table.residual_shift if residual else 0
        output = Format(width=8, signed=not table.unsigned, fraction=residual.fraction - 3 + finer if residual else 2)
        slopes = self.rng.integers(0, 128, outputs).tolist() if table.fold is Fold.SLOPE else None
        word = Format(width=WORDS.in_width, signed=True, fraction=int(self.rng.integers(1, 6)))
        table = replace(table, residual_shift=finer)
        return {"output": output, "activation": Activated(table=table, word=word, slopes=slopes and tuple(slopes))}

    def add(self, kind, name, *sources, **fields):
        self.layers.append(kind(name=name, sources=sources, **fields))
        self.formats[name] = fields["output"]

    def weighted(self, name, *sources, channels, outputs, groups=1, window=None):
        """A convolution or matrix product whose outputs fill most of their format."""
        x, rows = self.formats[sources[0]], (window.taps if window else 1) * channels // groups
        residual = self.formats[sources[1]] if len(sources) > 1 else None
        if self.activations:
            last = {**self.how(), **self.behind(outputs, residual)}
        else:
            last = self.activated(self.activation(2))
        output = last["output"]
        base = output.fraction - x.fraction + 8
        fractions = tuple((base + self.rng.integers(0, 3, outputs)).tolist())
        shifts = self.scheme is Scheme.SHIFT
        self.add(
            Weighted, name, *sources, x=x, window=window, groups=groups,
            w=Format(width=8, signed=True, fraction=base),
            b=Format(width=16, signed=True, fraction=x.fraction + base - 1 if shifts else 0),
            weights=self.rng.integers(-128, 128, (rows, outputs)), bias=self.rng.integers(-9999, 9999, outputs),
            residual=residual,
            w_fractions=fractions if self.bit() else None,
            w_mantissas=None if shifts else tuple(self.rng.uniform(1, 2, outputs).astype(np.float32).tolist()),
            **last,
        )  # fmt: skip

    def network(self):
        source = self.formats["image"] = self.activation(3, zero=not self.activations)
        same, pair = Window(kernel=(3, 3), pad=(1, 1, 1, 1)), Window(kernel=(2, 3), stride=(2, 2), pad=(0, 1, 0, 2))
        self.weighted("conv", "image", channels=4, outputs=4, groups=2, window=same)
        residual = ["image"] if self.scheme is Scheme.SHIFT else []
        self.weighted("depthwise", "conv", *residual, channels=4, outputs=4, groups=4, window=same)
        conv, depthwise = self.formats["conv"], self.formats["depthwise"]
        activated = self.activated(self.activation(1))
        total = None if self.scheme is Scheme.SHIFT else total_format(conv, depthwise, activated["output"], self.scheme)
        self.add(Add, "sum", "conv", "depthwise", x=conv, y=depthwise, total=total, **activated)
        total = self.formats["sum"]
        mean = {"x": total, "w": Format(width=8, signed=True, fraction=7), "window": pair}
        self.add(AveragePool, "mean", "sum", count_padding=self.bit(), **mean, **self.activated(self.activation(1)))
        self.add(MaxPool, "max", "sum", window=pair, output=total)
        inputs = (self.formats["mean"], total)
        self.add(Concat, "concat", "mean", "max", inputs=inputs, output=self.activation(1, zero=True), **self.how())
        self.weighted("head", "concat", channels=8, outputs=3, window=Window(kernel=(2, 2), dilation=(2, 1)))
        self.add(Upsample, "up", "head", factor=2, output=self.formats["head"])
        self.add(Flatten, "flat", "up", output=self.formats["head"])
        self.weighted("dense", "flat", channels=24, outputs=5)
        return Network(source="image", input=source, layers=tuple(self.layers), results=("up", "dense"))


def random_network(seed, scheme=Scheme.SHIFT, *, activations=False):
    """A network of every kind of layer, and images for it."""
    network = Random(seed, scheme, activations=activations).network()
    return network, np.random.default_rng(seed).integers(*network.input.limits, SHAPE)
