"""The comparison of circuits for functions of one value: its rows, what they are driven with, and its page."""

import math

import numpy as np
import pytest

from roundel.evaluation.report_activation import activation_section
from roundel.evaluation.stimulus import Accumulators
from roundel.evaluation.stimulus_activation import activation_circuits
from roundel.synth.cells import REFERENCE
from roundel.synth.measure import measure_activation

ACCUMULATORS = Accumulators(source="made", layers=(np.arange(-4000, 4000, 37), np.arange(-90, 90)), shifts=(5, 0))


@pytest.fixture(scope="module")
def compared():
    return {item.circuit.scheme: item for item in activation_circuits(ACCUMULATORS, {})}


def test_all_circuits_see_the_same_inputs(compared):
    """Words are the accumulators with three bits more than bytes have, and none of them is rounded."""
    accumulators = np.concatenate([np.arange(-4000, 4000, 37) / 32, np.arange(-90, 90)])
    words = compared["segments"].circuit.operands["word"]
    expected = [max(-1024, min(1023, math.floor(8 * value))) % 2048 for value in accumulators]
    assert words.tolist() == expected
    table = compared["table of 256 bytes"].circuit.operands["word"]
    assert table.tolist() == [max(-128, min(127, math.floor(value + 0.5))) % 256 for value in accumulators]
    assert "residual" not in compared["segments alone"].circuit.operands


def test_results_are_gelus(compared):
    for item in compared.values():
        circuit = item.circuit
        if "residual" in circuit.operands:
            continue
        width = 11 if circuit.scheme.startswith(("segments", "slopes")) else 8
        words = ((circuit.operands["word"] + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))).astype(float)
        x = (words + 0.5) / 128 if width == 11 else words / 16
        results = (circuit.expected + 128) % 256 - 128
        exact = [16 * v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x]
        assert np.abs(results - np.minimum(exact, 127)).max() <= item.max_error + 0.5, circuit.scheme


def test_errors_of_the_page(compared):
    """The unit's lane is nearest; rounding to bytes first leaves half an ULP more."""
    worst = {scheme: item.max_error for scheme, item in compared.items()}
    assert worst["segments alone"] < 0.7 < 1 < worst["table of 256 bytes"] < worst["I-BERT polynomial"]
    assert compared["segments"].table_bits == 200
    assert compared["table of 256 bytes"].table_bits == 2048


def test_a_row_is_measured_on_a_proven_netlist(compared, tmp_path):
    item = compared["slopes, offsets, multiplier"]
    row = measure_activation(item.circuit, REFERENCE, source="made", columns=item.columns)
    assert row["verified"] is True
    assert row["ops"] == len(item.circuit.expected)
    flip_flop = row["area_output_register_um2"] / 8
    assert row["area_input_register_um2"] == pytest.approx(11 * flip_flop)
    assert row["area_parameter_register_um2"] == pytest.approx(320 * flip_flop)
    assert row["area_um2"] == row["area_logic_um2"] + row["area_output_register_um2"]

    twice = row | {"scheme": "segments alone", "area_um2": row["area_um2"] / 2}
    text = "\n".join(activation_section([row, twice], tmp_path))
    assert "| slopes, offsets, multiplier | 2.00 | 1.00 | 1.00 |" in text
    assert "| 320 | 1.25 | 0.19 | yes |" in text
    assert list(tmp_path.glob("activation_*.png"))
