"""What of a network the engine can run: a verdict for each operator, and parts for the engine and for a host."""

from roundel.frontend.parts.division import Host, NetworkPart, Partition, divide
from roundel.frontend.parts.examination import Examination, Verdict, examine
from roundel.frontend.parts.extraction import extract
from roundel.frontend.parts.host_model import MOVES, HostModel, host_note

__all__ = [
    "MOVES",
    "Examination",
    "Host",
    "HostModel",
    "NetworkPart",
    "Partition",
    "Verdict",
    "divide",
    "examine",
    "extract",
    "host_note",
]
