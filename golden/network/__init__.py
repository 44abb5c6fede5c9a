"""Integer layers, the network of them, its file."""

from roundel.golden.network.activated import Activated
from roundel.golden.network.base import MAX_SHIFT, Layer, Requantized, Step
from roundel.golden.network.conv import Window, grouped_matmul, im2col, matmul, patches, window_count
from roundel.golden.network.encoding import Encoding, InputRounding
from roundel.golden.network.file import load, load_meta, save
from roundel.golden.network.gate import Gate
from roundel.golden.network.join import LIFT, Add, Concat
from roundel.golden.network.moves import DepthToSpace, Fill, Select
from roundel.golden.network.network import Network, outputs, run, steps
from roundel.golden.network.pool import MAX_FACTOR, AveragePool, Flatten, Interpolate, MaxPool, Upsample
from roundel.golden.network.products import Products
from roundel.golden.network.totals import total_format
from roundel.golden.network.weighted import Weighted

__all__ = [
    "LIFT",
    "MAX_FACTOR",
    "MAX_SHIFT",
    "Activated",
    "Add",
    "AveragePool",
    "Concat",
    "DepthToSpace",
    "Encoding",
    "Fill",
    "Flatten",
    "Gate",
    "InputRounding",
    "Interpolate",
    "Layer",
    "MaxPool",
    "Network",
    "Products",
    "Requantized",
    "Select",
    "Step",
    "Upsample",
    "Weighted",
    "Window",
    "grouped_matmul",
    "im2col",
    "load",
    "load_meta",
    "matmul",
    "outputs",
    "patches",
    "run",
    "save",
    "steps",
    "total_format",
    "window_count",
]
