"""Every reader of files on damaged ones: read, or refused with one line, within bounds, and nothing left behind."""

import json
import subprocess
import sys

import pytest

from roundel import compile, compress
from roundel.data import DIGITS
from tests.conftest import SEED
from tests.support import fuzz
from tests.support.places import ROOT

COUNTS = {
    "onnx": 120,
    "qdq": 120,
    "boxes": 60,
    "liberty": 120,
    "detector": 150,
    "compressed": 60,
    "program": 60,
    "stream": 150,
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    network = compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz", sparsity=0.5)
    network.save(folder / "compressed")
    compile(folder / "compressed", "tiny").save(folder / "program")
    return folder


@pytest.mark.parametrize("name", COUNTS)
def test_damaged_files(name, originals, tmp_path):
    """The seed of each failure repeats it: `python -m tests.support.fuzz NAME SEED 1 ORIGINALS SCRATCH`."""
    assert COUNTS.keys() == fuzz.targets(originals).keys()
    which = (name, str(SEED * 1_000_000), str(COUNTS[name]), str(originals), str(tmp_path))
    command = [sys.executable, "-m", "tests.support.fuzz", *which]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    *failures, summary = map(json.loads, done.stdout.splitlines())
    assert not failures
    assert summary["read"] + summary["refused"] == COUNTS[name]
    assert summary["refused"] > 0, "some damage has to be seen"
