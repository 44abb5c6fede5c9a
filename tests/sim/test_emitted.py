"""The Verilog of a unit is the one that its component gives, and is written once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roundel.hw.emit import to_verilog
from roundel.hw.requant import Requantizer
from roundel.hw.units import UNITS
from roundel.sim import emitted
from roundel.sim.emitted import Emitted, emit_unit

UNIT = UNITS["requant"]
SHIFT = UNIT.params(scheme="shift", acc_width=16, out_width=4)
FIXED = UNIT.params(scheme="fixed16", acc_width=16, out_width=4)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What Verilog is made of from now on, with an empty cache."""
    components: list[Any] = []
    original: Callable[..., str] = emitted.to_verilog

    def counted(component: Any, name: str) -> str:
        components.append(component)
        return original(component, name)

    monkeypatch.setattr(emitted, "to_verilog", counted)
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path / "cache"))
    return components


def test_the_text_and_the_latency_are_those_of_the_component(written: list[Any]) -> None:
    for params in (SHIFT, FIXED, SHIFT):
        component = UNIT.component(params)
        assert emit_unit(UNIT, params) == Emitted(to_verilog(component, "requant"), component.latency)
    assert len(written) == 2


class Other(Requantizer):
    """A component of another place."""

    def __init__(self, params: Any):
        super().__init__(params)
        self.latency = 77


def test_a_component_of_another_place_is_written_each_time(written: list[Any]) -> None:
    unit = replace(UNIT, component=Other)
    emit_unit(UNIT, SHIFT)
    assert [emit_unit(unit, SHIFT).latency for _ in range(2)] == [77, 77]
    assert [type(component) for component in written] == [Requantizer, Other, Other]
