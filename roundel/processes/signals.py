"""SIGINT, SIGTERM and SIGHUP at the command line: they end the process, its children and its folders at once."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from roundel.processes.guard import GUARD, LIBC

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it
_LEAVE = b"\0"  # no signal has this number


@contextmanager
def ending_signals() -> Iterator[None]:
    """Let the signals of `ENDING` end this process, whatever its threads do.

    A handler in Python would wait until the main thread leaves the C code that it is in, and an exception would wait
    for all other threads. Here the interpreter writes the signal's number into a pipe as it comes, and a thread that
    reads it there does the work. A signal that is ignored, as by `nohup`, stays ignored. Outside of the main thread,
    which alone may handle signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    watcher = threading.Thread(target=_watch, args=(read,), name="signals", daemon=True)
    before = {number: signal.getsignal(number) for number in ENDING}
    handled = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    old_write = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher.start()
    for number in handled:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_write)
        os.write(write, _LEAVE)
        watcher.join()
        os.close(read)
        os.close(write)


def _watch(pipe: int) -> None:
    """Wait for a number in the pipe; other signals that have handlers come this way too."""
    while (number := os.read(pipe, 1)) != _LEAVE:
        if number[0] in ENDING:
            die(number[0])


def die(number: int) -> None:
    """End all children, remove all folders, and die of a signal, so that a shell sees of which."""
    GUARD.hold()
    _say(f"roundel: stopped by {signal.Signals(number).name}")
    GUARD.finish()
    LIBC.signal(number, None)  # the default action; Python's own function is for the main thread alone
    LIBC.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container does not die of signals


def _say(line: str) -> None:
    """Write a line to stderr, if that takes it at once."""
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, (b"\r" + SHOW_CURSOR if os.isatty(2) else b"") + f"{line}\n".encode())
