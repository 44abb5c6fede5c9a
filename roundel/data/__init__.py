"""Networks and images of the demo, comparisons and benchmarks; examples/digits, detector and heads made them."""

from importlib.resources import files
from pathlib import Path

DIGITS = Path(str(files("roundel.data") / "digits"))
DETECTOR = Path(str(files("roundel.data") / "detector"))
HEADS = Path(str(files("roundel.data") / "heads"))
