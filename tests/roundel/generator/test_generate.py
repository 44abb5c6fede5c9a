"""`generate` as Python calls it: what it tells of its progress."""

import json
from pathlib import Path

from roundel.generator import generate
from roundel.hw.emit import STAGES
from tests.support.told import Told


def test_progress_names_every_stage_of_the_verilog(tmp_path: Path) -> None:
    told = Told()
    made = generate("requant", {"scheme": "shift_const", "shift": 3}, folder=tmp_path / "out", progress=told)
    assert told.parts == [("generate requant", 4, ["elaborated", "netlist", "RTLIL", "Verilog"])]
    assert told.parts[0][2] == list(STAGES)
    assert (tmp_path / "out" / "requant.v").read_text() == made.verilog
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == made.manifest
