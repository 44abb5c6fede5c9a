"""What all lowerings share: the target of a module, its way to round, and layers of one weight for each channel."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden import network as layers
from roundel.golden.formats import Format, align, signed_width
from roundel.golden.network import Activated, Window
from roundel.golden.rounding import Ints
from roundel.graph import Conv, Dense, Graph, Reals
from roundel.quantization.calibration import Codes, sample_positions
from roundel.quantization.cure_rows import Cure
from roundel.quantization.function_tables import FunctionRow
from roundel.quantization.given import Given
from roundel.quantization.modules import Module
from roundel.quantization.quantizers import Lift, Way, given_format, way_of
from roundel.quantization.search import Goal, QuantizeOptions, estimate


@dataclass(frozen=True, eq=False)
class LoweringBase:
    """One module on its way to an integer layer.

    Parameters
    ----------
    graph, module
        The module.
    inputs
        Values of its sources on the calibration images, and their formats.
    reference
        Real results to approximate, in the integer network's order of axes and features.
    options
        Options of the quantization.
    given
        Weights of the module, if they are integers already.
    exact
        Whether a mean that some multiplier rounds wrongly is refused; else the nearest multiplier is good enough.
    before
        Least and greatest real number that the module's function gets, if it has one.
    tied
        Format that the result has because it meets others in a concatenation; None: the search finds one.
    focus
        Positions of the result, ascending, that alone count in the search; None: all.

    Attributes
    ----------
    notes
        After `layer`: what a user should know of it, a sentence each.
    copies
        After `layer`: layers that it needs before it, which make its last source.
    functions
        After `layer`: its activation with the error of its table, if it has one.
    cures
        After `layer`: what each cure made of its error.
    """

    graph: Graph
    module: Module
    inputs: list[tuple[Codes, Format]]
    reference: Reals
    options: QuantizeOptions
    given: Given | None
    exact: bool = True
    before: tuple[float, float] = (0.0, 0.0)
    tied: Format | None = None
    focus: Ints | None = None
    notes: list[str] = field(default_factory=list)
    copies: list[layers.Layer] = field(default_factory=list)
    functions: list[FunctionRow] = field(default_factory=list)
    cures: list[Cure] = field(default_factory=list)

    def _common(self, output: Format) -> dict[str, Any]:
        return {"name": self.module.name, "sources": self.module.sources, "output": output}

    def _rounded(self, output: Format) -> dict[str, Any]:
        return self._common(output) | {"rounding": self._way.rounding}

    def _requantized(self, output: Format) -> dict[str, Any]:
        rest = {"rounding": self._way.rounding, "bounds": self._goal.bounds(output), "leak": self._goal.activation.leak}
        return self._common(output) | rest

    @cached_property
    def _way(self) -> Way:
        """How the layer rounds: as the network says, but for halves of the nearest, which are the options'."""
        quantizer, rounding = self.module.quantizer, self.options.rounding
        assert rounding is not None
        if quantizer is None or quantizer.rounding == "ROUND":
            return Way(rounding=rounding)
        way = way_of(quantizer, self.module.activation)
        if way.lift is not Lift.NONE and self.module.activation.leak:
            raise ValueError(f"{quantizer.name}: no requantizer rounds by {quantizer.rounding} behind a LeakyRelu")
        return way

    @cached_property
    def _sample(self) -> Ints:
        if self.focus is not None:
            return self.focus[:: -(-len(self.focus) // self.options.positions)]
        images, positions = len(self.reference), int(np.prod(self.reference.shape[1:-1]))
        return sample_positions(images, positions, self.options.positions, self.options.seed)

    def _sampled(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sampled positions of a tensor (batch, ..., channels) that has as many as the result."""
        return values[np.unravel_index(self._sample, values.shape[:-1])]

    @cached_property
    def _goal(self) -> Goal:
        """The target of the search. An output that cannot be negative is unsigned, which gains a bit."""
        activation, quantizer, limits = self.module.activation, self.module.quantizer, None
        if quantizer is not None:
            form, limits = given_format(self.graph, quantizer, activation)
        elif self.tied is not None:
            form, limits = self.tied, activation.bounds(self.tied)
        else:
            form = Format(width=self.options.bits_after(self.module.name), signed=self._signed, fraction=0)
            counted = self.reference if self.focus is None else self._sampled(self.reference)
            fraction = estimate(counted, form) if counted.any() else self._blank(form)
            form = replace(form, fraction=fraction)
        return Goal(
            values=self._sampled(self.reference),
            form=form,
            fixed=quantizer is not None or self.tied is not None,
            activation=activation,
            options=self.options,
            way=self._way,
            limits=limits,
        )

    @property
    def _signed(self) -> bool:
        """Whether a result can be negative; that of inputs which cannot, only where a clamp ends below 0."""
        activation = self.module.activation
        weighted = isinstance(self.module.node, Conv | Dense)
        inputs_signed = weighted or activation.high < 0 or any(may_be_negative(x) for _, x in self.inputs)
        return activation.signed and inputs_signed

    def _blank(self, form: Format) -> int:
        """Fractional bits of a result that is 0 on all calibration images, so that nobody knows its magnitude.

        [R] Those at which `form` holds the greatest input, or the greatest product of an input and a weight. The next
        layer's bias counts units of this scale: a coarse one would round it away.
        """
        x, node = self.inputs[0][1], self.module.node
        most = max(abs(limit - x.zero) for limit in x.limits) * x.scale
        if isinstance(node, Conv | Dense) and node.weights.any():
            most *= float(np.abs(node.weights).max())
        return estimate(np.asarray(most), form)

    @property
    def _point(self) -> Window | None:
        """The window of a layer that works on each value alone; features have none."""
        return Window(kernel=(1, 1)) if self.inputs[0][0].ndim == 4 else None

    def _channelwise(
        self,
        window: Window | None,
        w: Format,
        output: Format,
        *,
        bias: int = 0,
        residual: Format | None = None,
        activation: Activated | None = None,
    ) -> layers.Weighted:
        """Return a convolution in which every channel has one weight, that of a mean: what has a bias, as means do not.

        Parameters
        ----------
        window
            What the mean is of; None for features by themselves.
        w
            Format of the weight.
        output, residual
            Formats of the result, and of a tensor that is added.
        bias
            In units of the products.
        activation
            The function behind the product, if there is one.
        """
        x, channels, taps = self.inputs[0][1], self.inputs[0][0].shape[-1], window.taps if window else 1
        rest = self._requantized(output) if activation is None else self._rounded(output)
        return layers.Weighted(
            **rest,
            activation=activation,
            weights=np.full((taps, channels), int(w.encode(np.asarray(1 / taps)))),
            bias=np.full(channels, bias),
            x=x,
            w=w,
            b=self._bias_unit(max(2, signed_width(min(bias, 0), max(bias, 0))), x.fraction + w.fraction),
            window=window,
            residual=residual,
            groups=channels,
        )

    def _bias_unit(self, width: int, fraction: int) -> Format:
        """Return the format of a bias that counts units of products."""
        return Format(width=width, signed=True, fraction=fraction)


def lifted(layer: layers.Weighted, way: Way) -> layers.Weighted:
    """Return a layer that shifts by `floor`, with what makes it round as `way` says added to its bias.

    Raises
    ------
    ValueError
        The bias would be wider than 32 bits, or a residual is finer than the products, which the bias is added to.
    """
    if way.lift is Lift.NONE:
        return layer
    fractions = layer.product_fractions
    if (layer.accumulator_fractions > fractions).any():
        raise ValueError(f"{layer.name}: a sum with a residual finer than its products rounds only as requantizers do")
    units = align(layer.bias, fractions - layer.b.fraction, layer.rounding) + way.lift.units(layer.shifts)
    fraction = int(fractions.max())
    bias = units << (fraction - fractions)
    b = replace(layer.b, width=max(2, signed_width(int(bias.min()), int(bias.max()))), fraction=fraction)
    return replace(layer, bias=bias, b=b)


def may_be_negative(form: Format) -> bool:
    """Whether an integer of the format means a negative number."""
    return form.limits[0] < form.zero
