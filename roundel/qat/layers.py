"""Integer layers as torch modules: what goes in and out are golden's integers times their steps. Needs torch.

Maps are (batch, channels, rows, columns), features (batch, channels). Layers here have nothing to train but formats;
those with weights are in `roundel.qat.weighted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ldexp
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from roundel.golden import network as golden
from roundel.golden.formats import Format
from roundel.golden.network import MAX_SHIFT, Layer, Window, window_count
from roundel.graph import Activation
from roundel.qat.convolution import convolved
from roundel.qat.rounding import quantized


@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """A tensor on its way: real numbers, and the format that they are integers of.

    Parameters
    ----------
    real
        Multiples of the step, (batch, channels, rows, columns) or (batch, channels).
    form
        The format.
    """

    real: Tensor
    form: Format


class LayerModule(nn.Module):
    """A layer whose result has the format of its source, or one of its own.

    Parameters
    ----------
    layer
        As quantization made it.
    log_step
        Binary logarithm of the step of the result, which is learned; None: the format stays, or follows the source.
    activation
        The activations of the module, whose clamp moves with the format.
    """

    def __init__(self, layer: Any, log_step: nn.Parameter | None = None, activation: Activation | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.log_step = log_step
        self.activation = activation

    def made(self, forms: Sequence[Format]) -> Layer:
        """Return the golden layer of the present parameters, for sources of these formats."""
        result: Layer = replace(self.layer, output=forms[0])
        return result

    def forward(self, *values: Value) -> Value:
        """Return what the golden layer gives."""
        layer = self.made([value.form for value in values])
        return Value(real=self.compute(layer, *values), form=layer.output)

    def compute(self, layer: Any, *values: Value) -> Tensor:
        """Return the result of the golden layer as real numbers."""
        raise NotImplementedError

    def output(self, most: int, least: int = -(1 << 30)) -> Format:
        """Return the format of the result, whose fraction is learned within limits."""
        form: Format = self.layer.output
        if self.log_step is None:
            return form
        return replace(form, fraction=max(min(fraction_of(self.log_step), most), least))

    def bounds(self, output: Format) -> tuple[int, int] | None:
        """Return the clamp of results of a format."""
        if self.activation is None or output == self.layer.output:
            bounds: tuple[int, int] | None = self.layer.bounds
            return bounds
        return self.activation.bounds(output)


class RoundedModule(LayerModule):
    """A layer that ends in the requantizer, or in the rounding of a concatenation."""

    def made(self, forms: Sequence[Format]) -> Layer:
        layer, named = self.layer, dict(zip(self.format_names, forms, strict=True))
        moved = sum(form.fraction - getattr(layer, name).fraction for name, form in named.items())
        most = layer.accumulator_fraction + moved
        output = self.output(most, most - MAX_SHIFT + layer.leak)
        result: Layer = replace(layer, **named, output=output, bounds=self.bounds(output))
        return result

    @property
    def format_names(self) -> tuple[str, ...]:
        """The fields of the layer that hold the formats of its sources."""
        return ("x",)

    def requantized(self, layer: Any, sums: Tensor) -> Tensor:
        """Return the results of what enters the requantizer, real numbers of a type that is exact."""
        if layer.leak:
            sums = torch.where(sums < 0, sums * ldexp(1.0, -layer.leak), sums)
        fraction = layer.output.fraction
        return quantized(sums, fraction, layer.limits, layer.rounding, self.log_step).float()


class AddModule(RoundedModule):
    """Sum of two tensors."""

    format_names = ("x", "y")

    def made(self, forms: Sequence[Format]) -> Layer:
        layer = self.layer
        most = max(form.fraction for form in forms)
        output = self.output(most, most - MAX_SHIFT + layer.leak)
        result: Layer = replace(layer, x=forms[0], y=forms[1], output=output, bounds=self.bounds(output))
        return result

    def compute(self, layer: Any, *values: Value) -> Tensor:
        return self.requantized(layer, values[0].real.double() + values[1].real.double())


class ConcatModule(RoundedModule):
    """Channels of all sources, each moved to the format of the result."""

    def made(self, forms: Sequence[Format]) -> Layer:
        fractions = [form.fraction for form in forms]
        output = self.output(min(fractions) + MAX_SHIFT, max(fractions) - MAX_SHIFT)
        result: Layer = replace(self.layer, inputs=tuple(forms), output=output)
        return result

    def compute(self, layer: Any, *values: Value) -> Tensor:
        form = layer.output
        ends = (form.limits[0] - form.zero, form.limits[1] - form.zero)
        parts = [quantized(value.real, form.fraction, ends, layer.rounding, self.log_step) for value in values]
        return torch.cat(parts, dim=1)


class GateModule(RoundedModule):
    """A map times one number a channel."""

    format_names = ("x", "gate")

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x, factors = values[0].real.double(), values[1].real.double()
        return self.requantized(layer, x * factors.reshape(*x.shape[:2], *(1 for _ in x.shape[2:])))


class AveragePoolModule(RoundedModule):
    """Mean of every window: its sum times a multiplier."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x, window = values[0].real.double(), layer.window
        ones = torch.ones((x.shape[1], 1, *window.kernel), dtype=x.dtype)
        sums = convolved(x, ones, None, window, x.shape[1])
        counts = np.asarray(window.taps)
        if not layer.count_padding:
            counts = window_count(x.shape[2], x.shape[3], window)
        multipliers = torch.as_tensor(layer.multipliers(counts)).double() * ldexp(1.0, -layer.w.fraction)
        return self.requantized(layer, sums * multipliers)


