"""Write the table of clipped digits of docs/compiler.md: `python docs/make/digit_clips.py`, less than a minute."""

from pathlib import Path
from typing import Any

import numpy as np
from figures import replace as put

import roundel
from roundel.compiler import layer_rows
from roundel.data import DETECTOR, DIGITS
from roundel.runtime import engine_choice
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "compiler.md"
NETWORKS = {"digits": DIGITS, "detector": DETECTOR}


def cells(name: str, width: int, *, per_channel: bool) -> list[str]:
    """Return a row: further steps and the mean signal to noise of layers, without the clip and with it."""
    folder, engine = NETWORKS[name], {"config": "small", "weight_width": width}
    row = [f"{name}, {'a shift a channel' if per_channel else 'a shift a layer'}", str(width)]
    for clip in (False, True):
        options: dict[str, Any] = {"engine": engine_choice(engine), "clip_digits": clip, "per_channel": per_channel}
        made = roundel.compress(folder / f"{name}.onnx", folder / "calibration.npz", **options)
        layers = layer_rows(roundel.compile(made, engine, head=False).compiled)
        steps, further = (sum(layer[key] for layer in layers) for key in ("steps", "steps_further"))
        noise = np.mean([layer["sqnr_db"] for layer in made.report["layers"] if layer["weight_bits"]])
        row += [f"{further:,} of {steps:,}", f"{noise:.1f} dB"]
    return row


def main() -> None:
    """Write the table."""
    rows = [cells(name, width, per_channel=own) for name in NETWORKS for width in (4, 2) for own in (False, True)]
    heads = ["network", "bits", "further steps", "layers", "further steps, clipped", "layers, clipped"]
    table = "\n".join(markdown_table(heads, rows))
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "clips", table), encoding="utf-8")


if __name__ == "__main__":
    main()
