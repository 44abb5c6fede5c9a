"""The activation memory: which maps lie where and when, and maps that do not fit, in bands and strips."""

from roundel.compiler.planning.bands import roles
from roundel.compiler.planning.plan import Plan, Planner

__all__ = ["Plan", "Planner", "roles"]
