"""Measures which lines each test runs, a file of tests on each core; what is measured already is kept."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.tree import Tree

SLOWEST = 1800  # seconds for one file of tests
FOLDERS = ("golden", "hw", "synth", "roundel", "units", "sim", "docs")


def measure(tree: Tree, folder: Path, commit: str) -> None:
    """Write a file into `folder` for each file of tests that is new or has changed since it was measured."""
    folder.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name in FOLDERS:
            for file in sorted((tree.root / "tests" / name).rglob("test_*.py")):
                place = str(file.relative_to(tree.root))
                target = folder / f"{place.replace('/', '+')}.json"
                if not target.exists() or _changed(tree, json.loads(target.read_text())["commit"], commit, place):
                    pool.submit(_measure, tree, place, target, commit)


def collected(tree: Tree, commit: str) -> set[str]:
    """Names of all tests that pytest finds in the copy; kept beside it."""
    file = tree.work / "collected.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    if commit not in kept:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
        environment = os.environ | tree.environment
        output = subprocess.run(command, cwd=tree.root, env=environment, check=True, capture_output=True, text=True)
        kept = {commit: [line for line in output.stdout.splitlines() if "::" in line]}
        file.write_text(json.dumps(kept))
    return set(kept[commit])


def _changed(tree: Tree, old: str, new: str, place: str) -> bool:
    command = ["git", "diff", "--quiet", old, new, "--", place]
    return subprocess.run(command, cwd=tree.checkout, check=False).returncode != 0


def _measure(tree: Tree, place: str, target: Path, commit: str) -> None:
    """Tests that take too long altogether, and files that cannot be collected, count as reaching nothing."""
    print(f"measures {place}", flush=True)
    part = target.with_suffix(".part")
    part.write_text("{}")
    environment = os.environ | tree.environment | {"ROUNDEL_REACH": str(part)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.mutants.reach", place]
    try:
        subprocess.run(command, cwd=tree.root, env=environment, timeout=SLOWEST, check=False, stdout=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        print(f"  more than {SLOWEST} s: left out")
    target.write_text(json.dumps({"commit": commit, "tests": json.loads(part.read_text())}))
    part.unlink()
