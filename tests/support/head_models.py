"""Detectors of many families with their tails as exporters write them: a convolution for each map, and what follows."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ANCHORS = {
    8: ((10, 13), (16, 30), (33, 23)),
    16: ((30, 61), (62, 45), (59, 119)),
    32: ((116, 90), (156, 98), (73, 126)),
}


class Tail:
    """A graph under construction: an image, strided convolutions to maps, and operators on them.

    Parameters
    ----------
    rows, columns
        Of the image.
    seed
        Of the weights.
    """

    def __init__(self, rows: int = 64, columns: int = 96, seed: int = 1, opset: int = 17) -> None:
        self.rows, self.columns, self.opset = rows, columns, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(seed)
        self._trunks: dict[tuple[int, int, int], str] = {}

    def __call__(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add an operator; inputs that are no names become constants."""
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        made = [f"t{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, made, name=f"n{len(self.nodes)}", **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, values: Any) -> str:
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind in "iub" else np.float32)
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def head(self, stride: int, channels: int, crop: int = 0) -> str:
        """Return the map of a head convolution at a stride; `crop` takes rows and columns off, as a window does."""
        key = (stride, crop, 0)
        if key not in self._trunks:
            name, inputs, left = "image", 3, stride
            while left > 1:
                step = next(factor for factor in (2, 3, 5, 7, 11, 13) if left % factor == 0)
                kernel = max(step, 3)
                weights = self._rng.normal(0, 0.3, (8, inputs, kernel, kernel))
                pads = [kernel // 2] * 2 + [(kernel - 1) // 2] * 2
                name = self(
                    "Relu", self("Conv", name, weights, self._rng.normal(0, 0.2, 8), strides=[step] * 2, pads=pads)
                )
                inputs, left = 8, left // step
            if crop:
                weights = self._rng.normal(0, 0.2, (8, inputs, crop + 1, crop + 1))
                name = self("Relu", self("Conv", name, weights))
            self._trunks[key] = name
        weights = self._rng.normal(0, 0.25, (channels, 8, 1, 1))
        return str(self("Conv", self._trunks[key], weights, self._rng.normal(0, 0.3, channels)))

    def grid(self, stride: int) -> tuple[int, int]:
        return -(-self.rows // stride), -(-self.columns // stride)

    def places(self, stride: int) -> np.ndarray:
        """x and y of all locations, (rows, columns, 2)."""
        y, x = np.mgrid[: self.grid(stride)[0], : self.grid(stride)[1]]
        return np.stack([x, y], axis=-1).astype(np.float64)

    def model(self, *outputs: str, shape: tuple[int, ...] | None = None, names: str = "") -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "detector",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, self.rows, self.columns))],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        known = {item.name: item for item in inferred.graph.output}
        del model.graph.output[:]
        for name in outputs:
            item = known[name]
            if not item.type.tensor_type.elem_type:
                item.type.tensor_type.elem_type = TensorProto.FLOAT
            model.graph.output.append(item)
        if names:
            helper.set_model_props(model, {"names": names})
        return model


def yolov3(classes: int = 3, parts: bool = False) -> onnx.ModelProto:
    """Sigmoid centres, exponential sides; rows of centre, size, objectness and classes, in pixels or parts of 1."""
    t, rows = Tail(), []
    for stride in (16, 32):
        y, x = t.grid(stride)
        raw = t(
            "Transpose",
            t("Reshape", t.head(stride, 3 * (5 + classes)), [1, 3, 5 + classes, y, x]),
            perm=[0, 1, 3, 4, 2],
        )
        xy, wh, rest = t("Split", raw, [2, 2, 1 + classes], outputs=3, axis=4)
        scale = np.array([t.columns, t.rows]) if parts else np.ones(2)
        centre = t("Mul", t("Add", t("Sigmoid", xy), t.places(stride)[None, None]), stride / scale)
        size = t("Mul", t("Exp", wh), np.array(ANCHORS[stride]).reshape(1, 3, 1, 1, 2) / scale)
        rows.append(t("Reshape", t("Concat", centre, size, t("Sigmoid", rest), axis=4), [1, -1, 5 + classes]))
    return t.model(t("Concat", *rows, axis=1))


