"""Networks with a quantizer in every place, and what QDQ (by onnxruntime) and QONNX (by its text) make of it.

Weights are whole and scales powers of two, so that every sum is exact in binary32: a result that differs is wrong.
"""

from dataclasses import dataclass

import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tests.support.onnx_models import model, reference

QONNX = "qonnx.custom_op.general"
SCALE = np.float32(0.5)  # of the quantizer in question
MAP = (2, 4, 4)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Integers of a quantizer: a type of ONNX, and a clamp of its integers (QDQ), or bits and narrow (QONNX)."""

    name: str
    signed: bool
    bits: int
    zeros: tuple[int, ...]
    narrow: bool = False

    @property
    def ends(self):
        """Least and greatest integer, by QONNX's text."""
        if self.signed:
            return -(2 ** (self.bits - 1)) + self.narrow, 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1 - self.narrow


RANGES = (
    Range(name="int8", signed=True, bits=8, zeros=(0, 3)),
    Range(name="uint8", signed=False, bits=8, zeros=(0, 3, 128)),
    Range(name="narrow int8", signed=True, bits=8, narrow=True, zeros=(0,)),
    Range(name="int4", signed=True, bits=4, zeros=(0, 3)),
    Range(name="narrow int4", signed=True, bits=4, narrow=True, zeros=(0,)),
    Range(name="uint4", signed=False, bits=4, zeros=(0, 3)),
    Range(name="narrow uint4", signed=False, bits=4, narrow=True, zeros=(8,)),
)

ROUND_BY_TEXT = {
    "ROUND": np.rint,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND_TO_ZERO": lambda x: np.sign(x) * np.floor(np.abs(x)),
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}  # the table of the page of `Quant`, in binary64


