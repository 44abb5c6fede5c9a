"""What a Liberty file means, attribute by attribute, as the Liberty reference manual says it: a small file each."""

import gzip

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.synth.cells import (
    FALL,
    RISE,
    Kind,
    Sense,
    boolean,
    join_libraries,
    liberty,
    mappable_library,
    read_library,
)
from roundel.synth.cells.joining import _name
from roundel.synth.cells.reader import _unit
from roundel.synth.cells.table import Table
from tests.support.toy import FLIP_FLOP, HEAD, INVERTER, NAND, TAIL, TOY


@pytest.fixture
def read(tmp_path):
    """Read the toy library with texts replaced, each of which must be there, and cells put in."""

    def library(*changes: tuple[str, str], cells: str = ""):
        text = TOY
        for old, new in (*changes, ("  cell (INV)", f"{cells}  cell (INV)")):
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "cells.lib"
        path.write_text(text)
        return read_library(path)

    return library


def cell(name: str, *lines: str, area: str = "area : 1;") -> str:
    return f"  cell ({name}) {{ {area}\n" + "\n".join(lines) + "\n}\n"


def pin(name: str, *lines: str, direction: str = "input") -> str:
    return f"pin ({name}) {{ direction : {direction}; {' '.join(lines)} }}"


def output(name: str, function: str, *lines: str) -> str:
    return pin(name, f'function : "{function}";', *lines, direction="output")


def test_energy_is_in_units_of_the_load_and_of_the_square_of_the_voltage(read):
    library = read(('voltage_unit : "1V"', 'voltage_unit : "100mV"'), ("nom_voltage : 2;", "nom_voltage : 8;"))
    assert library.voltage == pytest.approx(0.8)
    energy = library.cells["ND2"].pins["Z"].power[1].energy[RISE]
    assert float(energy(0.0)) == pytest.approx(6 * 0.010 * 0.1**2)  # 10 fF (100 mV)^2


def test_what_a_file_need_not_say(read):
    names = ("time_unit", "voltage_unit", "leakage_power_unit")
    head = HEAD.replace('time_unit : "100ps"; voltage_unit : "1V"; leakage_power_unit : "10nW";', "")
    assert not any(name in head for name in names)
    library = read((HEAD, head), ("nom_temperature : 25;", ""), ("capacitive_load_unit (10, ff);", ""))
    assert (library.voltage, library.temperature) == (2, 25)
    inverter = library.cells["INV"]
    assert (inverter.leakage, inverter.pins["A"].capacitance) == (3, 2)  # nW, pF
    assert inverter.pins["Y"].arcs[0].delay[RISE].slew.tolist() == [1, 3]  # ns
    assert library.cells["ND2"].leakage == 0
    assert library.cells["ND2"].pins["Z"].max_capacitance is None
    assert library.cells["ND2_FORBIDDEN"].pins["A"].capacitance == 0
    assert read(("area : 2;", "")).cells["ND2"].area == 0


def test_defaults_of_a_library(read):
    defaults = "nom_voltage : 2; default_cell_leakage_power : 4; default_input_pin_cap : 3; default_output_pin_cap : 5;"
    library = read(("nom_voltage : 2;", defaults))
    assert library.cells["ND2"].leakage == pytest.approx(40)
    assert library.cells["INV"].leakage == pytest.approx(30)
    assert library.cells["ND2_FORBIDDEN"].pins["A"].capacitance == pytest.approx(0.03)
    assert library.cells["INV"].pins["A"].capacitance == pytest.approx(0.02)
    assert library.cells["INV"].pins["Y"].capacitance == pytest.approx(0.05)


def test_the_operating_conditions_that_count(read):
    points = "".join(
        f"operating_conditions ({name}) {{ voltage : {volt}; temperature : {celsius}; }}"
        for name, volt, celsius in (("cold", 1.5, -40), ("hot", 0.9, 125))
    )
    point = read(("nom_voltage : 2;", f"nom_voltage : 2; {points} default_operating_conditions : hot;"))
    assert (point.voltage, point.temperature) == (0.9, 125)
    nominal = read(("nom_voltage : 2;", f"nom_voltage : 2; {points}"))
    assert (nominal.voltage, nominal.temperature) == (2, 25)


