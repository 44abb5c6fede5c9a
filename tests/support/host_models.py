"""Networks that the engine can do in part, and whole networks run part by part."""

import numpy as np
from onnx import helper

from roundel.frontend import divide, examine, extract, prepare, read_onnx
from tests.support.onnx_models import model, reference


def conv(rng, x, y, inputs, outputs, kernel=3, **attributes):
    """A convolution's row and weights for `model`, with padding that keeps the size."""
    weights = rng.normal(0, (inputs * kernel**2) ** -0.5, (outputs, inputs, kernel, kernel)).astype(np.float32)
    bias = rng.normal(0, 0.1, outputs).astype(np.float32)
    pads = {"pads": [kernel // 2] * 4}
    return ("Conv", [x, f"{y}_w", f"{y}_b"], y, pads | attributes), {f"{y}_w": weights, f"{y}_b": bias}


def partly(where, seed=1, outputs=("y",)):
    """A network of (3, 8, 8) with an operator that the engine cannot do: `start`, `middle`, `end`, `branches`, ..."""
    rng, weights, rows = np.random.default_rng(seed), {}, []

    def add(operator, inputs, output, **attributes):
        rows.append((operator, inputs, output, attributes))

    def convolve(x, y, inputs, outputs, **attributes):
        row, made = conv(rng, x, y, inputs, outputs, **attributes)
        rows.append(row)
        weights.update(made)

    match where:
        case "start":
            add("Sin", ["x"], "a")
            convolve("a", "b", 3, 8)
            add("Relu", ["b"], "y")
        case "middle":
            convolve("x", "a", 3, 8)
            add("LRN", ["a"], "b", size=3)
            convolve("b", "c", 8, 4, strides=[2, 2])
            add("Relu", ["c"], "y")
        case "end":
            convolve("x", "a", 3, 8)
            add("Relu", ["a"], "b")
            add("Cos", ["b"], "y")
        case "branches":  # one on the engine to the end, one through the host, joined there
            convolve("x", "a", 3, 8)
            convolve("a", "b", 8, 4)
            convolve("a", "c", 8, 4)
            add("Sin", ["c"], "d")
            add("Add", ["b", "d"], "e")
            convolve("e", "y", 4, 2)
        case "around":  # a residual addition around what the engine cannot do
            convolve("x", "a", 3, 8)
            add("Cos", ["a"], "b")
            convolve("b", "c", 8, 8)
            add("Add", ["c", "a"], "d")
            convolve("d", "y", 8, 2)
        case "outputs":  # an inner tensor and another name are results
            convolve("x", "a", 3, 8)
            add("Identity", ["a"], "z")
            add("Sin", ["a"], "b")
            add("Identity", ["b"], "y")
        case "sizes":  # a shape that is worked out for what the host reshapes
            convolve("x", "a", 3, 8)
            add("Shape", ["a"], "s")
            add("Sin", ["a"], "b")
            add("Reshape", ["b", "s"], "y")
        case "moved":  # values that move to where no map holds them, which the host reads, and a map again
            weights |= {"s": np.array([1, 4, 2, 64]), "t": np.array([1, 8, 8, 8])}
            convolve("x", "a", 3, 8)
            add("Reshape", ["a", "s"], "b")
            add("Transpose", ["b"], "c", perm=[0, 2, 1, 3])
            add("Sin", ["c"], "d")
            add("Reshape", ["d", "t"], "e")
            convolve("e", "y", 8, 2)
        case "within":  # an activation where values are out of place, and a map again that others read
            convolve("x", "a", 3, 8)
            add("Transpose", ["a"], "b", perm=[0, 2, 3, 1])
            add("Relu", ["b"], "c")
            add("Transpose", ["c"], "d", perm=[0, 3, 1, 2])
            add("Add", ["d", "a"], "e")
            add("Sin", ["e"], "f")
            convolve("f", "y", 8, 2)
        case "shapes":  # a shape behind what the host does decides on what is behind it
            weights["last"] = np.array([-1])
            weights |= {"zero": np.array([0]), "two": np.array([2])}
            convolve("x", "a", 3, 8)
            add("Sin", ["a"], "b")
            add("Shape", ["b"], "s")
            add("Slice", ["s", "zero", "two"], "h")
            add("Concat", ["h", "last"], "t", axis=0)
            add("Reshape", ["b", "t"], "c")
            add("Cos", ["c"], "d")
            add("Reshape", ["d", "s"], "e")
            convolve("e", "y", 8, 2)
        case "dead":  # nothing needs the host's operator
            convolve("x", "y", 3, 8)
            add("Sin", ["y"], "b")
    return model(rows, (3, 8, 8), weights, outputs=outputs)


def two_inputs():
    """A network whose input is quantized for one convolution, and read as it is by another."""
    rng = np.random.default_rng(1)
    first, weights = conv(rng, "d", "a", 3, 4)
    second, more = conv(rng, "x", "b", 3, 4)
    weights |= more | {"scale": np.float32(2**-5), "zero": np.int8(0)}
    rows = [("QuantizeLinear", ["x", "scale", "zero"], "q", {}), ("DequantizeLinear", ["q", "scale", "zero"], "d", {})]
    rows += [first, second, ("Add", ["a", "b"], "y", {})]
    return model(rows, (3, 8, 8), weights)


WHERE = {"start": ("y",), "middle": ("y",), "end": ("y",), "branches": ("y", "c"), "around": ("y",)}
WHERE |= {"outputs": ("z", "y", "a"), "sizes": ("y",), "moved": ("y",), "shapes": ("y",), "dead": ("y",)}
WHERE |= {"within": ("y", "d")}


def random_partly(seed):
    """A random network of maps (4, 6, 6), half of it of operators that the engine cannot do."""
    rng = np.random.default_rng(seed)
    rows, weights, tensors = [], {}, ["x"]
    for index in range(int(rng.integers(4, 14))):
        y, x = f"t{index}", tensors[-1 - int(rng.integers(min(3, len(tensors))))]
        match rng.integers(6):
            case 0 | 1:
                row, made = conv(rng, x, y, 4, 4, kernel=int(rng.choice([1, 3])))
                weights |= made
            case 2:
                row = ("Relu", [x], y, {})
            case 3:
                row = (str(rng.choice(["Sin", "Cos", "Softmax", "Sigmoid"])), [x], y, {})
            case 4:
                row = ("Add", [x, tensors[int(rng.integers(len(tensors)))]], y, {})
            case _:
                row = (str(rng.choice(["Identity", "Sin"])), [x], y, {})
        rows.append(row)
        tensors.append(y)
    names = [tensors[-1], *(name for name in tensors[1:-1] if rng.integers(5) == 0)]
    return model(rows, (4, 6, 6), weights, outputs=tuple(names))


def divided(proto, host):
    """The parts of a network."""
    return divide(examine(prepare(proto)), host)


def run_parts(partition, x):
    """Every output of a network that is run part by part, the engine's parts as float graphs."""
    examination = partition.examination
    values = {examination.scope.source: x}
    for part in partition.parts:
        proto = extract(examination, part)
        if part.engine:
            graph = read_onnx(proto)
            results = graph.outputs(values[part.inputs[0]])
            values |= {name: results[tensor] for name, tensor in graph.names.items()}
        else:
            values |= zip(part.outputs, reference(proto, {name: values[name] for name in part.inputs}), strict=True)
    return [values[item.name] for item in examination.model.graph.output]


def loop(x="x", y="y"):
    """A network of which an operator may run for any time."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["more"]),
            helper.make_node("Identity", ["value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("value", 1, None),
        ],
        [helper.make_tensor_value_info("more", 9, []), helper.make_tensor_value_info("next", 1, None)],
    )
    row, weights = conv(np.random.default_rng(1), x, "a", 3, 4)
    weights |= {"trips": np.asarray(1 << 62), "on": np.asarray(True)}
    return model([row, ("Loop", ["trips", "on", "a"], y, {"body": body})], (3, 8, 8), weights, outputs=(y,))
