"""Convolution and matrix product: the layers that multiply weights, and run on the MAC array."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import MAX_FRACTION, Format, accumulator_width, align
from roundel.golden.network.activated import Activated
from roundel.golden.network.base import Array, Part, Requantized
from roundel.golden.network.blocks import window_blocks
from roundel.golden.network.conv import Window, im2col, patches
from roundel.golden.network.products import Products
from roundel.golden.parameters import check_integer
from roundel.golden.requant import Factor, RequantParams, Scheme
from roundel.golden.rounding import Ints, Rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighted(Requantized):
    """Convolution or matrix product, bias, and optionally a residual: everything up to the one requantizer.

    With an activation the requantizer gives words, rounded down whatever `rounding` says, which is then that of the
    bias alone; the activation rounds once, a residual included.

    Parameters
    ----------
    weights
        (taps * channels / groups, outputs) int64 in the format `w`; rows in the order of
        `roundel.golden.network.conv.im2col`.
    bias
        (outputs,) int64 in the format `b`. Where `requant` is not `SHIFT`, it counts units of the accumulator, and `b`
        has no fraction.
    x, w, b
        Formats of input, weights and bias.
    window
        How the kernel slides; None for a matrix product over the last axis.
    residual
        Format of the second source, which is added before the requantizer, or behind the activation where there is
        one; None without one. Sum and residual are aligned to the larger number of fractional bits by left shifts [R].
    groups
        The outputs of group g, neighbours, read the channels of group g, neighbours too.
    w_fractions, w_mantissas
        Fractional bits and mantissa of the weights of each output; None: those of `w` for all.
    activation
        A function of one value behind the sums; None without one. Only where `requant` is `SHIFT`, and without `bounds`
        and `leak`.
    """

    weights: Ints
    bias: Ints
    x: Format
    w: Format
    b: Format
    window: Window | None = None
    residual: Format | None = None
    groups: int = 1
    w_fractions: tuple[int, ...] | None = None
    w_mantissas: tuple[float, ...] | None = None
    activation: Activated | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        for what, values, form in (("weights", self.weights, self.w), ("bias", self.bias, self.b)):
            if not np.array_equal(values, np.clip(values, *form.limits)):
                raise ValueError(f"{self.name}: {what} must be {form.limits[0]} to {form.limits[1]}")
        self._check_scales()
        if self.requant is Scheme.SHIFT:
            self._check_apart(int(self.product_fractions.max()) - self.b.fraction)
        if self.added is not None:
            self._check_apart(int(np.abs(self.product_fractions - self.added.fraction).max()))
        if self.activation is not None:
            self._check_activation(self.activation)
        self._check_requantizer()

    def _check_shapes(self) -> None:
        if self.weights.ndim != 2 or not self.weights.size or self.bias.shape != self.weights.shape[1:]:
            raise ValueError(f"{self.name}: bias {self.bias.shape} does not fit weights {self.weights.shape}")
        rows, outputs = self.weights.shape
        if rows % self.taps:
            raise ValueError(f"{self.name}: {rows} weight rows are no multiple of {self.taps}")
        check_integer(f"{self.name}: groups", self.groups, 1, outputs)
        if outputs % self.groups:
            raise ValueError(f"{self.name}: {outputs} outputs are no multiple of {self.groups} groups")
        for name in ("w_fractions", "w_mantissas"):
            values = getattr(self, name)
            if values is not None and len(values) != outputs:
                raise ValueError(f"{self.name}: {name} must be {outputs}, one for each output, not {len(values)}")
        for fraction in self.w_fractions or ():
            check_integer(f"{self.name}: w_fractions", fraction, -MAX_FRACTION, MAX_FRACTION)

    def _check_scales(self) -> None:
        """Raise ValueError where products, bias and residual cannot be added as integers."""
        mantissas = self.weight_mantissas
        if not ((mantissas >= 1) & (mantissas < 2)).all():
            raise ValueError(f"{self.name}: w_mantissas must be at least 1 and below 2")
        if self.w.zero or self.b.zero:
            raise ValueError(f"{self.name}: weights and bias have no zero point, not {self.w.zero} and {self.b.zero}")
        if self.requant is not Scheme.SHIFT:
            if self.residual is not None:
                raise ValueError(f"{self.name}: only shifts take a residual; an Add layer rescales its operands")
            if self.b.fraction or self.b.mantissa != 1:
                raise ValueError(f"{self.name}: b must have no fraction and mantissa where requant is not shift")
        elif (mantissas != 1).any() or self.b.mantissa != self.x.mantissa:
            raise ValueError(f"{self.name}: mantissas must be 1 (weights) and the input's (bias) to be shifted")

    def _check_activation(self, activation: Activated) -> None:
        if self.requant is not Scheme.SHIFT:
            raise ValueError(f"{self.name}: an activation needs requant shift, not {self.requant.value}")
        if self.bounds is not None or self.leak:
            raise ValueError(f"{self.name}: no bounds and no leak stand beside an activation, which clamps and leaks")
        try:
            activation.check(self.output, self.residual, len(self.bias))
        except ValueError as error:
            raise ValueError(f"{self.name}: activation: {error}") from None

    @property
    def taps(self) -> int:
        """Positions of the kernel; 1 for a matrix product."""
        return self.window.taps if self.window else 1

    @property
    def expects(self) -> tuple[Format, ...]:
        """Formats of the input and of the residual, if there is one."""
        return (self.x,) if self.residual is None else (self.x, self.residual)

    @property
    def added(self) -> Format | None:
        """Format of the residual that is added before the requantizer; None without one."""
        return self.residual if self.activation is None else None

    @cached_property
    def weight_fractions(self) -> Ints:
        """N_w of every output, (outputs,)."""
        return np.asarray(self.w_fractions or [self.w.fraction] * len(self.bias), dtype=np.int64)

    @property
    def weight_mantissas(self) -> NDArray[np.float64]:
        """The mantissa of the scale of every output's weights, (outputs,)."""
        return np.asarray(self.w_mantissas or [self.w.mantissa] * len(self.bias), dtype=np.float64)

    @cached_property
    def product_fractions(self) -> Ints:
        """Fractional bits of the sum of products and of the aligned bias, (outputs,): N_x + N_w."""
        return self.x.fraction + self.weight_fractions

    @cached_property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of the sums that the requantizer takes, (outputs,)."""
        if self.added is None:
            return self.product_fractions
        return np.maximum(self.product_fractions, self.added.fraction)

    @property
    def shifts(self) -> Ints:
        """Right shifts by output: to the format of the output, or of the words of an activation."""
        form = self.output if self.activation is None else self.activation.word
        return self.accumulator_fractions - form.fraction

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest integer that the requantizer gives: a result, or a word of an activation."""
        return super().limits if self.activation is None else self.activation.word.limits

    @property
    def requantizer(self) -> RequantParams:
        """The requantizer alone; with an activation, that which gives its words."""
        if self.activation is None:
            return super().requantizer
        return RequantParams(
            scheme=self.requant,
            acc_width=max(16, self.requantizer_width),
            out_width=self.activation.word.width,
            rounding=Rounding.FLOOR,
        )

    @cached_property
    def aligned_bias(self) -> Ints:
        """What is added to the products, (outputs,): the aligned bias less what the input's zero point adds to them."""
        bias = self.bias
        if self.requant is Scheme.SHIFT:
            bias = align(bias, self.product_fractions - self.b.fraction, self.rounding)
        return np.asarray(bias - self.x.zero * self.weights.sum(axis=0))

    @cached_property
    def accumulator_width(self) -> int:
        """Signed bits that hold any partial sum of products and bias, whatever input and weights of the formats."""
        return accumulator_width(len(self.weights), self.x, self.w, int(np.abs(self.aligned_bias).max(initial=0)))

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold what enters the requantizer: the accumulator, or its sum with the residual."""
        if self.added is None:
            return self.accumulator_width
        up = self.accumulator_fractions
        products = self.accumulator_width + int((up - self.product_fractions).max())
        width = self.added.width + (not self.added.signed or self.added.zero != 0)
        return max(products, width + int(up.max()) - self.added.fraction) + 1

    @property
    def dense_weights(self) -> Ints:
        """The weights with zeros for the other groups' channels, (taps * channels, outputs): one plain product."""
        rows, outputs = self.weights.shape
        blocks = self.weights.reshape(self.taps, 1, -1, self.groups, outputs // self.groups)
        own = np.eye(self.groups, dtype=np.int64)[:, np.newaxis, :, np.newaxis]
        return np.asarray((blocks * own).reshape(rows * self.groups, outputs))

    @property
    def _factor(self) -> Factor:
        return Factor(x=self.x.mantissa, w=self.weight_mantissas, o=self.output.mantissa, shift=self.shifts)

    @cached_property
    def products(self) -> Products:
        """What multiplies inputs within the limits of their format."""
        return Products.of(self.weights, groups=self.groups, taps=self.taps, limits=self.x.limits)

    def shape(self, *inputs: Array) -> tuple[int, ...]:
        """Shape of the results for a map (batch, rows, columns, channels), or features (batch, ..., channels)."""
        x = inputs[0]
        inner = x.shape[1:-1] if self.window is None else self.window.output_size(*x.shape[1:3])
        return len(x), *inner, len(self.bias)

    def columns(self, *inputs: Array) -> Ints:
        """Return what multiplies the weights for such inputs, (positions, taps * channels)."""
        x = inputs[0].astype(np.int64)
        return x.reshape(-1, x.shape[-1]) if self.window is None else im2col(x, self.window, self.x.zero)

    def results(self, *inputs: Array) -> Array:
        """Requantize the sums, block by block, and activate them."""
        if self.activation is None:
            return super().results(*inputs)
        outputs = np.empty(self.shape(*inputs), self.output.storage)
        for part, sums in self.sums(*inputs):
            residual = None
            if self.residual is not None:
                residual = inputs[1].reshape(outputs.shape)[part].reshape(sums.shape)
            outputs[part] = self.activation.compute(self.requantize(sums), residual).reshape(outputs[part].shape)
        return outputs

    def requantize(self, accumulators: Array) -> Array:
        """Return integers of the output from what enters the requantizer; with an activation its words."""
        if self.activation is None:
            return super().requantize(accumulators)
        words: Array = accumulators >> self.shifts.astype(accumulators.dtype)
        return np.clip(words, *self.limits, out=words)

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Sum products, bias and residual of a map (batch, rows, columns, channels), or of features without a window.

        Raises
        ------
        ValueError
            The input has another number of channels than the weights.
        """
        x, integers = inputs[0], self.integers(*inputs)
        channels = len(self.weights) * self.groups // self.taps
        if x.shape[-1] != channels:
            raise ValueError(f"{self.name}: expected {channels} input channels, not {x.shape[-1]}")
        products = self.products if self.x.holds(x) else self._products_beyond(x)
        bias = self.aligned_bias.astype(integers)
        windows = self._windows(x)
        for part in window_blocks(windows, len(bias)):
            sums = products.compute(windows[part]).astype(integers)
            sums += bias
            if self.added is not None:
                residual = inputs[1].reshape(self.shape(x))[part].reshape(sums.shape)
                self._add(sums, residual.astype(integers), self.added)
            yield part, sums

    def _add(self, sums: Array, residual: Array, form: Format) -> None:
        """Add a block's residual to its sums, both aligned; both arrays are written to."""
        up = self.accumulator_fractions
        if form.zero:
            residual -= form.zero
        for values, left in ((sums, up - self.product_fractions), (residual, up - form.fraction)):
            if left.any():
                values <<= left.astype(values.dtype)
        sums += residual

    def _windows(self, x: Array) -> Array:
        """Return the windows as `patches` does; without a window every position's features are one."""
        if self.window is not None:
            return patches(x, self.window, self.x.zero)
        return x.reshape(len(x), x.shape[1] if x.ndim > 2 else 1, -1, 1, 1, x.shape[-1])

    def _products_beyond(self, x: Array) -> Products:
        """Return what multiplies integers that the format of the input does not hold."""
        limits = min(int(x.min()), self.x.limits[0]), max(int(x.max()), self.x.limits[1])
        return Products.of(self.weights, groups=self.groups, taps=self.taps, limits=limits)
