"""Builds and runs cocotb benches under Verilator: cached, seeded, and never silently empty.

The only place that knows `cocotb_tools.runner`, which upstream marks as experimental.
"""

import json
import os
import re
import shutil
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from roundel.golden.errors import ToolError
from roundel.sim import cache
from roundel.sim.contract import CONFIG_VARIABLE
from roundel.sim.verilator import Verilator, find_verilator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # "Python runners are an experimental feature"
    import cocotb_tools.config
    from cocotb_tools import runner as cocotb_runner

QUIET = ("WIDTH", "WIDTHEXPAND", "WIDTHTRUNC", "UNUSED", "DECLFILENAME", "PINCONNECTEMPTY", "UNOPTFLAT", "TIMESCALEMOD")


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
        C++ optimization level: 1 builds fast, 3 runs fast.
    """

    sources: tuple[str, ...]
    top: str
    quiet_sources: tuple[str, ...] = ()
    trace: str | None = None
    optimize: int = 1


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


class _Runner(cocotb_runner.Verilator):
    """Cocotb's Verilator runner with the chosen Verilator, and only the ports of the top made public."""

    def __init__(self, tool: Verilator, make_flags: str = ""):
        super().__init__()
        self.tool = tool
        self.make_flags = make_flags

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(self.tool.executable)
        self.env.update(self.tool.environment)
        self.env["MAKEFLAGS"] = f"{self.env.get('MAKEFLAGS', '')} {self.make_flags}".strip()

    def _build_command(self) -> list[list[str]]:
        dropped = {"--public-flat-rw", "--trace"}
        commands = [[word for word in command if word not in dropped] for command in super()._build_command()]
        # Without the run path the executable does not depend on where cocotb is installed.
        verilate, make = [[re.sub(r"-Wl,-rpath,\S+ ", "", word) for word in command] for command in commands]
        # The objects of the run-time library do not depend on the design, although the makefile says so.
        return [verilate, [*make, "--old-file=Vtop.mk"]]


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
    tool = find_verilator()
    for item in support.glob("verilated*.o") if support else ():
        shutil.copy(item, folder)  # newer than its source: make leaves it alone
    quiet = [f"/* verilator tracing_off */\n{text}\n/* verilator tracing_on */\n" for text in design.quiet_sources]
    texts = [*quiet, *design.sources]
    files = [folder / f"source_{number}.v" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    ports = folder / "ports.vlt"
    ports.write_text(_public_ports(design))
    log = folder / "build.log"
    try:
        _Runner(tool, f"OPT_FAST=-O{design.optimize}").build(
            sources=[ports, *files],
            hdl_toplevel=design.top,
            build_dir=folder,
            build_args=list(_arguments(design)),
            timescale=("1ns", "1ps"),
            waves=design.trace is not None,
            log_file=log,
        )
    except (SystemExit, RuntimeError) as error:
        kept = cache.failed_folder("verilator", parts) / log.name
        raise ToolError(f"{tool} could not build {design.top}:\n{_tail(log)}\nlog: {kept}") from error
    for leftover in folder.iterdir():
        wanted = leftover.match("verilated*.o") if support is None else leftover.name == design.top
        if not wanted and leftover != log:
            leftover.unlink()


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
    executable = build(design)
    work = folder or Path(tempfile.mkdtemp(prefix="roundel-"))
    work.mkdir(parents=True, exist_ok=True)
    (work / "config.json").write_text(json.dumps(dict(config or {})))
    results = work / "results.xml"
    results.unlink(missing_ok=True)
    tool = _Runner(find_verilator())
    libraries = os.pathsep.join(filter(None, [str(cocotb_tools.config.libs_dir), os.environ.get("LD_LIBRARY_PATH")]))
    try:
        tool.test(
            test_module=bench,
            hdl_toplevel=design.top,
            hdl_toplevel_lang="verilog",
            build_dir=executable,
            test_dir=work,
            seed=seed,
            waves=design.trace is not None,
            test_args=["--trace-file", f"dump.{design.trace}"] if design.trace else [],
            extra_env={CONFIG_VARIABLE: str(work / "config.json"), "LD_LIBRARY_PATH": libraries},
            results_xml=str(results),
            log_file=work / "run.log",
        )
    except (SystemExit, RuntimeError) as error:
        # A failed test ends here as well; only a missing result file is a crash.
        if not results.exists():
            log = work / "run.log"
            raise ToolError(f"simulation of {design.top} crashed:\n{_tail(log)}\nlog: {log}") from error
    result = _read_results(results, work)
    if result.errors:
        raise ToolError(f"the bench {bench} failed on {design.top}: {result.errors[0]}\nlog: {work / 'run.log'}")
    if not result.tests:
        raise ToolError(f"no test ran in {bench} on {design.top}:\n{_tail(work / 'run.log')}\nlog: {work / 'run.log'}")
    if folder is None and result.passed:
        shutil.rmtree(work)
    return result


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
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log was written)"
