"""Tensors and layers with weights of a network that is drawn at random; weights of every width, and with patterns."""

from dataclasses import replace
from typing import Any

import numpy as np

from roundel.golden.engine import CHOICE
from roundel.golden.formats import Format
from roundel.golden.network import Layer, Network, Weighted, Window
from roundel.golden.opq import ChannelPattern
from roundel.runtime.random_activations import draw_activation

WIDEST = 8  # bits of a weight
KEPT = (4, 2, 1)  # candidates of a pattern that have weights
PLACE = 3  # in the seed, beside those of other draws


class DrawnTensors:
    """A network that grows layer by layer; tensors are known by name, with shape and format.

    Parameters
    ----------
    seed
        Of all choices.
    size, channels
        Most rows and columns, and most channels, of the image.
    activations
        Whether layers with weights have them, more often than not.
    gates
        Whether maps are multiplied by numbers that the network makes.
    areas
        Whether there may be layers whose results have other weights along the borders.
    """

    def __init__(
        self, seed: int, *, size: int = 20, channels: int = 20, activations: bool = False, gates: bool = False,
        areas: bool = True,
    ):  # fmt: skip
        self.activations, self.gates = activations, gates
        self.rng, self.layers = np.random.default_rng(seed), list[Any]()
        self.more = np.random.default_rng([seed, 1]) if areas else None
        rows, columns = self.rng.integers(1, size + 1, 2)
        self.shapes: dict[str, tuple[int, ...]] = {
            "image": (int(rows), int(columns), int(self.rng.integers(1, channels + 1)))
        }
        self.formats = {"image": self.form(3, zero=True)}

    def draw(self, low: int, high: int) -> int:
        """Draw one of the integers from `low` to `high`."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, part: float) -> bool:
        """Return true in so many cases."""
        return bool(self.rng.random() < part)

    def area(self) -> bool:
        """Return true in half of the cases, if results may have other weights along the borders.

        Draws of its own: networks without such results are the same as those that may not have any.
        """
        return self.more is not None and bool(self.more.random() < 0.5)

    def form(self, fraction: int, *, zero: bool = False) -> Format:
        """Make a format of so many fractional bits."""
        width, signed = self.draw(5, 8) if self.chance(0.5) else 8, self.chance(0.4)
        return Format(width=width, signed=signed, fraction=fraction, zero=self.draw(0, 15) if zero else 0)

    def any_tensor(self) -> str:
        """Choose the name of a tensor, most often the last one."""
        names = list(self.shapes)
        return names[-1] if self.chance(0.6) else names[self.draw(0, len(names) - 1)]

    def window(self, rows: int, columns: int, *, most: int = 4, dilated: bool = True) -> Window | None:
        """Make a window that fits into the map, or None."""
        kernel = self.draw(1, most), self.draw(1, most)
        dilation = (self.draw(1, 2), self.draw(1, 2)) if dilated else (1, 1)
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        top, left, bottom, right = (self.draw(0, reach[axis % 2]) for axis in range(4))
        window = Window(
            kernel=kernel, stride=(self.draw(1, 3), self.draw(1, 3)), pad=(top, left, bottom, right), dilation=dilation
        )
        try:
            window.output_size(rows, columns)
        except ValueError:
            return None
        return window

    def add(self, kind: Any, shape: tuple[int, ...], *sources: str, **fields: Any) -> str:
        """Append a layer; its name."""
        name = f"{kind.__name__.lower()}{len(self.layers)}"
        self.layers.append(kind(name=name, sources=sources, **fields))
        self.shapes[name], self.formats[name] = shape, fields["output"]
        return name

    def activated(self, output: Format) -> dict[str, Any]:
        """Make a clamp and a leak, now and then."""
        low, high = output.limits
        bounds = (low + self.draw(-3, 9), high - self.draw(-3, 20)) if self.chance(0.3) else None
        return {"output": output, "bounds": bounds, "leak": self.draw(0, 3) if self.chance(0.3) else 0}

    def last(self, outputs: int, residual: Format | None) -> dict[str, Any]:
        """Make the output of a layer with weights, and what is behind its sums: an activation, or nothing yet."""
        if self.activations and self.chance(0.7) and not (residual and residual.zero):
            output, activation = draw_activation(self.rng, 2, outputs, residual)
            return {"output": output, "activation": activation}
        return {"output": self.form(2)}

    def weighted(
        self, source: str, window: Window | None, outputs: int, *, groups: int = 1, residual: str | None = None
    ) -> str:
        """Make a convolution, or a matrix product without a window."""
        shape, x = self.shapes[source], self.formats[source]
        rows = (window.taps if window else 1) * shape[-1] // groups
        last = self.last(outputs, self.formats[residual] if residual else None)
        output = last["output"]
        base = output.fraction - x.fraction + 7 + rows.bit_length() // 2
        fractions = tuple((base + self.rng.integers(0, 3, outputs)).tolist())
        weights = self.rng.integers(-128, 128, (rows, outputs))
        if self.chance(0.4):  # blocks of zeros
            weights[:, self.rng.random(outputs) < 0.5] = 0
            weights[self.rng.random(rows) < 0.5] = 0
        spatial = window.output_size(*shape[:2]) if window else shape[:-1]
        return self.add(
            Weighted, (*spatial, outputs), source, *([residual] if residual else []), x=x, window=window, groups=groups,
            w=Format(width=8, signed=True, fraction=base),
            b=Format(width=16, signed=True, fraction=x.fraction + base - 1),
            weights=weights, bias=self.rng.integers(-9999, 9999, outputs),
            residual=self.formats[residual] if residual else None,
            w_fractions=fractions if self.chance(0.5) else None,
            **(last if "activation" in last else self.activated(output)),
        )  # fmt: skip


def with_other_weights(network: Network, seed: int, *, lanes: int = 0) -> Network:
    """Return a network with weights of 2 to 8 bits where all had 8, and patterns in some layers.

    Parameters
    ----------
    network
        Its weights have 8 bits.
    seed
        Of all choices.
    lanes
        Of an array whose lanes select, for which layers keep patterns, now and then but for a single weight; 0: none.
    """
    rng = np.random.default_rng([seed, PLACE])
    return replace(network, layers=tuple(_other(layer, rng, lanes) for layer in network.layers))


def _other(layer: Layer, rng: np.random.Generator, lanes: int) -> Layer:
    if not isinstance(layer, Weighted):
        return layer
    if rng.random() < 0.7:
        layer = _narrower(layer, WIDEST - int(rng.integers(2, WIDEST, endpoint=True)))
    if lanes >= CHOICE and layer.groups == 1 and rng.random() < 0.7:
        layer = _patterned(layer, rng, lanes)
    return layer


def _narrower(layer: Weighted, bits: int) -> Weighted:
    """Return the layer with so many bits less in its weights, and results about as large, if its shifts allow."""
    lower = min(bits, int(layer.shifts.min()))
    fractions = None if layer.w_fractions is None else tuple(each - lower for each in layer.w_fractions)
    return replace(
        layer, weights=layer.weights >> bits, w_fractions=fractions,
        w=replace(layer.w, width=WIDEST - bits, fraction=layer.w.fraction - lower),
        b=replace(layer.b, fraction=layer.b.fraction - lower),
    )  # fmt: skip


def _patterned(layer: Weighted, rng: np.random.Generator, lanes: int) -> Weighted:
    """Return the layer with a pattern, which one more weight may break."""
    pattern = ChannelPattern(kept=KEPT[rng.integers(len(KEPT))], lanes=lanes, columns=lanes)
    weights = layer.weights * pattern.mask(layer.weights, layer.taps)
    if rng.random() < 0.3:
        weights[rng.integers(weights.shape[0]), rng.integers(weights.shape[1])] = layer.w.limits[0]
    return replace(layer, weights=weights)
