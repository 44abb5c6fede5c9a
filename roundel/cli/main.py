"""The command line. Every command is thin: it reads options, calls one function, prints or writes the result."""

import json
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from amaranth.hdl import UnusedElaboratable

from roundel.cli.advise_command import advise
from roundel.cli.compile_command import compile_command
from roundel.cli.compress_command import compress, run
from roundel.cli.demo_command import demo
from roundel.cli.generate_command import generate
from roundel.cli.options import CELLS, JSON, OUTPUT, SEED
from roundel.generator import find_unit, parse_settings
from roundel.golden.errors import InputError, MismatchError, ToolError
from roundel.hw.units import UNITS
from roundel.ui import err, out, output_folder, steps, table, write_json


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="roundel")
def cli() -> None:
    """Turn a trained network into a verified accelerator: Verilog, proof, area and energy."""


@cli.command()
@JSON
def units(as_json: bool) -> None:
    """List the units, their parameters and their named configurations."""
    from roundel.generator import describe_units

    rows = describe_units()
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        out.print(f"{row['unit']}: {row['summary']}; {len(row['configs'])} configurations to verify")
        table("", ("parameter", "default"), [(name, str(value)) for name, value in row["parameters"].items()])


@cli.command()
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@click.option("--config", "wanted", multiple=True, help="Verify only this configuration; may be given several times.")
@SEED
@click.option("--waves", type=click.Path(path_type=Path), help="Keep logs and VCD waves in this folder.")
@JSON
def verify(names: tuple[str, ...], wanted: tuple[str, ...], seed: int, waves: Path | None, as_json: bool) -> None:
    """Prove RTL equal to golden: cocotb benches under Verilator. Exit code 1 on a mismatch."""
    from roundel.runtime import PROVERS
    from roundel.sim.verify import cases, prove_all
    from roundel.sim.verilator import find_verilator

    if waves and (wrong := [path for path in (waves, *waves.parents) if path.exists() and not path.is_dir()]):
        raise InputError(f"{wrong[0]}: is a file, expected a folder for waves")
    todo = [case for name in dict.fromkeys(names or UNITS) for case in cases(find_unit(name))]
    wanted = tuple(name.removesuffix(", stalls") for name in wanted)
    if wanted:
        known = {case.name.removesuffix(", stalls") for case in todo}
        if unknown := set(wanted) - known:
            raise InputError(f"unknown configuration {min(unknown)!r}, expected one of {', '.join(sorted(known))}")
        todo = [case for case in todo if case.name.removesuffix(", stalls") in wanted]
    err.print(f"{find_verilator()}, seed {seed}")
    with steps("verify", len(todo)) as step:
        told = partial(_told, step)
        results = prove_all(todo, seed=seed, waves=waves, done=told, provers=PROVERS)
    rows = [
        {"unit": case.unit, "config": case.name, "seed": seed, "passed": result.passed, "failures": result.failures}
        for case, result in results
    ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        cells = [(f"{row['unit']} {row['config']}", "equal" if row["passed"] else "DIFFERS") for row in rows]
        table(f"RTL against golden, seed {seed}", ("unit and configuration", "result"), cells)
    failed = [(case, result) for case, result in results if not result.passed]
    for case, result in failed:
        err.print(f"{case.unit} {case.name}: {result.failures[0]} (log in {result.folder})", style="red")
    err.print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def _told(step: Callable[[str], None], case: Any, result: Any) -> None:
    step(f"{case.unit} {case.name}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@CELLS
@click.option("--fpga", type=click.Choice(["ecp5"]), help="Place and route for this FPGA as well.")
@click.option(
    "--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set a parameter for all variants of the unit."
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of digits whose accumulators are the stimulus.",
)
@click.option(
    "--stimulus", type=click.Path(path_type=Path), help="Stimulus of your own: an npz file with accumulators `acc`."
)
@OUTPUT
@JSON
def compare(
    names: tuple[str, ...],
    libraries: tuple[str, ...],
    fpga: str | None,
    pairs: tuple[str, ...],
    images: int,
    stimulus: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Compare area, delay and energy of a unit's variants: report.json, report.csv, report.md and plots."""
    from roundel.evaluation import COMPARISONS, library_paths, run_jobs, show, write_report

    if unknown := [name for name in names if name not in COMPARISONS]:
        raise InputError(f"nothing to compare for unit {unknown[0]!r}, expected one of {', '.join(COMPARISONS)}")
    if (pairs or stimulus) and len(set(names)) != 1:
        raise InputError(f"--set and --stimulus need one unit to compare, one of {', '.join(COMPARISONS)}")
    cells = library_paths(libraries)
    jobs = []
    for name in dict.fromkeys(names or COMPARISONS):
        jobs += COMPARISONS[name](cells, parse_settings(find_unit(name), pairs), bool(fpga), images, stimulus)
    with output_folder(folder) as work:
        with steps("compare", len(jobs)) as step:
            rows = run_jobs(jobs, step)
        write_report(rows, work)
    if as_json:
        click.echo(json.dumps(rows))
    else:
        show(rows)
        out.print(f"all figures: {folder / 'report.md'}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[UNIT ...]")
@SEED
@OUTPUT
@JSON
def bench(names: tuple[str, ...], seed: int, folder: Path, as_json: bool) -> None:
    """Measure work per cycle of the RTL, the speed of simulation and golden models, and accuracy: bench.json."""
    from roundel.benchmarks import run as benchmarks
    from roundel.benchmarks import tables

    with output_folder(folder) as work, steps("bench", benchmarks.measurements(names)) as step:
        rows = benchmarks.bench(names, seed=seed, done=step)
        write_json(work / "bench.json", rows)
    if as_json:
        click.echo(json.dumps(rows))
    else:
        for title, heads, cells in tables(rows):
            table(f"{title}, seed {seed}", heads, cells)


@cli.command()
@click.argument("boxes", type=click.Path(path_type=Path), metavar="BOXES.npz")
@click.option(
    "--method",
    type=click.Choice(["psrr", "adjacent", "guarded", "maxpool", "greedy"]),
    default="guarded",
    show_default=True,
    help="Suppression method: a pyramid of pools, or greedy for GreedyNMS.",
)
@click.option(
    "--semantics",
    type=click.Choice(["parallel", "cascade"]),
    help="Boxes that a pass sees: all, or survivors of the pass before.",
)
@click.option("--shift", type=click.Choice(["none", "diagonal", "quad"]), help="Shifted copies of every level.")
@click.option("--alpha", type=float, help="Kernel size as a fraction of the box of a channel, above 0.")
@click.option("--stride", type=int, help="Size of a cell in pixels, a power of two.")
@click.option(
    "--guard",
    type=float,
    help="IoU above which a window's best box suppresses another; for greedy its IoU threshold, 0.5 by default.",
)
@click.option("--image", metavar="WxH", help="Size of the images in pixels, 640x640 by default.")
@click.option(
    "--on",
    type=click.Choice(["golden", "rtl"]),
    default="golden",
    show_default=True,
    help="Run the model in double precision, or the hardware under Verilator, class by class on fixed-point boxes.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    help="Output folder for kept.json, kept.npz and pictures of the first 16 images.",
)
@JSON
def nms(boxes: Path, image: str | None, on: str, folder: Path | None, as_json: bool, **given: Any) -> None:
    """Suppress scored boxes, and list the rows of the file that are kept. Other parameters are those of the preset.

    BOXES.npz holds the arrays boxes (N x 4: x1, y1, x2, y2 in pixels), scores (N) and, optionally, classes (N) and
    image_ids (N). Exit code 1 if the RTL keeps other boxes than its golden model.
    """
    from roundel.detection import suppression

    options = suppression.NmsOptions(**given, image=suppression.parse_image(image) if image is not None else None)
    result = suppression.suppress(boxes, options, rtl=on == "rtl")
    for note in suppression.notes(result, folder):
        err.print(note)
    if folder:
        with output_folder(folder) as work:
            suppression.write_result(result, work)
    if as_json:
        click.echo(json.dumps(result.as_dict()))
    else:
        table(f"{boxes}, {options.method}", ("image", "boxes", "kept"), suppression.cells(result))
        if result.rtl:
            out.print(str(result.rtl))


cli.add_command(advise)
cli.add_command(compile_command)
cli.add_command(compress)
cli.add_command(demo)
cli.add_command(generate)
cli.add_command(run)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit code 2 on bad input, 3 when a tool crashed, one message on stderr either way."""
    warnings.simplefilter("ignore", UnusedElaboratable)  # a design half built when bad input ends the run
    sys.exit(_guarded(lambda: cli.main(arguments, standalone_mode=False)))


def _guarded(call: Callable[[], Any]) -> int:
    try:
        call()
    except InputError as error:
        click.echo(f"roundel: {error}", err=True)
        return 2
    except MismatchError as error:
        click.echo(f"roundel: {error}", err=True)
        return 1
    except ToolError as error:
        click.echo(f"roundel: {error}", err=True)
        return 3
    except click.ClickException as error:
        click.echo(f"roundel: {error.format_message()}", err=True)
        return 2
    except click.exceptions.Abort:
        return 130
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        return 0
    except Exception as error:
        traceback.print_exc()
        click.echo(f"roundel: {type(error).__name__}, a fault of this program: please report the lines above", err=True)
        return 70
    return 0


if __name__ == "__main__":
    main()