def yolov5(classes: int = 3, ending: str = "rows") -> onnx.ModelProto:
    """(2 sigmoid - 0.5) and (2 sigmoid)^2 anchors, sigmoid before the split; `nms`: a suppression by class behind."""
    t, rows = Tail(), []
    for stride in (8, 16, 32):
        y, x = t.grid(stride)
        raw = t("Reshape", t.head(stride, 3 * (5 + classes)), [1, 3, 5 + classes, y, x])
        s = t("Sigmoid", t("Transpose", raw, perm=[0, 1, 3, 4, 2]))
        xy, wh, rest = (t("Slice", s, [low], [high], [4]) for low, high in ((0, 2), (2, 4), (4, 5 + classes)))
        centre = t("Mul", t("Add", t("Sub", t("Mul", xy, 2.0), 0.5), t.places(stride)[None, None]), float(stride))
        size = t("Mul", t("Pow", t("Mul", wh, 2.0), 2.0), np.array(ANCHORS[stride], float).reshape(1, 3, 1, 1, 2))
        rows.append(t("Reshape", t("Concat", centre, size, rest, axis=4), [1, -1, 5 + classes]))
    joined = t("Concat", *rows, axis=1)
    if ending == "rows":
        return t.model(joined)
    boxes, objectness, chances = t("Split", joined, [4, 1, classes], outputs=3, axis=2)
    xy, wh = t("Split", boxes, [2, 2], outputs=2, axis=2)
    half = t("Mul", wh, 0.5)
    corners = t("Concat", t("Sub", xy, half), t("Add", xy, half), axis=2)
    scores = t("Transpose", t("Mul", objectness, chances), perm=[0, 2, 1])
    return t.model(*suppressed(t, corners, scores, 0.3, 0.45))


def suppressed(t: Tail, corners: str, scores: str, least: float, iou: float) -> tuple[str, ...]:
    """NonMaxSuppression by class, and the kept boxes gathered."""
    kept = t("NonMaxSuppression", corners, scores, [1000], np.float32([iou]), np.float32([least]))
    index = t("Gather", kept, [2], axis=1)
    return (t("Gather", t("Squeeze", corners, [0]), t("Squeeze", index, [1]), axis=0), kept)


def yolov8(classes: int = 5, bins: int = 16, corners: bool = False, mean: str = "conv") -> onnx.ModelProto:
    """Distributions, maps joined before the split; columns first: (1, 4 + classes, boxes)."""
    t, flat = Tail(), []
    for stride in (8, 16, 32):
        both = t("Concat", t.head(stride, 4 * bins), t.head(stride, classes), axis=1)
        flat.append(t("Reshape", both, [1, 4 * bins + classes, -1]))
    sides, chances = t("Split", t("Concat", *flat, axis=2), [4 * bins, classes], outputs=2, axis=1)
    spread = t("Reshape", sides, [1, 4, bins, -1])
    if mean == "conv":
        spread = t("Softmax", t("Transpose", spread, perm=[0, 2, 1, 3]), axis=1)
        reach = t("Reshape", t("Conv", spread, np.arange(bins, dtype=float).reshape(1, bins, 1, 1)), [1, 4, -1])
    else:
        spread = t("Softmax", t("Transpose", spread, perm=[0, 1, 3, 2]), axis=3)
        reach = t("MatMul", spread, np.arange(bins, dtype=float))
    first, second = t("Split", reach, [2, 2], outputs=2, axis=1)
    anchors = np.concatenate([t.places(s).reshape(-1, 2).T + 0.5 for s in (8, 16, 32)], axis=1)[None]
    strides = np.concatenate([np.full(int(np.prod(t.grid(s))), float(s)) for s in (8, 16, 32)])[None, None]
    low, high = t("Sub", anchors, first), t("Add", anchors, second)
    boxes = t("Concat", low, high, axis=1)
    if not corners:
        boxes = t("Concat", t("Div", t("Add", low, high), 2.0), t("Sub", high, low), axis=1)
    names = str({number: f"thing {number}" for number in range(classes)})
    return t.model(t("Concat", t("Mul", boxes, strides), t("Sigmoid", chances), axis=1), names=names)


