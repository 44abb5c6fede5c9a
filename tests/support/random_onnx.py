"""Small random ONNX files with attributes that exporters seldom write, some of them contradictory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from tests.support.onnx_models import model

OPSETS = (7, 8, 9, 10, 11, 12, 13, 15, 17, 18, 19, 21, 22, 24)
BATCH = 2
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
SCALES = (0, 0, 0.1, 0.01, 1e-3, 1e-4, 1e-6, 3e-7, 0.06, 0.2, 0.24, -1e-3, -1e-6)  # beside a whole number

Shape = tuple[int, ...]


class Writer:
    """The nodes and constants of a file so far.

    Parameters
    ----------
    rng
        Source of all choices.
    opset
        Version of ONNX's operators.
    """

    def __init__(self, rng: np.random.Generator, opset: int) -> None:
        self.rng, self.opset = rng, opset
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self.constants: dict[str, Any] = {}

    def pick(self, *items: Any) -> Any:
        return items[self.rng.integers(len(items))]

    def maybe(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def real(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def add(self, operator: str, inputs: list[str], attributes: dict[str, Any]) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append((operator, inputs, output, attributes))
        return output


def random_model(rng: np.random.Generator, operators: int) -> tuple[onnx.ModelProto, Shape]:
    """Return a file of up to `operators` operators in a row, for a batch of `BATCH`, and the shape of an image."""
    writer = Writer(rng, int(rng.choice(OPSETS)))
    shape = tuple(map(int, (rng.integers(1, 5), *rng.integers(1, 9, 2)))) if rng.random() < 0.85 else (5,)
    first, tensor = shape, "x"
    for _ in range(int(rng.integers(1, operators + 1))):
        tensor = writer.pick(*(MAPS if len(shape) == 3 else FEATURES))(writer, tensor, shape)
        proto = written(writer, first, tensor)
        sizes = [item.dim_value for item in proto.graph.output[0].type.tensor_type.shape.dim]
        if len(sizes) not in (2, 4) or min(sizes) < 1:
            break
        shape = tuple(sizes[1:])
    return proto, first


def written(writer: Writer, shape: Shape, tensor: str) -> onnx.ModelProto:
    opset = writer.opset
    return model(writer.nodes, shape, writer.constants, outputs=(tensor,), batch=BATCH, opset=opset)


def window(writer: Writer) -> dict[str, Any]:
    """Attributes of a sliding window: padding is given, automatic, or both."""
    rng, attributes = writer.rng, {}
    if writer.maybe():
        attributes["strides"] = rng.integers(1, 4, 2).tolist()
    if writer.maybe(0.4):
        attributes["dilations"] = rng.integers(1, 3, 2).tolist()
    if writer.maybe(0.6):
        attributes["pads"] = rng.integers(0, 3, 4).tolist()
    if writer.maybe():
        attributes["auto_pad"] = writer.pick("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    return attributes


def conv(writer: Writer, x: str, shape: Shape) -> str:
    groups = writer.pick(1, 1, shape[0])
    outputs, kernel = groups * int(writer.rng.integers(1, 3)), writer.rng.integers(1, 4, 2).tolist()
    inputs = [x, writer.constant(writer.real(outputs, shape[0] // groups, *kernel))]
    if writer.maybe():
        inputs.append(writer.constant(writer.real(outputs)))
    return writer.add("Conv", inputs, window(writer) | {"group": groups})


def pool(writer: Writer, x: str, shape: Shape) -> str:
    operator = writer.pick("MaxPool", "AveragePool")
    attributes = window(writer) | {"kernel_shape": writer.rng.integers(1, 4, 2).tolist()}
    if operator == "AveragePool":
        attributes["count_include_pad"] = int(writer.rng.integers(2))
    if writer.opset < (19 if operator == "AveragePool" else 10):
        attributes.pop("dilations", None)
    if writer.maybe(0.4) and writer.opset >= 10:
        attributes["ceil_mode"] = 1
    return writer.add(operator, [x], attributes)


def resize(writer: Writer, x: str, shape: Shape) -> str:
    """By a factor or almost that, as scales or sizes of all axes or of some."""
    newer = ["half_pixel_symmetric"] * (writer.opset >= 19) + ["tf_half_pixel_for_nn"] * (writer.opset < 13)
    attributes = {
        "mode": writer.pick(*["nearest"] * 9, "linear"),
        "coordinate_transformation_mode": writer.pick(*COORDINATES, *newer),
        "nearest_mode": writer.pick(*NEAREST),
    }
    factor = writer.pick(1, 2, 2, 3) + writer.pick(*SCALES)
    factors, sizes = np.array([1, 1, factor, factor]), np.array([BATCH, *shape])
    if writer.opset >= 18 and writer.maybe(0.3):
        attributes["axes"] = writer.pick([2, 3], [-1, -2])
        factors, sizes = factors[2:], sizes[attributes["axes"]]
    if writer.opset < 9:
        return writer.add("Upsample", [x], {"mode": attributes["mode"], "scales": factors.tolist()})
    if writer.opset < 11:
        operator = "Upsample" if writer.opset == 9 else "Resize"
        return writer.add(operator, [x, writer.constant(factors.astype(np.float32))], {"mode": attributes["mode"]})
    empty = writer.constant(np.empty(0, np.float32))
    if writer.maybe(0.6):
        return writer.add("Resize", [x, empty, writer.constant(factors.astype(np.float32))], attributes)
    after = writer.constant(np.floor(sizes * factors).astype(np.int64))
    return writer.add("Resize", [x, empty, empty, after], attributes)


def add(writer: Writer, x: str, shape: Shape) -> str:
    if writer.maybe():
        return writer.add("Add", [x, writer.add("Relu", [x], {})], {})
    tail = (1,) * (len(shape) - 1)
    constant = writer.real(*writer.pick((), (1,), (shape[0], *tail), (1, shape[0], *tail), shape, (shape[-1],)))
    return writer.add("Add", [x, writer.constant(constant)][:: writer.pick(1, -1)], {})


def arithmetic(writer: Writer, x: str, shape: Shape) -> str:
    """With constants of any shape that broadcasts, some of them larger than a number a channel; between tensors."""
    operator, tail = writer.pick("Sub", "Mul", "Mul", "Div", "Sum", "Neg", "Max", "Min"), (1,) * (len(shape) - 1)
    if operator == "Neg":
        return writer.add(operator, [x], {})
    wide = writer.opset >= 8 or operator in ("Sub", "Mul", "Div")
    shapes = (
        ((), (1,), (shape[0], *tail), (1, shape[0], *tail), (1, *shape), (shape[-1],)) if wide else ((BATCH, *shape),)
    )
    constant = writer.constant(writer.real(*writer.pick(*shapes)))
    other = writer.add("Relu", [x], {})
    return writer.add(operator, writer.pick([x, constant], [constant, x], [x, constant], [x, other], [other, x]), {})


def concat(writer: Writer, x: str, shape: Shape) -> str:
    axis = writer.pick(1, 1, -len(shape), -1, len(shape))
    return writer.add("Concat", writer.pick([x], [x, x], [writer.add("Relu", [x], {}), x]), {"axis": axis})


def batch_normalization(writer: Writer, x: str, shape: Shape) -> str:
    values = [writer.real(shape[0]) for _ in range(3)] + [np.exp(writer.real(shape[0]))]
    attributes = {"epsilon": float(writer.pick(1e-5, 0.5, 0))}
    return writer.add("BatchNormalization", [x, *map(writer.constant, values)], attributes)


def activation(writer: Writer, x: str, shape: Shape) -> str:
    """Bounds may cross: the upper one wins."""
    bounds = writer.rng.normal(size=2).astype(np.float32)
    low, high = map(writer.constant, bounds)
    clip = ("Clip", writer.pick([x, low], [x, "", high], [x, low, high]), {})
    if writer.opset < 11:
        clip = ("Clip", [x], dict(zip(("min", "max"), bounds.tolist(), strict=True)))
    leaky = ("LeakyRelu", [x], {"alpha": float(writer.pick(0.5, 0.125, 1, 0, -0.5))})
    return writer.add(*writer.pick(("Relu", [x], {}), clip, clip, leaky))


def mean(writer: Writer, x: str, shape: Shape) -> str:
    axes, keepdims = writer.pick([2, 3], [-1, -2], [2, -1], [2]), {"keepdims": int(writer.rng.integers(2))}
    if writer.maybe(0.4):
        return writer.add("GlobalAveragePool", [x], {})
    if writer.opset < 18:
        return writer.add("ReduceMean", [x], keepdims | {"axes": axes})
    return writer.add("ReduceMean", [x, writer.constant(np.array(axes))], keepdims)


def flatten(writer: Writer, x: str, shape: Shape) -> str:
    if writer.maybe():
        return writer.add("Flatten", [x], {"axis": writer.pick(1, -len(shape), 0, 2, -1)})
    target = writer.pick(
        [0, -1], [-1, int(np.prod(shape))], [BATCH, -1], [0, *shape], [-1, *shape], [1, -1], [0, 0, -1]
    )
    return writer.add("Reshape", [x, writer.constant(np.array(target))], {})


def dense(writer: Writer, x: str, shape: Shape) -> str:
    outputs, turned = int(writer.rng.integers(1, 4)), int(writer.rng.integers(2))
    if writer.maybe(0.3):
        return writer.add("MatMul", [x, writer.constant(writer.real(shape[0], outputs))], {})
    weights = writer.real(outputs, shape[0]) if turned else writer.real(shape[0], outputs)
    bias = writer.real(*writer.pick((outputs,), (1,), (1, outputs), (), (1, 1), (2, 1)))
    factors = {name: float(writer.pick(1, 0.5, -2, 0)) for name in ("alpha", "beta")}
    return writer.add("Gemm", [x, *map(writer.constant, (weights, bias))], factors | {"transB": turned})


Builder = Callable[[Writer, str, Shape], str]
SHARED: list[Builder] = [add, arithmetic, concat, batch_normalization, activation, flatten]
MAPS: list[Builder] = [conv] * 3 + [pool] * 6 + [resize] * 4 + [mean] + SHARED
FEATURES: list[Builder] = [dense] * 4 + SHARED
