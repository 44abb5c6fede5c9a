"""Arrays from `.npz` files, refused before they take memory."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError

MAX_NPZ = 2 << 30
"""Most bytes that the arrays of one file may have, unpacked: an archive of a megabyte can hold gigabytes."""


def read_npz(path: str | Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read arrays of an `.npz` file, also of members whose names do not end in `.npy`.

    Parameters
    ----------
    path
        The file.
    names
        Arrays to read, where there are such; None: all.

    Returns
    -------
    dict
        The arrays by name, in the order of the file.

    Raises
    ------
    InputError
        The file is missing, no archive of arrays, damaged, or unpacks to more than `MAX_NPZ` bytes: one line.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: expected an .npz file, but there is none")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = [name for name in members if names is None or name in names]
            size = sum(members[name].file_size for name in chosen)
            if size > MAX_NPZ:
                raise InputError(
                    f"{path}: {', '.join(chosen)}: expected at most {MAX_NPZ >> 20:,} MiB of arrays, "
                    f"not {size >> 20:,}: split the file"
                )
            return {name: _array(archive, members[name]) for name in chosen}
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises one of half a dozen kinds
        raise InputError(f"{path}: not a valid .npz file of arrays") from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Return the array of a member; ValueError where the member has fewer bytes than its header says."""
    with archive.open(info) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
