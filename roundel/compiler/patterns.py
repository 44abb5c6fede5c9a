"""Steps that take the weights of several planes at once, where few of them are not 0: N of 8 channels, selected.

A beat brings a word of each of `2**split` neighbouring planes. Lane l takes one byte of eight: of these words, from the
`8 >> split` lanes that l lies among. So a step holds all weights of a block of outputs, a tap and these planes if of
each eight channels at most `8 >> split` have any; else it takes further steps, or one for each plane, as without.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.operation import Operation
from roundel.compiler.step_weights import Steps, Weights
from roundel.golden.engine import CHOICE, EngineParams
from roundel.golden.rounding import Ints

MOST_BANKS = 8  # of which beats of four words leave some to residuals and stores


@dataclass(frozen=True, kw_only=True)
class PlaneGroup:
    """Steps of an output block that read neighbouring planes at one place.

    Parameters
    ----------
    numbers
        Of the steps, by word: plane within the group.
    choices
        (lanes / side, 8): whether a byte of a word meets any weight; word by word, `side` lanes of each.
    side
        Neighbouring lanes that choose among the same bytes.
    """

    numbers: dict[int, int]
    choices: NDArray[np.bool_]
    side: int

    @property
    def steps(self) -> int:
        """Steps that it takes: no more than it has planes."""
        return max(1, min(len(self.numbers), -(-int(self.choices.sum(axis=1).max()) // self.side)))


def most_split(params: EngineParams) -> int:
    """Base-2 logarithm of the planes of a step, at most; 0: an engine that does not select."""
    if not params.select:
        return 0
    words = params.beat_words if params.banks >= MOST_BANKS else 2
    return words.bit_length() - 1


def patterned(operations: Sequence[Operation], params: EngineParams) -> list[Operation]:
    """Return operations with the planes of several steps in one where that takes fewer; their maps get odd planes."""
    made = []
    for operation in operations:
        wide = _in_planes(operation, params) if _is_dense(operation) else None
        if wide is not None:
            operation.source.storage.root[0].odd_planes = True
        made.append(wide or operation)
    return made


def _is_dense(operation: Operation) -> bool:
    """Whether an operation sums up channels of a map in several planes."""
    other = operation.depthwise or operation.maximum or operation.upsample or operation.addend or operation.split
    storage = operation.source.storage
    return not other and not storage.pixel and storage.planes > 1


def _in_planes(operation: Operation, params: EngineParams) -> Operation | None:
    """Return an operation with several planes in a step; None where that takes no fewer steps."""
    best, least = 0, operation.kept
    for split in range(1, most_split(params) + 1):
        count = sum(group.steps for block in operation.steps for group in _groups(block, split))
        if count < least:
            best, least = split, count
    if not best:
        return None
    return replace(operation, steps=tuple(_rewritten(block, best) for block in operation.steps), split=best)


def _groups(steps: Steps, split: int) -> Iterator[PlaneGroup]:
    """Give the groups of an output block in the order of their first steps."""
    side, found, met = CHOICE >> split, dict[tuple[int, ...], dict[int, int]](), np.asarray(steps.weights.any(axis=1))
    times = steps.repetition
    for number in range(len(steps)):
        group, word = divmod(int(steps.plane[number]), 1 << split)
        key = (group, *(int(axis[number]) for axis in (steps.row, steps.byte, steps.scale, times)))
        found.setdefault(key, {})[word] = number
    for numbers in found.values():
        choices = np.zeros((1 << split, met.shape[1]), dtype=bool)
        choices[list(numbers)] = met[list(numbers.values())]
        choices = choices.reshape(1 << split, -1, side).transpose(1, 0, 2).reshape(-1, CHOICE)
        yield PlaneGroup(numbers=numbers, choices=choices, side=side)


def _rewritten(steps: Steps, split: int) -> Steps:
    """Return the steps of an output block, several planes in each where that takes fewer."""
    own = np.arange(steps.weights.shape[2]) % (CHOICE >> split)
    weights: list[Weights] = []
    source, words, selectors, breaking = list[int](), list[int](), list[Ints](), list[bool]()
    for group in _groups(steps, split):
        breaking += [step > 0 for step in range(group.steps)]
        if group.steps == len(group.numbers):
            for number in group.numbers.values():
                weights.append(steps.weights[number])
                source.append(number)
                words.append(1)
                selectors.append(own)
            continue
        for selector, taken in _selected(group):
            weights.append(_held(steps.weights, group, selector, taken))
            source.append(next(iter(group.numbers.values())))
            words.append(1 + int((selector[taken] // group.side).max(initial=0)))
            selectors.append(selector)
    plane = steps.plane[source]
    plane = np.where(np.array(words) > 1, plane >> split << split, plane)
    return Steps(
        plane=plane, row=steps.row[source], byte=steps.byte[source], scale=steps.scale[source],
        weights=np.stack(weights), words=np.array(words), selector=np.stack(selectors),
        breaking=np.array(breaking),
    )  # fmt: skip


def _selected(group: PlaneGroup) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
    """Give what each lane of each step takes, (lanes,), and whether it meets any weight.

    Of `side` bytes that meet weights each lane takes its own, of the lowest word if there are several. The others are
    of words behind the first, and go to lanes without any, in ascending order.
    """
    side, count = group.side, len(group.choices)
    rank = np.where(group.choices, np.cumsum(group.choices, axis=1) - 1, -1)
    for first in range(0, group.steps * side, side):
        wanted = (rank >= first) & (rank < first + side)
        words = wanted.reshape(count, -1, side)
        taken = np.asarray(words.any(axis=1))
        own = words.argmax(axis=1) * side + np.arange(side)
        left = wanted.copy()
        np.put_along_axis(left, own, False, axis=1)
        others = np.argsort(~left, axis=1, kind="stable")[:, :side]
        free = np.argsort(taken, axis=1, kind="stable")
        there = np.take_along_axis(left, others, axis=1)
        np.put_along_axis(own, free, np.where(there, others, np.take_along_axis(own, free, axis=1)), axis=1)
        np.put_along_axis(taken, free, there | np.take_along_axis(taken, free, axis=1), axis=1)
        yield own.ravel(), taken.ravel()


def _held(weights: Weights, group: PlaneGroup, selector: Ints, taken: NDArray[np.bool_]) -> Weights:
    """Return the weights that meet what lanes have selected, (columns, lanes)."""
    lanes = np.arange(len(selector))
    word, lane = selector // group.side, lanes // group.side * group.side + selector % group.side
    held = np.zeros(weights.shape[1:], dtype=np.int8)
    for number_word, number in group.numbers.items():
        here = taken & (word == number_word)
        held[:, here] = weights[number][:, lane[here]]
    return held
