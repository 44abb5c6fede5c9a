"""The float network: nodes, normal form, weights; knows no ONNX."""

from roundel.graph.activation import ACTIVATIONS, Activation
from roundel.graph.archives import MAX_NPZ, read_npz
from roundel.graph.channel_ties import ChannelTies, Orders, Tie, passed, reordered
from roundel.graph.folding import ELEMENTWISE, MOVERS, filled, fold, is_private, needed
from roundel.graph.formula import OPERATIONS, Formula, FormulaStep, formula_of
from roundel.graph.functions import Pointwise, PRelu, function_nodes, function_of, known, why_not
from roundel.graph.graph import AT_ONCE, Graph, HostOperator
from roundel.graph.images import Images, ImageSource, channels_last, image_shape, load_images, read_images
from roundel.graph.inputs import array_of, integer_of, kind_of
from roundel.graph.interpolation import Interpolate
from roundel.graph.moving import Crop, DepthToSpace, Fill, Moving, Pad, Select
from roundel.graph.nodes import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Dense,
    Flatten,
    Gate,
    LeakyRelu,
    MaxPool,
    Node,
    Reals,
    Relu,
    Upsample,
)
from roundel.graph.quantizer import ROUNDINGS, Quantize
from roundel.graph.result_shapes import padded_shape, result_shape, window_values
from roundel.graph.weights import codes_of, layer_codes, layer_weights

__all__ = [
    "ACTIVATIONS",
    "AT_ONCE",
    "ELEMENTWISE",
    "MAX_NPZ",
    "MOVERS",
    "OPERATIONS",
    "ROUNDINGS",
    "Activation",
    "Add",
    "Affine",
    "AveragePool",
    "ChannelTies",
    "Clip",
    "Concat",
    "Conv",
    "Crop",
    "Dense",
    "DepthToSpace",
    "Fill",
    "Flatten",
    "Formula",
    "FormulaStep",
    "Gate",
    "Graph",
    "HostOperator",
    "ImageSource",
    "Images",
    "Interpolate",
    "LeakyRelu",
    "MaxPool",
    "Moving",
    "Node",
    "Orders",
    "PRelu",
    "Pad",
    "Pointwise",
    "Quantize",
    "Reals",
    "Relu",
    "Select",
    "Tie",
    "Upsample",
    "array_of",
    "channels_last",
    "codes_of",
    "filled",
    "fold",
    "formula_of",
    "function_nodes",
    "function_of",
    "image_shape",
    "integer_of",
    "is_private",
    "kind_of",
    "known",
    "layer_codes",
    "layer_weights",
    "load_images",
    "needed",
    "padded_shape",
    "passed",
    "read_images",
    "read_npz",
    "reordered",
    "result_shape",
    "why_not",
    "window_values",
]
