"""Ends `verify`, `run --on rtl` and `compare` by signals at random moments, and looks at what is left: `make signals`.

This process becomes the parent of all processes that lose theirs (Linux), so that none escapes: when the command has
ended, there is none left if there are no children.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.places import ROOT

BECOME_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
LIMIT_S = 2.0  # from the signal to the end of the last process
PATIENCE_S = 30.0  # after which processes that are left are counted as such
SIGNALS = (signal.SIGINT, signal.SIGTERM)
COMMANDS = {
    "verify": "verify requant mac decoder",
    "run": "run {network} --input {images} --count 4 --on rtl --config tiny -o {out}",
    "compare": "compare requant -o {out}",
}
"""The commands, each of which works for far longer than the latest moment from an empty cache."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a command ended after a signal.

    Attributes
    ----------
    command, signal, moment_s
        What got which signal, and when.
    code
        Its exit code; minus the signal's number, as a shell wants it, or what it said before the signal came.
    seconds
        From the signal to the end of the last process.
    processes, paths
        What was left.
    """

    command: str
    signal: str
    moment_s: float
    code: int
    seconds: float
    processes: list[int]
    paths: list[str]

    @property
    def clean(self) -> bool:
        return not self.processes and not self.paths


class Place:
    """A folder that holds all that a command may leave behind: cache, temporary files and output."""

    def __init__(self, folder: Path, network: Path, tools: Path):
        self.cache, self.temporary, self.output = folder / "cache", folder / "temporary", folder / "output"
        self.names = {
            "network": str(network),
            "images": str(ROOT / "roundel" / "data" / "digits" / "heldout.npz"),
            "out": str(self.output / "out"),
        }
        self.tools = tools
        self.empty()

    def empty(self) -> None:
        for folder in (self.cache, self.temporary, self.output):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        (self.cache / "tools").symlink_to(self.tools)  # programs that tools compile on their first day

    def start(self, words: str) -> int:
        command = [sys.executable, "-m", "roundel", *(word.format(**self.names) for word in words.split())]
        variables = {"ROUNDEL_CACHE": str(self.cache), "TMPDIR": str(self.temporary)}
        with open(os.devnull, "wb") as nothing:
            return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=nothing, stderr=nothing).pid

    def left(self) -> list[str]:
        """What lies where nothing should lie; finished results stay in the cache, and locks, and logs of failures."""
        kept = [path for kind in self.cache.iterdir() if kind.name != "tools" for path in kind.iterdir()]
        torn = [path for path in kept if path.is_dir() and not path.with_name(f"{path.name}.sum").exists()]
        torn += [path for path in kept if path.is_file() and path.suffix not in (".sum", ".lock")]
        wanted = [path for path in self.output.iterdir() if path.name == "out" and any(path.iterdir())]
        return [str(path) for path in [*torn, *self.temporary.iterdir(), *self.output.iterdir()] if path not in wanted]


def interrupt(place: Place, name: str, number: int, moment_s: float) -> Ending:
    """Start a command, wait, send it a signal, and wait for the last process."""
    pid = place.start(COMMANDS[name])
    time.sleep(moment_s)
    start = time.monotonic()
    os.kill(pid, number)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    while children() and time.monotonic() - start < PATIENCE_S:
        time.sleep(0.005)
    seconds, processes = time.monotonic() - start, children()
    for child in processes:
        os.kill(child, signal.SIGKILL)
    return Ending(
        command=name,
        signal=signal.Signals(number).name,
        moment_s=round(moment_s, 3),
        code=code,
        seconds=round(seconds, 3),
        processes=processes,
        paths=place.left(),
    )


def children() -> list[int]:
    """The children of this process that have not ended."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0:
            tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
            return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def endings(folder: Path, names: list[str], moments: int, latest_s: float, seed: int) -> Iterator[Ending]:
    """Both signals at some moments of each command. The cache is emptied before every other moment."""
    draw = random.Random(seed)
    network = folder / "network"
    tools = Path(os.environ.get("ROUNDEL_CACHE") or Path.home() / ".cache" / "roundel") / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    compress = ["compress", ROOT / "roundel" / "data" / "digits" / "digits.onnx", "--calibration"]
    compress += [ROOT / "roundel" / "data" / "digits" / "calibration.npz", "-o", network]
    if "run" in names:
        subprocess.run([sys.executable, "-m", "roundel", *compress], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    place = Place(folder / "place", network, tools)
    for name in names:
        for count in range(moments):
            for number in SIGNALS:
                if count % 2 == 0:
                    place.empty()
                yield interrupt(place, name, number, draw.uniform(0.0, latest_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=list(COMMANDS), help="of verify, run, compare")
    parser.add_argument("--moments", type=int, default=20, help="random moments of each command and signal")
    parser.add_argument("--latest", type=float, default=8.0, help="latest moment, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # a job in the background may have begun with SIGINT ignored
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
    print(f"seed {given.seed}")
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        for ending in endings(Path(folder), given.commands, given.moments, given.latest, given.seed):
            seen.append(ending)
            print(json.dumps(asdict(ending)), flush=True)
    bad = [ending for ending in seen if not ending.clean]
    slow = [ending for ending in seen if ending.seconds > LIMIT_S]
    worst = max(ending.seconds for ending in seen)
    print(f"{len(seen)} endings, {len(bad)} left something, {len(slow)} took over {LIMIT_S} s, worst {worst} s")
    sys.exit(bool(bad or slow))


if __name__ == "__main__":
    main()
