"""Damaged files for every reader: each is either read, or refused with one line, soon, in bounded memory.

`python -m tests.support.fuzz TARGET SEED COUNT ORIGINALS SCRATCH` tries `COUNT` files, prints each failure as JSON:
`seed` (of this one file), what was done to it, and what went wrong; then how many were read and refused. A failure's
seed with a count of 1 repeats it. `ORIGINALS` has a compressed network and a program, `SCRATCH` is empty.
"""

import contextlib
import io
import json
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

import numpy as np
import onnx

from roundel.cli.main import main
from roundel.compression import CompressedNetwork
from roundel.data import DETECTOR, DIGITS
from roundel.detection import load as load_detector
from roundel.frontend import read_onnx
from roundel.golden.codec import CodecError, decode
from roundel.golden.errors import InputError
from roundel.runtime import EngineProgram
from roundel.synth.cells import REFERENCE, mappable_library

SECONDS = 20
"""Most time that a reader may take for one file, on a loaded machine: each original takes less than one."""
MEMORY = 6 << 30
"""Most address space: the libraries alone take 2 GiB of it."""

NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 8, 99, 127, 128, 255, 256, 1000, 65535),
    *(1 << 20, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63)),
)
OPERATORS = (
    *("Relu", "Conv", "Gemm", "Flatten", "MaxPool", "Identity", "Constant", "Softmax"),
    *("Loop", "Resize", "Add"),
)


@dataclass(frozen=True)
class Target:
    """A reader, and a file or folder that it reads; `damage` changes one of its files and tells how."""

    original: Path
    damage: Callable[[Path, Random], str]
    read: Callable[[Path], object]


# ---- what is done to a file


def flipped(data: bytes, random: Random) -> tuple[bytes, str]:
    """Change a few bytes."""
    changed = bytearray(data)
    places = [random.randrange(len(data)) for _ in range(random.choice((1, 1, 2, 8)))]
    for place in places:
        changed[place] = random.choice((0, 255, changed[place] ^ 1 << random.randrange(8), random.randrange(256)))
    return bytes(changed), f"bytes {places} changed"


def cut(data: bytes, random: Random) -> tuple[bytes, str]:
    """Keep the beginning."""
    end = random.randrange(len(data))
    return data[:end], f"cut at {end}"


def repeated(data: bytes, random: Random) -> tuple[bytes, str]:
    """Repeat, move or remove a part."""
    start, length = random.randrange(len(data)), random.choice((1, 4, 16, 200))
    part, where = data[start : start + length], random.randrange(len(data))
    if random.random() < 0.3:
        return data[:start] + data[start + length :], f"{length} bytes at {start} removed"
    times = random.choice((1, 2, 50))
    return data[:where] + part * times + data[where:], f"{length} bytes at {start} put to {where} {times} times"


def renumbered(data: bytes, random: Random) -> tuple[bytes, str]:
    """Change a number of a text."""
    digits = [place for place, byte in enumerate(data) if 48 <= byte < 58]
    if not digits:
        return flipped(data, random)
    start = end = random.choice(digits)
    while start > 0 and 48 <= data[start - 1] < 58:
        start -= 1
    while end < len(data) and 48 <= data[end] < 58:
        end += 1
    number = random.choice((*map(str, NUMBERS), "1e400", "nan", "0.1", "", "true", "[]", '"x"'))
    return data[:start] + number.encode() + data[end:], f"number at {start} is {number}"


def bytes_of(*ways: Callable[[bytes, Random], tuple[bytes, str]]) -> Callable[[Path, Random], str]:
    """Damage a file, or one of the files of a folder, in one of the ways."""

    def damage(path: Path, random: Random) -> str:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        file = random.choice(files)
        if path.is_dir() and random.random() < 0.05:
            file.unlink()
            return f"{file.name} removed"
        data, what = random.choice(ways)(file.read_bytes(), random)
        file.write_bytes(data)
        return f"{file.relative_to(path.parent)}: {what}"

    return damage


def protobuf(path: Path, random: Random) -> str:
    """Change a field of an ONNX file, whatever it is, or its bytes."""
    if random.random() < 0.25:
        return bytes_of(flipped, cut, repeated)(path, random)
    model = onnx.load(path)
    changes = [_field(model, random) for _ in range(random.choice((1, 1, 2, 3)))]
    path.write_bytes(model.SerializeToString())
    return "; ".join(changes)


