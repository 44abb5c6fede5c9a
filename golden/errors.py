"""The ways in which a run ends badly, shared by all packages."""


class InputError(ValueError):
    """Bad input from the user: one line that names what is wrong, where, and what was expected.

    The command line prints the message and exits with code 2.
    """


class ToolError(RuntimeError):
    """An outside tool (simulator, synthesizer) failed: the message ends in the tool's last lines and its log's path.

    The command line prints the message and exits with code 3.
    """


class MismatchError(RuntimeError):
    """Hardware and golden model differ: the message names the first difference and where it was seen.

    The command line prints the message and exits with code 1.
    """


class EnvironmentWarning(UserWarning):
    """Something around the run was not as it should be, and the run goes on without it.

    The command line prints the message.
    """
