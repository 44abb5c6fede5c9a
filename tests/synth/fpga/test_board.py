"""The board's files, read back: the chain of the top module, the PLL's dividers, the pins that ULX3S publishes."""

import re
from fractions import Fraction
from itertools import accumulate

import pytest

from roundel.golden.errors import InputError
from roundel.synth.fpga import constraints, find_pll, wrapper

# ulx3s_v20.lpf, as the board's makers publish it; the unit's inputs come by the USB serial chip's lines.
PUBLISHED = {
    "clk_25mhz": "G2",
    "button": "R1",  # btn[1], "FIRE1"
    "scan_in": "M1",  # ftdi_txd
    "scan_out": "L4",  # ftdi_rxd
    "scan_clock": "M3",  # ftdi_nrts
    "scan_apply": "N1",  # ftdi_ndtr
    "led[0]": "B2",
    "led[1]": "C2",
}
CLOCK_AND_RESET = [{"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")]


def rows(inputs: dict[str, int], outputs: dict[str, int]) -> list[dict]:
    """Ports of a unit, those of both directions by turns."""
    given = [{"name": name, "direction": "in", "width": width} for name, width in inputs.items()]
    shown = [{"name": name, "direction": "out", "width": width} for name, width in outputs.items()]
    return [*CLOCK_AND_RESET, *shown[:1], *given, *shown[1:]]


def places(widths: dict[str, int]) -> dict[str, str]:
    """Where each port lies in a chain that holds one behind the other, bit 0 of the first one lowest."""
    ends = accumulate(widths.values())
    return {name: f"{end - 1}:{end - width}" for (name, width), end in zip(widths.items(), ends, strict=True)}


@pytest.mark.parametrize(
    ("inputs", "outputs", "bits", "length"),
    [
        ({"a": 3, "b": 1, "c": 5}, {"x": 2, "y": 4}, (9, 6), 9),
        ({"a": 3}, {"x": 2, "y": 10}, (3, 12), 12),
        ({"a": 1}, {"x": 1}, (1, 1), 2),  # a chain that moves has two bits at least
        ({"a": 4}, {}, (4, 1), 4),  # a vector of Verilog has one bit at least
        ({}, {"x": 2}, (1, 2), 2),
    ],
)
def test_every_port_has_its_bits_in_the_chain(inputs, outputs, bits, length):
    text = wrapper("unit", rows(inputs, outputs), None)
    assert re.findall(r"reg \[(\d+)-1:0\] given = (\d+)'d0", text) == [(str(bits[0]),) * 2]
    assert re.findall(r"wire \[(\d+)-1:0\] shown", text) == [str(bits[1])]
    assert re.findall(r"reg \[(\d+)-1:0\] chain = (\d+)'d0", text) == [(str(length),) * 2]
    assert f"chain <= {{chain[{length}-2:0], in_line[2]}}" in text
    assert f"assign scan_out = chain[{length}-1];" in text
    connected = dict(re.findall(r"\.(\w+)\((\w+(?:\[\d+:\d+\])?)\)", text.partition("  unit unit(")[2]))
    wanted = {"clk": "clk", "rst": "rst"}
    wanted |= {name: f"given[{place}]" for name, place in places(inputs).items()}
    wanted |= {name: f"shown[{place}]" for name, place in places(outputs).items()}
    assert connected == wanted
    head, tail = text.split("// Outputs, and their bits in the chain afterwards:")
    assert re.findall(r"^//\s+(\d+:\d+) (\w+)$", head, re.M) == [(at, name) for name, at in places(inputs).items()]
    assert re.findall(r"^//\s+(\d+:\d+) (\w+)$", tail, re.M) == [(at, name) for name, at in places(outputs).items()]
    assert f"{bits[0]} bits of inputs and {bits[1]} of outputs" in text


def test_the_board_clock_needs_no_pll():
    text = wrapper("unit", rows({"a": 1}, {"x": 1}), None)
    assert "assign clk = clk_25mhz;" in text
    assert "assign locked = 1'b1;" in text
    assert "EHXPLLL" not in text


@pytest.mark.parametrize("mhz", [3.125, 48, 66.7, 400])
def test_the_dividers_are_those_of_the_frequency(mhz):
    """Feedback by the first output: the oscillator runs at 25 MHz times its divider, the second output divides that.

    A divider that counts from 0 ends at one less, which is the place of an edge that is not moved.
    """
    pll = find_pll(mhz)
    text = wrapper("unit", rows({"a": 1}, {"x": 1}), pll)
    set_to = {name: int(value) for name, value in re.findall(r"\.(CLK\w+)\((\d+)\)", text)}
    assert (set_to["CLKI_DIV"], set_to["CLKFB_DIV"]) == (1, 1)
    made = Fraction(25) * set_to["CLKOP_DIV"] / set_to["CLKOS_DIV"]
    assert pll.mhz == float(made)
    assert f"// {float(made):g} MHz: 25 MHz times {set_to['CLKOP_DIV']}, divided by {set_to['CLKOS_DIV']}." in text
    assert mhz * 0.98 < made <= mhz
    assert set_to["CLKOP_CPHASE"] == set_to["CLKOP_DIV"] - 1
    assert set_to["CLKOS_CPHASE"] == set_to["CLKOS_DIV"] - 1
    assert "assign clk" not in text


@pytest.mark.parametrize("mhz", [3.12, 400.1, float("nan")])
def test_what_no_output_of_the_pll_gives(mhz):
    with pytest.raises(InputError, match=r"frequency: expected 3\.125 to 400 MHz, not "):
        find_pll(mhz)


@pytest.mark.parametrize("pll", [None, find_pll(50)])
def test_the_pins_are_those_of_the_board(pll):
    text = constraints("unit_ulx3s", pll)
    assert dict(re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', text, re.M)) == PUBLISHED
    ports = dict(re.findall(r'^IOBUF PORT "(\S+)" IO_TYPE=LVCMOS33 (.*);$', text, re.M))
    assert ports.keys() == PUBLISHED.keys()
    assert {name for name, drive in ports.items() if "DRIVE" in drive} == {"scan_out", "led[0]", "led[1]"}
    assert ports["button"] == "PULLMODE=DOWN"  # it is high when it is pressed
    told = re.findall(r'^FREQUENCY PORT "clk_25mhz" (\d+) MHz;$', text, re.M)
    assert told == (["25"] if pll else [])
    assert ("no FREQUENCY" in text) == (pll is None)
    assert text.endswith("\n")
    assert set(re.findall(r"^\w+", text, re.M)) <= {"LOCATE", "IOBUF", "FREQUENCY"}
