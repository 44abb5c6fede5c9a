"""Heads of detectors as exporters write them: recognised by running them, and split into outputs of one kind each."""

from roundel.recognition.recognition import Recognised, Unknown, recognise
from roundel.recognition.splitting import split_model
from roundel.recognition.tail import NotRecognised

__all__ = ["NotRecognised", "Recognised", "Unknown", "recognise", "split_model"]
