"""Measures the zoo and writes its table: `python -m examples.zoo`, or `make zoo`.

Each network runs in a process of its own, with limits of time and memory, one after the other, smallest first. What was
measured lies in the cache, a JSON file for each network, so that a run that was ended goes on; what other code measured
is measured again. A network that fails is a row with its reason. What the page was written from lies in `records.json`,
so that another machine can write a part of it anew (`--keep`, `--table`).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import roundel
import roundel.golden
from examples.zoo import page
from examples.zoo.files import Files, check_name
from examples.zoo.measure import Task
from examples.zoo.models import TINY, ZOO, Model, named
from roundel.benchmarks.golden import THREADS
from roundel.golden.errors import InputError, ToolError
from roundel.processes import cache_root, run_child, work_folder
from roundel.sim.cache import code, digest
from roundel.ui import write_json

HERE = Path(__file__).parent
PAGE, README = HERE.parents[1] / "docs" / "zoo.md", HERE.parents[1] / "README.md"
RECORDS = HERE / "records.json"
ENGINES = ("small", "medium")
"""Engines that cycles are told for, with the units that a network's layers need."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    try:
        check_name(options.models, [model.name for model in (TINY, *ZOO)])
    except InputError as error:
        sys.exit(f"zoo: {error}")
    models = [named(name) for name in options.models] or list(ZOO)
    records = [measured(model, options) for model in models]
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "zoo.json", records)
    table = page.tables(records)
    (folder / "zoo.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    print("\n".join(table))
    if options.page:
        options.table = True  # networks that were not asked for stand as they are
        own = {record["name"]: record for record in records}
        records = [own.get(model.name) or measured(model, options) for model in ZOO]
        write_json(RECORDS, records)
        page.write(PAGE, records)
        page.write_first_page(README, records)


def parser() -> argparse.ArgumentParser:
    """The options."""
    reader = argparse.ArgumentParser(prog="python -m examples.zoo", description=(__doc__ or "").partition("\n")[0])
    reader.add_argument("models", nargs="*", metavar="NAME", help="networks; all without one")
    reader.add_argument("-o", "--output", default="build/zoo", help="folder for zoo.json and zoo.md")
    reader.add_argument("--on", choices=("golden", "rtl"), default="golden", help="what the images run on")
    reader.add_argument("--config", default="small", help="the engine on RTL")
    reader.add_argument("--calibration", type=int, default=4, help="images that choose formats")
    reader.add_argument("--images", type=int, default=2, help="images that are compared")
    reader.add_argument("--engines", default=",".join(ENGINES), help="engines that cycles are told for")
    reader.add_argument("--seconds", type=float, default=1800.0, help="time that a network may take")
    reader.add_argument("--threads", type=int, default=1, help="of BLAS and onnxruntime: more wait for each other")
    reader.add_argument("--memory", type=int, default=12 << 10, help="MiB of address space that it may take")
    reader.add_argument("--keep", action="store_true", help="keep what was measured, with other code and options too")
    reader.add_argument("--table", action="store_true", help="as --keep, but measure nothing: the table as it stands")
    reader.add_argument("--fresh", action="store_true", help="measure everything again")
    reader.add_argument("--no-int8", action="store_true", help="leave out onnxruntime's own integers")
    reader.add_argument("--page", action="store_true", help="write docs/zoo.md and the table in README.md")
    return reader


def measured(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    """The record of a network: from the cache, or measured now."""
    files = Files(cache_root() / "zoo")
    about = {"model": model.as_dict(), "on": options.on, "config": options.config, "images": options.images}
    about |= {"calibration": options.calibration, "engines": options.engines, "threads": options.threads}
    about |= {"int8": not options.no_int8, "code": digest([*code(roundel, roundel.golden), *code_here()])}
    about = json.loads(json.dumps(about))  # as the file has it
    kind = "" if options.on == "golden" else f"_{options.on}_{options.config}"
    place = files.folder / "records" / f"{model.name}{kind}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept(model, place)
    if kept and not options.fresh:
        loose = {"code", "engines", "calibration", "images", "int8", "threads"}
        loose = loose if options.keep or options.table else set()
        if all(kept["about"].get(name) == value for name, value in about.items() if name not in loose):
            return kept
    if options.table:
        return {"name": model.name, "about": about, "failed": {"zoo": "not measured yet"}, "seconds": {}}
    print(f"{model.name} ...", file=sys.stderr, flush=True)
    values = _measured_now(model, files, options)
    record: dict[str, Any] = {"name": model.name, "about": about} | values
    print(f"{model.name}: {page.verdict(record)}", file=sys.stderr, flush=True)
    if "process" in record["failed"] and kept and not kept["failed"].keys() & {"process", "zoo"}:
        print(f"{model.name}: what was measured before is kept", file=sys.stderr, flush=True)
        return kept
    write_json(place, record)
    return record


def _kept(model: Model, place: Path) -> dict[str, Any] | None:
    """What was measured before: here, or for the page."""
    if place.is_file():
        record: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return record
    records = page.load(RECORDS) if RECORDS.is_file() else []
    return next((record for record in records if record["name"] == model.name), None)


def code_here() -> list[bytes]:
    """What rows depend on, of this folder."""
    names = ("exports.py", "files.py", "images.py", "measure.py", "rival.py", "tiny.py")
    files = [*(HERE / name for name in names), *sorted(HERE.glob("networks/*.py")), HERE / "torch.txt"]
    return [file.read_bytes() for file in files]


def _measured_now(model: Model, files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Run a process that measures, and return what it wrote, with the reason for its end if it did not finish."""
    try:
        file = files.model(model)
    except (InputError, ToolError, OSError) as error:
        return {"failed": {"file": str(error)}, "seconds": {}}
    with work_folder() as folder:
        task = Task(
            name=model.name,
            file=str(file),
            folder=str(files.folder),
            record=str(folder / "record.json"),
            engines={name: name for name in options.engines.split(",")},
            on=options.on,
            config=options.config,
            calibration=options.calibration,
            images=options.images,
            memory=options.memory,
            threads=options.threads,
            int8=not options.no_int8,
        )
        task.write(folder / "task.json")
        command = [sys.executable, "-m", "examples.zoo.measure", folder / "task.json"]
        variables = {"ROUNDEL_CACHE": str(cache_root()), "PYTHONPATH": str(HERE.parents[1])}
        variables |= dict.fromkeys(THREADS, str(options.threads))
        ended = run_child(command, folder=folder, variables=variables, timeout_s=options.seconds)
        record = folder / "record.json"
        values: dict[str, Any] = {"failed": {}, "seconds": {}}
        if record.is_file():
            values = json.loads(record.read_text(encoding="utf-8"))
        if values.get("stage") != "done":
            lines = ended.errors.strip().splitlines()
            reason = f"{ended} in {values.get('stage', 'its first steps')}: {lines[-1] if lines else ''}".rstrip(": ")
            values["failed"]["process"] = reason
        return values


if __name__ == "__main__":
    main()
