"""What an import knows so far: tensors, constants, names and views; and why an operator is refused."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.graph import HostOperator, Quantize

BATCH = -(1 << 30)  # stands for the size of the batch in shapes that a network computes


class Refusal(InputError):
    """An operator that the engine cannot do.

    Attributes
    ----------
    why
        The reason, without file and operator.
    """

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """The quantization of a constant, as a dialect states it.

    Parameters
    ----------
    step
        The constant is a whole multiple of it: (), or (channels,) along `axis`.
    axis
        Axis of the constant; 0 where the step is ().
    width
        Signed bits that hold the multiples.
    """

    step: NDArray[np.float32]
    axis: int
    width: int


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A tensor within a chain of operators that only move values, which no node stands for yet.

    Parameters
    ----------
    source
        The tensor before the chain.
    places
        Place in it of every value, in the shape without the batch.
    refusal
        Why nobody but the chain can read it; None where others can.
    """

    source: str
    places: NDArray[np.int32]
    refusal: Refusal | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Applied:
    """An operator that works on each value of its tensors alone, by the tensor that it makes.

    Parameters
    ----------
    operator, attributes
        As in a step of `roundel.graph.Formula`.
    operands
        Names of tensors, and constants: one number, or one for each channel.
    roots
        Tensors that the result is a function of, of each alone: the nearest first.
    shape
        Of the result, without the batch.
    number
        Operators come in the order of their numbers.
    """

    operator: str
    operands: tuple[str | float | tuple[float, ...], ...]
    attributes: tuple[tuple[str, float], ...]
    roots: tuple[str, ...]
    shape: tuple[int, ...]
    number: int


@dataclass(kw_only=True, eq=False)
class Scope:
    """The knowledge about tensors so far.

    Parameters
    ----------
    file
        The file's name, for messages.
    opset
        Version of ONNX's operators.
    source
        Name of the network's input.
    batch
        The batch that the file was made for; None if any.
    constants
        Weights and other constants by name.
    levels
        Quantization of some of the constants, as dialects state it.
    codes
        Activations as integers, which only a dequantizer may read, and what the two are together.
    aliases
        Tensors that are another tensor under another name.
    hosted
        Results of operators that are left to the host.
    shapes
        Shapes without the batch, of all tensors that depend on the network's input.
    names
        Names that are taken: no two layers share one.
    values
        Values of all tensors so far, for one image.
    batched
        Constants that hold `BATCH`: sizes of a batch that may be any.
    constant_values
        Values of all constants that were worked out so far.
    doubtful
        Tensors whose shapes implementations of ONNX do not agree on.
    views
        Tensors within a chain of operators that move values, flattened maps among them.
    unknown
        Tensors of refused operators that nobody can read, and why; none where the first refusal ends the import.
    applied
        Operators that work on each value alone, by the tensors that they make.
    open
        Those of these tensors that only such operators can read, and why others cannot.
    ends
        Tensors that nothing but quantizers comes behind, up to the outputs.
    """

    file: str
    opset: int
    source: str = ""
    batch: int | None = None
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)
    codes: dict[str, Quantize] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    hosted: dict[str, HostOperator] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    values: int = 0
    batched: set[str] = field(default_factory=set)
    constant_values: int = 0
    doubtful: set[str] = field(default_factory=set)
    views: dict[str, View] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    applied: dict[str, Applied] = field(default_factory=dict)
    open: dict[str, Refusal] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)