def _field(model: onnx.ModelProto, random: Random) -> str:
    """Walk down from the model to a field and change it."""
    message, name = model.graph if random.random() < 0.9 else model, "model"
    while True:
        fields = [field for field, _ in message.ListFields()]
        if not fields:
            return f"{name} is empty"
        field = random.choice(fields)
        value, name = getattr(message, field.name), f"{name}.{field.name}"
        several = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if several and len(value):
            place = random.randrange(len(value))
            name += f"[{place}]"
            if random.random() < 0.15:
                if random.random() < 0.5:
                    del value[place]
                    return f"{name} removed"
                value.append(value[place])
                return f"{name} doubled"
            if field.type != field.TYPE_MESSAGE:
                value[place] = _changed(value[place], random)
                return f"{name} is {value[place]!r:.60}"
            message = value[place]
        elif several:
            return f"{name} is empty"
        elif field.type == field.TYPE_MESSAGE:
            if random.random() < 0.05:
                message.ClearField(field.name)
                return f"{name} cleared"
            message = value
        else:
            known = field.enum_type  # protobuf writes no other value
            number = random.choice([item.number for item in known.values]) if known else _changed(value, random)
            setattr(message, field.name, number)
            return f"{name} is {getattr(message, field.name)!r:.60}"


def _changed(value: object, random: Random) -> object:
    """Return another value of the same kind."""
    if isinstance(value, bool | int):
        return random.choice([number for number in NUMBERS if -(1 << 31) <= number < 1 << 31])
    if isinstance(value, float):
        return random.choice((0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan"), 2.1))
    if isinstance(value, bytes):
        return random.choice((b"", value[:-1], value + b"\0", value * 2, flipped(value, random)[0] if value else b"x"))
    text = str(value)
    return random.choice(("", text + "x", "images", *OPERATORS))


def archive(path: Path, random: Random) -> str:
    """Change the arrays of an `.npz` file, their types, shapes or names, or its bytes."""
    if random.random() < 0.4:
        return bytes_of(flipped, cut, repeated)(path, random)
    with np.load(path) as file:
        arrays = dict(file)
    name = random.choice(sorted(arrays))
    array = arrays[name]
    ways: dict[str, Callable[[], object]] = {
        "removed": lambda: None,
        "flat": array.ravel,
        "one less": lambda: array[:-1],
        "none": lambda: array[:0],
        "transposed": lambda: array.T,
        "a number": lambda: array.ravel()[0],
        "text": lambda: array.astype(str),
        "complex": lambda: array + 1j,
        "booleans": lambda: array > 0,
        "a structure": lambda: np.zeros(len(array), [("a", int)]),
        "times": lambda: array.astype("M8[s]") if array.dtype.kind in "iu" else array.astype(np.float16),
        "not a number": lambda: np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array.astype(float)),
        "infinite": lambda: array.astype(float) + np.inf,
        "huge": lambda: array.astype(float) * 1e300,
        "long doubles": lambda: array.astype(np.longdouble),
        "great integers": lambda: np.full(array.shape, (1 << 64) - 1, np.uint64),
        "negative": lambda: -array.astype(np.int64),
        "big-endian": lambda: array.astype(array.dtype.newbyteorder(">")),
    }
    way = random.choice(sorted(ways))
    value = ways[way]()
    arrays.pop(name)
    if value is not None:
        arrays[name] = np.asarray(value)
    np.savez(path, **arrays)
    return f"{name}: {way}"


# ---- who reads it


def command(*arguments: str) -> Callable[[Path], None]:
    """Run the command line on a file; exit code 2 becomes InputError."""

    def read(path: Path) -> None:
        said = io.StringIO()
        words = [word.format(path=path, out=path.parent / "out") for word in arguments]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                main(words)
        except SystemExit as end:
            if end.code == 2:
                raise InputError(said.getvalue().removesuffix("\n")) from None
            if end.code != 0:
                raise RuntimeError(f"exit code {end.code}: {said.getvalue()}") from None
        shutil.rmtree(path.parent / "out", ignore_errors=True)

    return read


def network(path: Path) -> None:
    """Read a trained network and run it on a blank image."""
    graph = read_onnx(path)
    if np.prod(graph.shape, dtype=float) < 1e5:
        with np.errstate(all="ignore"):
            graph.outputs(np.zeros((1, *graph.shape), np.float32))


def compressed(path: Path) -> None:
    """Read a compressed network, and print it."""
    result = CompressedNetwork.load(path)
    list(result.lines())
    list(result.tables())


def program(path: Path) -> None:
    """Read a program."""
    EngineProgram.load(path)


def stream(path: Path) -> None:
    """Decode a stream of weights."""
    try:
        decode(path.read_bytes())
    except CodecError as error:
        raise InputError(str(error)) from None


TEXT, BINARY = (flipped, cut, repeated, renumbered), (flipped, cut, repeated)


def targets(folder: Path) -> dict[str, Target]:
    """Return the readers by name, with the originals that are not in the repository made in `folder`."""
    return {
        "onnx": Target(DETECTOR / "detector.onnx", protobuf, network),
        "qdq": Target(DIGITS / "digits_qdq.onnx", protobuf, network),
        "boxes": Target(_boxes(folder / "boxes.npz"), archive, command("nms", "{path}", "-o", "{out}")),
        "liberty": Target(_cells(folder / "cells.lib"), bytes_of(*TEXT), mappable_library),
        "detector": Target(DETECTOR / "detector.toml", bytes_of(*TEXT), load_detector),
        "compressed": Target(folder / "compressed", bytes_of(*TEXT), compressed),
        "program": Target(folder / "program", bytes_of(*TEXT), program),
        "stream": Target(folder / "compressed" / "streams" / "000.rws", bytes_of(*BINARY), stream),
    }


def _boxes(path: Path) -> Path:
    random = np.random.default_rng(1)
    corners = random.integers(0, 500, (40, 2))
    boxes = np.hstack([corners, corners + random.integers(1, 120, (40, 2))])
    ids, classes = np.repeat([3, 5], 20), random.integers(0, 3, 40)
    np.savez(path, boxes=boxes, scores=random.random(40), classes=classes, image_ids=ids)
    return path


def _cells(path: Path) -> Path:
    text = REFERENCE.read_text()
    path.write_text(text[: text.index("  cell (ref_nand3_1)")] + text[text.index("  cell (ref_tiehi_1)") :])
    return path


# ---- one after the other


def attempt(target: Target, seed: int, folder: Path) -> dict[str, object] | bool:
    """Read one damaged file; return what went wrong, or whether it was read."""
    place = folder / "one"
    place.mkdir()
    path = place / target.original.name
    copy = shutil.copytree if target.original.is_dir() else shutil.copyfile
    copy(target.original, path)  # type: ignore[operator]
    what = target.damage(path, Random(seed))
    before = sorted(place.rglob("*"))
    wrong = _wrong(lambda: target.read(path))
    if not wrong and sorted(place.rglob("*")) != before:
        wrong = f"left behind: {sorted(set(place.rglob('*')) - set(before))}"
    shutil.rmtree(place)
    return {"seed": seed, "damage": what, "wrong": wrong} if wrong else wrong is None


def _wrong(read: Callable[[], object]) -> str | None:
    """Return what went wrong, None where the file was read, an empty text where it was refused."""
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read()
    except InputError as error:
        line = str(error)
        return "" if line and "\n" not in line and len(line) < 600 else f"not one line: {line[:800]!r}"
    except Exception:
        return traceback.format_exc()[-1500:]
    finally:
        signal.alarm(0)
    return None


def late(number: int, frame: FrameType | None) -> None:
    """Handle the alarm."""
    raise TimeoutError(f"no end after {SECONDS} s")


def run(name: str, seed: int, count: int, originals: Path, scratch: Path) -> None:
    """Print the failures, in a process of limited memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, late)
    tempfile.tempdir = str(scratch / "temporary")
    Path(tempfile.tempdir).mkdir()
    target, good = targets(originals)[name], {True: 0, False: 0}
    for number in range(seed, seed + count):
        end = attempt(target, number, scratch)
        if isinstance(end, bool):
            good[end] += 1
        else:
            print(json.dumps(end), flush=True)
    if left := list(Path(tempfile.tempdir).iterdir()):
        print(json.dumps({"wrong": f"left in the temporary folder: {left}"}))
    print(json.dumps({"read": good[True], "refused": good[False]}))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *map(Path, sys.argv[4:]))
