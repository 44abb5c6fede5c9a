"""Which tests run a line, the quickest and nearest ones first."""

import difflib
import json
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

UNMEASURED = 2.0, 60.0  # seconds that a test is taken for until it is measured, and those that it may take


class Measured(NamedTuple):
    """A test that passes without a fault, and the lines that it runs in a commit, as bits (see `reach.py`).

    It takes `seconds`, and up to `longest` if it comes first in its file: then it makes what other tests use too.
    """

    name: str
    seconds: float
    longest: float
    commit: str
    lines: dict[str, int]


class Reach:
    """All tests whose lines are known.

    Parameters
    ----------
    folder
        Holds the files that `measure.py` wrote.
    checkout, commit
        The repository, and its commit whose lines are asked for; tests may be measured in earlier ones.
    names
        All tests of that commit. Those that are not measured are taken for `UNMEASURED`.
    """

    def __init__(self, folder: Path, checkout: Path, commit: str, names: set[str]):
        self.checkout, self.commit = checkout, commit
        self.tests = []
        unmeasured = set(names)
        for file in sorted(folder.glob("*.json")):
            measured = json.loads(file.read_text())
            renamed = _renamed(checkout, measured["commit"], commit)
            longest = max((seconds for seconds, _ in measured["tests"].values()), default=0.0)
            for old_name, (seconds, lines) in measured["tests"].items():
                place, _, case = old_name.partition("::")
                name = f"{renamed.get(place, place)}::{case}"
                if name in unmeasured:
                    unmeasured.remove(name)
                    bits = {renamed.get(path, path): int(digits, 16) for path, digits in lines.items()}
                    self.tests.append(Measured(name, seconds, longest, measured["commit"], bits))
        self.tests += [Measured(name, *UNMEASURED, commit, {}) for name in sorted(unmeasured)]

    def of(self, path: str, first: int, last: int, imported: bool) -> list[Measured]:
        """Tests that run a line from `first` to `last`, then those that run any line of the file, or lie near it.

        What an import runs, a function that it calls included, belongs to no test, or to the one that happened to
        import it first: so the second ones may see what the first ones do not. Lines that are `imported` have no first
        ones.
        """
        commits = {test.commit for test in self.tests}
        wanted = {commit: self._lines(path, commit, range(first, last + 1)) for commit in commits}
        reaching = [test for test in self.tests if test.lines.get(path, 0) & wanted[test.commit]]
        around = [test for test in self.tests if path in test.lines or _shared(path, test.name)]
        first_ones = [] if imported else nearest(path, reaching)
        names = {test.name for test in first_ones}
        return first_ones + [test for test in nearest(path, around) if test.name not in names]

    def _lines(self, path: str, commit: str, lines: range) -> int:
        """Bits of the lines that were these lines in an earlier commit."""
        old = _moved(self.checkout, path, commit, self.commit)
        return sum(1 << old[line] for line in lines if line in old)


@cache
def _moved(checkout: Path, path: str, old: str, new: str) -> dict[int, int]:
    """Number that each unchanged line of a file in commit `new` had in commit `old`."""
    before = {after: name for name, after in _renamed(checkout, old, new).items()}.get(path, path)
    texts = [
        subprocess.run(["git", "show", place], cwd=checkout, capture_output=True, text=True).stdout
        for place in (f"{old}:{before}", f"{new}:{path}")
    ]
    blocks = difflib.SequenceMatcher(None, *(text.splitlines() for text in texts), autojunk=False).get_matching_blocks()
    return {block.b + line + 1: block.a + line + 1 for block in blocks for line in range(block.size)}


@cache
def _renamed(checkout: Path, old: str, new: str) -> dict[str, str]:
    """Names in commit `new` of files that had others in commit `old`."""
    command = ["git", "diff", "-M", "--diff-filter=R", "--name-status", "-z", old, new]
    words = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True).stdout.split("\0")[:-1]
    return dict(zip(words[1::3], words[2::3], strict=True))


def nearest(path: str, tests: list[Measured]) -> list[Measured]:
    """Near and quick tests first, and of a parametrized one a case before all other cases of it."""
    cases: dict[str, int] = defaultdict(int)
    costs = {}
    for test in sorted(tests, key=lambda test: test.seconds):
        function = test.name.partition("[")[0]
        costs[test.name] = (test.seconds + 0.05) * (1 + cases[function]) / (1 + _shared(path, test.name)) ** 2
        cases[function] += 1
    return sorted(tests, key=lambda test: (costs[test.name], test.name))


def _shared(path: str, test: str) -> int:
    """How many folders a source file and a test have in common, one more if their files' names are alike."""
    source, place = Path(path), Path(test.partition("::")[0])
    return sum(part in place.parts for part in source.parts[:-1]) + (source.stem in place.stem)
