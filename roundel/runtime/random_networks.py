"""Networks for the engine, drawn at random: shapes, strides, groups, residuals, pools, joins; and images for them."""

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
    Window,
)
from roundel.golden.nms import BoxFormat
from roundel.golden.rounding import Ints
from roundel.runtime.random_tensors import DrawnTensors

LARGEST = 1500  # integers of a tensor, or layers take long to interpret
MOST_TAPS = 300  # of a mean


class Drawn(DrawnTensors):
    """A network that grows layer by layer, of every kind."""

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
