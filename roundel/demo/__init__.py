"""The main job as one page; owns no step of it."""

from roundel.demo.demo import DemoOptions, run_demo
from roundel.demo.page import show, show_times, verdict
from roundel.demo.summary import write_demo

__all__ = [
    "DemoOptions",
    "run_demo",
    "show",
    "show_times",
    "verdict",
    "write_demo",
]
