"""The reference cells: shipped as generated, complete, sane, and in line with the real libraries."""

import numpy as np
import pytest

from roundel.synth.cells import FALL, REFERENCE, RISE, Kind, read_library
from roundel.synth.cells.reference_liberty import liberty
from tests.support.toy import real

REAL = ("sky130hd_tt", "sg13g2_typ_1p20V_25C")


@pytest.fixture(scope="module")
def reference():
    return read_library(REFERENCE)


def test_the_file_is_what_the_table_says():
    assert REFERENCE.read_text() == liberty()


def test_every_special_cell_is_there(reference):
    expected = {
        "inverter": "ref_inv_1",
        "buffer": "ref_buf_1",
        "nand2": "ref_nand2_1",
        "mux4": "ref_mux4_1",
        "aoi222": "ref_aoi222_1",
        "full_adder": "ref_fa_1",
        "tie_low": "ref_tielo_1",
        "tie_high": "ref_tiehi_1",
        "flip_flop": "ref_dff_1",
        "clock_gate": "ref_clkgate_1",
    }
    assert {finder: getattr(reference, finder).cell.name for finder in expected} == expected


@pytest.mark.parametrize(
    ("inputs", "function"),
    [
        ("a b c", "!(a & b & c)"),
        ("a b c d", "!(a & b & c & d)"),
        ("a b", "!(a | b)"),
        ("a b c", "!(a | b | c)"),
        ("a b c d", "!(a | b | c | d)"),
        ("a b", "a & b"),
        ("a b c", "a & b & c"),
        ("a b", "a | b"),
        ("a b c", "a | b | c"),
        ("a b c", "!((a & b) | c)"),
        ("a b c", "!((a | b) & c)"),
        ("a b c d", "!((a & b) | (c & d))"),
        ("a b c d", "!((a | b) & (c | d))"),
        ("a b c d e", "!((a & b) | (c & d) | e)"),
        ("a b c d e f", "!((a & b) | (c & d) | (e & f))"),
        ("a b", "a ^ b"),
        ("a b", "!(a ^ b)"),
    ],
)
def test_gates_by_function(reference, inputs, function):
    assert reference.find(inputs, y=function) is not None


def test_tables_rise_with_load_and_slew(reference):
    slews, loads = np.meshgrid(np.linspace(0.01, 0.6, 9), np.linspace(0.001, 0.15, 9), indexing="ij")
    arcs = [arc for cell in reference.cells.values() for pin in cell.outputs for arc in pin.arcs]
    assert len(arcs) > 80
    for arc in arcs:
        for edge in (FALL, RISE):
            for table in (arc.delay[edge], arc.slew[edge]):
                assert table is not None
                values = table(slews, loads)
                assert (values > 0).all()
                assert (np.diff(values, axis=0) > 0).all()
                assert (np.diff(values, axis=1) > 0).all()


def test_an_inverter_by_hand(reference):
    """ln 2 R C with 4 kOhm falling, 3 fF of its own and 20 fF outside, plus 0.3 of 50 ps; half C V^2 inside."""
    pin = reference.cells["ref_inv_1"].pins["Y"]
    assert float(pin.arcs[0].delay[FALL](0.05, 0.02)) == pytest.approx(0.6931 * 4.0 * 0.023 + 0.015, rel=1e-3)
    energy = pin.power[0].energy[RISE]
    assert energy is not None
    assert float(energy(0.0)) == pytest.approx(0.5 * 0.0024 * 1.2**2, rel=1e-3)


@pytest.mark.parametrize("name", REAL)
def test_ratios_lie_near_those_of_real_libraries(reference, name):
    """Areas in two-input NANDs and fanout-of-four delays: within a factor that covers two libraries of one node."""
    other = read_library(real(name))
    for finder in ("inverter", "mux4", "aoi222", "full_adder", "any_flip_flop", "clock_gate"):
        if getattr(other, finder) is None:
            continue
        ours, theirs = (getattr(lib, finder).cell.area / lib.nand2.cell.area for lib in (reference, other))
        assert 0.65 < ours / theirs < 1.55, finder
    ours, theirs = _inverter_delay(reference), _inverter_delay(other)
    assert 0.5 < ours / theirs < 2.0


def _inverter_delay(library):
    """Mean delay of an inverter that drives four of its like, input slew 50 ps, ns."""
    match = library.inverter
    pin = match.cell.pins[match.pins["y"]]
    load = 4 * match.cell.pins[match.pins["a"]].capacitance
    return np.mean([float(table(0.05, load)) for table in pin.arcs[0].delay])


def test_kinds(reference):
    kinds = {kind: sum(cell.kind is kind for cell in reference.cells.values()) for kind in Kind}
    assert (kinds[Kind.FLIP_FLOP], kinds[Kind.CLOCK_GATE], kinds[Kind.LATCH], kinds[Kind.OTHER]) == (1, 1, 0, 0)
