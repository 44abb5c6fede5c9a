"""Child processes and work folders, which end with the run however it ends."""

from roundel.processes.children import Ended, run_child
from roundel.processes.folders import NO_ROOM, FolderError, keep, run_folder, sweep, work_folder
from roundel.processes.guard import GUARD, Stopped
from roundel.processes.parallel import in_parallel
from roundel.processes.places import cache_place, cache_root, tool_caches
from roundel.processes.signals import ending_signals

__all__ = [
    "GUARD",
    "NO_ROOM",
    "Ended",
    "FolderError",
    "Stopped",
    "cache_place",
    "cache_root",
    "ending_signals",
    "in_parallel",
    "keep",
    "run_child",
    "run_folder",
    "sweep",
    "tool_caches",
    "work_folder",
]
