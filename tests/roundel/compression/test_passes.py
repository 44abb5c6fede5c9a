"""The list of compression's passes: it is the page's, and what a pass leaves can be looked at."""

import re

import numpy as np

from roundel.compression import PASSES, Compression, CompressOptions, run_passes
from roundel.data import DIGITS
from roundel.ui import silent
from tests.support.places import DOCS

OPTIONS = CompressOptions(model=DIGITS / "digits_sparse.onnx", calibration=DIGITS / "calibration.npz")


def test_page_lists_them():
    steps = (DOCS / "compress.md").read_text().split("\n## Steps of the compression\n")[1].split("\n## ")[0]
    names = [step.__name__.split("_")[0] for step in PASSES]
    assert names == ["read", "check", "fold", "prune", "tune", "equalize", "order", "allot", "quantize", "pack"]
    words = ("Import", "Check", "Fold", "Prune", "Fine-tune", "Equalize", "Group", "Pack")
    assert re.findall(r"^\d\. \*\*([\w-]+)", steps, re.MULTILINE) == list(words)


def test_run_one_by_one():
    """Without pruning and tuning, of which this network needs none."""
    work, made = Compression(options=OPTIONS, progress=silent), {}
    for step in PASSES:
        if step.__name__ not in ("prune", "tune"):
            before = set(vars(work))
            step(work)
            made[step.__name__] = set(vars(work)) - before
    assert made == {
        "read": {"original", "calibration", "held_out", "training"},
        "check_import": {"imported"},
        "fold_operators": {"tuned"},
        "equalize_channels": set(),
        "order_channels": set(),
        "allot_bits": set(),
        "quantize_modules": {"quantized", "advised"},
        "pack": {"streams"},
    }
    whole = run_passes(OPTIONS, silent)
    assert (work.plans, work.losses) == (whole.plans, whole.losses) == ({}, ())
    assert [stream.data for stream in work.streams] == [stream.data for stream in whole.streams]
    for layer, other in zip(work.quantized.network.weighted, whole.network.weighted, strict=True):
        np.testing.assert_array_equal(layer.weights, other.weights)
        assert layer.output == other.output
