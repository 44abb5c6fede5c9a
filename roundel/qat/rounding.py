"""Rounding as golden does it, with gradients: whole numbers in floating point, steps of powers of two. Needs torch.

Values are real numbers, multiples of a power of two. Scaling by powers of two is exact, and so is every sum that the
type holds (`exact_type`), so that what is computed here is golden's integer times the step, to the last bit.
"""

from collections.abc import Callable, Sequence
from math import ldexp, log, sqrt
from typing import Any

import torch
from torch import Tensor

from roundel.golden.rounding import Rounding

SINGLE = float(1 << 24)  # what binary32 counts to

Rounder = Callable[[Tensor], Tensor]

ROUNDERS: dict[Rounding, Rounder] = {
    Rounding.FLOOR: torch.floor,
    Rounding.HALF_UP: lambda units: torch.add(units, 0.5).floor_(),
    Rounding.HALF_AWAY: lambda units: torch.sign(units) * torch.floor(units.abs() + 0.5),
    Rounding.HALF_EVEN: torch.round,
}


def exact_type(bound: float) -> torch.dtype:
    """Return the narrowest type whose sums are exact, where no magnitude exceeds `bound` units of their step."""
    return torch.float32 if bound < SINGLE else torch.float64


def powers(exponents: Sequence[int] | int, like: Tensor, axis: int = 0) -> Tensor:
    """Return powers of two, exactly, in the type of `like`: one number, or one for each index of its `axis`."""
    if isinstance(exponents, int):
        return torch.tensor(ldexp(1.0, exponents), dtype=like.dtype)
    values = torch.tensor([ldexp(1.0, exponent) for exponent in exponents], dtype=like.dtype)
    return values.reshape([-1 if place == axis else 1 for place in range(like.ndim)])


class _Quantize(torch.autograd.Function):
    """`clamp(round(x * 2**n)) * 2**-n`; gradients as `quantized` says."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_step: Tensor | None, scale: Tensor, ends: Any, rounder: Rounder) -> Tensor:
        units = x * scale
        rounded = rounder(units)
        result = rounded.clamp(*ends)
        ctx.ends, ctx.learned = ends, log_step is not None
        if log_step is not None:
            ctx.shape, ctx.each = log_step.shape, log_step.ndim > 0
            ctx.unit = log(2) / sqrt(max(1, x.numel() // log_step.numel()) * max(ends[1], 1))
            ctx.save_for_backward(rounded, units, result, scale)
        else:
            ctx.save_for_backward(rounded)
        return result * scale.reciprocal()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rounded, *kept = ctx.saved_tensors
        least, most = ctx.ends
        passed = torch.ops.aten.hardtanh_backward(gradient, rounded, least - 0.5, most + 0.5)  # 0 where it is clamped
        step = None
        if ctx.learned:
            units, result, scale = kept
            if ctx.each:
                moved = gradient * (result - units) + (gradient - passed) * units
                total = moved.flatten(1).sum(1) / scale.flatten()
            else:
                total = (_dot(gradient, result - units) + _dot(gradient - passed, units)) / scale.flatten()[0]
            step = (total * ctx.unit).reshape(ctx.shape).float()
        return passed, step, None, None, None


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the sum of all products of two tensors of one shape, as they lie in memory where they lie alike."""
    if x.ndim == 4:
        x, y = x.permute(0, 2, 3, 1), y.permute(0, 2, 3, 1)
    return torch.dot(x.reshape(-1), y.reshape(-1))


def quantized(
    x: Tensor,
    fractions: Sequence[int] | int,
    ends: tuple[float, float] = (-torch.inf, torch.inf),
    rounding: Rounding = Rounding.HALF_EVEN,
    log_step: Tensor | None = None,
) -> Tensor:
    """Round to multiples of `2**-fraction`, and clamp.

    The gradient passes where nothing is clamped. That of the binary logarithm of the step is TQT's [S: Jain et al.,
    MLSys 2020], scaled as LSQ's [S: Esser et al., ICLR 2020].

    Parameters
    ----------
    x
        Real numbers of a type that holds them exactly.
    fractions
        Fractional bits: one number, or one for each index of the first axis.
    ends
        Least and greatest integer.
    rounding
        How to round.
    log_step
        The parameter that `fractions` follow from, () or (size of the first axis,), which gets a gradient; None: none.
    """
    result: Tensor = _Quantize.apply(x, log_step, powers(fractions, x), ends, ROUNDERS[rounding])
    return result


class _LookUp(torch.autograd.Function):
    """Entries of a table by whole number, with the slope of the table as gradient."""

    @staticmethod
    def forward(ctx: Any, places: Tensor, table: Tensor, slopes: Tensor) -> Tensor:
        index = places.detach().long()
        if table.ndim == 1:
            ctx.save_for_backward(slopes[index])
            return table[index]
        channels = torch.arange(table.shape[1]).reshape([-1 if axis == 1 else 1 for axis in range(places.ndim)])
        ctx.save_for_backward(slopes[index, channels])
        return table[index, channels]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient * ctx.saved_tensors[0], None, None


def looked_up(places: Tensor, table: Tensor) -> Tensor:
    """Return the entries of a table at whole numbers; the gradient is the table's slope there, of both neighbours.

    Parameters
    ----------
    places
        Whole numbers, 0 to the table's length less 1.
    table
        (entries,), or (entries, channels) with channels on axis 1 of `places`.
    """
    padded = torch.cat([table[:1], table, table[-1:]])
    slopes = (padded[2:] - padded[:-2]) / 2
    result: Tensor = _LookUp.apply(places, table, slopes)
    return result