@pytest.mark.parametrize("volt", ["0", "-1"])
def test_a_supply_is_positive(volt, read):
    with pytest.raises(InputError, match="no supply voltage"):
        read(("nom_voltage : 2;", f"nom_voltage : {volt};"))


@pytest.mark.parametrize(("text", "factor"), [("3uW", 3000), ("1mW", 1e6), ("2pW", 0.002), ("W", 1e9)])
def test_factors_of_leakage(text, factor):
    assert _unit(text, "W", "nW") == pytest.approx(factor, rel=1e-12)


def test_leakage_by_state_and_what_has_no_value(read):
    groups = (
        'leakage_power () { when : "A"; } leakage_power () { when : "!A"; value : 7; } leakage_power () { value : 9; }'
    )
    found = read(('leakage_power () { when : "A"; value : 5; }', groups)).cells["INV"]
    assert [value for _, value in found.leakage_when] == pytest.approx([0, 70])
    assert found.leakage == pytest.approx(30)


ARC = 'cell_rise (scalar) { values ("1"); } rise_transition (scalar) { values ("1"); }'
TIMED = [
    ("", Sense.NEGATIVE, None),
    ("timing_type : combinational_rise;", Sense.NEGATIVE, None),
    ("timing_type : rising_edge;", Sense.NEGATIVE, RISE),
    ("timing_type : falling_edge;", Sense.NEGATIVE, FALL),
    *((f"timing_type : {kind};", None, None) for kind in ("clear", "preset", "three_state_enable", "hold_rising")),
]


@pytest.mark.parametrize(("kind", "sense", "edge"), TIMED)
def test_arcs_by_their_kind(kind, sense, edge, read):
    timing = f'timing () {{ related_pin : "A"; timing_sense : negative_unate; {kind} {ARC} }}'
    arcs = read(cells=cell("NEW", pin("A"), output("Y", "!A", timing))).cells["NEW"].pins["Y"].arcs
    assert [(arc.related, arc.sense, arc.edge) for arc in arcs] == ([("A", sense, edge)] if sense else [])
    if arcs:
        assert arcs[0].delay[FALL] is arcs[0].slew[FALL] is None
        assert float(arcs[0].delay[RISE](0.0)) == pytest.approx(0.1)


def test_an_arc_whose_sense_is_not_said_follows_both_edges(read):
    arcs = read(cells=cell("NEW", pin("A"), output("Y", "A", f'timing () {{ related_pin : "A"; {ARC} }}')))
    assert arcs.cells["NEW"].pins["Y"].arcs[0].sense is Sense.EITHER


def test_setup_times_before_either_edge(read):
    checks = "".join(
        f'timing () {{ related_pin : "C"; timing_type : {kind}; rise_constraint (check) {{ values ("{text}"); }} }}'
        for kind, text in (
            ("setup_falling", '1, 2", "3, 4'),
            ("hold_rising", '9, 9", "9, 9'),
            ("setup_rising", '5, 6", "7, 8'),
        )
    )
    setups = read(cells=cell("NEW", pin("D", checks))).cells["NEW"].pins["D"].setups
    assert [(setup.related, setup.edge) for setup in setups] == [("C", FALL), ("C", RISE)]
    table = setups[0].time[RISE]
    # A constraint's first variable is the clock's slew, its second that of the data: in ns, of 100 ps.
    assert float(table(0.1, 0.3)) == pytest.approx(0.2)
    assert float(table(0.3, 0.1)) == pytest.approx(0.3)
    assert setups[0].time[FALL] is None


def test_tables_of_power_for_both_edges_or_for_one(read):
    groups = (
        'internal_power () { power (scalar) { values ("2"); } fall_power (scalar) { values ("3"); } }'
        'internal_power () { rise_power (scalar) { values ("4"); } }'
        'internal_power () { when : "A"; related_pin : "A B"; power (scalar) { values ("5"); } }'
    )
    first, second, third = read(cells=cell("NEW", pin("A", groups))).cells["NEW"].pins["A"].power
    assert [float(table(0.0)) for table in first.energy] == pytest.approx([0.03, 0.02])
    assert second.energy[FALL] is None
    assert float(second.energy[RISE](0.0)) == pytest.approx(0.04)
    assert [float(table(0.0)) for table in third.energy] == pytest.approx([0.05, 0.05])
    assert (first.related, first.when, third.related, third.when.passes) == ((), None, ("A", "B"), "A")


