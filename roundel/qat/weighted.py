"""Convolutions and matrix products to train: real weights behind the integers that run. Needs torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ldexp, log2
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from roundel.golden.activation import WORDS
from roundel.golden.formats import Format
from roundel.golden.network import MAX_SHIFT, Layer, Weighted
from roundel.golden.rounding import Rounding
from roundel.graph import Activation
from roundel.qat.convolution import convolved
from roundel.qat.layers import LayerModule, Value, fraction_of, greatest_of
from roundel.qat.rounding import exact_type, looked_up, powers, quantized

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Fractions:
    """Fractional bits of a layer, at present.

    Parameters
    ----------
    weights
        Of the weights of each output.
    bias, output
        Of the bias, and of the result.
    """

    weights: tuple[int, ...]
    bias: int
    output: int


class WeightedModule(LayerModule):
    """A convolution or matrix product, and all of its module.

    What is trained counts in units, powers of two, in which weights and biases are as large as those of networks whose
    maps are about 1: so that one learning rate suits all layers, whatever images and maps count in.

    Parameters
    ----------
    layer
        As quantization made it: where formats start.
    weights, bias
        Real ones to start from: (taps * channels / groups, outputs) in golden's order, and (outputs,).
    mask
        Weights that may differ from 0, in the shape of `weights`; None: all.
    limits
        Least and greatest integer of a weight.
    log_step, activation
        As of `LayerModule`. The formats of a layer with a table stay as they are.
    half_gradients
        As of `QatOptions`.
    """

    mask: Tensor | None

    def __init__(
        self,
        layer: Weighted,
        *,
        weights: Array,
        bias: Array,
        mask: Array | None,
        limits: tuple[int, int],
        log_step: nn.Parameter | None,
        activation: Activation | None,
        half_gradients: bool = False,
    ) -> None:
        super().__init__(layer, log_step, activation)
        self.limits, self.half_gradients = limits, half_gradients
        self.unit, self.bias_unit = _units(weights, layer.output)
        self.weight = nn.Parameter(torch.tensor(self._kernel(weights) / self.unit, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias / self.bias_unit, dtype=torch.float32))
        held = None if mask is None else torch.tensor(self._kernel(mask), dtype=torch.float32)
        self.register_buffer("mask", held, persistent=False)
        each = layer.w.fraction if layer.w_fractions is None else layer.w_fractions
        self.log_weight = nn.Parameter(-torch.tensor(each, dtype=torch.float32))
        self.log_bias = nn.Parameter(-torch.tensor(layer.b.fraction, dtype=torch.float32))
        if layer.activation is not None:
            self.register_buffer("table", self._table(layer), persistent=False)

    def made(self, forms: Sequence[Format]) -> Layer:
        layer, now = self.layer, self.fractions(forms)
        weights = self.weights(now).detach().double()
        weights = weights * powers(now.weights, weights)
        bias = self.biases(now).detach().double() * ldexp(1.0, now.bias)
        output = replace(layer.output, fraction=now.output)
        same = len(set(now.weights)) == 1
        made: Layer = replace(
            layer,
            x=forms[0],
            residual=forms[1] if layer.residual is not None else None,
            w=replace(layer.w, fraction=min(now.weights)),
            w_fractions=None if same else now.weights,
            b=replace(layer.b, fraction=now.bias),
            weights=self._matrix(weights.numpy()),
            bias=bias.numpy().astype(np.int64),
            output=output,
            bounds=None if layer.activation is not None else self.bounds(output),
        )
        return made

    def forward(self, *values: Value) -> Value:
        layer, now = self.layer, self.fractions([value.form for value in values])
        output = replace(layer.output, fraction=now.output)
        sums = self._sums(now, *values)
        if layer.activation is not None:
            return Value(real=self._activated(sums, output, *values[1:]), form=output)
        low, high = output.limits
        if (bounds := self.bounds(output)) is not None:
            low, high = max(low, bounds[0]), min(high, bounds[1])
        if layer.leak:
            sums = torch.where(sums < 0, sums * ldexp(1.0, -layer.leak), sums)
        real = quantized(sums, now.output, (low, high), layer.rounding, self.log_step).float()
        return Value(real=real, form=output)

    def fractions(self, forms: Sequence[Format]) -> Fractions:
        """Return the present fractional bits for sources of these formats: as learned, within what golden takes."""
        layer = self.layer
        outputs = len(self.bias)
        learned = [-round(value) for value in self.log_weight.detach().reshape(-1).tolist()]
        weights = learned * outputs if len(learned) == 1 else learned
        added = forms[1].fraction if layer.residual is not None and layer.activation is None else None
        least, most = -(1 << 30), 1 << 30
        if added is not None:
            least, most = added - MAX_SHIFT, added + MAX_SHIFT
        if layer.activation is not None:  # words are no finer than sums
            least, most = layer.activation.word.fraction, layer.activation.word.fraction + MAX_SHIFT
        products = [min(max(forms[0].fraction + n, least), most) for n in weights]
        weights = [n - forms[0].fraction for n in products]
        bias = min(max(fraction_of(self.log_bias), max(products) - MAX_SHIFT), min(products) + MAX_SHIFT)
        sums = products if added is None else [max(n, added) for n in products]
        output = self.output(min(sums), max(sums) + layer.leak - MAX_SHIFT).fraction
        return Fractions(weights=tuple(weights), bias=bias, output=output)

    def weights(self, now: Fractions) -> Tensor:
        """Return the weights that run, in the shape of torch's kernels."""
        masked = self.weight if self.mask is None else self.weight * self.mask
        return quantized(masked * self.unit, now.weights, self.limits, Rounding.HALF_EVEN, self.log_weight)

    def biases(self, now: Fractions) -> Tensor:
        """Return the biases that run, before they are aligned to the products."""
        return quantized(self.bias * self.bias_unit, now.bias, self.layer.b.limits, Rounding.HALF_EVEN, self.log_bias)

    def _sums(self, now: Fractions, *values: Value) -> Tensor:
        """Return what enters the requantizer."""
        layer, x = self.layer, values[0]
        products = [x.form.fraction + n for n in now.weights]
        weights, bias = self.weights(now), self.biases(now)
        if now.bias > min(products):
            bias = quantized(bias, [min(n, now.bias) for n in products], rounding=layer.rounding)
        kind = exact_type(self._bound(now, products, weights, bias, values))
        inputs = x.real.to(kind)
        if layer.window is None:
            sums = functional.linear(inputs, weights.to(kind), bias.to(kind))
        else:
            sums = convolved(
                inputs, weights.to(kind), bias.to(kind), layer.window, layer.groups, half=self.half_gradients
            )
        if layer.residual is not None and layer.activation is None:
            sums = sums + values[1].real.to(kind)
        return sums

    def _bound(
        self, now: Fractions, products: list[int], weights: Tensor, bias: Tensor, values: Sequence[Value]
    ) -> float:
        """Return what no sum exceeds, in units of the least step that anything in it has, rounding included."""
        layer, x = self.layer, values[0]
        greatest = greatest_of(x.form)
        most = float((weights.detach().abs().flatten(1).sum(1).double() * greatest + bias.detach().abs()).max())
        unit = max([*products, now.output + 1])
        if layer.residual is not None and layer.activation is None:
            form = values[1].form
            most += greatest_of(form)
            unit = max(unit, form.fraction)
        return (most + ldexp(0.5, -now.output)) * ldexp(1.0, unit + layer.leak)

    def _activated(self, sums: Tensor, output: Format, *residuals: Value) -> Tensor:
        """Return results of sums: words, rounded down, through the table, a residual added, rounded once."""
        activation, table = self.layer.activation, self.layer.activation.table
        word = activation.word
        words = quantized(sums, word.fraction, word.limits, Rounding.FLOOR)
        totals = looked_up(words.double() * ldexp(1.0, word.fraction) - word.limits[0], self.table)
        if residuals:
            form = residuals[0].form
            lift = form.fraction + table.residual_shift + WORDS.step_bits
            totals = totals + residuals[0].real.double() * ldexp(1.0, lift)
        shift = WORDS.fraction + WORDS.step_bits
        low, high = (-(1 << WORDS.OUT_WIDTH - 1), (1 << WORDS.OUT_WIDTH - 1) - 1)
        units = quantized(totals * ldexp(1.0, -shift), 0, (low, high), Rounding.HALF_UP)
        units = units - low if table.unsigned else units
        return (units * ldexp(1.0, -output.fraction)).float()

    @staticmethod
    def _table(layer: Weighted) -> Tensor:
        """Return what the activation unit rounds of every word, (words,) or (words, outputs)."""
        assert layer.activation is not None
        return torch.tensor(layer.activation.totals, dtype=torch.float64)

    def _kernel(self, matrix: Array) -> Array:
        """Return a matrix (taps * channels / groups, outputs) in the shape of torch's kernels."""
        window = self.layer.window
        if window is None:
            return np.ascontiguousarray(matrix.T)
        return np.ascontiguousarray(matrix.reshape(*window.kernel, -1, matrix.shape[1]).transpose(3, 2, 0, 1))

    def _matrix(self, kernel: Array) -> NDArray[np.int64]:
        """Return the reverse of `_kernel`, of whole numbers."""
        matrix = kernel.T if self.layer.window is None else kernel.transpose(2, 3, 1, 0).reshape(-1, len(kernel))
        return np.ascontiguousarray(matrix).astype(np.int64)


def _units(weights: Array, output: Format) -> tuple[float, float]:
    """Return the units of weights and biases: a product of one in its unit with maps of about 1 is about 1."""
    size = float(np.sqrt(np.square(weights, dtype=np.float64).sum(axis=0).mean()))
    exponent = 0 if size == 0 else round(log2(size))
    return ldexp(1.0, exponent), ldexp(1.0, output.width - 3 - output.fraction)
