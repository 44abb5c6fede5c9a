"""Where the cache lies: where the user says, else in the user's cache folder, else in a temporary one."""

import atexit
import os
import threading
import warnings
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import platformdirs

from roundel.golden.errors import EnvironmentWarning, InputError
from roundel.processes.folders import FolderError, work_folder

VARIABLE = "ROUNDEL_CACHE"
_making = threading.Lock()
_open = ExitStack()  # the temporary cache of this process
atexit.register(_open.close)


def cache_place() -> Path:
    """Return where the cache is to lie, which nobody has looked at yet: `$ROUNDEL_CACHE`, else the user's folder."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("roundel")).absolute()


def cache_root() -> Path:
    """Return the cache folder, which can be written.

    Returns
    -------
    Path
        `$ROUNDEL_CACHE`, else the user's cache folder, else, with a warning, a temporary one that goes with this
        process.

    Raises
    ------
    InputError
        `$ROUNDEL_CACHE` cannot be written.
    """
    with _making:
        return (_writable if os.environ.get(VARIABLE) else _default)(cache_place())


def tool_caches() -> dict[str, str]:
    """Return the variables that have tools keep their compiled programs in the cache, as HOME may be of no use."""
    folder = cache_root() / "tools"
    return {"XDG_CACHE_HOME": str(folder), "YOWASP_CACHE_DIR": str(folder / "YoWASP")}


@lru_cache(maxsize=8)
def _writable(path: Path) -> Path:
    if problem := _problem(path):
        raise InputError(f"{VARIABLE}: {path} cannot be written ({problem})")
    return path


@lru_cache(maxsize=8)
def _default(path: Path) -> Path:
    problem = _problem(path)
    if problem is None:
        return path
    text = f"{path}: the cache cannot be written ({problem}); a temporary one is used, see {VARIABLE}"
    warnings.warn(text, EnvironmentWarning, stacklevel=2)
    return _open.enter_context(work_folder())


def _problem(path: Path) -> str | None:
    """Return why no folder can be made in `path`, or None."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with work_folder(path):
            return None
    except OSError as error:
        return error.strerror or str(error)
    except FolderError as error:
        return str(error.reason)
