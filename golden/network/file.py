"""Integer networks as files: an npz archive with a JSON header. docs/network_file.md is the normative description.

Equal networks give equal bytes. Loading checks everything and executes nothing. Members are stored, not compressed, so
that no file can unfold into more than it has bytes.
"""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.golden.network.encoding import Encoding
from roundel.golden.network.header import (
    Arrays,
    needed_version,
    read_encoding,
    read_format,
    read_layer,
    read_string,
    read_strings,
    write_layer,
    write_value,
)
from roundel.golden.network.network import Network

FORMAT = "roundel-network"
VERSIONS = (1, 2, 3)  # each is written where it needs to be: 2 has an encoding and newer kinds of layers, 3 newer sums
HEADER = "header.json"
KEYS = ("format", "version", "source", "input", "layers", "results", "meta")
ENCODING = "encoding"
MAX_FILE, MAX_HEADER = 1 << 31, 1 << 24  # bytes
TIME = (1980, 1, 1, 0, 0, 0)  # zip's first; a real one would make equal networks differ


def save(network: Network, path: Path, meta: Mapping[str, Any] | None = None) -> None:
    """Write `network`, all of it or nothing.

    Parameters
    ----------
    network
        Layers of the kinds that `roundel.golden.network.header` knows.
    path
        The file; an existing one is replaced.
    meta
        What JSON can hold, without infinities and NaNs: where the network comes from, how good it is.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    data = _to_bytes(network, meta or {})
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            (Path(folder) / path.name).write_bytes(data)
            os.replace(Path(folder) / path.name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def load(path: Path) -> Network:
    """Read what `save` wrote.

    Raises
    ------
    InputError
        The file is missing, damaged, of a newer version, or holds no valid network: one line that names file and field.
    """
    header, arrays = _read(path)
    layers = []
    for index, entry in enumerate(header["layers"]):
        try:
            layers.append(read_layer(index, entry, arrays, header["version"]))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: layers[{index}]: {_line(error)}") from None
    if arrays:
        raise InputError(f"{path}: {min(arrays)}: no layer has this array")
    try:
        return Network(
            source=read_string(header["source"]),
            input=read_format(header["input"]),
            layers=tuple(layers),
            results=read_strings(header["results"]),
            encoding=read_encoding(header[ENCODING]) if ENCODING in header else Encoding(),
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: source, input, layers or results: {_line(error)}") from None


def load_meta(path: Path) -> dict[str, Any]:
    """Return what `save` was given as `meta`; errors as `load`, layers unseen."""
    meta: dict[str, Any] = _read(path)[0]["meta"]
    return meta


def _to_bytes(network: Network, meta: Mapping[str, Any]) -> bytes:
    arrays: Arrays = {}
    version = max([1 + (network.encoding != Encoding()), *map(needed_version, network.layers)])
    header = {
        "format": FORMAT,
        "version": version,
        "source": network.source,
        "input": write_value(network.input),
        **({} if version == 1 else {ENCODING: write_value(network.encoding)}),
        "layers": [write_layer(index, layer, arrays) for index, layer in enumerate(network.layers)],
        "results": list(network.results),
        "meta": dict(meta),
    }
    members = {HEADER: json.dumps(header, indent=1, allow_nan=False).encode()}
    for name, values in arrays.items():
        stream = io.BytesIO()
        np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, TIME)
            info.create_system, info.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is written
            archive.writestr(info, members[name])
    return stream.getvalue()


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return the header, its outermost level checked, and all arrays."""
    members = _members(path)
    if HEADER not in members:
        raise InputError(f"{path}: expected a network file, with a member {HEADER}")
    header = _header(path, members.pop(HEADER))
    arrays = {}
    for name, data in members.items():
        try:
            if not name.endswith(".npy"):
                raise ValueError("no such name")
            arrays[name.removesuffix(".npy")] = _array(data)
        except Exception as error:  # NumPy's parser of a damaged header raises one of half a dozen kinds
            raise InputError(f"{path}: {name}: expected an array of integers ({_line(error)})") from None
    return header, arrays


def _members(path: Path) -> dict[str, bytes]:
    """Return the bytes of every member of the archive."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise InputError(f"{path}: expected at most {MAX_FILE} bytes, not {path.stat().st_size}")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            names = {info.filename for info in infos}
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise ValueError("a member is compressed")
            if len(names) < len(infos) or sum(info.file_size for info in infos) > len(data):
                raise ValueError("members overlap")
            return {info.filename: archive.read(info) for info in infos}
    except Exception as error:  # a damaged archive raises one of half a dozen kinds
        raise InputError(f"{path}: expected a network file: a zip archive, stored ({_line(error)})") from None


def _header(path: Path, data: bytes) -> dict[str, Any]:
    where = f"{path}: {HEADER}"
    if len(data) > MAX_HEADER:
        raise InputError(f"{where}: expected at most {MAX_HEADER} bytes, not {len(data)}")
    try:
        header = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected JSON ({_line(error)})") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{where}: format: expected {FORMAT!r}")
    version = header.get("version")
    if type(version) is not int or version not in VERSIONS:
        raise InputError(f"{where}: version: expected 1, 2 or 3, not {str(version)[:40]}, which is newer or damaged")
    keys = KEYS if version == 1 else (*KEYS, ENCODING)
    for name in (*keys, *header):
        if name not in header or name not in keys:
            raise InputError(f"{where}: expected the fields {', '.join(keys)}; {name[:40]} is missing or unknown")
    if not isinstance(header["layers"], list) or not isinstance(header["meta"], dict):
        raise InputError(f"{where}: expected a list of layers, and an object for meta")
    return header


def _array(data: bytes) -> NDArray[Any]:
    """Return the array of a member, a view of its bytes: no larger than they are, whatever its header says."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("expected version 1.0 of the npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype.kind != "i":
        raise ValueError(f"expected signed integers, row by row, not {dtype}")
    return np.frombuffer(data, dtype=dtype, offset=stream.tell()).reshape(shape)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return unique


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _line(error: BaseException) -> str:
    """Return the message as one line that is not too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
