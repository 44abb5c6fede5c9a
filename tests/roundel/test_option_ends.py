"""Ranges and defaults of options are those that the pages name: both ends are taken, and nothing beyond them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from roundel.compression.finetune_options import FinetuneOptions
from roundel.detection import Scale
from roundel.golden.errors import InputError
from roundel.graph import integer_of
from roundel.quantization import QuantizeOptions, StreamOptions

GIVEN = {
    "weights of a module": lambda bits: QuantizeOptions(module_bits={"conv": bits}),
    "bits of a result": lambda bits: QuantizeOptions(output_bits={"conv": bits}),
    "columns": lambda count: StreamOptions(columns=count),
    "unit": lambda unit: Scale(cls="a", box="b", stride=1, unit=unit),
    **{
        name: (lambda value, name=name: QuantizeOptions(**{name: value}))
        for name in ("weight_bits", "activation_bits", "bias_bits", "window", "positions", "seed")
    },
    **{
        f"training's {name}": (lambda value, name=name: FinetuneOptions(**{name: value}))
        for name in ("epochs", "batch", "seed")
    },
}
RANGES = {
    "weights of a module": (2, 8),
    "bits of a result": (2, 8),
    "columns": (1, 64),
    "unit": (-8, 12),
    "weight_bits": (2, 8),
    "activation_bits": (2, 8),
    "bias_bits": (2, 16),
    "window": (0, 8),
    "positions": (1, 2**31),
    "seed": (0, 2**63),
    "training's epochs": (1, 2**31 - 1),
    "training's batch": (1, 2**31 - 1),
    "training's seed": (0, 2**31 - 1),
}


@pytest.mark.parametrize("name", RANGES)
def test_whole_numbers(name):
    make: Callable[[int], Any] = GIVEN[name]
    low, high = RANGES[name]
    for value in (low, high):
        make(value)
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"must be {low} to {high}, not {value}"):
            make(value)


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("learning_rate", (1e-9, 1, 1.0), (0, -0.1, 1.01)),
        ("temperature", (1e-9, 1000), (0, -1, 1000.5)),
        ("distill", (0, 1, 0.5), (-0.01, 1.01, float("nan"))),
        ("weight_decay", (0, 1), (-0.01, 1.01)),
    ],
)
def test_parts(name, taken, refused):
    for value in taken:
        assert getattr(FinetuneOptions(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(ValueError, match=f"{name} must be (above )?0 to 1(000)?, not {value}"):
            FinetuneOptions(**{name: value})
    for value in (True, "1", None):
        with pytest.raises(TypeError, match=f"{name} must be a number, not {value!r}"):
            FinetuneOptions(**{name: value})


def test_strides_are_a_sixteenth_to_4096():
    for stride in (1, 3, 128, 4096, 0.0625, 300 / 38):
        assert Scale(cls="a", box="b", stride=stride, unit=0).stride == stride
    for stride in (0, -8, 4097, 0.0624, 4096.1):
        with pytest.raises(ValueError, match="stride must be"):
            Scale(cls="a", box="b", stride=stride, unit=0)


def test_defaults():
    """docs/finetuning.md and docs/quantization.md."""
    assert vars(FinetuneOptions()) == {
        **{"epochs": 30, "learning_rate": 0.002, "batch": 64, "distill": 0.5, "weight_decay": 0.0},
        **{"temperature": 2.0, "seed": 1},
    }
    options = QuantizeOptions()
    assert (options.weight_bits, options.activation_bits, options.bias_bits) == (8, 8, 8)
    assert (options.window, options.positions, options.seed, options.per_channel) == (2, 2048, 1, False)
    streams = StreamOptions()
    assert (streams.packing.value, streams.lanes, streams.columns, streams.slices) == ("rice", 16, 16, 4)


def test_whole_numbers_of_a_user():
    assert [integer_of("count", value, 1, 3) for value in (1, 3, np.int64(2))] == [1, 3, 2]
    assert integer_of("count", 10**30, 1) == 10**30
    for value in (0, 4, True, 2.0, "2", None):
        with pytest.raises(InputError, match=r"^count: expected an integer, 1 to 3, not "):
            integer_of("count", value, 1, 3)
    with pytest.raises(InputError, match=r"^count: expected an integer, 1 or more, not 0$"):
        integer_of("count", 0, 1)
