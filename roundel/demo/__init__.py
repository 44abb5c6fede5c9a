"""The main job as one page; owns no step of it."""

from roundel.demo.measurement import DemoOptions
from roundel.demo.outcome import Demo, run_demo
from roundel.demo.page import verdict

__all__ = [
    "Demo",
    "DemoOptions",
    "run_demo",
    "verdict",
]
