"""The parts of a network as `parts.json` beside it names them: read and checked."""

import json
from pathlib import Path
from typing import Any

from roundel.compression.chain import MAIN, PARTS, VERSION, Chain, ChainPart
from roundel.frontend import Host
from roundel.golden.errors import InputError

MOST = 1 << 24  # bytes of such a file


def read_chain(folder: Path) -> Chain | None:
    """Read what `Chain.write` wrote; None where there is no `parts.json`.

    Raises
    ------
    InputError
        It, or a file that it names, is missing or damaged: one line.
    """
    path = folder / PARTS
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MOST:
            raise ValueError(f"at most {MOST} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["version"] != VERSION:
            raise ValueError(f"version must be {VERSION}, not {values['version']!r}")
        parts = tuple(_part(item) for item in values["parts"])
        chain = Chain(
            host=Host(values["host"]).value,
            source=_text(values["source"]),
            shape=tuple(_whole(size, 1) for size in values["shape"]),
            outputs=tuple(map(_text, values["outputs"])),
            batch=_whole(values["batch"], 1),
            macs=_whole(values["macs"]),
            parts=parts,
            late=values.get("late", False) is True,
            without={_text(name): _text(why) for name, why in values.get("without", {}).items()},
            models={part.file: (folder / part.file).read_bytes() for part in parts if not part.engine},
        )
        _check_order(chain)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: expected the parts that `roundel compress` wrote: {error}") from None
    return chain


def other_folders(folder: Path, chain: Chain | None) -> dict[str, Path]:
    """Return the folders of all parts on the engine but the main one, by their places in the chain.

    Raises
    ------
    InputError
        Such a folder has parts of its own.
    """
    places = [part.file for part in chain.engine if part.file != MAIN] if chain else []
    for place in places:
        if (folder / place / PARTS).exists():
            raise InputError(f"{folder / place / PARTS}: expected a part of the engine alone, without parts of its own")
    return {place: folder / place for place in places}


def _part(item: Any) -> ChainPart:
    file = _text(item["file"])
    if Path(file).is_absolute() or ".." in Path(file).parts or Path(file).as_posix() != file:
        raise ValueError(f"expected a file in the folder, not {file!r}")
    if not isinstance(item["engine"], bool):
        raise ValueError("engine must be true or false")
    return ChainPart(
        engine=item["engine"],
        file=file,
        inputs=tuple(map(_text, item["inputs"])),
        outputs=tuple(map(_text, item["outputs"])),
        macs=_whole(item["macs"]),
        operators={_text(kind): _whole(count) for kind, count in item["operators"].items()},
    )


def _check_order(chain: Chain) -> None:
    """Raise ValueError unless every part finds its inputs, and the engine has one main part."""
    ready = {chain.source}
    for part in chain.parts:
        if not ready.issuperset(part.inputs) or not part.inputs or (part.engine and len(part.inputs) != 1):
            raise ValueError(f"part {part.file} does not find its inputs")
        ready.update(part.outputs)
    if not ready.issuperset(chain.outputs) or not chain.outputs:
        raise ValueError("no part gives some output")
    files = [part.file for part in chain.parts]
    if [part.file for part in chain.engine].count(MAIN) != 1 or len(set(files)) != len(files):
        raise ValueError("expected one main part of the engine, and a file of its own for each other part")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, not {value!r}")
    return value


def _whole(value: Any, least: int = 0) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"expected a whole number of at least {least}, not {value!r}")
    return value
