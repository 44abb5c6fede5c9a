"""A private copy of a commit, into which faults are put."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.operators import Mutant


class Tree:
    """A copy of a commit, its cache beside it.

    Parameters
    ----------
    work
        Folder of both.
    checkout
        The repository; only its committed files are read.
    commit
        Which commit; the copy is made anew.
    """

    def __init__(self, work: Path, checkout: Path, commit: str):
        self.checkout, self.work, self.root, self.cache = checkout, work, work / "tree", work / "cache"
        shutil.rmtree(self.root, ignore_errors=True)  # a run that was killed has left its fault in it
        self.root.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=checkout, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=self.root, input=archive, check=True)
        shared = checkout.parent / "shared"
        if shared.is_dir() and not (work / "shared").exists():
            (work / "shared").symlink_to(shared)  # where the tests look for cell libraries
        self.cache.mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What runs in the copy must have set."""
        return {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", "ROUNDEL_CACHE": str(self.cache)}

    @contextlib.contextmanager
    def holding(self, mutant: Mutant) -> Iterator[None]:
        """Put a fault into the copy; afterwards the copy and the cache are as they were."""
        file = self.root / mutant.path
        source, stat = file.read_bytes(), file.stat()
        before = self._entries()
        try:
            file.write_bytes(mutant.apply(source))
            yield
        finally:
            file.write_bytes(source)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            made = self._entries() - before if mutant.path.startswith("hw/") else set()  # builds of no other use
            for entry in made:
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)

    def _entries(self) -> set[Path]:
        return set(self.cache.glob("*/*"))
