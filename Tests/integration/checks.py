"""Finds checks by name and topic, and runs each in a process of its own.

A topic is a file of this folder with a list `CHECKS`. What a check leaves (threads that go on asking, sockets, processes)
ends with its process, whether it passed or not, so nothing of it disturbs the next one. A check that fails prints its
traceback and what `processes.told` knows of the processes it started: logs, configurations, exit codes.
"""
import ctypes
import difflib
import faulthandler
import importlib
import os
import pathlib
import re
import signal
import sys
import tempfile
import time
import traceback

import processes

HERE = pathlib.Path(__file__).resolve().parent
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Seconds a check may take. What is caught by this hangs.
LIMIT = 900


class Overdue(Exception):
    """A check that takes too long, raised where it stands."""


class Unknown(Exception):
    """A name that is no check's and no topic's, with what is near it."""


def topics():
    """The checks of each topic."""
    names = sorted(path.stem for path in HERE.glob("*.py") if re.search(r"^CHECKS\b", path.read_text(), re.M))
    # Chaos comes last: it is the longest, and what it finds is easier to understand when the rest is right.
    found = {name: importlib.import_module(name).CHECKS for name in sorted(names, key=lambda name: (name == "chaos", name))}
    everything = [check.__name__ for checks in found.values() for check in checks]
    twice = {name for name in everything if everything.count(name) > 1}
    assert not twice, f"two checks are called {', '.join(sorted(twice))}"
    return found


def choose(names, found):
    """The checks with these names or of these topics, in the order of all; all of them for no names."""
    known = {check.__name__: [check] for checks in found.values() for check in checks} | found
    wanted = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
            near += [other for other in known if name.lower() in other.lower() and other not in near][:8]
            raise Unknown(f"no check or topic is named {name}; "
                          + (f"near: {', '.join(near)}" if near else "see Tests/run --list"))
        wanted += known[name]
    return [check for checks in found.values() for check in checks if not names or check in wanted]


def patient(check):
    """Marks a check that mostly waits: it goes on beside the others, which it takes nothing from."""
    check.is_patient = True
    return check


def run(chosen, limit=LIMIT):
    """Runs the checks one after the other, those that mostly wait beside them; how many failed."""
    # Processes that a check's process leaves behind become ours, and can be waited for.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    beside = [check for check in chosen if getattr(check, "is_patient", False)]
    running = [Run(check, limit, tempfile.TemporaryFile("w+")) for check in beside]
    failed = []
    try:
        for check in [check for check in chosen if check not in beside]:
            running.insert(0, Run(check, limit))
            failed += [] if running.pop(0).passed() else [check.__name__]
        for check in beside:
            failed += [] if running.pop(0).passed() else [check.__name__]
    finally:
        for left in running:
            end(left.child)
    if failed:
        print(f"failed: {' '.join(failed)}\nagain: Tests/run --only {' '.join(failed)}\nfiles are kept in {processes.folder}")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed", flush=True)
    return len(failed)


class Run:
    """A check in a process and a process group of its own; what it says goes to `output` until it is over, if given."""

    def __init__(self, check, limit, output=None):
        sys.stdout.flush(), sys.stderr.flush()
        self.check, self.output, self.began = check, output, time.monotonic()
        parent, self.child = os.getpid(), os.fork()
        if self.child == 0:
            code = 1
            try:
                os.setpgid(0, 0)
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if output:
                    os.dup2(output.fileno(), 1), os.dup2(output.fileno(), 2)
                code = attempt(check, limit) if os.getppid() == parent else 1
            finally:
                sys.stdout.flush(), sys.stderr.flush()
                os._exit(code)

    def passed(self):
        """Waits for the end, and tells it."""
        try:
            _, status, used = os.wait4(self.child, 0)
        finally:
            end(self.child)
        if self.output:
            self.output.seek(0)
            print(self.output.read(), end="")
        if os.WIFSIGNALED(status):
            print(f"FAIL  {self.check.__name__}: its process was ended by {signal.Signals(os.WTERMSIG(status)).name}", flush=True)
        elif status == 0:
            print(f"ok    {self.check.__name__}  ({time.monotonic() - self.began:.1f} s, "
                  f"{used.ru_utime + used.ru_stime:.1f} s of CPU)", flush=True)
        return status == 0


def end(group):
    """Ends what is left of a check's processes, and waits until their ports are free again."""
    try:
        os.killpg(group, signal.SIGKILL)
        while True:
            os.waitpid(-group, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def attempt(check, limit):
    """In the check's own process: runs it, and tells why it failed; 0 if it passed."""
    began = time.monotonic()

    def overdue(*_):
        raise Overdue(f"not over after {limit} s")
    signal.signal(signal.SIGALRM, overdue)
    signal.alarm(limit)
    # Where no Python line is reached any more, all threads' places are better than nothing.
    faulthandler.dump_traceback_later(limit + 60, exit=True)
    try:
        check()
    except BaseException:  # noqa: BLE001 - every failure is a finding
        print(f"FAIL  {check.__name__}  ({time.monotonic() - began:.1f} s)\n{traceback.format_exc()}{processes.told()}", flush=True)
        return 1
    finally:
        signal.alarm(0)
        processes.end_all()
    return 0
