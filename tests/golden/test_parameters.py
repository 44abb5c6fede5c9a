"""The base of parameter objects: what fields take, what comes out, and that every unit's parameters stand on it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import pytest

from roundel.golden.head import HeadParams
from roundel.golden.mac import SparseMacParams
from roundel.golden.nms import NmsParams, Pass, PsrrParams, preset
from roundel.golden.parameters import Params, plain
from roundel.hw.units import UNITS


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Inner(Params):
    size: int = 3


@dataclass(frozen=True, kw_only=True)
class Outer(Params):
    colour: Colour = Colour.RED
    second: Colour | None = None
    filled_in: Colour = None  # type: ignore[assignment]  # by `__post_init__` of a real class
    inner: Inner = field(default_factory=Inner)
    other: Inner | None = None
    numbers: tuple[int, ...] = ()
    parts: tuple[Inner, ...] | None = None
    name: str | int = "x"


def test_values_become_those_of_the_fields_types():
    made = Outer(
        colour="blue",  # type: ignore[arg-type]
        second="red",  # type: ignore[arg-type]
        inner={"size": 4},  # type: ignore[arg-type]
        other={},  # type: ignore[arg-type]
        numbers=[1, 2],  # type: ignore[arg-type]
        parts=[{"size": 5}, Inner(size=6)],  # type: ignore[arg-type, list-item]
    )
    assert made == Outer(
        colour=Colour.BLUE,
        second=Colour.RED,
        inner=Inner(size=4),
        other=Inner(),
        numbers=(1, 2),
        parts=(Inner(size=5), Inner(size=6)),
    )
    assert hash(made) == hash(Outer.from_dict(made.as_dict()))


def test_any_iterable_makes_a_tuple_but_a_text_does_not():
    def counted() -> Iterator[int]:
        yield from range(3)

    assert Outer(numbers=counted()).numbers == (0, 1, 2)  # type: ignore[arg-type]
    assert Outer(numbers="123").numbers == "123"  # type: ignore[arg-type]  # the class says what is wrong with it


def test_plain_values():
    assert Outer().as_dict() == {
        "colour": "red",
        "second": None,
        "filled_in": None,
        "inner": {"size": 3},
        "other": None,
        "numbers": [],
        "parts": None,
        "name": "x",
    }
    assert plain({"a": (Colour.BLUE, Inner())}) == {"a": ["blue", {"size": 3}]}
    assert Outer().derived() == {}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"colour": "green"}, ValueError, "colour must be one of red, blue, not 'green'"),
        ({"colour": None}, ValueError, "colour must be one of red, blue, not None"),
        ({"second": "green"}, ValueError, "second must be one of red, blue, not 'green'"),
        ({"inner": 3}, TypeError, "inner must be a Inner, not 3"),
        ({"inner": None}, TypeError, "inner must be a Inner, not None"),
        ({"other": 3}, TypeError, "other must be a Inner or None, not 3"),
        ({"inner": {"sizes": 3}}, TypeError, "Inner.__init__() got an unexpected keyword argument 'sizes'"),
        ({"sizes": 3}, TypeError, "Outer.__init__() got an unexpected keyword argument 'sizes'"),
    ],
)
def test_bad_values_are_refused(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Outer.from_dict(given)


@pytest.mark.parametrize(("unit", "config"), [(unit, name) for unit in UNITS for name in UNITS[unit].configs])
def test_the_parameters_of_every_unit_survive_json(unit, config):
    kind = UNITS[unit].params
    assert issubclass(kind, Params)
    params = kind.from_dict(UNITS[unit].configs[config])
    again = kind.from_dict(json.loads(json.dumps(params.as_dict())))
    assert again == params
    assert again.as_dict() == params.as_dict()
    json.dumps(params.derived())


def test_nested_objects_survive_json():
    pyramid = preset("guarded")
    assert PsrrParams.from_dict(json.loads(json.dumps(pyramid.as_dict()))) == pyramid
    nms = NmsParams(passes=[Pass(scales=[[0, 1, 2, 3]], ratios=[[0, 1, 2]])])  # type: ignore[arg-type, list-item]
    assert NmsParams.from_dict(json.loads(json.dumps(nms.as_dict()))) == nms
    head = HeadParams(columns=3, rows=4, stride=8, classes=2, threshold=0, shift=0, width=96, height=96)
    assert HeadParams.from_dict(head.as_dict()) == head


def test_what_an_object_does_not_have_is_left_out_where_a_class_says_so():
    assert "alpha" not in NmsParams().as_dict()
    assert "shift" not in NmsParams().as_dict()


def test_a_decoder_is_completed_from_its_defaults():
    assert (
        SparseMacParams(decoder={"slices": 2}).decoder.as_dict() | {"slices": 4} == SparseMacParams().decoder.as_dict()
    )  # type: ignore[arg-type]
