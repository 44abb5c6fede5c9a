"""The main job as one page; owns no step of it."""

from roundel.demo.outcome import Demo, run_demo
from roundel.demo.page import verdict
from roundel.demo.trained import DemoOptions, cells_named

__all__ = [
    "Demo",
    "DemoOptions",
    "cells_named",
    "run_demo",
    "verdict",
]
