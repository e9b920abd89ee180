"""Waiting in tests: until something holds, however busy the machine is; the limit is for what would never end."""

import time

FAR = 3600  # seconds


def until(what, holds, pause=0.05):
    """Wait until something holds, and give it; an AssertionError that says what after an hour."""
    end = time.monotonic() + FAR
    while not (found := holds()):
        assert time.monotonic() < end, f"after {FAR} s not yet: {what}"
        time.sleep(pause)
    return found


def until_alive(process, what, holds, pause=0.02):
    """The same for something that a process does; an AssertionError with what it says if it ends before."""

    def found():
        ended = process.poll() is not None
        answer = holds()
        assert answer or not ended, process.stderr.read()
        return answer

    return until(what, found, pause)
