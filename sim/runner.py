"""Builds and runs cocotb benches under Verilator: cached, seeded, and never silently empty.

The commands are those of cocotb's own runner, which upstream marks as experimental, but for paths without blanks and an
environment in which no variable of the user changes a build or a run.
"""

import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache as once
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cocotb_tools.config
import find_libpython

from roundel.golden.errors import InputError, ToolError
from roundel.processes import keep, run_child, run_folder
from roundel.sim import cache
from roundel.sim.contract import CONFIG_VARIABLE
from roundel.sim.verilator import find_verilator

QUIET = ("WIDTH", "WIDTHEXPAND", "WIDTHTRUNC", "UNUSED", "DECLFILENAME", "PINCONNECTEMPTY", "UNOPTFLAT", "TIMESCALEMOD")
MOST_JOBS = 4  # of make
OPTIMIZE = 1  # of C++; the project's tests set 0, since they build more than they simulate


@dataclass(frozen=True, kw_only=True)
class Design:
    """Verilog to simulate.

    Attributes
    ----------
    sources
        Verilog texts.
    quiet_sources
        Verilog texts of modules whose inside is not traced, such as library cells.
    top
        Name of the top module; its ports are all that a bench can reach.
    trace
        `None`, `"vcd"` for waves or `"saif"` for switching activity.
    optimize
        C++ optimization level, `OPTIMIZE` by default. 1 builds in half the time of 3 and is hardly slower: an engine of
        4 lanes with all heads takes 19 s of processor time to build at 1 and 39 s at 3; 887,000 cycles of `tiny` take
        4.1 s and 3.9 s. At 0 they take 10.5 s, and the build a third less.
    """

    sources: tuple[str, ...]
    top: str
    quiet_sources: tuple[str, ...] = ()
    trace: str | None = None
    optimize: int = field(default_factory=lambda: OPTIMIZE)


@dataclass(frozen=True)
class Result:
    """How a bench ended.

    Attributes
    ----------
    tests
        How many cocotb tests ran; 0 only with `errors`.
    failures
        One line per test whose assertion failed: its name and message. RTL and golden differ.
    errors
        What kept the bench from telling whether they differ, a line each: the harness failed.
    folder
        Where the bench ran: its log `run.log`, files it wrote, and the trace `dump.vcd` or `dump.saif`.
    """

    tests: int
    failures: tuple[str, ...] = field(default=())
    folder: Path = Path()
    errors: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether all tests ran, and none failed."""
        return not self.failures and not self.errors


def build(design: Design) -> Path:
    """Compile `design`, or find it in the cache; returns the folder that holds the executable.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler failed; with their last lines and the log's path.
    """
    parts = [*design.sources, *(f"quiet: {text}" for text in design.quiet_sources), *_signature(design)]
    return cache.cached("verilator", parts, lambda folder: _compile(design, folder, parts, _support(design)))


def _signature(design: Design) -> list[str]:
    """Return what a build depends on besides the Verilog: tools and arguments."""
    return [design.top, str(find_verilator()), version("cocotb"), str(design.optimize), *_arguments(design)]


def _support(design: Design) -> Path:
    """Build the objects of Verilator's run-time library, which are the same for all designs and slow to compile."""
    probe = replace(design, sources=("module top(clk); input clk; endmodule",), quiet_sources=(), top="top")
    parts = ["support", *_signature(probe)]
    return cache.cached("verilator", parts, lambda folder: _compile(probe, folder, parts, None))


def _compile(design: Design, folder: Path, parts: list[str], support: Path | None) -> None:
    """Make the executable in `folder`, or the run-time library's objects there when there is no `support` yet."""
    for item in support.glob("verilated*.o") if support else ():
        shutil.copy(item, folder)  # newer than its source: make leaves it alone
    quiet = [f"/* verilator tracing_off */\n{text}\n/* verilator tracing_on */\n" for text in design.quiet_sources]
    texts = [*quiet, *design.sources]
    names = [f"source_{number}.v" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "ports.vlt").write_text(_public_ports(design), encoding="utf-8")
    tool = find_verilator()
    log = folder / "build.log"
    for command in _build_commands(design, folder, names):
        step = folder / "step.log"
        ended = run_child(command, folder=folder, variables=_build_variables(design), log=step)
        with log.open("ab") as whole:
            whole.write(step.read_bytes())
        if ended.code != 0:
            kept = cache.failed_folder("verilator", parts) / log.name
            raise ToolError(f"{tool} could not build {design.top}:\n{_tail(log)}\nlog: {kept}")
    for leftover in folder.iterdir():
        wanted = leftover.match("verilated*.o") if support is None else leftover.name == design.top
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        elif not wanted and leftover != log:
            leftover.unlink()


def _build_commands(design: Design, folder: Path, sources: list[str]) -> list[list[str]]:
    """Return Verilator's command and make's, which run in `folder`: links there stand for paths with blanks."""
    (folder / "cocotb_libs").symlink_to(cocotb_tools.config.libs_dir)
    (folder / "cocotb_share").symlink_to(cocotb_tools.config.share_dir)
    # Without a run path the executable does not depend on where cocotb is installed.
    verilate = [str(find_verilator().executable), "-cc", "--exe", "-Mdir", ".", "--top-module", design.top, "--vpi"]
    verilate += ["--prefix", "Vtop", "-o", design.top, "-LDFLAGS", "-Lcocotb_libs -lcocotbvpi_verilator"]
    verilate += [*_arguments(design), "--timescale", "1ns/1ps"]
    verilate += ["cocotb_share/lib/verilator/verilator.cpp", "ports.vlt", *sources]
    # The objects of the run-time library do not depend on the design, although the makefile says so.
    jobs = str(min(MOST_JOBS, os.cpu_count() or 1))
    make = ["make", "-j", jobs, "-f", "Vtop.mk", f"VM_TRACE={int(design.trace is not None)}", "--old-file=Vtop.mk"]
    make.append("CURDIR=.")  # Verilator's makefile refuses a folder with a blank in its path, but needs it for no more
    return [verilate, make]


