"""A run of a bench on one design with a given stimulus, which must equal golden."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roundel.golden.errors import MismatchError
from roundel.processes import work_folder
from roundel.sim.runner import Design, Result, run

SEED = 1  # of cocotb; the stimulus is given


@contextmanager
def proven(
    design: Design, what: str, *, bench: str, config: Mapping[str, Any], stimulus: Callable[[Path], None]
) -> Iterator[tuple[Result, Path]]:
    """Run `bench`; gives its result and the folder it ran in, which is gone when the block ends, but for a mismatch.

    Parameters
    ----------
    what
        The design, for the message.
    bench, config
        The cocotb bench and its configuration.
    stimulus
        Writes the file that the bench finds as `config["stimulus"]`.

    Raises
    ------
    MismatchError
        The design does not do what golden says.
    ToolError
        A tool failed.
    """
    with work_folder() as folder:
        stimulus(folder / "stimulus.npz")
        settings = dict(config) | {"stimulus": str(folder / "stimulus.npz")}
        result = run(design, bench, seed=SEED, config=settings, folder=folder)
        if not result.passed:
            raise MismatchError(f"{what} differs from golden: {result.failures[0]} (log in {folder})")
        yield result, folder