class InterpolateModule(RoundedModule):
    """Linear interpolation of an enlarged map."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x = values[0].real.double()
        high, wide = (self._matrix(layer, x.shape[axis + 2], axis) for axis in (0, 1))
        return self.requantized(layer, high @ x @ wide.T)

    @staticmethod
    def _matrix(layer: Any, size: int, axis: int) -> Tensor:
        """Return the weights of a result's rows or columns, (results, size): exact, their unit a power of two."""
        unit = 2 * layer.factor[axis]
        first, share = np.divmod(2 * np.arange(size * layer.factor[axis]) + layer.offset[axis], unit)
        weights = np.zeros((len(first), size))
        rows = np.arange(len(first))
        np.add.at(weights, (rows, np.clip(first, 0, size - 1)), (unit - share) / unit)
        np.add.at(weights, (rows, np.clip(first + 1, 0, size - 1)), share / unit)
        return torch.as_tensor(weights)


class MaxPoolModule(LayerModule):
    """Greatest number of every window."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x, window = values[0], layer.window
        least = float(layer.output.decode(np.asarray(layer.output.limits[0])))
        around = padded(x.real, window, least)
        return functional.max_pool2d(around, window.kernel, window.stride, 0, window.dilation)


class UpsampleModule(LayerModule):
    """Every number several times."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        return values[0].real.repeat_interleave(layer.factor, dim=2).repeat_interleave(layer.factor, dim=3)


class FlattenModule(LayerModule):
    """All features in one axis, in golden's order: row, column, channel."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x = values[0].real
        return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1)


class SelectModule(LayerModule):
    """Some channels."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        return values[0].real[:, list(layer.channels)]


class FillModule(LayerModule):
    """Further channels that hold one number."""

    def made(self, forms: Sequence[Format]) -> Layer:
        value = int(forms[0].encode(self.layer.output.decode(np.asarray(self.layer.value))))
        result: Layer = replace(self.layer, output=forms[0], value=value)
        return result

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x = values[0].real
        shape = (len(x), layer.count, *x.shape[2:])
        return torch.cat([x, torch.full(shape, float(layer.output.decode(np.asarray(layer.value))))], dim=1)


class DepthToSpaceModule(LayerModule):
    """Channels become pixels."""

    def compute(self, layer: Any, *values: Value) -> Tensor:
        x, (down, across) = values[0].real, layer.factor
        count, channels, rows, columns = x.shape
        order = torch.as_tensor(layer.order(channels).reshape(-1))
        parts = x[:, order].reshape(count, down, across, -1, rows, columns)
        return parts.permute(0, 3, 4, 1, 5, 2).reshape(count, -1, rows * down, columns * across)


def padded(x: Tensor, window: Window, fill: float = 0.0) -> Tensor:
    """Return a map with a window's own padding around it, which need not be symmetric as torch's is."""
    top, left, bottom, right = window.pad
    return functional.pad(x, (left, right, top, bottom), value=fill) if any(window.pad) else x


def fraction_of(log_step: Tensor) -> int:
    """Return the fractional bits that the binary logarithm of a step stands for."""
    return -round(float(log_step.detach()))


def greatest_of(form: Format) -> float:
    """Return the greatest magnitude of what integers of a format stand for."""
    return float(np.abs(form.decode(np.asarray(form.limits))).max())


MODULES: dict[type[Layer], type[LayerModule]] = {
    golden.Add: AddModule,
    golden.AveragePool: AveragePoolModule,
    golden.Concat: ConcatModule,
    golden.DepthToSpace: DepthToSpaceModule,
    golden.Fill: FillModule,
    golden.Flatten: FlattenModule,
    golden.Gate: GateModule,
    golden.Interpolate: InterpolateModule,
    golden.MaxPool: MaxPoolModule,
    golden.Select: SelectModule,
    golden.Upsample: UpsampleModule,
}
