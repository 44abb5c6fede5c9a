"""The arithmetic of the activation unit against fractions, one word at a time, and what its objects refuse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.activation import CONTROL, ActivationParams, ActivationTable, Fold, random_table, slope_table
from tests.support.activation_reference import naive_word

UNITS = [
    ActivationParams(),
    ActivationParams(in_width=10, segment_bits=3, step_bits=5),
    ActivationParams(in_width=12, segment_bits=5),
    ActivationParams(in_width=12, step_bits=4, residual=False, slopes=False),
]


def drawn(params: ActivationParams, rng: np.random.Generator) -> ActivationTable:
    return random_table(
        rng,
        segments=params.segments,
        knot_width=params.knot_width,
        core=params.greatest_core,
        slopes=params.slopes,
    )


@given(unit=st.sampled_from(UNITS), draw=st.integers(0, 1 << 32), data=st.data())
def test_words_against_fractions(unit, draw, data):
    rng = np.random.default_rng(draw)
    table = drawn(unit, rng)
    limit = 1 << (unit.in_width - 1)
    words = data.draw(st.lists(st.integers(-limit, limit - 1), min_size=1, max_size=5))
    words += [-limit, limit - 1, 0, -1]
    residual = rng.integers(-256, 256, len(words)) if unit.residual else np.zeros(len(words), np.int64)
    slopes = rng.integers(0, 1 << unit.slope_width, len(words)) if unit.slopes else np.zeros(len(words), np.int64)
    results = unit.compute(words, table, residual=residual, slopes=slopes)
    expected = [
        naive_word(unit, table, word, int(added), int(slope))
        for word, added, slope in zip(words, residual, slopes, strict=True)
    ]
    assert results.tolist() == expected


def test_a_residual_is_added_before_anything_is_rounded():
    """Three eighths of a step and two more are rounded up together, where each alone is 0."""
    table = ActivationTable(knots=(3,) * 17)
    assert ActivationParams().compute(0, table) == 0
    assert ActivationParams().compute(0, table, residual=2) == 1
    assert ActivationParams().compute(0, table, residual=1) == 1  # a tie: half up
    assert ActivationParams().compute(0, replace(table, knots=(2,) * 17), residual=1) == 0


def test_entries_hold_what_the_table_says():
    table = ActivationTable(knots=tuple(range(-8, 9)), fold="odd", core=5, linear=True, linear_shift=2, unsigned=True)
    control, *knots = table.entries
    assert knots == list(range(-8, 9))
    values = {}
    for name, width in CONTROL.items():
        values[name], control = control & ((1 << width) - 1), control >> width
    flags = {"flat": 0, "odd": 1, "sided": 0, "sloped": 0, "linear": 1, "linear_coarse": 1, "unsigned": 1}
    assert values == flags | {"residual_shift": 0, "core": 5}


def test_knots_of_any_unit_have_16_bits_at_most():
    ends = (-(1 << 15), (1 << 15) - 1)
    assert ActivationTable(knots=ends).knots == ends
    for knot in (ends[0] - 1, ends[1] + 1):
        with pytest.raises(ValueError, match=rf"knots\[1\] must be {ends[0]} to {ends[1]}, not {knot}"):
            ActivationTable(knots=(0, knot))


@given(
    slopes=st.lists(st.floats(-0.98, 0.98), min_size=1, max_size=8)
    | st.lists(st.floats(-1.96, 1.96), min_size=1, max_size=8),
    word=st.integers(-1024, 1023),
)
def test_slopes_are_the_nearest(slopes, word):
    """A negative word times its column's slope is off by what its bits leave, and half an ULP for the rounding."""
    params = ActivationParams()
    table, columns = slope_table(params, slopes)
    results = params.compute(np.full(len(slopes), word), table, slopes=columns)
    greatest = max(map(abs, slopes))
    step = 1 / 128 if greatest < 63 / 128 else 1 / 64 if greatest < 63.5 / 64 else 1 / 32
    if step == 1 / 32:  # the reach of steep slopes
        word = max(word, -512)
    for slope, result in zip(slopes, results, strict=True):
        exact = (word + 0.5) / 8 * (1 if word >= 0 else slope)
        place = 4 / 8 * abs(slope)  # what the place in the core leaves out
        assert abs(result - max(min(exact, 127), -128)) <= 0.5 + abs(word) / 8 * step / 2 + place + 1e-9


def test_slopes_beyond_a_column_are_refused():
    with pytest.raises(ValueError, match=r"slopes must be -1.96875 to 1.96875, not 0.2 to 2.5"):
        slope_table(ActivationParams(), [0.2, 2.5])
    with pytest.raises(ValueError, match=r"slopes must be -1.96875 to 1.96875, not nan to nan"):
        slope_table(ActivationParams(), [float("nan")])


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"in_width": 9}, ValueError, "in_width must be 10 to 12, not 9"),
        ({"columns": 8, "lanes": 3}, ValueError, r"lanes must divide columns \(8\), not be 3"),
        ({"residual": 1}, TypeError, "residual must be a bool, not 1"),
        ({"step_bits": 4}, ValueError, "step_bits must be 5 in a unit with slopes, not 4"),
        ({"segment_bits": 2.0}, TypeError, "segment_bits must be an integer, not 2.0"),
    ],
)
def test_parameters_validate_themselves(keywords, error, message):
    with pytest.raises(error, match=message):
        ActivationParams(**keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"knots": (0,) * 16}, "knots must be 17 integers, not 16"),
        ({"core": 8}, "core must be 0 to 7, not 8"),
        ({"knots": (0, 1024) + (0,) * 15}, "knots must be -1024 to 1023, not 0 to 1024"),
        ({"knots": (0, 512) + (0,) * 15}, "odd knots less their even neighbours must be -512 to 511"),
        ({"linear_shift": 1}, "linear_shift must be 0 or 2, not 1"),
        ({"fold": "slope", "core": 6, "knots": (1,) * 17}, "knots must be 0 where fold is slope"),
        ({"fold": "slope", "core": 3}, "core of fold slope must be 5 to 7, not 3"),
        ({"fold": "middle"}, "fold must be one of none, even, odd, negative, slope, not 'middle'"),
        ({"residual_shift": 4}, "residual_shift must be 0 to 3, not 4"),
    ],
)
def test_tables_that_the_unit_cannot_hold(keywords, message):
    with pytest.raises(ValueError, match=message):
        ActivationParams().check_table(ActivationTable(**{"knots": (0,) * 17} | keywords))


def test_a_unit_without_slopes_or_residuals_refuses_both():
    params = ActivationParams(slopes=False, residual=False)
    with pytest.raises(ValueError, match="fold slope needs a unit with slopes"):
        params.check_table(ActivationTable(knots=(0,) * 17, fold=Fold.SLOPE, core=6))
    with pytest.raises(ValueError, match="residual must be 0 to 0, not 1 to 1"):
        params.compute(0, ActivationTable(knots=(0,) * 17), residual=1)
    with pytest.raises(ValueError, match="words must be -1024 to 1023, not 1024 to 1024"):
        params.compute(1024, ActivationTable(knots=(0,) * 17))


def test_round_trip_through_plain_values():
    table = drawn(UNITS[0], np.random.default_rng(1))
    assert ActivationTable(**table.as_dict()) == table
    assert ActivationParams(**UNITS[1].as_dict()) == UNITS[1]