def yolox(classes: int = 4, decoded: bool = True) -> onnx.ModelProto:
    """Three maps a scale; (t + grid) stride, exp(t) stride, or raw as its exporter leaves them."""
    t, rows = Tail(), []
    for stride in (8, 16, 32):
        box, objectness, cls = t.head(stride, 4), t.head(stride, 1), t.head(stride, classes)
        joined = t("Concat", box, t("Sigmoid", objectness), t("Sigmoid", cls), axis=1)
        rows.append(t("Reshape", joined, [1, 5 + classes, -1]))
    y = t("Transpose", t("Concat", *rows, axis=2), perm=[0, 2, 1])
    if not decoded:
        return t.model(y)
    xy, wh, rest = (t("Slice", y, [low], [high], [2]) for low, high in ((0, 2), (2, 4), (4, 5 + classes)))
    grids = np.concatenate([t.places(s).reshape(-1, 2) for s in (8, 16, 32)])[None]
    strides = np.concatenate([np.full((int(np.prod(t.grid(s))), 1), float(s)) for s in (8, 16, 32)])[None]
    return t.model(t("Concat", t("Mul", t("Add", xy, grids), strides), t("Mul", t("Exp", wh), strides), rest, axis=2))


def yolov10(classes: int = 3, bins: int = 8, most: int = 20) -> onnx.ModelProto:
    """One-to-one: the best class of each box, then the best boxes, no suppression."""
    t, boxes, scores = Tail(), [], []
    for stride in (8, 16):
        spread = t("Softmax", t("Reshape", t.head(stride, 4 * bins), [1, 4, bins, -1]), axis=2)
        reach = t("ReduceSum", t("Mul", spread, np.arange(bins, dtype=float).reshape(1, 1, bins, 1)), [2], keepdims=0)
        anchors = t.places(stride).reshape(-1, 2).T[None] + 0.5
        first, second = t("Split", reach, [2, 2], outputs=2, axis=1)
        both = t("Concat", t("Sub", anchors, first), t("Add", anchors, second), axis=1)
        boxes.append(t("Mul", both, float(stride)))
        scores.append(t("Sigmoid", t("Reshape", t.head(stride, classes), [1, classes, -1])))
    rows = t("Transpose", t("Concat", *boxes, axis=2), perm=[0, 2, 1])
    chances = t("Transpose", t("Concat", *scores, axis=2), perm=[0, 2, 1])
    best = t("ReduceMax", chances, axes=[2], keepdims=0)
    _, index = t("TopK", best, [most], outputs=2, axis=1)
    index = t("Unsqueeze", index, [2])
    boxes = t("GatherElements", rows, t("Tile", index, [1, 1, 4]), axis=1)
    chances = t("GatherElements", chances, t("Tile", index, [1, 1, classes]), axis=1)
    best, place = t("TopK", t("Reshape", chances, [1, -1]), [most], outputs=2, axis=1)
    label = t("Mod", place, [classes])
    boxes = t("GatherElements", boxes, t("Tile", t("Unsqueeze", t("Div", place, [classes]), [2]), [1, 1, 4]), axis=1)
    columns = [t("Unsqueeze", item, [2]) for item in (best, t("Cast", label, to=1))]
    return t.model(t("Concat", boxes, *columns, axis=2))


def ssd(classes: int = 3, ending: str = "rows", clip: bool = False) -> onnx.ModelProto:
    """Softmax with background, priors as constants in parts of the image, corners out."""
    t, boxes, scores, priors = Tail(60, 60), [], [], []
    sizes = {8: ((0.2, 0.2), (0.28, 0.14), (0.14, 0.28)), 15: ((0.4, 0.4), (0.57, 0.28)), 60: ((0.8, 0.8),)}
    for stride, own in sizes.items():
        y, x = t.grid(stride)
        for made, width in ((boxes, 4), (scores, classes + 1)):
            raw = t("Transpose", t.head(stride, len(own) * width), perm=[0, 2, 3, 1])
            made.append(t("Reshape", raw, [1, -1, width]))
        places = (t.places(stride) + 0.5) / (x, y)
        priors += [(*place, *prior) for place in places.reshape(-1, 2) for prior in own]
    raw, chances = t("Concat", *boxes, axis=1), t("Softmax", t("Concat", *scores, axis=1), axis=2)
    prior = np.array(priors)[None]
    xy, wh = t("Split", raw, [2, 2], outputs=2, axis=2)
    centre = t("Add", t("Mul", t("Mul", xy, 0.1), prior[..., 2:]), prior[..., :2])
    half = t("Div", t("Mul", t("Exp", t("Mul", wh, 0.2)), prior[..., 2:]), 2.0)
    corners = t("Concat", t("Sub", centre, half), t("Add", centre, half), axis=2)
    corners = t("Clip", corners, np.float32(0), np.float32(1)) if clip else corners
    if ending == "rows":
        return t.model(corners, chances)
    things = t("Transpose", t("Slice", chances, [1], [classes + 1], [2]), perm=[0, 2, 1])
    return t.model(*suppressed(t, corners, things, 0.2, 0.45))