def by_load(values: str, *more: str) -> str:
    table = f"cell_rise (by_load) {{ {' '.join(more)} {values} }}"
    return cell("NEW", pin("A"), output("Y", "A", f'timing () {{ related_pin : "A"; {table} {ARC.split("}")[1]}}} }}'))


def test_axes_of_a_table_itself_come_before_those_of_its_template(read):
    own = by_load('values ("1, 2", "3, 4");', 'index_1 ("2, 4"); index_2 ("10, 30");')
    table = read(cells=own).cells["NEW"].pins["Y"].arcs[0].delay[RISE]
    assert (table.slew, table.load) == (pytest.approx([0.2, 0.4]), pytest.approx([0.1, 0.3]))
    assert table.values == pytest.approx(np.array([[0.1, 0.2], [0.3, 0.4]]))


def test_a_table_over_its_second_variable_alone(read):
    template = 'lu_table_template (loads) { variable_2 : total_output_net_capacitance; index_2 ("1, 3"); }'
    cells = by_load('values ("4, 6");').replace("by_load", "loads")
    library = read(("  cell (INV)", f"{template}  cell (INV)"), cells=cells)
    table = library.cells["NEW"].pins["Y"].arcs[0].delay[RISE]
    assert float(table(9.0, 0.02)) == pytest.approx(0.5)
    assert float(table(9.0)) == float(table(9.0, 0.0)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "cells",
    [
        by_load("", 'index_1 ("1, 3"); index_2 ("1, 2, 4");'),
        by_load('values ("1, 2, 4");'),
        by_load('values ("1, 2, 4", "3, 4, 6");', 'index_1 ("3, 1");'),
        by_load('values ("1, 2, 4", "3, 4, 6");', 'index_2 ("1, 1, 4");'),
        by_load('values ("1, 2, 4", "3, 4, 6");', 'index_2 ("1, 3, 2");'),
    ],
)
def test_what_is_no_table(cells, read):
    with pytest.raises(InputError, match=r"cell 'NEW': cell_rise 'by_load': indices and values do not form a table"):
        read(cells=cells)


def test_variables_that_delays_do_not_have(read):
    with pytest.raises(InputError, match="table 'by_load': variable 'input_noise_height' is not supported"):
        read(
            (
                "variable_1 : input_net_transition; variable_2 : total",
                "variable_1 : input_noise_height; variable_2 : total",
            )
        )


KEPT = output("Q", "IQ")
KINDS = {
    "a buffer": (Kind.COMB, pin("A"), output("Y", "A")),
    "no output": (Kind.OTHER, pin("A")),
    "no function": (Kind.OTHER, pin("A"), pin("Y", direction="output")),
    "one of two functions": (Kind.OTHER, pin("A"), output("X", "A"), pin("Y", direction="output")),
    "tri-state": (Kind.OTHER, pin("A"), output("X", "A"), output("Y", "A", 'three_state : "A";')),
    "bidirectional": (Kind.OTHER, pin("A"), output("X", "A"), pin("Y", 'function : "A";', direction="inout")),
    "an inner pin": (Kind.COMB, pin("A"), output("Y", "A"), pin("i", direction="internal")),
    "of an inner pin": (Kind.OTHER, pin("A"), output("X", "A"), output("Y", "i"), pin("i", direction="internal")),
    "a constant": (Kind.COMB, output("Y", "1")),
    "a flip-flop": (Kind.FLIP_FLOP, 'ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }', pin("C"), pin("D"), KEPT),
    "without a clock": (Kind.OTHER, 'ff (IQ, IQN) { next_state : "D"; }', pin("D"), KEPT),
    "without data": (Kind.OTHER, 'ff (IQ, IQN) { clocked_on : "C"; }', pin("C"), KEPT),
    "a latch": (Kind.LATCH, 'latch (IQ, IQN) { enable : "C"; data_in : "D"; }', pin("C"), pin("D"), KEPT),
    "without an enable": (Kind.OTHER, 'latch (IQ, IQN) { data_in : "D"; }', pin("D"), KEPT),
    "a clock gate": (Kind.CLOCK_GATE, "clock_gating_integrated_cell : latch_posedge;", pin("A"), output("Y", "A")),
}


@pytest.mark.parametrize("case", KINDS)
def test_what_a_cell_is(case, read):
    kind, *lines = KINDS[case]
    assert read(cells=cell("NEW", *lines)).cells["NEW"].kind is kind


