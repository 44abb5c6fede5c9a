"""`python -m tests.mutants`: draws faults, runs the tests that could see them, and counts those that none sees."""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from filelock import FileLock

from tests.mutants.measure import collected, measure
from tests.mutants.run import Outcome, preload, run
from tests.mutants.sample import Fault, draw
from tests.mutants.tests_of import Measured, Reach
from tests.mutants.tree import Tree
from tests.support.places import ROOT

FOLDERS = ("golden", "hw", "roundel", "synth")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutants", help="folder for copy and results")
    parser.add_argument("--count", type=int, default=40, help="faults in each folder")
    parser.add_argument("--folders", nargs="+", default=FOLDERS, help="top folders to draw from")
    parser.add_argument(
        "--seconds", type=float, default=60, help="how long the tests of a fault take without it, at most"
    )
    parser.add_argument("--commit", default="HEAD", help="what to copy and to seed the sample with")
    parser.add_argument("--sample", type=int, default=1, help="number of the sample; a later one has other faults")
    parser.add_argument("--unmeasured", action="store_true", help="use the tests whose lines are known already")
    return parser.parse_args()


def main() -> None:
    """Run a sample, or the rest of it."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    work = options.work.resolve()
    commit = subprocess.run(
        ["git", "rev-parse", options.commit], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / "lock", timeout=0):  # two at a time would change each other's copy
        tree = Tree(work, ROOT, commit)
        if not options.unmeasured:
            measure(tree, work / "reach", commit)
        preload()
        reach = Reach(work / "reach", ROOT, commit, collected(tree, commit))
        results = Results(work / "results.jsonl", f"{commit[:10]} {options.sample}")
        for fault in sample(tree, results, options):
            judge(tree, reach, results, fault, options.seconds)
        print(results.table())


class Results:
    """What became of faults: a line of JSON for each, the last one for a fault counts."""

    def __init__(self, file: Path, sample: str):
        self.file, self.sample = file, sample
        self.lines: dict[str, dict] = {}
        if file.exists():
            for line in file.read_text().splitlines():
                entry = json.loads(line)
                self.lines[entry["key"]] = entry

    def seen(self) -> set[str]:
        """Keys of the faults of other samples."""
        return {key for key, entry in self.lines.items() if entry["sample"] != self.sample}

    def add(self, **entry: object) -> None:
        """Write how a fault ended."""
        entry["sample"] = self.sample
        self.lines[str(entry["key"])] = entry
        with self.file.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def table(self) -> str:
        """Counts by folder, and the faults that no test saw."""
        rows = defaultdict(list)
        for entry in self.lines.values():
            if entry["sample"] == self.sample:
                rows[entry["name"].partition("/")[0]].append(entry)
        text = [f"sample {self.sample}"]
        for folder, entries in [*sorted(rows.items()), ("all", [entry for row in rows.values() for entry in row])]:
            killed = sum(entry["verdict"] != "survived" for entry in entries)
            late = sum(entry["verdict"] == "timeout" for entry in entries)
            share = 100 * killed / max(len(entries), 1)
            text.append(
                f"{folder:8} {killed} of {len(entries)} killed ({share:.1f} %), {late} by a test that does not end"
            )
        text += [
            f"survived: {entry['name']}" + (f" ({entry['left']} tests not run)" if entry["left"] else "")
            for row in rows.values()
            for entry in row
            if entry["verdict"] == "survived"
        ]
        return "\n".join(text)


def sample(tree: Tree, results: Results, options: argparse.Namespace) -> list[Fault]:
    """The faults, folder by turns."""
    seen = results.seen()
    drawn = [draw(tree.root, folder, options.count, results.sample, seen) for folder in options.folders]
    return [fault for turn in zip(*drawn, strict=True) for fault in turn]


def judge(tree: Tree, reach: Reach, results: Results, fault: Fault, seconds: float) -> None:
    """Run the tests of a fault that have not run yet, as many as take `seconds` without it."""
    before = results.lines.get(fault.key, {"verdict": "", "ran": []})
    if before["verdict"] not in ("", "survived"):
        return
    tests = reach.of(fault.mutant.path, fault.mutant.line, fault.last, fault.imported)
    chosen = [test for test in first(tests, seconds) if test.name not in before["ran"]]
    if before["verdict"] and not chosen:
        return
    outcome = Outcome("survived", "", 0, "no test runs it")
    if chosen:
        with tree.holding(fault.mutant):
            outcome = run(tree, chosen)
    ran = [*before["ran"], *(test.name for test in chosen)]
    left = len({test.name for test in tests} - set(ran))
    results.add(key=fault.key, name=fault.mutant.name, ran=ran, left=left, **outcome._asdict())
    clock, taken = time.strftime("%H:%M:%S"), f"{outcome.seconds:6} s"
    print(clock, f"{outcome.verdict:8}", taken, repr(fault.mutant.name[:150]), outcome.test, flush=True)


def first(tests: list[Measured], seconds: float) -> list[Measured]:
    """The first tests that fit into a time, those that are too long for the rest of it left out; at least one."""
    total, chosen = 0.0, tests[:1]
    for test in tests:
        if total + test.seconds <= seconds:
            total += test.seconds
            chosen = chosen if test in chosen else [*chosen, test]
    return chosen


if __name__ == "__main__":
    main()
