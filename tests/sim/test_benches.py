"""What starts with every simulation: a bench brings in neither Amaranth nor the runner that started it."""

import subprocess
import sys

from tests.support.places import ROOT

SCRIPT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(sys.modules))
"""


def test_benches_import_nothing_that_only_the_outside_needs() -> None:
    names = [f"roundel.sim.benches.{path.stem}" for path in sorted((ROOT / "sim" / "benches").glob("*.py"))]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *names], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"roundel.sim.benches.tb_engine", "roundel.sim.stimuli", "cocotb"} <= loaded
    assert not {"amaranth", "roundel.hw", "roundel.sim.runner", "cocotb_tools.runner"} & loaded