def _build_variables(design: Design) -> dict[str, str]:
    variables = dict(find_verilator().environment)
    return variables | {"MAKEFLAGS": f"{variables.get('MAKEFLAGS', '')} OPT_FAST=-O{design.optimize}".strip()}


def run(
    design: Design,
    bench: str,
    *,
    seed: int,
    config: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Result:
    """Run every cocotb test of the module `bench` on `design`.

    Parameters
    ----------
    design
        Built first if the cache does not hold it.
    bench
        Import path of the bench, for instance `roundel.sim.benches.tb_requant`.
    seed
        Of cocotb and of everything the bench draws.
    config
        What the bench reads with `roundel.sim.benches.bench.config`; must be JSON.
    folder
        Where to run, kept afterwards; a temporary folder by default, deleted again unless a test failed.

    Raises
    ------
    ToolError
        The simulation crashed, no test ran, or a test ended with another exception than a failed assertion.
    """
    executable = build(design) / design.top
    with run_folder(folder) as work:
        log = work / "run.log"
        result = _simulate(design, executable, bench, seed, dict(config or {}), work)
        if result.errors:
            raise ToolError(f"the bench {bench} failed on {design.top}: {result.errors[0]}\nlog: {log}")
        if not result.tests:
            raise ToolError(f"no test ran in {bench} on {design.top}:\n{_tail(log)}\nlog: {log}")
        if not result.passed:
            keep(work)
        return result


def _simulate(design: Design, executable: Path, bench: str, seed: int, config: Mapping[str, Any], work: Path) -> Result:
    (work / "config.json").write_text(json.dumps(config), encoding="utf-8")
    log, results = work / "run.log", work / "results.xml"
    results.unlink(missing_ok=True)
    trace = ["--trace", "--trace-file", f"dump.{design.trace}"] if design.trace else []
    try:
        ended = run_child(
            [executable, *trace], folder=work, variables=_run_variables(design, bench, seed, work), log=log
        )
    except PermissionError as error:
        raise InputError(f"{executable}: cannot be run ({error.strerror}); is no program allowed there?") from None
    if not results.exists():  # a failed test ends with a file
        raise ToolError(f"simulation of {design.top} crashed ({ended}):\n{_tail(log)}\nlog: {log}")
    return _read_results(results, work)


def _run_variables(design: Design, bench: str, seed: int, work: Path) -> dict[str, str]:
    """Return what cocotb, inside of the simulator, reads from its environment."""
    libraries = [str(cocotb_tools.config.libs_dir), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        CONFIG_VARIABLE: str(work / "config.json"),
        "COCOTB_ANSI_OUTPUT": "0",
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_REWRITE_ASSERTION_FILES": "",  # of pytest: benches say themselves what differs
        "COCOTB_RESULTS_FILE": str(work / "results.xml"),
        "COCOTB_TEST_MODULES": bench,
        "COCOTB_TOPLEVEL": design.top,
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "GPI_USERS": ";".join([_libpython(), cocotb_tools.config.pygpi_entry_point()]),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PYGPI_PYTHON_BIN": sys.executable,
        "TOPLEVEL_LANG": "verilog",
    }


@once
def _libpython() -> str:
    path = find_libpython.find_libpython()
    if path is None:
        raise InputError("simulation needs Python's shared library: install with `apt-get install libpython3-dev`")
    return str(path)


def _arguments(design: Design) -> tuple[str, ...]:
    trace = {None: (), "vcd": ("--trace-vcd",), "saif": ("--trace-saif", "--trace-underscore")}[design.trace]
    warning_flags = tuple(f"-Wno-{name}" for name in QUIET)
    return (*warning_flags, "--output-split", "0", "--x-assign", "0", "--x-initial", "0", *trace)


def _public_ports(design: Design) -> str:
    match = re.search(rf"^\s*module\s+{re.escape(design.top)}\s*\(([^)]*)\)", "\n".join(design.sources), re.MULTILINE)
    if match is None:
        raise ToolError(f"no module {design.top} in the Verilog to simulate")
    names = [name.strip() for name in match[1].split(",") if name.strip()]
    lines = [f'public_flat_rw -module "{design.top}" -var "{name}"' for name in names]
    return "\n".join(["`verilator_config", *lines, ""])


def _read_results(path: Path, work: Path) -> Result:
    """Tell failed assertions, which a bench makes where RTL and golden differ, from all else that ended a test."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    failures, errors = list[str](), list[str]()
    for case in cases:
        for fault in [*case.findall("failure"), *case.findall("error")]:
            message = (fault.get("error_msg") or fault.get("message") or fault.text or "failed").strip()
            line, kind = message.splitlines()[0] if message else "failed", fault.get("type") or ""
            if fault.tag == "failure" and kind == AssertionError.__name__:
                failures.append(f"{case.get('name')}: {line}")
            else:
                errors.append(": ".join(filter(None, (case.get("name"), kind, line))))
    ran = [case for case in cases if case.find("skipped") is None]
    return Result(len(ran), tuple(failures), work, tuple(errors))


def _tail(log: Path, lines: int = 12) -> str:
    if not log.exists():
        return "(no log was written)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
