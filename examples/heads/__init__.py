"""The digits detector with the heads of five families: trained, exported by torch with their tails, and measured."""

from pathlib import Path

HEADS = Path(__file__).parent
"""Where the files are."""
