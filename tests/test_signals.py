"""SIGINT and SIGTERM at random moments end everything and leave nothing; `make signals` tries many more."""

import json
import subprocess
import sys

from tests.support.places import ROOT
from tests.support.signals import COMMANDS, SIGNALS


def test_a_signal_at_any_moment_ends_everything_and_leaves_nothing(seed):
    options = ("--moments", "1", "--latest", "3", "--seed", str(seed))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.signals", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    endings = [json.loads(line) for line in done.stdout.splitlines() if line[0] == "{"]
    assert [(item["command"], item["signal"]) for item in endings] == [
        (name, number.name) for name in COMMANDS for number in SIGNALS
    ], done.stderr
    for ending in endings:
        assert ending["code"] != 0, ending  # 1 where Python itself was still loading
        assert ending["processes"] == ending["paths"] == [], ending
