"""Integer layers: operations on tensors of integers that round once, at their output. One name for all of them.

[R] With N_x, N_w, N_b, N_o fractional bits (`golden.formats`) of input, weights, bias and output, a weighted layer does

    acc = sum(W_I * X_I) + align(B_I, N_x + N_w - N_b)
    O_I = clamp(round_shift(acc, s), lo, hi),   s = N_x + N_w - N_o

and ReLU is `lo = 0`, which is what an unsigned output format means. docs/quantization.md is the normative text.
"""

from golden.layers_base import MAX_SHIFT, Layer, Requantized, Step
from golden.layers_join import Add, Concat
from golden.layers_pool import AveragePool, Flatten, MaxPool, Upsample
from golden.layers_weighted import Weighted

__all__ = [
    "MAX_SHIFT",
    "Add",
    "AveragePool",
    "Concat",
    "Flatten",
    "Layer",
    "MaxPool",
    "Requantized",
    "Step",
    "Upsample",
    "Weighted",
]
