"""Convolutions of integers in floating point: exact forward, gradients in bfloat16 where asked for. Needs torch.

On processors with products of bfloat16 a gradient costs about half of what it costs in binary32.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from roundel.golden.network import Window


def convolved(
    x: Tensor, weights: Tensor, bias: Tensor | None, window: Window, groups: int, *, half: bool = False
) -> Tensor:
    """Return the convolution of a map, with the window's own padding, which need not be symmetric as torch's is.

    Parameters
    ----------
    x, weights, bias
        (batch, channels, rows, columns), (outputs, channels / groups, rows, columns) and (outputs,) or None, of one
        type, in which all sums are exact.
    window, groups
        As of golden's layer.
    half
        Whether gradients are computed in bfloat16.
    """
    x, weights = (part.contiguous(memory_format=torch.channels_last) for part in (x, weights))  # faster
    top, left, bottom, right = window.pad
    pad = (top, left)
    if (bottom, right) != pad:
        x, pad = functional.pad(x, (left, right, top, bottom)), (0, 0)
    if half and x.dtype is torch.float32:
        result: Tensor = _HalfGradients.apply(x, weights, bias, window.stride, pad, window.dilation, groups)
        return result
    return functional.conv2d(x, weights, bias, window.stride, pad, window.dilation, groups)


class _HalfGradients(torch.autograd.Function):
    """`conv2d`, whose gradients are computed in bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, bias: Tensor, *shape: Any) -> Tensor:
        ctx.save_for_backward(x.bfloat16(), weights.bfloat16())
        ctx.shape = shape
        return functional.conv2d(x, weights, bias, *shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weights = ctx.saved_tensors
        stride, pad, dilation, groups = ctx.shape
        ends = ([len(weights)], stride, pad, dilation, False, (0, 0), groups, [*ctx.needs_input_grad[:2], False])
        to_x, to_weights, _ = torch.ops.aten.convolution_backward(gradient.bfloat16(), x, weights, *ends)
        to_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        parts = [None if part is None else part.float() for part in (to_x, to_weights)]
        return (*parts, to_bias, None, None, None, None)
