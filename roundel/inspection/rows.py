"""The operators of a network as rows: where each one runs, why, and what to do about it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from roundel.frontend import Examination, Partition, Verdict

WAYS = {
    "Sigmoid": "at the end of a network nothing is lost; --late gives its integers on the engine",
    "Softmax": "at the end of a network nothing is lost",
    "Mul": "leave products of two tensors to the host",
    "LRN": "leave it to the host, or train without it: batch normalization costs nothing",
    "PRelu": "train with slopes below 63/32, or with one slope for all channels",
    "MaxPool": "export with explicit pads smaller than the kernel, and without the output Indices",
    "AveragePool": "export with explicit pads, and count_include_pad=0 or ceil_mode=0",
    "Concat": "end the network before it, or leave it to the host: it only moves values",
    "Reshape": "end the network before it, or leave it to the host: it only moves values",
    "Transpose": "end the network before it, or leave it to the host: it only moves values",
    "Resize": "train with a whole factor and the nearest value, or 2, 4, 8 or 16 and linear without align_corners",
    "Upsample": "train with a whole factor and the nearest value, or 2, 4, 8 or 16 and linear",
    "Gemm": "feed it (batch, features), without transA",
    "MatMul": "feed it (batch, features) and constant weights; leave products of two tensors to the host",
    "ConvInteger": "write the file in the QDQ form",
    "MatMulInteger": "write the file in the QDQ form",
    "QLinearConv": "write the file in the QDQ form",
    "QLinearMatMul": "write the file in the QDQ form",
    "DynamicQuantizeLinear": "quantize with fixed scales (QDQ), or start from the float network",
    "Loop": "end the network before it: the host runs no loops",
    "Scan": "end the network before it: the host runs no loops",
}
"""By operator: what beside the host helps."""
REASONS = (
    (r"shape is not known", "export with all sizes fixed, or make what comes before it supported"),
    (r": it reads .* which ", "make what comes before it supported"),
    (r"no table within|is off by", "let it run on the host, or allow more error: --activation-error"),
    (r"stands behind shifts alone", "let it run on the host, or move scales to powers of two: --refit"),
    (r"size of the batch", "export with a batch of 1"),
    (r"^(?!MatMul).*must be a constant", "export with constants in their place (onnxsim folds what can be known)"),
    (r"beyond the range of float32|must be finite", "train or export it again: its numbers are no use"),
    (r"expected at most .* values", "make the image smaller"),
)
"""By what a reason says."""
HOST = "leave it to the host: --host any keeps what lies behind it on the engine"


class RunsOn(StrEnum):
    """Where an operator runs.

    Attributes
    ----------
    ENGINE
        On the engine.
    HOST
        On the host, though the engine could do it: it lies on the other side of something that the engine cannot do.
    BLOCKED
        On the host, as the engine cannot do it.
    CONSTANT
        Nowhere: its result depends on no image and is worked out once.
    """

    ENGINE = "engine"
    HOST = "host"
    BLOCKED = "blocked"
    CONSTANT = "constant"


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """An operator of the file.

    Attributes
    ----------
    name, operator
        Its name, or that of its first result, and its kind.
    place
        Where it runs.
    part
        Number of the part that it runs in; None for constants and names.
    shape
        Of its first result for one image, the batch included; None where it is not known before it runs.
    macs, weights
        Products for one image, and weights.
    reason
        Why it does not run on the engine; None if it does.
    """

    name: str
    operator: str
    place: RunsOn
    part: int | None
    shape: tuple[int | None, ...] | None
    macs: int
    weights: int
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return asdict(self) | {"place": self.place.value, "shape": None if self.shape is None else list(self.shape)}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A reason why the engine cannot do some operators, and the way on.

    Attributes
    ----------
    operator, reason
        Their kind, and what hinders.
    names
        The operators.
    macs
        Products of them together.
    way_on
        What to do about it.
    """

    operator: str
    reason: str
    names: tuple[str, ...]
    macs: int
    way_on: str

    def as_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return asdict(self) | {"names": list(self.names)}


def operator_rows(partition: Partition) -> tuple[OperatorRow, ...]:
    """Return a row for each operator, in the file's order.

    Parameters
    ----------
    partition
        The network in parts.
    """
    examination = partition.examination
    parts = {id(item): number for number, part in enumerate(partition.parts) for item in part.verdicts}
    causes = _causes(examination)
    return tuple(_row(partition, item, parts.get(id(item)), causes) for item in examination.verdicts)


def blocks(rows: Iterable[OperatorRow]) -> tuple[Block, ...]:
    """Gather the operators that the engine cannot do by kind and reason, those with most products first.

    Reasons that differ in names and numbers alone are one; the first operator's is shown.
    """
    groups: dict[tuple[str, str], list[OperatorRow]] = {}
    for row in rows:
        if row.place is RunsOn.BLOCKED:
            words = " ".join(word for word in (row.reason or "").split() if word.strip(",;:.").isalpha())
            groups.setdefault((row.operator, words), []).append(row)
    return tuple(sorted(map(_block, groups.values()), key=lambda item: -item.macs))


def _block(rows: Sequence[OperatorRow]) -> Block:
    operator, reason = rows[0].operator, rows[0].reason or ""
    names = tuple(row.name for row in rows)
    macs = sum(row.macs for row in rows)
    return Block(operator=operator, reason=reason, names=names, macs=macs, way_on=way_on(operator, reason))


def _row(partition: Partition, item: Verdict, part: int | None, causes: dict[str, Verdict]) -> OperatorRow:
    reason = item.reason or next((why for name, why in partition.without.items() if name in item.makes), None)
    if reason is not None:
        place = RunsOn.BLOCKED
    elif item.constant or part is None:
        place = RunsOn.CONSTANT
    elif partition.parts[part].engine:
        place = RunsOn.ENGINE
    else:
        place, reason = RunsOn.HOST, _why(item, causes)
    shape = partition.examination.shape(item.proto.output[0])
    return OperatorRow(
        name=item.name,
        operator=item.operator,
        place=place,
        part=part,
        shape=shape,
        macs=item.macs,
        weights=item.weights,
        reason=reason,
    )


def _causes(examination: Examination) -> dict[str, Verdict]:
    """Return the nearest operator before each tensor that the engine cannot do."""
    causes: dict[str, Verdict] = {}
    for item in examination.verdicts:
        before = next((causes[name] for name in item.reads if name in causes), None)
        cause = item if item.reason is not None else before
        if cause is not None:
            causes.update(dict.fromkeys(item.makes, cause))
    return causes


def _why(item: Verdict, causes: dict[str, Verdict]) -> str:
    """Return why an operator that the engine can do is left to the host."""
    cause = next((causes[name] for name in item.reads if name in causes), None)
    if cause is None:
        return "the engine could do it, but would multiply more in another part"
    return f"the engine could do it, but it lies behind {cause.name} ({cause.operator})"


def way_on(operator: str, reason: str) -> str:
    """Return what to do about an operator.

    Parameters
    ----------
    operator
        Its kind.
    reason
        Why the engine cannot do it.
    """
    for pattern, way in REASONS:
        if re.search(pattern, f"{operator}: {reason}"):
            return way
    return WAYS.get(operator, HOST)
