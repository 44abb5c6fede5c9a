"""The AP that each suppression unit loses, and which methods no other one beats."""

import numpy as np
import pytest

from roundel.detection import KINDS, scene
from roundel.evaluation import nms_precision
from roundel.evaluation.nms_precision import method_of, precision_columns, unit_methods
from roundel.evaluation.report_nms import front, joint_cells, measured
from roundel.golden.nms import ExactParams, GreedyParams, NmsParams, TopKParams, greedy_nms

KINDS_OF_LOSS = [f"{name}_lost_{kind}" for name in ("ap50", "ap75") for kind in KINDS]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(nms_precision, "SCENES", 3)
    monkeypatch.setattr(nms_precision, "SEEDS", (8, 9))


def test_exact_loses_nothing_and_top_k_nearly_all(few):
    exact, none = (precision_columns(kind(format={"classes": 1})) for kind in (ExactParams, TopKParams))
    assert sorted(name for name in exact if "lost" in name) == sorted(KINDS_OF_LOSS)
    assert (exact["scenes"], exact["scene_seeds"]) == (3, [8, 9])
    assert max(abs(exact[name]) for name in KINDS_OF_LOSS) < 1  # whole pixels
    assert min(none[name] for name in KINDS_OF_LOSS) > 20


@pytest.mark.parametrize("threshold", [0.4, 0.5])
def test_the_method_is_greedy_on_the_units_integers(threshold):
    params = unit_methods(ExactParams(format={"classes": 1, "fraction": 8}))[f"unit {threshold}"]
    found = scene(KINDS["easy"], np.random.default_rng(4)).detections
    assert np.unique(found.labels).tolist() == [0, 1, 2]
    assert sorted(method_of(params)(found)) == sorted(greedy_nms(found, threshold))


def test_lanes_and_comparators_do_not_change_what_is_measured():
    form = {"classes": 1}
    two = [unit_methods(NmsParams(format=form, lanes=lanes)) for lanes in (1, 4)]
    assert two[0] == two[1]
    assert unit_methods(ExactParams(format=form, comparators=8)) == unit_methods(GreedyParams(format=form, lanes=4))
    assert two[0]["unit"].format.classes == 3


def test_small_images_have_no_scenes():
    assert precision_columns(ExactParams(format={"width": 320})) == {}


def unit(scheme, lost, area, energy, rate, **more):
    losses = dict.fromkeys(KINDS_OF_LOSS, 0.0) | {"ap75_lost_crowded": lost}
    return losses | {
        "scheme": scheme, "area_nand2": area, "memory_bits": 2048, "delay_ns": 9.5, "boxes_per_cycle": rate,
        "energy_pj_per_op": energy,
    } | more  # fmt: skip


ROWS = [
    unit("small", 9.0, 100.0, 10.0, 1.0),
    unit("good", 0.04, 300.0, 30.0, 0.9, lut=5, ff=6, bram=7, fmax_mhz=50.0),
    unit("beaten", 0.0, 301.0, 30.0, 0.9),
    unit("unmeasured", 0.0, 302.0, None, 0.95),
    unit("dearer than small", 10.0, 100.0, None, 1.0),
    unit("slow", 0.0, 90.0, 900.0, 0.01),
]


def test_the_front_is_what_no_other_method_beats():
    assert {ROWS[place]["scheme"] for place in front(ROWS)} == {"small", "good", "unmeasured", "slow"}


def test_a_line_of_the_joint_table():
    assert joint_cells(ROWS)[1] == [
        *("good", "0.0 / 0.0", "0.0 / 0.0", "0.0 / 0.0", "300", "2", "9.5", "30", "0.900", "5 / 6 / 7", "50.0", "*"),
    ]
    assert joint_cells(ROWS)[4][2:] == ["0.0 / 10.0", "0.0 / 0.0", "100", "2", "9.5", "-", "1.000", "-", "-", ""]


def test_without_precisions_there_is_no_joint_table():
    assert measured(ROWS)
    assert not measured([{name: value for name, value in row.items() if "lost" not in name} for row in ROWS])
    assert not measured([])
