"""Functions of one value, whatever operators a file spells them in: recognised by what they compute.

Every operator that works on each value alone, with constants beside it, is kept as a step. Where a step reads several
tensors that all are functions of one tensor, such as `x * Sigmoid(x)`, the whole is one function of that tensor, and
its node reads it at once. Which function that is tells `roundel.graph.function_nodes`, from samples.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx

from roundel.frontend.model import ONNX
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import Applied, Refusal, Scope
from roundel.graph import Formula, FormulaStep, HostOperator, Node, Quantize, function_nodes, known

Nodes = Node | tuple[Node, ...] | None
Builder = Callable[[Operator], Nodes]

MICROSOFT = "com.microsoft"
DOMAINS = {"FastGelu": (MICROSOFT,), "Gelu": (*ONNX, MICROSOFT), "QuickGelu": (MICROSOFT,)}
ATTRIBUTES: Mapping[str, Mapping[str, float]] = {
    "Celu": {"alpha": 1.0},
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LeakyRelu": {"alpha": 0.01},
    "QuickGelu": {"alpha": 1.702},
    "Selu": {"alpha": 1.6732631921768188, "gamma": 1.0507010221481323},
    "Shrink": {"bias": 0.0, "lambd": 0.5},
    "Swish": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
}
"""By operator: the attributes that it may have, with ONNX's defaults."""
UNARY = (
    *("Abs", "Asinh", "Atan", "Ceil", "Celu", "Cosh", "Elu", "Erf", "Exp", "FastGelu", "Floor", "Gelu"),
    *("HardSigmoid", "HardSwish", "Log", "Mish", "QuickGelu", "Reciprocal", "Round", "Selu", "Shrink"),
    *("Sign", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu"),
)
"""Operators of one tensor and no constants."""
OTHERS = (
    *("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mean", "Not", "Or", "PRelu", "Pow"),
    *("Where", "Xor"),
)
"""Operators of several operands that only functions are made of."""
CONDITIONS = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Xor")
"""Operators that say yes or no."""
PRODUCTS = ("Div", "Max", "Min", "Mul")
"""Operators that no layer does with several tensors."""
PLAIN = ("Add", "Cast", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Quantize", "Relu", "Sub", "Sum")
"""Operators that layers do without a table where they read one tensor."""
PASSING = ("DequantizeLinear", "Dropout", "Identity", "IntQuant", "Quant", "QuantizeLinear")
"""Operators behind what a host computes that it need not compute: quantizers of its result, and names."""
RENAMED = {"FastGelu": "Gelu", "QuickGelu": "Swish"}
MOST_STEPS = 64  # of a function, and tensors before one that it may be a function of
MOST_ROOTS = 6  # tensors that an operator is tried as a function of
MOST_CHANNELS = 1 << 16  # of constants that differ between channels


def function(builder: Builder | None = None) -> Builder:
    """Return the builder of an operator that works on each value alone.

    Parameters
    ----------
    builder
        Builds what layers do without a table; None where they do nothing of the kind.
    """

    def build(op: Operator) -> Nodes:
        applied = describe(op)
        if applied is None and builder is None:
            op.fail("expected functions of one tensor, and constants of one number or one a channel")
        if applied is None or (builder is not None and not _needs_table(op.scope, applied)):
            assert builder is not None
            made = builder(op)
            if applied is not None and op.output not in op.scope.aliases:
                op.scope.applied[op.output] = applied
            return made
        return _composed(op, applied)

    return build


def sigmoid(builder: Builder) -> Builder:
    """Return the builder of what changes no order: at the end it is left to the host, elsewhere `builder` builds it."""

    def build(op: Operator) -> Nodes:
        if op.output not in op.scope.ends:
            return builder(op)
        op.shape(0)
        op.scope.hosted[op.output] = HostOperator(name=op.name, operator="Sigmoid", tensor=op.inputs[0])
        return None

    return build


def quantized(builder: Builder) -> Builder:
    """Return the builder of a quantizer, which functions of several tensors may reach over: it is a step as well."""

    def build(op: Operator) -> Nodes:
        made = builder(op)
        plain = isinstance(made, Quantize) and made.rounding == "ROUND" and made.output == op.output
        if isinstance(made, Quantize) and plain and made.inputs[0] in op.scope.shapes:
            grid = {"scale": made.scale, "zero": made.zero_point, "low": made.low, "high": made.high}
            op.scope.applied[op.output] = _applied(op.scope, op, "Quantize", (made.inputs[0],), tuple(grid.items()))
        return made

    return build


def describe(op: Operator) -> Applied | None:
    """Return an operator as a step of a function; None where it is none."""
    kind, scope = op.proto.op_type, op.scope
    names = [name for index, name in enumerate(op.inputs) if op.has(index) and not op.is_constant(index)]
    shapes = {_shape(scope, name) for name in names}
    if len(shapes) != 1 or None in shapes or not scope.codes.keys().isdisjoint(names):
        return None
    [shape] = shapes
    operands: list[str | float | tuple[float, ...]] = []
    for index, name in enumerate(op.inputs):
        if not op.has(index):
            operands.append(-np.inf if index == 1 else np.inf)  # of a Clip
        elif not op.is_constant(index):
            operands.append(name)
        elif (constant := _constant(op, index, shape or ())) is not None:
            operands.append(constant)
        else:
            return None
    if kind == "Clip":
        operands += [-np.inf, np.inf][len(operands) - 1 :]
    elif not all(op.has(index) for index in range(len(op.inputs))) or (kind in UNARY and len(operands) > 1):
        return None
    attributes = _attributes(op)
    if attributes is None or len(operands) > MOST_STEPS:
        return None
    return _applied(scope, op, RENAMED.get(kind, kind), tuple(operands), attributes)


def _applied(scope: Scope, op: Operator, kind: str, operands: tuple[Any, ...], attributes: Any) -> Applied:
    """Return a step with all tensors that it is a function of alone, from the nearest one on."""
    names = [item for item in operands if isinstance(item, str)]
    chains = [_roots(scope, name) for name in names]
    common = [name for name in chains[0] if all(name in chain for chain in chains[1:])]
    return Applied(
        operator=kind,
        operands=operands,
        attributes=attributes,
        roots=tuple(common[:MOST_STEPS]),
        shape=_shape(scope, names[0]) or (),
        number=len(scope.applied),
    )


def _roots(scope: Scope, name: str) -> tuple[str, ...]:
    """Return a tensor, and those that it is a function of alone."""
    return (name, *(scope.applied[name].roots if name in scope.applied else ()))


def _shape(scope: Scope, name: str) -> tuple[int, ...] | None:
    """Return the shape of a tensor of the network, or of one that is only a step of a function."""
    if name in scope.open:
        return scope.applied[name].shape
    view = scope.views.get(name)
    return None if view is not None and view.refusal is not None else scope.shapes.get(name)


def _constant(op: Operator, index: int, shape: tuple[int, ...]) -> float | tuple[float, ...] | None:
    """Return a constant as one number, or one for each channel; None where it is neither."""
    values = op.number(index)
    if values.ndim > len(shape) + 1 or not values.size or values.dtype.kind not in "fiub":
        return None
    values = values.astype(np.float64).reshape((1,) * (len(shape) + 1 - values.ndim) + values.shape)
    if np.isnan(values).any() or any(
        have not in (1, size) for have, size in zip(values.shape, (1, *shape), strict=True)
    ):
        return None
    first = values[(slice(None), slice(None), *(slice(1),) * (values.ndim - 2))]
    if (values != first).any():
        return None
    if (first == first.flat[0]).all():
        return float(first.flat[0])
    return tuple(first.reshape(-1).tolist()) if first.size <= MOST_CHANNELS else None


def _attributes(op: Operator) -> tuple[tuple[str, float], ...] | None:
    """Return the attributes that make a difference; None for values that are not supported."""
    kind = op.proto.op_type
    if kind == "Cast":
        types = {onnx.TensorProto.FLOAT: 1.0, onnx.TensorProto.BOOL: 0.0}
        return (("real", types[op.get("to", 0)]),) if op.get("to", 0) in types else None
    if kind == "FastGelu":
        return (("tanh", 1.0),)
    if kind == "Gelu":
        return {"none": (), "tanh": (("tanh", 1.0),)}.get(op.get("approximate", "none"))
    return tuple((name, float(op.get(name, default))) for name, default in ATTRIBUTES.get(kind, {}).items())


def _needs_table(scope: Scope, applied: Applied) -> bool:
    """Whether an operator that layers can do as well is part of a function that they cannot do."""
    names = [item for item in applied.operands if isinstance(item, str)]
    if any(name in scope.open for name in names):
        return True
    if len(names) < 2:
        return applied.operator == "LeakyRelu"
    if not applied.roots:
        return False
    if applied.operator in PRODUCTS:
        return True
    steps = _steps(scope, applied, applied.roots[0])
    if steps is None or any(item.operator not in PLAIN for _, item in steps):
        return steps is not None
    formula = _formula(scope, applied, applied.roots[0])
    return formula is not None and _has_name(formula, applied.shape[0])


def _has_name(formula: Formula, channels: int) -> bool:
    """Whether a sum of functions that layers do is a function of its own, such as slopes of negative values."""
    if not formula.differs:
        name = known(formula)
        return name is not None and name[0] != "affine"
    try:
        function_nodes(name="", source="", output="", formula=formula, channels=channels)
    except ValueError:
        return False
    return True


def _composed(op: Operator, applied: Applied) -> Nodes:
    """Return the node of a function of the nearest tensor that it is a table's function of.

    Where there is none, others may still make one of it: nobody else can read it.
    """
    scope, why = op.scope, ""
    if not applied.roots:
        op.fail("expected a function of one tensor, not of several")
    scope.applied[op.output] = applied
    for root in applied.roots[:MOST_ROOTS]:
        formula = _formula(scope, applied, root) if root in scope.shapes and root not in scope.open else None
        if formula is None:
            continue
        try:
            return function_nodes(
                name=op.name, source=root, output=op.output, formula=formula, channels=applied.shape[0]
            )
        except ValueError as error:
            why = why or str(error)
    why = why or "a function of too many steps"
    scope.open[op.output] = Refusal(f"{scope.file}: node {op.name} ({op.proto.op_type}): {why}", why)
    return None


def _formula(scope: Scope, applied: Applied, root: str) -> Formula | None:
    """Return a step as a function of a tensor before it; None where that is too long."""
    before = _steps(scope, applied, root)
    if before is None:
        return None
    places, steps = {root: 0}, []
    for name, item in [*before, ("", applied)]:
        operands = tuple(places[operand] if isinstance(operand, str) else operand for operand in item.operands)
        steps.append(FormulaStep(item.operator, operands, item.attributes))
        places[name] = len(steps)
    return Formula(tuple(steps))


def _steps(scope: Scope, applied: Applied, root: str) -> list[tuple[str, Applied]] | None:
    """Return the steps between a tensor and one that is a function of it, in order; None where they are too many."""
    needed: dict[str, Applied] = {}
    waiting = list(_names(applied))
    while waiting:
        name = waiting.pop()
        if name == root or name in needed:
            continue
        needed[name] = scope.applied[name]
        if len(needed) >= MOST_STEPS:
            return None
        waiting += _names(needed[name])
    return sorted(needed.items(), key=lambda item: item[1].number)


def _names(applied: Applied) -> Iterator[str]:
    return (item for item in applied.operands if isinstance(item, str))


def ends(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that nothing but quantizers comes behind, up to the outputs."""
    last = {item.name for item in graph.output}
    read: set[str] = set()  # by others
    for node in reversed(graph.node):
        if not node.output:  # a damaged one of another domain
            continue
        leads = bool(node.op_type in PASSING and node.input and node.output[0] in last - read)
        if leads:
            last.add(node.input[0])
        read.update(node.input if not leads else node.input[1:])
    return last - read
