"""Networks trained again as integers: at 4 bits, with patterns of channels, and with both."""

from pathlib import Path

TRAINED = Path(__file__).parent / "networks"
RECORDS = Path(__file__).parent / "records.json"