def test_the_state_of_a_cell(read):
    group = 'ff (IQ) { clocked_on : "!C"; next_state : "D E"; clear : "!R"; preset : "S"; power_down_function : "V"; }'
    found = read(cells=cell("NEW", group, pin("C"), pin("D"), KEPT)).cells["NEW"]
    state = found.state
    assert state.names == ("IQ", "")
    assert (state.clock.inputs, state.clock.passes, state.data.inputs) == (("C",), None, ("D", "E"))
    assert (state.clear({"R": 0}), state.clear({"R": 1}), state.preset({"S": 1})) == (True, False, True)
    assert found.clock_pin.name == "C"
    latch = read(
        cells=cell("NEW", 'latch (M, N) { enable : "C"; data_in : "D"; }', pin("C"), pin("D"), output("Q", "M"))
    )
    assert latch.cells["NEW"].state.names == ("M", "N")
    assert (latch.cells["NEW"].state.clear, latch.cells["NEW"].state.preset) == (None, None)


@pytest.mark.parametrize(
    "flag",
    [
        "dont_use",
        "is_isolation_cell",
        "is_level_shifter",
        "always_on",
        "is_filler_cell",
        "is_decap_cell",
        "is_macro_cell",
    ],
)
def test_cells_that_no_mapper_may_take(flag, read):
    small = cell("NEW", f"{flag} : true;", pin("A"), output("Y", "!A"))
    assert read(cells=small).cells["NEW"].dont_use
    assert read(cells=small).inverter.cell.name == "INV"
    assert read(cells=small.replace("true", "false")).inverter.cell.name == "NEW"


def flip_flop(name: str, group: str, *outputs: str) -> str:
    pins = (pin(name, "capacitance : 1;") for name in ("D", "E", "C", "R"))
    return cell(name, f"ff (IQ, IQN) {{ {group} }}", *pins, *(outputs or (KEPT,)))


PLAIN = 'clocked_on : "C"; next_state : "D";'
OTHER_FLIP_FLOPS = {
    "falling": (flip_flop("NEW", 'clocked_on : "!C"; next_state : "D";'), False),
    "scan": (flip_flop("NEW", 'clocked_on : "C"; next_state : "D E";'), False),
    "inverting": (flip_flop("NEW", PLAIN, output("QN", "IQN")), False),
    "cleared": (flip_flop("NEW", f'{PLAIN} clear : "R";'), True),
    "preset": (flip_flop("NEW", f'{PLAIN} preset : "R";'), True),
}


@pytest.mark.parametrize("case", OTHER_FLIP_FLOPS)
def test_smaller_flip_flops_that_are_not_plain(case, read):
    text, any_will_do = OTHER_FLIP_FLOPS[case]
    library = read(cells=text)
    assert library.cells["NEW"].kind is Kind.FLIP_FLOP
    assert library.flip_flop.cell.name == "DFF"
    assert library.any_flip_flop.cell.name == ("NEW" if any_will_do else "DFF")
    assert library.any_flip_flop.pins == ({"d": "D", "clk": "C", "q": "Q"} if any_will_do else library.flip_flop.pins)


def test_the_smallest_plain_flip_flop(read):
    library = read(cells=flip_flop("NEW", PLAIN, output("QN", "IQN"), KEPT))
    assert library.flip_flop.cell.name == library.any_flip_flop.cell.name == "NEW"
    assert library.flip_flop.pins == {"d": "D", "clk": "C", "q": "Q"}


def gate(name: str, area: str, kind: str = "latch_posedge", *, test: bool = False, inner: bool = False) -> str:
    roles = [("E", "enable"), ("C", "clock"), *([("T", "test")] if test else [])]
    pins = [pin(letter, f"clock_gate_{role}_pin : true;") for letter, role in roles]
    inside = [pin("held", direction="internal")] if inner else []
    out = pin("G", "clock_gate_out_pin : true;", direction="output")
    return cell(name, f'clock_gating_integrated_cell : "{kind}";', *pins, *inside, out, area=f"area : {area};")


