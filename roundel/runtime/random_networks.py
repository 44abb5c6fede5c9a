"""Networks for the engine, drawn at random: shapes, strides, groups, residuals, pools, joins; and images for them."""

from typing import Any

import numpy as np

from roundel.compiler import Head
from roundel.golden.formats import Format
from roundel.golden.head import SHIFTS, HeadParams
from roundel.golden.network import (
    Add,
    AveragePool,
    Concat,
    DepthToSpace,
    Flatten,
    Gate,
    Interpolate,
    MaxPool,
    Network,
    Select,
    Upsample,
    Weighted,
    Window,
)
from roundel.golden.nms import BoxFormat
from roundel.golden.rounding import Ints
from roundel.runtime.random_activations import draw_activation

LARGEST = 1500  # integers of a tensor, or layers take long to interpret
MOST_TAPS = 300  # of a mean


class Drawn:
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

    def convolution(self) -> None:
        """Make a convolution, dense, grouped or depthwise, with a residual now and then, if it fits."""
        source = self.any_tensor()
        rows, columns, channels = self.shapes[source]
        window = self.window(rows, columns)
        if window is None:
            return
        spatial = window.output_size(rows, columns)
        residuals = [name for name, shape in self.shapes.items() if shape[:2] == spatial]
        residual = residuals[self.draw(0, len(residuals) - 1)] if residuals and self.chance(0.4) else None
        groups = next((g for g in (channels, 2, 3) if channels % g == 0 and self.chance(0.3)), 1)
        outputs = self.shapes[residual][2] if residual else groups * self.draw(1, max(1, 20 // groups))
        if outputs % groups == 0 and np.prod(spatial) * outputs <= LARGEST:
            self.weighted(source, window, outputs, groups=groups, residual=residual)

    def average(self) -> None:
        """Return an average over windows, or over the whole map."""
        source = self.any_tensor()
        rows, columns, channels = self.shapes[source]
        window = Window(kernel=(rows, columns)) if self.chance(0.3) else self.window(rows, columns, dilated=False)
        if window is None or window.taps > MOST_TAPS:
            return
        x = self.formats[source]
        counted = not self.area() if any(window.pad) else self.chance(0.5)
        self.add(
            AveragePool, (*window.output_size(rows, columns), channels), source, x=x, window=window,
            w=Format(width=9, signed=True, fraction=7 + window.taps.bit_length()),
            count_padding=counted, **self.activated(self.form(x.fraction + self.draw(-1, 2))),
        )  # fmt: skip

    def maximum(self) -> None:
        """Make a maximum over windows."""
        source = self.any_tensor()
        window = self.window(*self.shapes[source][:2], most=5)
        if window is not None:
            spatial = window.output_size(*self.shapes[source][:2])
            self.add(MaxPool, (*spatial, self.shapes[source][2]), source, window=window, output=self.formats[source])

    def upsample(self) -> None:
        """Nearest-neighbour upsampling, or linear interpolation."""
        if self.area():
            self.interpolate()
            return
        source, factor = self.any_tensor(), 2 if self.chance(0.8) else 4
        rows, columns, channels = self.shapes[source]
        if rows * columns * channels * factor**2 <= LARGEST:
            shape = rows * factor, columns * factor, channels
            self.add(Upsample, shape, source, factor=factor, output=self.formats[source])

    def interpolate(self) -> None:
        """Enlarge a map by linear interpolation."""
        source, factor = self.any_tensor(), (1 << self.draw(0, 2), 1 << self.draw(0, 2))
        rows, columns, channels = self.shapes[source]
        shape = rows * factor[0], columns * factor[1], channels
        if np.prod(shape) <= LARGEST:
            offset, x = (self.draw(1 - factor[0], 1), self.draw(1 - factor[1], 1)), self.formats[source]
            activated = self.activated(self.form(x.fraction + self.draw(-1, 1)))
            self.add(Interpolate, shape, source, x=x, factor=factor, offset=offset, **activated)

    def select(self) -> None:
        """Take neighbouring channels of a map, or any in any order."""
        source = self.any_tensor()
        rows, columns, channels = self.shapes[source]
        count = self.draw(1, channels)
        first = self.draw(0, channels - count)
        taken = np.arange(first, first + count) if self.chance(0.5) else self.rng.permutation(channels)[:count]
        self.add(Select, (rows, columns, count), source, output=self.formats[source], channels=tuple(map(int, taken)))

    def pixels(self) -> None:
        """Make pixels of channels: of a map, or mostly of a convolution that nothing else reads."""
        source = self.any_tensor()
        rows, columns, channels = self.shapes[source]
        factor = self.draw(1, 3), self.draw(1, 4)
        times, by_channel = factor[0] * factor[1], self.chance(0.5)
        if self.chance(0.8):
            groups = channels if self.chance(0.3) else 1
            outputs = groups * times * (1 if groups > 1 else self.draw(1, 5))
            window = self.window(rows, columns, most=3)
            size = (rows, columns) if window is None else window.output_size(rows, columns)
            if window is None or outputs * size[0] * size[1] > LARGEST:
                return
            source = self.weighted(source, window, outputs, groups=groups)
            (rows, columns), channels = size, outputs
        if channels % times == 0:
            shape = rows * factor[0], columns * factor[1], channels // times
            moved = {"factor": factor, "by_channel": by_channel}
            self.add(DepthToSpace, shape, source, output=self.formats[source], **moved)

    def sum(self) -> None:
        """Make the sum of two maps."""
        source = self.any_tensor()
        others = [name for name, shape in self.shapes.items() if shape == self.shapes[source]]
        other = others[self.draw(0, len(others) - 1)]
        x, y = self.formats[source], self.formats[other]
        output = self.form(min(x.fraction, y.fraction) - self.draw(0, 2))
        self.add(Add, self.shapes[source], source, other, x=x, y=y, **self.activated(output))

    def gate(self) -> None:
        """Multiply a map by one number a channel, made of its mean: squeeze-and-excite."""
        source = self.any_tensor()
        rows, columns, channels = self.shapes[source]
        if rows * columns > MOST_TAPS or np.prod(self.shapes[source]) > LARGEST:
            return
        x = self.formats[source]
        w = Format(width=9, signed=True, fraction=7 + (rows * columns).bit_length())
        mean = self.add(
            AveragePool, (1, 1, channels), source, x=x, w=w, window=Window(kernel=(rows, columns)),
            output=self.form(x.fraction + 1),
        )  # fmt: skip
        factors = self.weighted(mean, Window(kernel=(1, 1)), channels)
        gate = self.formats[factors]
        output = self.activated(self.form(x.fraction + gate.fraction - self.draw(0, 8)))
        self.add(Gate, self.shapes[source], source, factors, x=x, gate=gate, **output)

    def concat(self) -> None:
        """Two or three maps one behind the other."""
        source = self.any_tensor()
        others = [name for name, shape in self.shapes.items() if shape[:2] == self.shapes[source][:2]]
        sources = [source, *(others[self.draw(0, len(others) - 1)] for _ in range(self.draw(1, 2)))]
        channels = sum(self.shapes[name][2] for name in sources)
        if np.prod(self.shapes[source][:2]) * channels <= LARGEST:
            forms = tuple(self.formats[name] for name in sources)
            output = forms[0] if self.chance(0.6) else self.form(forms[0].fraction + self.draw(-2, 2), zero=True)
            self.add(Concat, (*self.shapes[source][:2], channels), *sources, inputs=forms, output=output)

    def classifier(self) -> None:
        """Two matrix products behind a map."""
        source = self.any_tensor()
        size = int(np.prod(self.shapes[source]))
        if size <= LARGEST:
            flat = self.add(Flatten, (size,), source, output=self.formats[source])
            self.weighted(self.weighted(flat, None, self.draw(1, 20)), None, self.draw(1, 20))

    def head(self, form: BoxFormat) -> Head:
        """Logits and distances from any map, for boxes of such a format."""
        source = self.any_tensor()
        rows, columns, _ = self.shapes[source]
        classes = self.draw(1, min(form.classes, max(1, LARGEST // (rows * columns))))
        cls, box = (self.weighted(source, Window(kernel=(1, 1)), outputs) for outputs in (classes, 4))
        logits, distances = self.formats[cls], self.formats[box]
        lowest, highest = logits.limits
        most = lowest if self.chance(0.4) else highest
        params = HeadParams(
            columns=columns, rows=rows, stride=1 << self.draw(form.fraction == 0, 4), classes=classes,
            threshold=self.draw(lowest, most), shift=self.draw(-4, 3) if self.chance(0.9) else self.draw(*SHIFTS),
            score_shift=self.draw(0, min(4, form.score_width - logits.width)), width=form.width, height=form.height,
            fraction=form.fraction, score_width=form.score_width, cls_width=logits.width, cls_signed=logits.signed,
            box_width=distances.width, box_signed=distances.signed,
        )  # fmt: skip
        return Head(cls=cls, box=box, params=params)

    def grow(self, layers: int) -> None:
        """Append random layers until there are at least `layers`."""
        kinds = [self.convolution] * 5 + [self.average, self.maximum, self.upsample, self.sum, self.concat]
        kinds += [self.select, self.pixels, *([self.gate] * 4 if self.gates else [])]
        while len(self.layers) < layers:
            kinds[self.draw(0, len(kinds) - 1)]()

    def network(self) -> Network:
        """Return what has grown, with a classifier behind it now and then."""
        if self.chance(0.3):
            self.classifier()
        results = tuple(dict.fromkeys((self.layers[self.draw(0, len(self.layers) - 1)].name, self.layers[-1].name)))
        return Network(source="image", input=self.formats["image"], layers=tuple(self.layers), results=results)


def engine_network(
    seed: int,
    *,
    layers: int = 5,
    size: int = 20,
    channels: int = 20,
    activations: bool = False,
    gates: bool = False,
    areas: bool = True,
) -> tuple[Network, Ints]:
    """Make a network with random layers, and an image for it.

    Parameters
    ----------
    seed
        Seed of everything.
    layers
        Least number of layers; a residual or a classifier may add some.
    size
        Most rows and columns of the image.
    channels
        Most channels of the image and of most layers.
    activations
        Whether layers with weights have activations, for engines that have the unit.
    gates
        Whether maps are multiplied by numbers that the network makes, for engines that have gates.
    areas
        Whether there may be layers whose results have other weights along the borders.

    Returns
    -------
    tuple
        The network, and integers of the shape of its image.
    """
    drawn = Drawn(seed, size=size, channels=channels, activations=activations, gates=gates, areas=areas)
    drawn.grow(layers)
    network = drawn.network()
    return network, drawn.rng.integers(*network.input.limits, drawn.shapes["image"], endpoint=True)


def engine_detector(
    seed: int,
    form: BoxFormat,
    *,
    layers: int = 5,
    size: int = 20,
    channels: int = 20,
    activations: bool = False,
    gates: bool = False,
) -> tuple[Network, Ints, tuple[Head, ...]]:
    """As `engine_network`, and up to three scales of boxes."""
    drawn = Drawn(seed, size=size, channels=channels, activations=activations, gates=gates)
    drawn.grow(layers)
    heads = tuple(drawn.head(form) for _ in range(drawn.draw(1, 3)))
    network = drawn.network()
    return network, drawn.rng.integers(*network.input.limits, drawn.shapes["image"], endpoint=True), heads
