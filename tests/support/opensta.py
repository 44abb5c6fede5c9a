"""OpenSTA as an outside reference for delays and energies (used by tests; nothing else needs it).

Debian's OpenSTA dates from 2019. Its tables, slews, loads and input sensitivities are sound, its sums are not: it
charges the rising *and* the falling energy to every change of a net, does not normalise the shares of a cell's inputs,
takes activities only at input ports, and halves unconditional groups of input pins (later versions do none of this). So
it is asked for its terms, printed by `set_debug power 3`, and the terms are summed as later versions do.
"""

import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roundel.golden.errors import ToolError
from roundel.synth.analysis import Energy
from roundel.synth.analysis.activity import Activity
from roundel.synth.analysis.timing import CLOCK_SLEW, INPUT_SLEW
from roundel.synth.cells import liberty
from roundel.synth.mapping import Instance, Netlist

_NUMBER = r"(-?\d\S*)"
_PIN = re.compile(r"power: internal (\S+)/(\S+) \(")
_EDGE = re.compile(rf"power:  ([v^]) energy = *{_NUMBER} \*")
_TERM = re.compile(rf"power: +(\S+) -> (\S+) +(\S*) +{_NUMBER} {_NUMBER} +{_NUMBER} +{_NUMBER} ")
_SWITCHING = re.compile(rf"power: switching \S+/(\S+) activity = {_NUMBER} volt = {_NUMBER} {_NUMBER}")
_PERIOD_NS = 1000.0  # long enough for any path, short enough for the digits that OpenSTA prints

_SCRIPT = """
read_liberty cells.lib
read_verilog netlist.v
link_design {top}
create_clock -name clock -period {period} {clock}
set_input_transition {input_slew} [all_inputs]
set_clock_transition {clock_slew} [get_clocks clock]
set data {{}}
foreach port [all_inputs] {{ if {{ [get_property $port full_name] != "{clock_name}" }} {{ lappend data $port }} }}
set_input_delay 0 -clock clock $data
set_output_delay 0 -clock clock [all_outputs]
puts "SLACK [format %.6f [worst_slack]]"
sta::set_power_global_activity 1.0 0.5
sta::set_debug power 3
report_power
"""


@dataclass(frozen=True, kw_only=True)
class Term:
    """Energies of one power group at one instance, pJ, by edge, and OpenSTA's share of the group at equal activity."""

    pin: str
    related: str
    when: str
    energy: tuple[float, float]
    share: float


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What OpenSTA says: longest delay in ns; terms per instance; energy per change of each output, pJ."""

    delay_ns: float
    terms: dict[str, list[Term]]
    switching: dict[tuple[str, str], float]

    def energy(self, instance: Instance, activity: Activity) -> Energy:
        """Dynamic energy of one instance per cycle, pJ, leakage left out.

        Shares of a pin's groups follow the later OpenSTA: of an output, the related input's changes per cycle times
        its sensitivity, normalised; of an input, the groups with a condition, or the unconditional ones if there is no
        other.
        """
        nets = {pin: nets[0] for pin, nets in (instance.inputs | instance.outputs).items()}
        density = defaultdict(float, {pin: float(activity.density[net]) for pin, net in nets.items()})
        internal = 0.0
        for pin in nets:
            terms = [term for term in self.terms.get(instance.name, ()) if term.pin == pin]
            if pin in instance.inputs:
                terms = [term for term in terms if term.when] or terms
                weights = np.array([term.share for term in terms])
            else:
                weights = np.array([term.share * density[term.related] for term in terms])
            if weights.sum() > 0:
                mean = np.array([sum(term.energy) / 2 for term in terms])
                internal += density[pin] * float(weights @ mean / weights.sum())
        switching = sum(density[pin] * self.switching.get((instance.name, pin), 0.0) for pin in instance.outputs)
        return Energy(internal=internal, switching=switching)


def run(folder: Path, netlist: Netlist, verilog: Path, library: Path) -> Reference:
    """Run OpenSTA on a netlist with one clock (or none), files in `folder`.

    Raises
    ------
    roundel.golden.errors.ToolError
        It failed.
    """
    text = re.sub(r"default_wire_load\w*\s*:[^;]*;", "", liberty.read_text(library))  # pin capacitances alone
    (folder / "cells.lib").write_text(text)
    (folder / "netlist.v").write_text(re.sub(r"\bsigned\b", "", verilog.read_text()))
    names = [name for name, nets in netlist.inputs.items() if netlist.clock_nets & set(nets)]
    script = _SCRIPT.format(
        top=netlist.top,
        period=_PERIOD_NS,
        clock=f"[get_ports {names[0]}]" if names else "",
        clock_name=names[0] if names else "",
        input_slew=INPUT_SLEW,
        clock_slew=CLOCK_SLEW,
    )
    (folder / "run.tcl").write_text(script)
    log = folder / "sta.log"
    with log.open("w") as out:
        done = subprocess.run(
            ["sta", "-no_splash", "-exit", "run.tcl"], cwd=folder, stdout=out, stderr=subprocess.STDOUT, check=False
        )
    output = log.read_text()
    slack = re.search(r"^SLACK (\S+)", output, re.MULTILINE)
    if done.returncode or slack is None or "Error:" in output:
        lines = [line for line in output.splitlines() if "Error" in line] or output.splitlines()
        raise ToolError("\n".join([*lines[-5:], f"OpenSTA failed, see {log}"]))
    terms, switching = _parse(output)
    return Reference(delay_ns=_PERIOD_NS - float(slack[1]), terms=terms, switching=switching)


def _parse(output: str) -> tuple[dict[str, list[Term]], dict[tuple[str, str], float]]:
    terms: dict[str, list[Term]] = defaultdict(list)
    switching = {}
    pending: list[tuple[str, float]] = []
    name, change = "", {"v": 0.0, "^": 0.0}
    for line in output.splitlines():
        if match := _SWITCHING.match(line):
            pending.append((match[1], float(match[4]) / float(match[2]) * 1e12))
        elif match := _PIN.match(line):
            name = match[1]
            switching.update({(name, pin): energy for pin, energy in pending})
            pending.clear()
        elif match := _EDGE.match(line):
            change[match[1]] = float(match[2]) * 1e12
        elif match := _TERM.match(line):
            related, pin, when, share = match[1], match[2], match[3], float(match[5])
            energy = (change["v"], change["^"])
            terms[name].append(Term(pin=pin, related=related, when=when, energy=energy, share=share))
            change = {"v": 0.0, "^": 0.0}
    return dict(terms), switching
