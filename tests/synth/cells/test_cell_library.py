"""Liberty files: Boolean functions, tables, units, finders by function, and what is said about bad files."""

import gzip
import itertools
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.errors import InputError
from roundel.synth.cells import Kind, boolean, liberty, read_library
from roundel.synth.cells.reader import _unit
from roundel.synth.cells.table import Table
from tests.support.toy import FLIP_FLOP, HEAD, INVERTER, NAND, TAIL, TOY, real

NAMES = ("A", "b1", "C_n", "D[3]")
PYTHON_NAMES = dict(zip(NAMES, "pqrs", strict=True))


def write(folder: Path, text: str) -> Path:
    path = folder / "cells.lib"
    path.write_text(text)
    return path


def both(operator: tuple[str, str]):
    """Join two (Liberty, Python) expressions by an operator that is written (Liberty, Python)."""
    return lambda pair: (f"({pair[0][0]}{operator[0]}{pair[1][0]})", f"({pair[0][1]} {operator[1]} {pair[1][1]})")


leaves = st.sampled_from([(name, PYTHON_NAMES[name]) for name in NAMES] + [("0", "False"), ("1", "True")])
operators = st.sampled_from([("&", "and"), (" * ", "and"), (" ", "and"), ("+", "or"), (" | ", "or"), ("^", "!=")])
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda e: (f"!{e[0]}", f"(not {e[1]})")),
        inner.map(lambda e: (f"{e[0]}'", f"(not {e[1]})")),
        st.tuples(operators, st.tuples(inner, inner)).map(lambda item: both(item[0])(item[1])),
    ),
    max_leaves=12,
)


@given(expressions)
def test_parse_agrees_with_python(expression):
    liberty, python = expression
    function = boolean.parse(liberty)
    for values in itertools.product([False, True], repeat=len(NAMES)):
        point = dict(zip(NAMES, values, strict=True))
        expected = eval(python, {PYTHON_NAMES[name]: value for name, value in point.items()})
        assert function(point) is expected


@pytest.mark.parametrize(
    ("text", "explicit"),
    [
        ("A b1 + C_n", "((A & b1) | C_n)"),
        ("A + b1 * C_n", "(A | (b1 & C_n))"),
        ("A ^ b1 & C_n", "((A ^ b1) & C_n)"),
        ("!A'", "(!(A'))"),
        ("(A b1)' C_n", "(((A & b1)') & C_n)"),
    ],
)
def test_precedence(text, explicit):
    inputs = boolean.parse(text).inputs
    assert np.array_equal(boolean.parse(text).table, boolean.parse(explicit).over(inputs))


@pytest.mark.parametrize("text", ["", "A &", "(A", "A)", "A # b", "& A", "A !"])
def test_malformed_expression(text):
    with pytest.raises(ValueError, match=r"out of place|missing|not part"):
        boolean.parse(text)


@given(expressions, st.tuples(*[st.fractions(0, 1, max_denominator=16)] * 4))
def test_probability_is_the_sum_over_states(expression, chances):
    function = boolean.parse(expression[0])
    ones = dict(zip(NAMES, chances, strict=True))
    total = Fraction(0)
    for values in itertools.product([0, 1], repeat=len(NAMES)):
        weight = Fraction(1)
        for name, value in zip(NAMES, values, strict=True):
            weight *= ones[name] if value else 1 - ones[name]
        total += weight * function(dict(zip(NAMES, values, strict=True)))
    assert function.probability({k: float(v) for k, v in ones.items()}) == pytest.approx(float(total), abs=1e-12)


def test_difference_and_substitution():
    majority = boolean.parse("a b + a c + b c")
    assert np.array_equal(majority.difference("b").over(("a", "c")), boolean.parse("a ^ c").table)
    assert majority.substitute({"c": boolean.parse("!a")}).inputs == ("a", "b")
    assert majority.substitute({"c": boolean.parse("!a")}).over(("a", "b")).tolist() == [[False, True], [False, True]]
    assert boolean.parse("(a b) + (a !b)").passes is None  # says a, but by way of b
    assert boolean.parse("(a)").passes == "a"


