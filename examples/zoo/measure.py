"""Measures one network, in a process of its own: `python -m examples.zoo.measure TASK.json`.

Every stage that fails leaves its reason and the others go on, as far as they can. The record is written after each
stage, so that what was measured is there even if the process ends.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

import roundel
from examples.zoo import rival
from examples.zoo.files import Files
from examples.zoo.images import images
from examples.zoo.models import Model, named
from roundel.compiler import predicted_layers
from roundel.golden.errors import InputError, ToolError
from roundel.processes import work_folder
from roundel.ui import write_json

CALIBRATION_SEED, IMAGE_SEED = 1, 2
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to measure.

    Parameters
    ----------
    name
        Of the network.
    file
        Its ONNX file.
    folder
        Of the zoo's files.
    record
        Where the record goes.
    engines
        Settings of engines, by names, that cycles are predicted for.
    on, config
        `golden` or `rtl`, and the engine that the images run on.
    calibration, images
        How many images choose formats, and how many are compared.
    memory
        MiB of address space that the process may take.
    int8
        Whether onnxruntime's own integers are measured as well.
    threads
        Of onnxruntime; those of BLAS are what the process has.
    """

    name: str
    file: str
    folder: str
    record: str
    engines: dict[str, Any]
    on: str = "golden"
    config: str = "small"
    calibration: int = 4
    images: int = 2
    memory: int = 12 << 10
    int8: bool = True
    threads: int = 1

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, asdict(self))


@dataclass
class Record:
    """What was measured so far, and where it is written.

    Parameters
    ----------
    path
        The file.
    values
        Plain values.
    """

    path: Path
    values: dict[str, Any] = field(default_factory=lambda: {"failed": {}, "seconds": {}})

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a stage and give its result; None where it fails, with the reason in the record."""
        self.values["stage"] = name
        self.write()
        begin = time.perf_counter()
        try:
            return work()
        except (InputError, ToolError) as error:
            self.values["failed"][name] = str(error)
        except MemoryError:
            self.values["failed"][name] = "needs more memory than it may take"
        except Exception as error:  # a fault of the program or of a tool is a row of the table, too
            text = " ".join(str(error).split()) or "without a message"
            self.values["failed"][name] = f"{type(error).__name__}: {text[:300]}"
            self.values.setdefault("crashed", []).append(name)
        finally:
            self.values["seconds"][name] = time.perf_counter() - begin
            self.values["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            self.write()
        return None

    def write(self) -> None:
        """Write the file anew."""
        write_json(self.path, plain(self.values))


def measure(task: Task) -> dict[str, Any]:
    """Measure a network and return its record."""
    model, record = named(task.name), Record(Path(task.record))
    values = record.values
    unpack = Files(Path(task.folder)).unpack
    calibration = images(model, task.calibration, CALIBRATION_SEED, unpack)
    pictures = images(model, task.images, IMAGE_SEED, unpack)
    record.stage("inspect", lambda: values.update(_inspected(task, model)))
    small = record.stage("compress", partial(_compressed, task, model, calibration))
    run = None
    if small is not None:
        values["warnings"] = len(small.warnings)
        run = record.stage("run", lambda: _run(task, small, pictures, values))
    values["own_peak"] = values.get("peak")
    _compared(task, model, record, calibration, pictures, run)
    if small is not None:  # the longest stages last
        cycles = values["cycles"] = {}
        for name in sorted(task.engines):
            cycles[name] = record.stage(f"compile {name}", partial(_cycles, small, task.engines[name]))
    values["stage"] = "done"
    record.write()
    return values


def _compressed(task: Task, model: Model, calibration: Any) -> roundel.CompressedNetwork:
    """The integer network."""
    shape, outputs = (1, *model.shape), model.outputs or None
    return roundel.compress(task.file, calibration, input_shape=shape, outputs=outputs, host="any", head=False)


def _inspected(task: Task, model: Model) -> dict[str, Any]:
    """Products, shares, and what blocks."""
    told = roundel.inspect(task.file, input_shape=(1, *model.shape), outputs=model.outputs or None, host="any")
    return {
        "macs": told.macs,
        "weights": told.weights,
        "shares": dict(told.shares),
        "parts": dict(told.counts),
        "blocks": [
            {"operator": block.operator, "count": len(block.names), "reason": block.reason} for block in told.blocks
        ],
    }


def _cycles(small: roundel.CompressedNetwork, engine: Any) -> dict[str, float]:
    """Cycles of an image on an engine, all parts together, and the useful share of all multipliers."""
    program = roundel.compile(small, engine)
    multipliers = program.params.lanes * program.params.columns
    cycles = macs = 0
    for part in (program, *program.others.values()):
        rows, count = predicted_layers(part.compiled)
        cycles += count
        macs += sum(row.macs for row in rows)
    return {"cycles": cycles, "utilization": macs / (cycles * multipliers)}


def _run(task: Task, small: roundel.CompressedNetwork, pictures: Any, values: dict[str, Any]) -> rival.Arrays:
    """Run the images and return the network's outputs by their own names."""
    begin = time.perf_counter()
    engine = task.config if task.on == "rtl" else None
    result = roundel.run(small, pictures, on=task.on, engine=engine)
    values["golden_seconds"] = (time.perf_counter() - begin) / len(pictures)
    values["different"] = len(result.differences)
    values["equal"] = result.figures["equal"]
    if result.differences:
        raise ToolError(f"RTL and golden differ: {result.differences[0]}")
    return result.real


def _compared(task: Task, model: Model, record: Record, calibration: Any, pictures: Any, run: Any) -> None:
    """Run onnxruntime's network, and its integers, on the same images, and record how far each is from its floats."""
    values = record.values
    proto = record.stage("onnxruntime", lambda: rival.prepared(Path(task.file), model.shape, model.outputs))
    if proto is None:
        return

    def floats() -> rival.Arrays:
        session = rival.Float(proto, threads=task.threads)
        values["float_seconds"] = session.seconds(pictures[0])
        return session.run(pictures)

    wanted = record.stage("onnxruntime", floats)
    if wanted is None:
        return
    values["outputs"] = {name: list(array.shape) for name, array in wanted.items()}
    values["sqnr"] = {}
    if run is not None:
        record.stage("compare", lambda: values["sqnr"].update({"engine": rival.ratios(wanted, run)}))
    if task.int8:
        with work_folder() as folder:
            for kind in ("tensor", "channel"):
                ratios = record.stage(
                    f"int8 by {kind}", partial(_int8, proto, calibration, pictures, wanted, folder, kind)
                )
                values["sqnr"] |= {kind: ratios} if ratios else {}


def _int8(
    proto: Any, calibration: Any, pictures: Any, wanted: rival.Arrays, folder: Path, kind: str
) -> dict[str, float]:
    """How far onnxruntime's own integers are from its floats."""
    file = rival.quantized(proto, calibration, folder, per_channel=kind == "channel")
    return rival.ratios(wanted, rival.Float(file, exact=True).run(pictures))


def plain(value: Any) -> Any:
    """Values that JSON can hold: infinite ratios as text."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def least(ratios: Iterable[float | str]) -> float:
    """The least of ratios, infinite ones as texts."""
    return min(map(float, ratios))


def main(arguments: Sequence[str]) -> None:
    """Measure what a file says, within its limit of memory."""
    task = Task(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    resource.setrlimit(resource.RLIMIT_AS, (task.memory * MIB, task.memory * MIB))
    measure(task)


if __name__ == "__main__":
    main(sys.argv[1:])
