"""The networks and images that the demo, comparisons and benchmarks run on: examples/README.md says whence they are."""

from importlib.resources import files
from pathlib import Path

DIGITS = Path(str(files("roundel.data") / "digits"))
DETECTOR = Path(str(files("roundel.data") / "detector"))
