"""What is in a trained network, what of it runs where, and what blocks the rest."""

from roundel.inspection.inspector import inspect
from roundel.inspection.outcome import Inspection

__all__ = ["Inspection", "inspect"]