def test_clock_gates(read):
    assert read(cells=gate("G1", "4")).clock_gate.pins == {"clk": "C", "en": "E", "y": "G"}
    assert read(cells=gate("G1", "4", inner=True)).clock_gate.pins == {"clk": "C", "en": "E", "y": "G"}
    tested = gate("G1", "4", "latch_posedge_precontrol", test=True)
    assert read(cells=tested).clock_gate.pins == {"clk": "C", "en": "E", "y": "G", "test": "T"}
    for kind in ("latch_negedge", "none_posedge"):
        assert read(cells=gate("G1", "4", kind)).clock_gate is None
    assert read(cells=gate("G1", "4").replace("clock_gate_out_pin : true;", "")).clock_gate is None
    both = gate("LARGE", "5") + gate("SMALL", "4").replace("area", "dont_use : true; area")
    assert read(cells=both).clock_gate.cell.name == "LARGE"
    assert read(cells=both.replace("area : 5", "dont_use : true; area : 5")).clock_gate.cell.name == "SMALL"
    found = read(cells=gate("G1", "4").replace("clock_gate_clock_pin", "clock : true; clock_gate_clock_pin")).cells[
        "G1"
    ]
    assert (found.clock_pin.name, [p.gate_role for p in found.pins.values()]) == ("C", ["enable", "clock", "out"])


def test_constants(read):
    both = cell("TIE", output("HI", "1"), output("LO", "0"))
    library = read(cells=both)
    assert (library.tie_high.pins, library.tie_low.pins) == ({"y": "HI"}, {"y": "LO"})
    assert read(cells=cell("TIE", output("LO", "0"))).tie_high is None


def test_a_cell_with_more_outputs_is_another_one(read):
    library = read(cells=cell("NEW", pin("A"), output("Y", "!A"), output("Z", "A")))
    assert library.inverter.cell.name == "INV"
    assert library.find("a", y="!a", z="a").pins == {"a": "A", "y": "Y", "z": "Z"}
    assert library.find("a", y="a") is None


def test_of_cells_of_one_size_the_first_by_name(read):
    same = cell("ZINV", pin("A"), output("Y", "!A"), area="area : 1.5;")
    assert read(cells=same).inverter.cell.name == "INV"
    assert read(cells=same.replace("ZINV", "AINV")).inverter.cell.name == "AINV"


def test_names_that_begin_with_an_underscore():
    function = boolean.parse("_q & !a_ | _q'")
    assert function.inputs == ("_q", "a_")
    assert function({"_q": 1, "a_": 0}) is True
    assert function({"_q": 1, "a_": 1}) is False


def test_the_line_of_what_is_wrong(tmp_path):
    text = HEAD + "  area : 1;\n  /* two\n lines */ %%%\n" + TAIL
    (tmp_path / "bad.lib").write_text(text)
    line = text[: text.index("%%%")].count("\n") + 1
    with pytest.raises(InputError, match=rf"bad\.lib: line {line}: not a Liberty statement"):
        read_library(tmp_path / "bad.lib")


@pytest.mark.parametrize("text", [TOY + TOY, "cell (A) { area : 1; }", "library (a) { }\ncell (b) { }"])
def test_one_library_is_a_file(text, tmp_path):
    (tmp_path / "bad.lib").write_text(text)
    with pytest.raises(InputError, match=r"expected one 'library \(NAME\) \{ \.\.\. \}' group"):
        read_library(tmp_path / "bad.lib")


def test_an_end_that_is_missing_names_what_it_ends(tmp_path):
    (tmp_path / "bad.lib").write_text(HEAD + INVERTER.rstrip()[:-1])
    with pytest.raises(InputError, match=r"ends within cell 'INV': a '}' is missing, the file is cut short"):
        read_library(tmp_path / "bad.lib")


@pytest.mark.parametrize("packed", [True, False])
def test_the_longest_file(packed, tmp_path, monkeypatch):
    """docs/cells.md: 256 MiB, unpacked."""
    assert liberty.MAX_LIBERTY == 256 * 1024**2
    path = tmp_path / "a.lib"
    path.write_bytes(gzip.compress(TOY.encode()) if packed else TOY.encode())
    monkeypatch.setattr(liberty, "MAX_LIBERTY", len(TOY.encode()))
    assert liberty.read_text(path) == TOY
    monkeypatch.setattr(liberty, "MAX_LIBERTY", len(TOY.encode()) - 1)
    with pytest.raises(InputError, match="at most 0 MiB"):
        liberty.read_text(path)


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        (("asap7_simple", "asap7_seq"), "asap7_s"),
        (("cells_gates", "cells_registers"), "cells"),
        (("abcd-x", "abcd-y"), "abcd"),
        (("abc_x", "abc_y"), "abc_x_and_abc_y"),
        (("library", "library"), "library"),
        (("library_more", "library"), "library"),
        (("library", "library_more"), "library"),
        (("one", "two", "three"), "one_and_two_and_three"),
    ],
)
def test_names_of_joined_libraries(names, joined):
    assert _name(names) == joined


