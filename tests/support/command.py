"""The command line, for the tests of all commands."""

import pytest

from roundel.cli.main import main


def call(*arguments: object) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    code = stop.value.code
    assert isinstance(code, int)
    return code
