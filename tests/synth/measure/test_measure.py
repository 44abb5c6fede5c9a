"""What a measurement says of itself: its parts add up, its netlist is proven, and a wrong one is refused."""

import numpy as np
import pytest

from roundel.golden.errors import MismatchError
from roundel.golden.mac import MacParams, Schedule, schedule
from roundel.golden.requant import RequantParams
from roundel.hw.emit import to_verilog
from roundel.hw.mac import MacArray
from roundel.synth.cells import REFERENCE, read_library
from roundel.synth.mapping import MappingOptions, map_design, read_netlist
from roundel.synth.measure import Operator, measure_mac, measure_operator, prove_and_estimate
from roundel.synth.measure.common import PARTS

PARAMS = RequantParams(acc_width=16, out_width=4)


@pytest.fixture
def stimulus(seed):
    rng = np.random.default_rng(seed)
    return {"acc": rng.integers(-3000, 3000, 400), "shift": np.full(400, 7)}


def test_an_operator_is_logic_and_registers(stimulus):
    row = measure_operator(PARAMS, REFERENCE, stimulus, source="random")
    library = read_library(REFERENCE)
    assert library.flip_flop is not None
    flip_flop = library.flip_flop.cell.area
    assert row["area_output_register_um2"] == pytest.approx(4 * flip_flop)
    assert row["area_input_register_um2"] == pytest.approx(16 * flip_flop)
    assert row["area_parameter_register_um2"] == pytest.approx(4 * flip_flop)
    assert row["area_pipeline_register_um2"] == 0
    assert row["area_um2"] == row["area_logic_um2"] + row["area_output_register_um2"]
    assert row["verified"] is True
    assert row["ops"] == 400
    parts = row["internal"] + row["switching"] + row["leakage"]
    assert row["energy_pj_per_op"] == pytest.approx(parts)
    assert parts == pytest.approx(row["energy_logic_pj_per_op"] + row["energy_output_register_pj_per_op"])


def test_the_parts_are_the_whole_netlist_and_the_smallest(stimulus):
    row = measure_operator(PARAMS, REFERENCE, stimulus, source="random")
    text = to_verilog(Operator(PARAMS), "operator")
    chosen = map_design(text, "operator", REFERENCE, options=MappingOptions(**row["flow"]))
    assert sum(row[f"area_{part}_um2"] for part in PARTS) == pytest.approx(chosen.area_um2)
    assert chosen.area_um2 <= map_design(text, "operator", REFERENCE).area_um2


def test_activity_costs_energy(stimulus):
    idle = {"acc": np.zeros(400, dtype=np.int64), "shift": stimulus["shift"]}
    busy = measure_operator(PARAMS, REFERENCE, stimulus, source="random")
    rest = measure_operator(PARAMS, REFERENCE, idle, source="nothing")
    assert rest["switching"] < 0.02 * busy["switching"]
    assert rest["area_um2"] == busy["area_um2"]


def test_a_netlist_that_differs_from_golden_is_refused(stimulus, tmp_path):
    component = Operator(PARAMS)
    latency = component.latency
    mapped = map_design(to_verilog(component, "operator"), "operator", REFERENCE)
    assert read_netlist(mapped.json, read_library(REFERENCE), "operator").instances
    other = RequantParams(acc_width=16, out_width=4, rounding="floor")
    with pytest.raises(MismatchError, match=r"netlist of operator on .* differs from golden: .*golden"):
        prove_and_estimate(
            mapped,
            REFERENCE,
            bench="roundel.sim.benches.tb_operator",
            config={"params": other.as_dict(), "latency": latency},
            stimulus=lambda path: np.savez(path, allow_pickle=False, **stimulus),
        )


def test_an_array_costs_what_its_netlist_costs(seed):
    params = MacParams(lanes=4, columns=6, depth=8, reduction=32)
    rng = np.random.default_rng(seed)
    acts, weights = rng.integers(0, 256, (16, 12)), rng.integers(-128, 128, (12, 6))

    def beats(array: MacParams) -> Schedule:
        return schedule(array, acts, weights[:, : array.columns], 0, {"shift": 9})

    row = measure_mac(params, REFERENCE, beats, source="random")
    chosen = MappingOptions(**row["flow"])
    whole = map_design(to_verilog(MacArray(params), "mac"), "mac", REFERENCE, options=chosen)
    assert row["area_per_mac_um2"] == pytest.approx(whole.area_um2 / 24)
    assert row["memory_bits"] == 8 * 6 * params.acc_width
    assert row["energy_columns"] == 4
    assert row["ops"] == len(beats(params).activations) * 4 * 4
    parts = sum(row[f"energy_{part}_pj_per_op"] for part in ("logic", "registers", "clock_gates"))
    assert row["energy_pj_per_op"] == pytest.approx(row["internal"] + row["switching"] + row["leakage"])
    assert row["energy_pj_per_op"] == pytest.approx(parts)
    assert row["verified"] is True
