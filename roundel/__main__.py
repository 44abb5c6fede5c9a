"""`roundel` and `python -m roundel`: the command line."""

import signal


def main() -> None:
    """Run the command line; an interrupt while Python still loads it ends the process as it stands.

    Python would raise KeyboardInterrupt, and loses it where that happens in a callback of the import system.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from roundel.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