def retinanet(classes: int = 4) -> onnx.ModelProto:
    """Anchors with corners at whole pixels, in (y1, x1, y2, x2), sigmoid scores of their own, no objectness."""
    t, boxes, scores = Tail(), [], []
    for stride in (8, 16):
        sides = np.array([(4 * stride * a, 4 * stride / a) for a in (0.7, 1.0, 1.4)]).round()
        for made, width in ((boxes, 4), (scores, classes)):
            raw = t("Reshape", t.head(stride, 3 * width), [1, 3, width, *t.grid(stride)])
            made.append(t("Transpose", raw, perm=[0, 3, 4, 1, 2]))
        xy, wh = t("Split", boxes[-1], [2, 2], outputs=2, axis=4)
        centre = t("Add", t("Mul", xy, sides), t.places(stride)[:, :, None] * stride)
        half = t("Mul", t("Mul", t("Exp", t("Min", wh, np.float32(4.1))), sides), 0.5)
        corners = t("Concat", t("Sub", centre, half), t("Add", centre, half), axis=4)
        boxes[-1] = t("Reshape", t("Gather", corners, [1, 0, 3, 2], axis=4), [1, -1, 4])
        scores[-1] = t("Reshape", t("Sigmoid", scores[-1]), [1, -1, classes])
    return t.model(t("Concat", *boxes, axis=1), t("Concat", *scores, axis=1))


def fcos(classes: int = 3) -> onnx.ModelProto:
    """Distances behind a learned scale and ReLU, root of centerness times class, cut at the image's border."""
    t, boxes, scores = Tail(), [], []
    for stride, learned in ((8, 1.13), (16, 0.91)):
        reach = t("Relu", t("Mul", t.head(stride, 4), learned))
        reach = t("Mul", t("Reshape", t("Transpose", reach, perm=[0, 2, 3, 1]), [1, -1, 4]), float(stride))
        centre = (t.places(stride).reshape(1, -1, 2) + 0.5) * stride
        first, second = t("Split", reach, [2, 2], outputs=2, axis=2)
        corners = t("Concat", t("Sub", centre, first), t("Add", centre, second), axis=2)
        x1, y1, x2, y2 = t("Split", corners, [1, 1, 1, 1], outputs=4, axis=2)
        cut = [
            t("Clip", v, np.float32(0), np.float32(t.columns if i % 2 == 0 else t.rows))
            for i, v in enumerate((x1, y1, x2, y2))
        ]
        boxes.append(t("Concat", *cut, axis=2))
        both = [
            t("Reshape", t("Transpose", t("Sigmoid", t.head(stride, depth)), perm=[0, 2, 3, 1]), [1, -1, depth])
            for depth in (classes, 1)
        ]
        scores.append(t("Sqrt", t("Mul", *both)))
    return t.model(t("Concat", *boxes, axis=1), t("Concat", *scores, axis=1))


def pnet() -> onnx.ModelProto:
    """Cells of 12 pixels every 2, moved by parts of their side; two-way softmax, decoded in the file."""
    t = Tail(48, 64)
    chances = t("Softmax", t.head(2, 2, crop=5), axis=1)
    rows, columns = t.grid(2)[0] - 5, t.grid(2)[1] - 5
    y, x = np.mgrid[:rows, :columns] * 2.0
    cell = np.stack([x, y, x + 12, y + 12])[None]
    return t.model(t("Add", cell, t("Mul", t.head(2, 4, crop=5), 12.0)), chances)
