"""Boolean functions as Liberty writes them, kept as truth tables."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w.\[\]]*|[01])|([!'&*+|^()]))")


@dataclass(frozen=True, eq=False)
class BoolFunction:
    """A function of named Boolean inputs.

    Parameters
    ----------
    inputs
        Names of the inputs, in order of appearance.
    table
        Truth table, `bool` of shape `(2,) * len(inputs)`: `table[a, b, ...]` is the value at `a, b, ...`.
    """

    inputs: tuple[str, ...]
    table: NDArray[np.bool_]

    def __call__(self, values: Mapping[str, int]) -> bool:
        """Value at one assignment of all inputs."""
        return bool(self.table[tuple(int(values[name]) for name in self.inputs)])

    @property
    def passes(self) -> str | None:
        """The input that the function hands on unchanged, None if it does anything else."""
        return self.inputs[0] if self.table.tolist() == [False, True] else None

    def over(self, inputs: tuple[str, ...]) -> NDArray[np.bool_]:
        """Truth table over `inputs`, a superset of the function's own, in the order given."""
        spread = self.table.reshape(self.table.shape + (1,) * (len(inputs) - len(self.inputs)))
        present = [inputs.index(name) for name in self.inputs]
        absent = [axis for axis in range(len(inputs)) if axis not in present]
        moved = np.moveaxis(spread, range(len(inputs)), present + absent)
        return np.broadcast_to(moved, (2,) * len(inputs))

    def probability(self, ones: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Probability of the value 1 when the inputs are independent.

        Parameters
        ----------
        ones
            Probability of 1 of every input, 0 to 1, all of one shape (one entry per instance of a cell).
        """
        result: NDArray[np.float64] = self.table.astype(np.float64)[..., np.newaxis]
        for name in self.inputs:
            p = np.asarray(ones[name], dtype=np.float64)
            result = result[0] * (1.0 - p) + result[1] * p
        return result

    def difference(self, name: str) -> "BoolFunction":
        """Boolean difference: 1 where a change of input `name` changes the value (Najm, 1993 [P])."""
        axis = self.inputs.index(name)
        table = np.take(self.table, 0, axis) ^ np.take(self.table, 1, axis)
        return BoolFunction(self.inputs[:axis] + self.inputs[axis + 1 :], np.asarray(table))

    def substitute(self, functions: Mapping[str, "BoolFunction"]) -> "BoolFunction":
        """Replace inputs by functions of (other) inputs."""
        names = dict.fromkeys(
            inner for name in self.inputs for inner in (functions[name].inputs if name in functions else (name,))
        )
        inputs = tuple(names)
        index = tuple((functions[n] if n in functions else variable(n)).over(inputs).astype(int) for n in self.inputs)
        table = self.table[index] if index else self.table
        return BoolFunction(inputs, np.asarray(table))


def variable(name: str) -> BoolFunction:
    """Return the function of one input that equals it."""
    return BoolFunction((name,), np.array([False, True]))


def invert(function: BoolFunction) -> BoolFunction:
    """Return the complement of a function."""
    return BoolFunction(function.inputs, ~function.table)


def parse(text: str) -> BoolFunction:
    """Parse a Liberty expression: `!a`, `a'`, `a ^ b`, `a & b`, `a * b`, `a b`, `a | b`, `a + b`, `( )`, `0`, `1`.

    Inversion binds tightest, then exclusive or, then and, then or.

    Raises
    ------
    ValueError
        The text is not such an expression.
    """
    tokens: list[str] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{text[at]!r} is not part of a Boolean expression, in {text!r}")
        tokens.append(match.group(1) or match.group(2))
        at = match.end()
    inputs = tuple(dict.fromkeys(t for t in tokens if t[0].isalpha() or t[0] == "_"))
    parser = _Parser(text, tokens, inputs)
    table = parser.disjunction()
    if parser.tokens:
        raise ValueError(f"{parser.tokens[-1]!r} is out of place in {text!r}")
    return BoolFunction(inputs, np.array(np.broadcast_to(table, (2,) * len(inputs))))


class _Parser:
    """Recursive descent that computes with truth tables instead of building a tree."""

    def __init__(self, text: str, tokens: list[str], inputs: tuple[str, ...]):
        self.text = text
        self.tokens = tokens[::-1]  # the next token is the last
        self.inputs = inputs

    def _next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _chain(self, operand: Callable[[], NDArray[np.bool_]], operators: str, combine: np.ufunc) -> NDArray[np.bool_]:
        value = operand()
        while self._next() and self._next() in operators:
            self.tokens.pop()
            value = combine(value, operand())
        return value

    def disjunction(self) -> NDArray[np.bool_]:
        return self._chain(self._conjunction, "+|", np.logical_or)

    def _conjunction(self) -> NDArray[np.bool_]:
        value = self._exclusive()
        while self._next() and self._next() not in "+|)":
            if self._next() in "&*":
                self.tokens.pop()
            value = value & self._exclusive()  # two operands side by side are an "and" too
        return value

    def _exclusive(self) -> NDArray[np.bool_]:
        return self._chain(self._inversion, "^", np.logical_xor)

    def _inversion(self) -> NDArray[np.bool_]:
        token = self.tokens.pop() if self.tokens else ""
        if token == "!":
            return ~self._inversion()
        if token == "(":
            value = self.disjunction()
            if not self.tokens or self.tokens.pop() != ")":
                raise ValueError(f"a ')' is missing in {self.text!r}")
        elif token in ("0", "1"):
            value = np.array(token == "1")
        elif token in self.inputs:
            shape = [2 if name == token else 1 for name in self.inputs]
            value = np.array([False, True]).reshape(shape)
        else:
            raise ValueError(f"{token or 'the end'!r} is out of place in {self.text!r}")
        while self._next() == "'":
            self.tokens.pop()
            value = ~value
        return value
