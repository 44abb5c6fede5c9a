"""A compiled network as text for people (the listing) and as data for other programs (the memory map)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from roundel.compiler.pipeline import Compiled
from roundel.compiler.tensor import Storage, Tensor
from roundel.compiler.tokens import Task
from roundel.golden.engine import Opcode, Region
from roundel.golden.parameters import plain

FORMAT, VERSION = "roundel-memory-map", 2
COUNTS = ("computes", "macs", "steps", "steps_dense", "steps_further", "loaded", "stored", "weights", "parameters")


def memory_map(compiled: Compiled) -> dict[str, Any]:
    """Return the memory map for host software, as plain values; docs/compiler.md describes it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": compiled.params.fingerprint,
        "engine": compiled.params.as_dict(),
        "regions": {region.name.lower(): compiled.sizes[region] for region in Region},
        "input": _place(compiled.source) | _filled(compiled.source) | {"encoding": plain(asdict(compiled.encoding))},
        "outputs": {name: _place(compiled.tensors[name]) for name in compiled.outputs},
        "traced": {name: _place(tensor) for name, tensor in compiled.tensors.items() if name not in compiled.outputs},
        "boxes": {"region": "output", "offset": 0} if compiled.heads else None,
        "layers": layer_rows(compiled),
    }


def layer_rows(compiled: Compiled) -> list[dict[str, Any]]:
    """Every layer's descriptors, products and traffic, in the order of the program."""
    rows: dict[str, dict[str, Any]] = {}
    for task in compiled.tasks:
        if not task.layer:
            continue
        row = rows.setdefault(task.layer, {"layer": task.layer} | dict.fromkeys(COUNTS, 0))
        if task.opcode is Opcode.COMPUTE:
            tiles = task.values["tiles_x"] * task.values["tiles_y"]
            row["computes"] += 1
            row["macs"] += task.macs
            row["steps"], row["steps_dense"] = (old + new for old, new in zip(_steps(row), task.steps, strict=True))
            row["steps_further"] += task.further
            row["weights"] += tiles * _weights_bytes(task.values)
            row["parameters"] += tiles * task.values["parameters_bytes"]
        elif task.opcode is not Opcode.BOXES:
            row["loaded" if task.opcode is Opcode.LOAD else "stored"] += moved(task)
    return list(rows.values())


def _steps(row: dict[str, Any]) -> tuple[int, int]:
    return row["steps"], row["steps_dense"]


def moved(task: Task) -> int:
    """Bytes of a LOAD or STORE."""
    return task.values["planes"] * task.values["runs"] * task.values["run_bytes"]


def _filled(source: Tensor) -> dict[str, Any]:
    """Return the further channels that the host fills; nothing where there are none."""
    return {} if source.filled is None else {"filled": {"slots": list(source.filled[0]), "value": source.filled[1]}}


def _place(tensor: Tensor) -> dict[str, Any]:
    """Where a tensor is in the outer memory, and what its bytes mean."""
    storage, form = tensor.storage, tensor.form
    root, plane = storage.root
    assert root.outer is not None
    dense = tensor.slots.tolist() == list(range(len(tensor.slots)))
    return {
        "region": root.outer.region.name.lower(),
        "offset": root.outer.offset + plane * root.outer.plane,
        "layout": "rows" if storage.pixel else "planes",
        "shape": list(tensor.shape),
        "rows": storage.height,
        "interleave": storage.interleave,
        "advance": storage.advance,
        "above": storage.above,
        "map_rows": storage.rows,
        "columns": storage.columns,
        "pixels": list(tensor.pixels),
        "channels": len(tensor.slots),
        "pixel_bytes": storage.pixel_bytes,
        "row_pitch": root.outer.row,
        "plane_pitch": root.outer.plane,
        "slots": None if dense else tensor.slots.tolist(),
        "format": {name: getattr(form, name) for name in ("width", "signed", "fraction", "mantissa", "zero")},
    }


def listing(compiled: Compiled) -> str:
    """Return the program as text: a line for every descriptor, then what is where."""
    heads = ("index", "operation", "layer", "tokens", "reads", "writes", "tiles", "steps", "bytes")
    rows = [heads, *(_line(index, task) for index, task in enumerate(compiled.tasks))]
    rows.append((str(len(compiled.tasks)), "end", *[""] * 7))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    words = compiled.params.words
    lines += ["", f"on chip ({words} words of {compiled.params.lanes} bytes), from the making to the last reading:"]
    resident = sorted(compiled.plan.resident.items(), key=lambda item: item[1])
    lines += [f"  {word:>7} to {word + storage.words:<7} {_map(storage)}" for storage, word in resident]
    lines += ["", "outer memory:"]
    lines += [f"  {region.name.lower():<8} {compiled.sizes[region]:>12} bytes" for region in Region]
    for storage in dict.fromkeys(tensor.storage.root[0] for tensor in (compiled.source, *compiled.tensors.values())):
        if storage.outer is not None:
            lines.append(f"  {storage.outer.region.name.lower():<8} from {storage.outer.offset:<12} {_map(storage)}")
    return "\n".join(lines) + "\n"


def _map(storage: Storage) -> str:
    inner = f"pixels of {storage.pixel} bytes" if storage.pixel else f"{storage.planes} planes"
    return f"{storage.name}: {storage.rows} x {storage.columns}, {inner}"


def _line(index: int, task: Task) -> tuple[str, ...]:
    values = task.values
    names = {"wait_previous": "<-", "wait_next": "->", "signal_previous": "<+", "signal_next": "+>"}
    tokens = " ".join(sign for name, sign in names.items() if values.get(name))
    head = (str(index), task.opcode.name.lower(), task.layer or "(passes a token)", tokens)
    if task.opcode is Opcode.COMPUTE:
        kinds = [name for name in ("depthwise", "maximum", "upsample", "activation") if values.get(name)]
        kinds += [f"gate {values['weights_offset']} w"] if values.get("has_gate") else []
        reads = f"chip {values.get('source', 0)} B" + (
            f", {values['residual']} w" if values.get("has_residual") else ""
        )
        tiles = f"{values['tiles_y']} x {values['tiles_x']} of {values['tile_h']} x {values['tile_w']}"
        kinds += [f"skip {skip}"] if (skip := values.get("skip", 0)) else []
        steps = f"{task.steps[0]} of {task.steps[1]}" + "".join(f" {kind}" for kind in kinds)
        size = f"{_weights_bytes(values)} + {values['parameters_bytes']}"
        return (*head, reads, f"chip {values['target']} w", tiles, steps, size)
    if task.opcode is Opcode.BOXES:
        return (*head, f"chip {values['cls']} w, {values['box']} w", "output", "", "", "")
    outer = f"{Region(values['region']).name.lower()} {values['offset']}"
    ends = (outer, f"chip {values['chip']} w") if task.opcode is Opcode.LOAD else (f"chip {values['chip']} w", outer)
    return (*head, *ends, f"{values['planes']} x {values['runs']} runs", "", str(moved(task)))


def _weights_bytes(values: Mapping[str, int]) -> int:
    """Bytes of the weight stream of a COMPUTE; of weights on chip there is none."""
    return 0 if values.get("has_gate") else values["weights_bytes"]
