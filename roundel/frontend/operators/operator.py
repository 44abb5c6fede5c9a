"""One ONNX operator while it is imported: what is known of its inputs, its attributes, and errors that name it."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel.frontend.model import MOST_PADDING, too_many
from roundel.frontend.operators.scope import Refusal, Scope
from roundel.golden.network import Window


class Operator:
    """One ONNX node while it is imported.

    Parameters
    ----------
    scope
        The knowledge about its inputs.
    proto
        The node.
    """

    def __init__(self, scope: Scope, proto: onnx.NodeProto) -> None:
        self.scope, self.proto = scope, proto
        self.attributes = {item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute}
        self.name = proto.name if proto.name and proto.name not in scope.names else proto.output[0]
        self.inputs = [scope.aliases.get(name, name) for name in proto.input]

    @property
    def output(self) -> str:
        """Name of the first tensor that it makes."""
        return str(self.proto.output[0])

    def fail(self, why: str) -> NoReturn:
        """Raise a Refusal, an InputError that names file, node and operator."""
        raise Refusal(f"{self.scope.file}: node {self.name} ({self.proto.op_type}): {why}", why)

    def check_values(self, shape: tuple[int, ...]) -> None:
        """Fail if a tensor of `shape`, without the batch, is empty or larger than any that is supported."""
        if why := too_many(shape):
            self.fail(why)

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute; lists as tuples, texts as str."""
        value = self.attributes.get(name, default)
        if isinstance(value, bytes):
            return value.decode()
        return tuple(value) if isinstance(value, list) else value

    def require(self, **expected: Any) -> None:
        """Fail unless every named attribute that is given has the one value that is supported."""
        for name, value in expected.items():
            if self.get(name, value) != value:
                self.fail(f"{name} must be {value}, not {self.get(name, value)}")

    def has(self, index: int) -> bool:
        """Whether the optional input `index` is there."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def is_constant(self, index: int) -> bool:
        """Whether input `index` is a constant."""
        return self.inputs[index] in self.scope.constants

    def constant(self, index: int) -> NDArray[Any]:
        """Return the constant that is input `index`; fail for tensors that depend on the network's input."""
        if not self.is_constant(index):
            self.fail(f"input {self.inputs[index]} must be a constant")
        return np.asarray(self.scope.constants[self.inputs[index]])

    def number(self, index: int) -> NDArray[Any]:
        """Return a constant to compute with: not the size of the batch, which may be any."""
        if self.inputs[index] in self.scope.batched:
            self.fail("it computes with the size of the batch, which may be any")
        return self.constant(index)

    def scalar(self, index: int) -> float | None:
        """Return the one number that the optional constant input `index` holds."""
        if not self.has(index):
            return None
        values = self.number(index)
        if values.size != 1:
            self.fail(f"input {self.inputs[index]} must be one number, not {values.shape}")
        return float(values.reshape(-1)[0])

    def weights(self, index: int) -> NDArray[np.float32]:
        """Return a constant of finite real numbers."""
        values = self.number(index)
        if not np.issubdtype(values.dtype, np.floating):
            self.fail(f"weights {self.inputs[index]} must be real numbers, not {values.dtype}")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            self.fail(f"weights {self.inputs[index]} must be finite, but hold NaN or infinity")
        return values

    def levels(self, index: int, axis: int) -> dict[str, Any]:
        """`step` and `code_width` of the weights that are input `index`, whose outputs are along `axis`, if known."""
        levels = self.scope.levels.get(self.inputs[index])
        if levels is None:
            return {}
        if levels.step.ndim and levels.axis != axis:
            self.fail(f"weights {self.inputs[index]}: expected a step per output (axis {axis}), not axis {levels.axis}")
        return {"step": levels.step, "code_width": levels.width}

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of input `index` without the batch; fails for what is no tensor of the network."""
        name = self.inputs[index]
        if name in self.scope.hosted:
            host = self.scope.hosted[name]
            self.fail(f"it reads what {host.operator} gives, which is left to the host: supported only at the end")
        if name in self.scope.codes:
            self.fail(f"input {name} holds integers: expected DequantizeLinear between them and this")
        view = self.scope.views.get(name)
        if view is not None and (refusal := view.refusal) is not None:
            raise Refusal(str(refusal), f"it reads {name}: {refusal.why}")
        if name in self.scope.open:
            opened = self.scope.open[name]
            raise Refusal(str(opened), f"it reads {name}, which no table holds by itself: {opened.why}")
        if name in self.scope.unknown:
            self.fail(f"it reads {name}, {self.scope.unknown[name]}")
        if name not in self.scope.shapes:
            self.fail(f"input {name or index} must come from the network's input")
        return self.scope.shapes[name]

    def axes(self, default: Sequence[int], index: int | None = None, *, count: int = 0) -> tuple[int, ...]:
        """Axes, counted from the front, from the attribute or from the constant input `index` of newer versions.

        Of `count` ones, or as many as input 0 has.
        """
        given = self.constant(index).reshape(-1) if index is not None and self.has(index) else self.get("axes", default)
        count = count or len(self.shape(0)) + 1
        axes = tuple(int(axis) + count if axis < 0 else int(axis) for axis in given)
        if len(set(axes)) != len(axes) or not set(axes) <= set(range(count)):
            self.fail(f"axes must be different ones of the {count} that there are, not {tuple(map(int, given))}")
        return axes

    def window(self, kernel: tuple[int, ...]) -> Window:
        """Return the window that the attributes describe, automatic padding worked out."""
        shape = self.shape(0)
        if len(kernel) != 2 or len(shape) != 3:
            self.fail(f"expected two spatial axes, not a kernel of {kernel} over {shape}")
        self.require(kernel_shape=kernel)
        stride, dilation = self.get("strides", (1, 1)), self.get("dilations", (1, 1))
        return Window(
            kernel=(kernel[0], kernel[1]), stride=stride, pad=self._pad(kernel, stride, dilation), dilation=dilation
        )

    def _pad(self, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Any:
        """Return (top, left, bottom, right). [S] onnxruntime: beside `auto_pad`, `pads` say nothing."""
        given, auto, shape = tuple(self.get("pads", (0, 0, 0, 0))), self.get("auto_pad", "NOTSET"), self.shape(0)
        if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            self.fail(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {auto}")
        if auto == "NOTSET":
            if max(given, default=0) > MOST_PADDING:
                self.fail(f"pads must be at most {MOST_PADDING}, not {max(given)}")
            return given
        if any(given):
            self.scope.doubtful.add(self.output)  # ONNX's inference of shapes does count them
        missing = [
            max((-(-size // step) - 1) * step + (taps - 1) * skip + 1 - size, 0) if auto != "VALID" else 0
            for size, step, taps, skip in zip(shape[1:], stride, kernel, dilation, strict=True)
        ]
        less, more = tuple(total // 2 for total in missing), tuple(-(-total // 2) for total in missing)
        return less + more if auto == "SAME_UPPER" else more + less

    def common(self, *inputs: int) -> dict[str, Any]:
        """Name, inputs (the first one if none are named) and output: what every `Node` has."""
        for index in inputs or (0,):
            self.shape(index)
        names = [self.inputs[index] for index in inputs or (0,)]
        return {"name": self.name, "inputs": tuple(names), "output": self.output}