@given(st.fractions(-2, 8, max_denominator=8), st.fractions(-2, 12, max_denominator=8))
def test_table_is_bilinear_between_and_beyond(slew, load):
    slews, loads, values = (1, 2, 5), (0, 4), ((3, 7), (2, 9), (8, 1))
    table = Table(np.array(slews, float), np.array(loads, float), np.array(values, float))
    row = 0 if slew < 2 else 1
    down = (slew - slews[row]) / (slews[row + 1] - slews[row])
    right = load / 4
    edges = [values[row][i] * (1 - down) + values[row + 1][i] * down for i in (0, 1)]
    expected = edges[0] * (1 - right) + edges[1] * right
    assert float(table(float(slew), float(load))) == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "base", "target", "factor"),
    [
        ("1ns", "s", "ns", 1),
        ("10ps", "s", "ns", 0.01),
        ("ns", "s", "ns", 1),
        ("1fF", "F", "pF", 0.001),
        ("1nW", "W", "W", 1e-9),
        ("2.5mV", "V", "V", 0.0025),
    ],
)
def test_factors_of_units(text, base, target, factor):
    assert _unit(text, base, target) == pytest.approx(factor, rel=1e-12)


def test_units_and_table_layouts(tmp_path):
    library = read_library(write(tmp_path, TOY))
    assert (library.name, library.voltage, library.temperature) == ("toy", 2.0, 25.0)
    inverter = library.cells["INV"]
    assert inverter.pins["A"].capacitance == pytest.approx(0.02)  # 2 x 10 fF
    assert inverter.leakage == pytest.approx(30.0)  # 3 x 10 nW
    assert inverter.leakage_when[0][1] == pytest.approx(50.0)
    (arc,) = inverter.pins["Y"].arcs
    rise = arc.delay[1]
    assert rise is not None
    assert rise.slew == pytest.approx([0.1, 0.3])  # 100 ps
    assert rise.load == pytest.approx([0.01, 0.02, 0.04])
    assert rise.values == pytest.approx(np.array([[0.1, 0.2, 0.4], [0.3, 0.4, 0.6]]))
    turned = arc.slew[1]
    assert turned is not None
    assert turned.values == pytest.approx(np.array([[0.1, 0.2, 0.4]] * 2))
    (power,) = inverter.pins["Y"].power
    assert power.energy[0] is not None
    assert power.energy[0](9.0, 9.0) == pytest.approx(-0.005)  # -0.5 x 10 fF V^2
    assert library.cells["ND2"].pins.keys() == {"A1", "A2", "Z"}
    assert [arc.related for arc in library.cells["ND2"].pins["Z"].arcs] == ["A1", "A2"]


def test_finders_respect_dont_use_and_tristate(tmp_path):
    library = read_library(write(tmp_path, TOY))
    nand = library.nand2
    assert nand is not None
    assert nand.cell.name == "ND2"
    assert {nand.pins["a"], nand.pins["b"]} == {"A1", "A2"}
    assert nand.pins["y"] == "Z"
    assert library.inverter is not None
    assert library.flip_flop is not None
    assert library.flip_flop.pins == {"d": "D", "clk": "CK", "q": "Q"}
    for absent in ("buffer", "mux4", "aoi222", "full_adder", "tie_low", "tie_high", "clock_gate"):
        assert getattr(library, absent) is None
    assert library.cells["ND2_TRISTATE"].kind is Kind.OTHER


