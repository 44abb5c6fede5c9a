"""Images of boxes through the RTL of a suppression unit, from outside the simulator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roundel.golden.errors import MismatchError
from roundel.hw.units import Unit
from roundel.processes import run_folder
from roundel.sim.emitted import emit_unit
from roundel.sim.runner import Design, run
from roundel.sim.stimuli import BoxImage
from roundel.sim.verify import BENCHES


def save_images(path: Path, images: Sequence[BoxImage]) -> None:
    """Write the file that the benches take as `stimulus`."""
    columns = {
        name: np.concatenate([getattr(image, name) for image in images]) for name in ("boxes", "scores", "labels")
    }
    np.savez(path, allow_pickle=False, ends=np.cumsum([len(image) for image in images]), **columns)


def run_images(unit: Unit, params: Any, images: Sequence[BoxImage], *, seed: int) -> dict[str, Any]:
    """Send images back to back, without stalls; every place must hold a box.

    Returns
    -------
    What the bench noted: `kept`, places in the boxes of all images, in the order in which they came; `cycles` from the
    first beat to the last; `arrivals`, the cycle of each beat that came; `ends`, how many had come at the end of each
    image; and the unit's `latency`.

    Raises
    ------
    MismatchError
        RTL and golden differ. The run's folder stays, and is named.
    """
    emitted = emit_unit(unit, params)
    design = Design(sources=(emitted.verilog,), top=unit.name)
    with run_folder() as folder:
        save_images(folder / "stimulus.npz", images)
        config = {"params": params.as_dict(), "latency": emitted.latency, "stimulus": str(folder / "stimulus.npz")}
        result = run(design, BENCHES[unit.name], seed=seed, config=config, folder=folder)
        if not result.passed:
            raise MismatchError(f"the RTL of {unit.name} differs from golden: {result.failures[0]} (log in {folder})")
        with np.load(folder / "kept.npz") as arrays:
            noted = dict(arrays)
    return noted | {"latency": emitted.latency}
