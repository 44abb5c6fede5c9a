"""Child processes and work folders, which end with the run however it ends."""

from roundel.processes.children import Ended, run_child
from roundel.processes.folders import NO_ROOM, keep, sweep, work_folder
from roundel.processes.guard import GUARD, Stopped
from roundel.processes.parallel import in_parallel
from roundel.processes.places import cache_root, tool_caches
from roundel.processes.signals import ending_signals

__all__ = [
    "GUARD",
    "NO_ROOM",
    "Ended",
    "Stopped",
    "cache_root",
    "ending_signals",
    "in_parallel",
    "keep",
    "run_child",
    "sweep",
    "tool_caches",
    "work_folder",
]
