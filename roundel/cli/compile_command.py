"""The command `compile`."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from roundel.cli.options import JSON, OUTPUT
from roundel.golden.engine import CONFIGS
from roundel.golden.errors import InputError
from roundel.ui import out, output_folder, shortened, table, write_json

FILE = click.Path(path_type=Path)


@click.command("compile")
@click.argument("network", type=FILE, metavar="NETWORK")
@click.option(
    "--config", type=click.Choice(list(CONFIGS)), default="small", show_default=True, help="Engine configuration."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one parameter of the configuration."
)
@click.option(
    "--input-shape", help="Shape of an input, ROWSxCOLUMNSxCHANNELS or a number of features, if the file has none."
)
@click.option("--head", type=FILE, help="Detector file (.toml) that makes the program end in boxes, by its NMS.")
@click.option("--trace", is_flag=True, help="Store the result of every layer.")
@OUTPUT
@JSON
def compile_command(
    network: Path,
    config: str,
    settings: tuple[str, ...],
    input_shape: str | None,
    head: Path | None,
    trace: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Compile an integer network for the engine: program.bin, memory_map.json, program.lst.

    NETWORK is a folder that `roundel compress` wrote, or a network file. docs/engine.md describes the program.
    """
    from roundel.compiler import compile_network, listing, memory_map
    from roundel.golden.network import load, load_meta

    path = network / "network.npz" if network.is_dir() else network
    loaded, meta = load(path), load_meta(path)
    params, heads = _engine(config, settings), ()
    if head is not None:
        params, heads = _heads(head, path, loaded, meta, params)
    compiled = compile_network(loaded, _shape(path, input_shape, meta), params, heads=heads, trace=trace)
    found = memory_map(compiled)
    with output_folder(folder) as work:
        (work / "program.bin").write_bytes(compiled.image)
        write_json(work / "memory_map.json", found)
        (work / "program.lst").write_text(listing(compiled))
    if as_json:
        click.echo(json.dumps(found))
        return
    names = ("layer", "computes", "macs", "steps", "steps_dense", "loaded", "stored", "weights", "parameters")
    cells = [[str(row[name]) for name in names] for row in found["layers"]]
    table(f"{path.name} for {config}", names, shortened(cells))
    out.print(f"{len(compiled.program.descriptors)} descriptors, {len(compiled.image)} bytes: {folder / 'program.lst'}")


def _engine(config: str, settings: tuple[str, ...]) -> Any:
    """The engine's parameters: those of a named configuration, and what was set."""
    from roundel.generator import parse_settings
    from roundel.golden.engine import EngineParams

    unit: Any = SimpleNamespace(name="engine", params=EngineParams)  # all that is asked of a unit
    try:
        return EngineParams(**(CONFIGS[config] | parse_settings(unit, settings)))
    except (TypeError, ValueError) as error:
        raise InputError(str(error) if isinstance(error, InputError) else f"unit engine: {error}") from None


def _heads(head: Path, path: Path, network: Any, meta: dict[str, Any], params: Any) -> Any:
    """The engine with the detector's NMS, and the detector's scales."""
    from roundel.compiler import heads_of
    from roundel.detection import load

    detector, results = load(head), meta.get("results")
    if results is not None and not isinstance(results, dict):
        raise InputError(f"{path}: meta: results: expected an object")
    return replace(params, nms=detector.nms), heads_of(detector, network, results)


def _shape(path: Path, given: str | None, meta: dict[str, Any]) -> tuple[int, ...]:
    """Of an image, (rows, columns, channels) or (features,): as asked for, else as the file says."""
    if given is not None:
        if not re.fullmatch(r"\d{1,6}(x\d{1,6}x\d{1,6})?", given):
            raise InputError(f"--input-shape {given!r}: expected ROWSxCOLUMNSxCHANNELS or a number")
        return tuple(map(int, given.split("x")))
    shape = meta.get("input_shape")
    if shape is None:
        raise InputError(f"{path}: meta: input_shape: not there, expected --input-shape")
    if not isinstance(shape, list) or len(shape) not in (1, 3) or not all(type(size) is int for size in shape):
        raise InputError(f"{path}: meta: input_shape: expected a list of one or three sizes")
    return tuple(shape) if len(shape) == 1 else (shape[1], shape[2], shape[0])