FOUND = {
    "sky130hd_tt": {
        "nand2": "nand2_1", "buffer": "buf_1", "mux4": "mux4_2", "aoi222": "a222oi_1",
        "full_adder": "fa_1", "tie_low": "conb_1", "tie_high": "conb_1", "flip_flop": "dfxtp_1",
        "any_flip_flop": "dfxtp_1", "clock_gate": "dlclkp_1",
    },
    "sg13g2_typ_1p20V_25C": {
        "nand2": "nand2_1", "inverter": "inv_1", "buffer": "buf_1", "mux4": "mux4_1",
        "aoi222": None, "full_adder": None, "tie_low": "tielo", "tie_high": "tiehi", "flip_flop": None,
        "any_flip_flop": "dfrbp_1", "clock_gate": "lgcp_1",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_finders_on_real_libraries(name):
    library = read_library(real(name))
    for role, expected in FOUND[name].items():
        match = getattr(library, role)
        assert (match is None) if expected is None else match.cell.name.endswith(f"_{expected}"), role


def test_full_adder_pins_by_function():
    adder = read_library(real("sky130hd_tt")).full_adder
    assert adder is not None
    assert (adder.pins["s"], adder.pins["co"]) == ("SUM", "COUT")


def test_no_isolation_cell_is_usable():
    library = read_library(real("sky130hd_tt"))
    special = [cell for name, cell in library.cells.items() if "lpflow_inputiso" in name]
    assert len(special) == 5
    assert all(cell.dont_use for cell in special)


def test_packed_file_reads_the_same(tmp_path):
    packed = tmp_path / "cells.lib.gz"
    packed.write_bytes(gzip.compress(TOY.encode()))
    assert read_library(packed).digest == read_library(write(tmp_path, TOY)).digest


BAD = {
    "cut short": (TOY[: len(TOY) // 2], "cut short"),
    "no text": ("", "expected one 'library"),
    "other text": ("hello, world\n", "line 1: not a Liberty statement"),
    "junk inside": (HEAD + "  area : 1;\n  %%%\n" + TAIL, "not a Liberty statement"),
    "extra brace": (TOY + "}", "not a Liberty statement"),
    "no flip-flop": (HEAD + INVERTER + NAND + TAIL, "no usable rising-edge D flip-flop"),
    "forbidden": (HEAD + FLIP_FLOP.replace("area : 6;", "area : 6; dont_use : true;") + TAIL, "no usable rising-edge"),
    "bad number": (
        TOY.replace("area : 1.5", "area : big"),
        "cell 'INV': cell attribute area is 'big', expected",
    ),
    "bad table": (TOY.replace('"1, 2, 4", "3, 4, 6"', '"1, 2", "3, 4"'), "cell 'INV': cell_rise 'by_load': indices"),
    "bad function": (TOY.replace('"!A"', '"!A &"'), "cell 'INV': 'the end' is out of place"),
    "bad unit": (TOY.replace('"100ps"', '"100 parsecs"'), "unit '100 parsecs' is not one of s"),
    "no voltage": (TOY.replace("nom_voltage : 2;", ""), "no supply voltage"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_one_line_that_names_it(tmp_path, case):
    text, message = BAD[case]
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_library(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert message in line
    assert "\n" not in line


@pytest.mark.parametrize("packed", [True, False])
def test_too_long_a_file_is_refused_before_it_takes_memory(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(liberty, "MAX_LIBERTY", 1 << 20)
    path = tmp_path / "cells.lib"
    text = TOY.encode() + bytes(64 << 20)
    path.write_bytes(gzip.compress(text) if packed else text)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"cells\.lib: expected a Liberty file of at most 1 MiB, unpacked"):
        read_library(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20


def test_a_function_of_no_input_is_no_logic(tmp_path):
    cells = read_library(write(tmp_path, TOY.replace('"!A"', '"!IN"'))).cells
    assert cells["INV"].kind is Kind.OTHER
    assert read_library(write(tmp_path, TOY)).cells["INV"].kind is Kind.COMB


def test_a_file_that_changed_is_read_again(tmp_path):
    before = read_library(write(tmp_path, TOY)).cells["INV"].area
    changed = write(tmp_path, TOY.replace("area : 1.5", "area : 12.5"))
    assert (before, read_library(changed).cells["INV"].area) == (1.5, 12.5)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.lib: cannot be read \(No such file"):
        read_library(tmp_path / "nowhere.lib")
    packed = tmp_path / "cells.lib.gz"
    packed.write_bytes(gzip.compress(TOY.encode())[:-200])
    with pytest.raises(InputError, match="damaged gzip file"):
        read_library(packed)
    packed.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not text"):
        read_library(packed)
