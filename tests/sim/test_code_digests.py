"""The keys of cached results see every source file of ours, however deep it lies."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from roundel import golden, hw, sim, synth
from roundel.sim.cache import digest
from roundel.sim.emitted import verilog_sources
from roundel.sim.engine_run import top_sources
from roundel.synth.measure import code_digest

PACKAGES = {"golden": golden, "hw": hw, "sim": sim, "synth": synth}
NESTED = {
    "golden": "requant/arithmetic.py",
    "hw": "engine/compute/array.py",
    "sim": "stimuli/payload.py",
    "synth": "cells/liberty.py",
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Let no later test see the sources of a copy."""
    yield
    verilog_sources.cache_clear()


def keys() -> tuple[str, str]:
    """Digests of the engine's cached Verilog and of cached measurements, as a new process computes them."""
    verilog_sources.cache_clear()
    return digest(top_sources.__wrapped__()), code_digest.__wrapped__()


def copy(package: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a package stand in `folder`, with a SystemVerilog file two folders deep."""
    shutil.copytree(package.__path__[0], folder)
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "cell.sv").write_text("module cell; endmodule\n")
    monkeypatch.setattr(package, "__path__", [str(folder)])


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("suffix", ["py", "sv"])
def test_a_changed_nested_file_changes_the_keys_that_depend_on_it(
    name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(PACKAGES[name], tmp_path / name, monkeypatch)
    file = tmp_path / name / (NESTED[name] if suffix == "py" else "deep/deeper/cell.sv")
    verilog, measured = keys()
    assert keys() == (verilog, measured)
    file.write_text(file.read_text() + "\n")
    changed_verilog, changed_measured = keys()
    assert changed_measured != measured
    assert (changed_verilog != verilog) == (name in ("golden", "hw"))


def test_a_moved_file_changes_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(hw, tmp_path / "hw", monkeypatch)
    before = keys()
    (tmp_path / "hw" / "deep" / "deeper" / "cell.sv").rename(tmp_path / "hw" / "deep" / "cell.sv")
    after = keys()
    assert before[0] != after[0]
    assert before[1] != after[1]