def toy_files(folder, *texts: str):
    paths = [folder / f"{number}.lib" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_templates_of_three_files(tmp_path):
    """The same name for three loads: each file's cells keep theirs, whatever else has its name already."""
    head = HEAD.replace("library (toy)", "library (cells)")
    first = head + FLIP_FLOP + INVERTER + "}"  # nothing stands between the last two braces
    axes = 'index_1 ("1, 3"); index_2 ("1, 2, 4");'
    assert axes in HEAD
    second, third = (
        head.replace(axes, f'index_1 ("1, 3"); index_2 ("{loads}");') + INVERTER.replace("INV", name) + TAIL
        for loads, name in (("10, 20, 40", "INV2"), ("100, 200, 400", "INV3"))
    )
    paths = toy_files(tmp_path, first, second, third, head + NAND + TAIL)
    path = join_libraries(paths)
    library = read_library(path)
    assert library.name == path.stem == "cells"
    assert library.cells.keys() == {"DFF", "INV", "INV2", "INV3", "ND2", "ND2_FORBIDDEN", "ND2_TRISTATE"}
    loads = [library.cells[name].pins["Y"].arcs[0].delay[RISE].load for name in ("INV", "INV2", "INV3")]
    assert np.array(loads) == pytest.approx(np.array([[0.01, 0.02, 0.04], [0.1, 0.2, 0.4], [1, 2, 4]]))
    names = [group.name for group in liberty.parse(path.read_text()).all("lu_table_template")]
    assert set(names) == {"by_load", "by_load_1", "by_load_2", "by_slew_last", "check"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "nom_temperature : 25;",
            "",
            r"1\.lib: nom_temperature is absent, but 25 in .*0\.lib: only files of one corner",
        ),
        (
            "nom_voltage : 2;",
            "nom_voltage : 2; default_input_pin_cap : 1;",
            r"default_input_pin_cap is 1, but absent in",
        ),
        ("temperature : 40", "temperature : 85", r"hot: temperature is 85, but 40 in"),
    ],
)
def test_numbers_that_differ(old, new, message, tmp_path):
    head = HEAD.replace("nom_voltage : 2;", "nom_voltage : 2; operating_conditions (hot) { temperature : 40; }")
    assert old in head
    paths = toy_files(tmp_path, head + FLIP_FLOP + TAIL, head.replace(old, new) + NAND + TAIL)
    with pytest.raises(InputError, match=message):
        join_libraries(paths)


def test_cells_that_do_not_count_as_gates(tmp_path):
    """Constants and cells of two outputs are no functions for a mapper; an area may be small, and not 0."""
    tie = cell("HI", output("Y", "1")) + cell("LO", output("Y", "0"))
    half = cell("HA", pin("A"), pin("B"), output("S", "A ^ B"), output("CO", "A B"))
    path = tmp_path / "a.lib"
    path.write_text(HEAD + INVERTER + NAND + FLIP_FLOP + tie + half + TAIL)
    with pytest.raises(InputError, match="library 'toy' has gates of 2 different functions, and mapping needs 3"):
        mappable_library(path)
    nor = cell("NOR", pin("A"), pin("B"), output("Y", "!(A | B)"), area="area : 0.5;")
    path.write_text(HEAD + INVERTER + NAND + FLIP_FLOP + nor + TAIL)
    assert mappable_library(path).name == "toy"
    path.write_text(HEAD + INVERTER + NAND + FLIP_FLOP + nor.replace("0.5", "0") + TAIL)
    with pytest.raises(InputError, match="has no area for the cell 'NOR'"):
        mappable_library(path)


def test_the_only_entry_of_an_axis_counts_everywhere():
    table = Table(np.array([5.0]), np.array([1.0, 2.0]), np.array([[3.0, 5.0]]))
    assert table([0.0, 9.0], 1.5).tolist() == [4, 4]
    assert float(table(0.0)) == 1
