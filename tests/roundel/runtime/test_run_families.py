"""Detectors of every family with the tails of their exporters: from the file to a program, nothing stated.

The program, on the golden engine, leaves the boxes that a run gives, which the detector's own integers decode.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import roundel
from roundel.golden.nms import ExactParams, NmsParams, TopKParams
from tests.roundel.recognition.test_odd_tails import suppressed
from tests.roundel.runtime.test_run_heads import engine_records
from tests.support import head_models as models
from tests.support import map_models as maps

FAMILIES: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[str, ...], type]] = {
    "yolov3": (models.yolov3, ("product", "centre"), object),
    "yolov5": (models.yolov5, ("product", "centre"), object),
    "yolov8": (lambda: models.yolov8(classes=12), ("dfl",), ExactParams),
    "yolov10": (models.yolov10, ("dfl",), TopKParams),
    "yolox": (models.yolox, ("product", "centre"), object),
    "fcos": (models.fcos, ("product", "centre"), object),
    "ssd": (models.ssd, ("softmax", "centre"), object),
    "retinanet": (models.retinanet, ("centre",), object),
    "pnet": (models.pnet, ("softmax", "corners"), object),
    "suppressed": (suppressed, ("centre",), NmsParams),
    "centerface": (maps.centerface, ("centre",), object),
    "centernet": (maps.centernet, ("centre",), TopKParams),
    "centernet_selected": (maps.centernet_selected, ("centre",), TopKParams),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_from_the_file_to_the_program(name: str, tmp_path: Path, seed: int) -> None:
    make, heads, kind = FAMILIES[name]
    model = make()
    shape = [item.dim_value for item in model.graph.input[0].type.tensor_type.shape.dim][1:]
    images = np.random.default_rng([seed, 21]).normal(0, 1, (2, *shape)).astype(np.float32)
    small = roundel.compress(model, images)
    small.save(tmp_path / "small")
    assert small.head is not None
    program = roundel.compile(tmp_path / "small", "small")
    assert program.without_head == ""
    assert program.detector == small.head
    assert isinstance(program.params.nms, kind)
    assert set(heads) <= set(program.params.heads)
    run = roundel.run(tmp_path / "small", images)
    assert not any("decoded in float" in note for note in run.notes)
    records = [engine_records(program, image) for image in images]
    assert [len(rows) for rows in records] == run.figures["boxes"]
    assert sum(run.figures["boxes"]) > 2
    together = np.concatenate(records)
    np.testing.assert_array_equal(together[:, :4] / 4, run.boxes["boxes"])
    np.testing.assert_array_equal(together[:, 4], run.boxes["scores"])
    np.testing.assert_array_equal(together[:, 5], run.boxes["classes"])
