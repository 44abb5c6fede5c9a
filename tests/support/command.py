"""The command line, for the tests of all commands."""

import os

import pytest

from roundel.cli.main import main


def call(*arguments: object) -> int:
    """Exit code of the command line; the environment variables that it sets for its process end with it."""
    before = dict(os.environ)
    try:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(before)
    code = stop.value.code
    assert isinstance(code, int)
    return code
