"""Patterns of input channels, against loops that follow the words of docs/opq.md."""

import numpy as np
import pytest

from roundel.golden.opq import ChannelPattern

SHAPES = [  # kept, lanes, columns, channels, outputs, taps
    (4, 16, 16, 64, 40, 9),
    (2, 16, 16, 64, 16, 1),
    (1, 8, 4, 130, 6, 3),
    (4, 8, 8, 17, 9, 2),
    (2, 32, 16, 33, 5, 1),
    (4, 4, 4, 22, 9, 2),
]


def looped(weights: np.ndarray, taps: int, kept: int, lanes: int, columns: int) -> np.ndarray:
    """The mask, one choice at a time: candidates are `8 / kept` words times `kept` neighbouring lanes."""
    channels, outputs = len(weights) // taps, weights.shape[1]
    mask = np.zeros(weights.shape, dtype=bool)
    words = 8 // kept
    for tap in range(taps):
        for block in range(0, outputs, columns):
            for first in range(0, channels, words * lanes):
                for lane in range(0, lanes, kept):
                    found = [first + word * lanes + lane + more for word in range(words) for more in range(kept)]
                    there = [channel for channel in found if channel < channels]
                    part = {c: weights[tap * channels + c, block : block + columns] for c in there}
                    best = sorted(there, key=lambda c: (-float((part[c] ** 2).sum()), found.index(c)))[:kept]
                    for channel in best:
                        mask[tap * channels + channel, block : block + columns] = True
    return mask


@pytest.mark.parametrize(("kept", "lanes", "columns", "channels", "outputs", "taps"), SHAPES)
def test_the_greatest_candidates_of_every_choice_remain(
    kept: int, lanes: int, columns: int, channels: int, outputs: int, taps: int
) -> None:
    pattern = ChannelPattern(kept=kept, lanes=lanes, columns=columns)
    weights = np.random.default_rng(1).integers(-3, 4, (taps * channels, outputs))  # some sums are equal
    mask = pattern.mask(weights, taps)
    np.testing.assert_array_equal(mask, looped(weights, taps, kept, lanes, columns))
    assert pattern.breaches(weights * mask, taps) == 0
    assert pattern.breaches(weights, taps) > 0


def test_whole_groups_keep_their_share() -> None:
    weights = np.random.default_rng(2).normal(size=(9 * 128, 32))
    for kept in (4, 2, 1):
        assert ChannelPattern(kept=kept).mask(weights, 9).mean() == kept / 8


def test_one_weight_too_many_is_one_breach() -> None:
    pattern = ChannelPattern(kept=2)
    weights = np.random.default_rng(3).normal(size=(64, 16))
    mask = pattern.mask(weights, 1)
    row = int(np.flatnonzero(~mask[:, 0])[0])
    mask[row, 5] = True
    assert pattern.breaches(weights * mask, 1) == 1


def test_one_word_has_nothing_to_choose_from() -> None:
    pattern = ChannelPattern(kept=4)
    weights = np.ones((16, 16))
    assert pattern.mask(weights, 1).all()
    assert pattern.breaches(weights, 1) == 0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"kept": 3}, "kept must be 4, 2 or 1 of 8, not 3"),
        ({"kept": 4, "lanes": 24}, "lanes must be a power of two, not 24"),
        ({"kept": 4, "lanes": 2}, "lanes must be 4 to 64, not 2"),
        ({"kept": 4, "columns": 0}, "columns must be 1 to 64, not 0"),
    ],
)
def test_other_patterns_are_refused(parameters: dict[str, int], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        ChannelPattern(**parameters)