class Quant(OpRun):
    """QONNX's Quant as its page defines it: scale, add the zero point, clamp, round, and back."""

    op_domain = QONNX

    def _run(self, x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
        low, high = (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)
        y = ROUND_BY_TEXT[rounding_mode](np.clip(x.astype(np.float64) / scale + zero, low, high))
        return (((y - zero) * scale).astype(np.float32),)


def expected(proto, images):
    """What the model gives by output: by onnxruntime, or by ONNX's reference with QONNX's operator."""
    names = [item.name for item in proto.graph.output]
    if any(node.op_type == "Quant" for node in proto.graph.node):
        return dict(zip(names, ReferenceEvaluator(proto, new_ops=[Quant]).run(None, {"x": images}), strict=True))
    return dict(zip(names, reference(proto, images), strict=True))


class Builder:
    """Nodes and constants of a model, and how its quantizer is written: QDQ where `mode` is None, else QONNX."""

    def __init__(self, form, zero, mode):
        self.form, self.zero, self.mode = form, zero, mode
        self.nodes, self.constants = [], {"s": SCALE}
        kind = np.int8 if form.signed else np.uint8
        low, high = form.ends
        if mode is None:
            self.constants |= {"z": kind(zero), "lo": kind(low), "hi": kind(high)}
        else:
            self.constants |= {"z": np.float32(zero), "bits": np.float32(form.bits)}

    def quantizer(self, x, y, scale="s"):
        """The quantizer in question, of tensor `x`."""
        if self.mode is not None:
            about = {"signed": int(self.form.signed), "narrow": int(self.form.narrow), "rounding_mode": self.mode}
            self.nodes.append((f"{QONNX}:Quant", [x, scale, "z", "bits"], y, about))
            return
        self.nodes.append(("QuantizeLinear", [x, scale, "z"], f"{y}_codes", {}))
        codes = f"{y}_codes"
        if self.form.ends not in ((-128, 127), (0, 255)):
            self.nodes.append(("Clip", [codes, "lo", "hi"], f"{y}_clipped", {}))
            codes = f"{y}_clipped"
        self.nodes.append(("DequantizeLinear", [codes, scale, "z"], y, {}))

    def fine(self, x, y, scale=0.125):
        """A quantizer of the whole int8, to nearest: what makes the tensors before the one in question exact."""
        self.constants |= {f"{y}_s": np.float32(scale), "z8": np.int8(0)}
        self.nodes.append(("QuantizeLinear", [x, f"{y}_s", "z8"], f"{y}_codes", {}))
        self.nodes.append(("DequantizeLinear", [f"{y}_codes", f"{y}_s", "z8"], y, {}))

    def conv(self, x, y, codes, step=1.0, bias=None):
        """A convolution of one tap, its weights behind a dequantizer."""
        codes = np.asarray(codes, np.int8)
        self.constants |= {f"{y}_w": codes[:, :, None, None], f"{y}_t": np.float32(step)}
        self.nodes.append(("DequantizeLinear", [f"{y}_w", f"{y}_t"], f"{y}_weight", {}))
        inputs = [x, f"{y}_weight"]
        if bias is not None:
            self.constants[f"{y}_b"] = np.asarray(bias, np.float32)
            inputs.append(f"{y}_b")
        self.nodes.append(("Conv", inputs, y, {}))

    def add(self, operator, inputs, y, **attributes):
        """Any other operator."""
        self.nodes.append((operator, inputs, y, attributes))

    def model(self, shape=MAP, outputs=("y",)):
        """The model as a file has it."""
        used = {name for _, inputs, _, _ in self.nodes for name in inputs}
        constants = {name: value for name, value in self.constants.items() if name in used}
        opset = 17 if self.mode is None else 21  # the oldest that ONNX's reference quantizes in
        return model(self.nodes, shape, constants, outputs, domains=[QONNX], opset=opset)


IDENTITY = np.eye(2)


def show(b, x, y):
    """Both halves of a tensor, each behind a quantizer that has all of its values."""
    for name, sign in ((y, 1), (f"{y}_minus", -1)):
        b.conv(x, f"{name}_a", sign * IDENTITY)
        b.add("Relu", [f"{name}_a"], f"{name}_r")
        b.constants |= {"zu": np.uint8(0), "su": SCALE}
        b.nodes.append(("QuantizeLinear", [f"{name}_r", "su", "zu"], f"{name}_codes", {}))
        b.nodes.append(("DequantizeLinear", [f"{name}_codes", "su", "zu"], name, {}))
    return y, f"{y}_minus"


def at_the_input(b):
    b.quantizer("x", "q")
    return b.model(outputs=show(b, "q", "y"))


def at_the_input_twice(b):
    b.quantizer("x", "q")
    b.quantizer("x", "r")
    return b.model(outputs=(*show(b, "q", "y"), *show(b, "r", "u")))


def at_the_input_and_the_output(b):
    b.quantizer("x", "y")
    return b.model(outputs=("y", *show(b, "y", "u")))


def convolved(b):
    """A convolution whose sums are exact, tensor `a`."""
    b.fine("x", "p")
    b.conv("p", "a", [[3, 1], [-2, 5]], 0.125, [0.5, -1.25])


def behind_a_convolution(b):
    convolved(b)
    b.quantizer("a", "q")
    return b.model(outputs=show(b, "q", "y"))


def before_an_output(b):
    convolved(b)
    b.quantizer("a", "y")
    return b.model()


def behind_a_relu(b):
    convolved(b)
    b.add("Relu", ["a"], "r")
    b.quantizer("r", "y")
    return b.model()


def behind_a_bound_that_is_no_step(b):
    b.fine("x", "p")
    b.conv("p", "a", [[3, 1], [-2, 5]], 0.125)
    b.constants |= {"least": np.float32(-1.3), "most": np.float32(2.7)}
    b.add("Clip", ["a", "least", "most"], "c")
    b.quantizer("c", "y")
    return b.model()


def behind_a_mean(b):
    b.fine("x", "p")
    b.add("AveragePool", ["p"], "a", kernel_shape=[2, 2], strides=[2, 2])
    b.quantizer("a", "y")
    return b.model()


def behind_a_mean_of_nine(b):
    b.fine("x", "p", 0.5)
    b.add("AveragePool", ["p"], "a", kernel_shape=[3, 3])
    b.quantizer("a", "y")
    return b.model()


def behind_a_sum(b):
    b.fine("x", "p")
    b.conv("p", "a", IDENTITY)
    b.fine("a", "d", 0.25)
    b.add("Add", ["p", "d"], "e")
    b.quantizer("e", "y")
    return b.model()


def behind_a_maximum(b):
    b.fine("x", "p")
    b.add("MaxPool", ["p"], "a", kernel_shape=[2, 2], strides=[2, 2])
    b.quantizer("a", "y")
    return b.model()


def behind_a_concatenation(b):
    b.fine("x", "p")
    b.conv("p", "a", IDENTITY)
    b.fine("a", "d", 0.25)
    b.add("Concat", ["p", "d"], "e", axis=1)
    b.quantizer("e", "y")
    return b.model()


def behind_another(b):
    b.fine("x", "p")
    b.quantizer("p", "y")
    return b.model()


def behind_features(b):
    b.fine("x", "p")
    b.add("Flatten", ["p"], "f", axis=1)
    b.add("Relu", ["f"], "r")
    b.fine("r", "t", 0.25)
    b.quantizer("t", "y")
    return b.model(outputs=("y", "r"))


PLACES = {
    "the network's input": at_the_input,
    "the input, read twice": at_the_input_twice,
    "the input, which is a result, too": at_the_input_and_the_output,
    "behind a convolution": behind_a_convolution,
    "before an output": before_an_output,
    "behind ReLU": behind_a_relu,
    "behind a bound that is no step": behind_a_bound_that_is_no_step,
    "behind a mean of 4": behind_a_mean,
    "behind a mean of 9": behind_a_mean_of_nine,
    "behind a sum": behind_a_sum,
    "behind a maximum": behind_a_maximum,
    "behind a concatenation": behind_a_concatenation,
    "behind another quantizer": behind_another,
    "behind features": behind_features,
}
