"""Gateways and models as real processes on ports the kernel chooses, and small tools around them.

Every wait is for an event (a log line, a status), never for an amount of time."""
import atexit
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

folder = tempfile.mkdtemp(prefix="sluice-test-")
SLUICE = MODEL = None
V1 = b'{"instances":[[5.1,3.5,1.4,0.2]]}'


def use(binaries):
    """Takes the programs from a folder of the build."""
    global SLUICE, MODEL
    SLUICE, MODEL = (os.path.join(binaries, name) for name in ("sluice", "sluice-model"))
    for program in (SLUICE, MODEL):
        if not os.access(program, os.X_OK):
            raise SystemExit(f"{program} is missing; build it: swift build (-c release for .build/release)")


# What the check that runs has started, for the report when it fails.
started = []


def spawn(command, **pipes):
    """A child whose pipes are its check's own affair; it is ended with the check, and named when the check fails."""
    child = subprocess.Popen(command, **pipes)
    atexit.register(child.kill)
    started.append((list(map(str, command)), child, None))
    return child


class Process:
    """A child one of whose outputs (`reads`) is read for the ports it took, and shown when the check fails."""

    def __init__(self, *command, stdin=None, reads="stderr"):
        outputs = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, reads: subprocess.PIPE}
        self.child = subprocess.Popen(command, stdin=stdin, text=True, errors="replace", **outputs)
        # A check that fails leaves nothing running.
        atexit.register(self.child.kill)
        self.lines, self.changed, self.output = [], threading.Condition(), getattr(self.child, reads)
        started.append((list(map(str, command)), self.child, self.lines))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.output:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.lines.append("(end)")
            self.changed.notify_all()

    def wait_for(self, pattern, count=1, timeout=20):
        """The first group of the count-th line that matches."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                found = [m for m in (re.search(pattern, line) for line in self.lines) if m]
                if len(found) >= count:
                    return found[count - 1].group(1) if found[count - 1].groups() else found[count - 1].group(0)
                left = deadline - time.monotonic()
                assert left > 0 and "(end)" not in self.lines, f"no line like {pattern}: {''.join(self.lines)}"
                self.changed.wait(left)

    def stop(self, number=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(timeout=20)


def model(*flags):
    process = Process(MODEL, "--listen", "127.0.0.1:0", *flags)
    process.address = process.wait_for(r"on (127\.0\.0\.1:\d+)")
    return process


def gateway(config, path=None):
    """A gateway with this configuration, in a folder of its own if no path is given; None takes the file as it is.

    `config` names the access log relative to that file, so that each gateway has one of its own: `access_log`."""
    path = path or os.path.join(tempfile.mkdtemp(prefix="gateway-", dir=folder), "sluice.yaml")
    if config is not None:
        with open(path, "w") as file:
            file.write(config)
    process = Process(SLUICE, "serve", "--config", path)
    process.config, process.access_log = path, os.path.join(os.path.dirname(path), ACCESS_LOG)
    process.admin = process.wait_for(r"admin listening address=(\S+)")
    process.address = process.wait_for(r" listening address=(\S+) tls=off")
    until(lambda: get(process.admin, "/readyz")[0] == 200)
    return process


def told(lines=40, most=12):
    """What the check started: how each process does, what it was configured with, and the last it said."""
    if not started:
        return "no process was started"
    shown = started[-most:]
    text = [f"{len(started)} processes were started" + (f", the last {most}:" if len(started) > most else ":")]
    for command, child, said in shown:
        code = child.poll()
        state = "runs" if code is None else f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        text.append(f"- {' '.join(command)}\n  process {child.pid} {state}")
        if "--config" in command[:-1]:
            path = command[command.index("--config") + 1]
            try:
                with open(path) as file:
                    text += [f"  {path}:", *indented(file.read().splitlines())]
            except OSError as error:
                text.append(f"  {path}: {error.strerror}")
        if said is None:
            text.append("  its output was read by the check")
        else:
            kept = [line.rstrip("\n") for line in said if line != "(end)"]
            text += [f"  the last of {len(kept)} lines that it said:" if kept else "  it said nothing", *indented(kept[-lines:])]
    return SECRET.sub(lambda found: f"{found[1] or found[3]}…{found[2] or ''}", "\n".join(text))


# The user information of a URL, a password in arguments, a token. Those of tests are made up, but what is printed may be
# copied elsewhere.
SECRET = re.compile(r"(://)[^/\s@'\"]+(@)|((?:--requirepass|--pass|Bearer) )\S+")


def indented(lines):
    return [f"    | {line}" for line in lines]


def end_all():
    """Ends what the check left running."""
    for _, child, _ in started:
        if child.poll() is None:
            child.kill()
    for _, child, _ in started:
        child.wait()


def until(condition, timeout=20, what=lambda: "it did not happen"):
    """Waits for the condition; `what` tells, when it was in vain, what was seen instead."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what()} within {timeout} s"
        time.sleep(0.02)


class Control:
    """How slow the machine itself is meanwhile: what is judged by the clock is judged against this.

    On a machine that does other work too, timers ring late and work takes longer than it costs. A thread measures both
    while the block runs: how late it wakes, and how long a few milliseconds of its own work take by the clock."""
    PAUSE, WORK = 0.05, 0.004

    def __enter__(self):
        self.lateness, self.slowdown, self.stopping = 0.0, 1.0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def _run(self):
        slowest = []
        while not self.stopping.is_set():
            began = time.monotonic()
            self.stopping.wait(self.PAUSE)
            if not self.stopping.is_set():
                self.lateness = max(self.lateness, time.monotonic() - began - self.PAUSE)
            began, spent = time.monotonic(), time.thread_time()
            while time.thread_time() - spent < self.WORK:
                pass
            # One pause between two turns is no measure of all; the fifth slowest turn is.
            slowest = sorted(slowest + [(time.monotonic() - began) / self.WORK])[-5:]
            self.slowdown = max(1.0, slowest[0])

    def allows(self, seconds):
        """What may take so long on a machine that does nothing else may take so long on this one."""
        return seconds * self.slowdown + self.lateness


def get(address, path, body=None, headers={}, method=None):
    request = urllib.request.Request(f"http://{address}{path}", data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


ACCESS_LOG = "access.log"


def config(models, extra="", admin="", log=None):
    """A gateway's configuration. Its access log lies beside it, as backends' ports come back and lines of two gateways
    could not be told apart; a check may name another."""
    lines = ["listeners: [{address: '127.0.0.1:0'}]", f"admin: {{address: '127.0.0.1:0'{admin}}}",
             f"accessLog: {log or ACCESS_LOG}", extra, "models:"]
    return "\n".join(lines + models) + "\n"


def one(name, *backends, **keys):
    rows = "".join(f"{{rest: 'http://{b}', grpc: 'http://{b}'}}, " for b in backends)
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"  - {{name: {name}{more}, revisions: [{{name: v1, backends: [{rows}]}}]}}"


def resident(process):
    with open(f"/proc/{process.child.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) << 10


def accepted(address):
    """How many accepted connections a process still holds on its listening address, by the kernel's own list."""
    return len(clients(address))


def clients(address):
    """The other ends of the connections that a process has accepted on its listening address."""
    port = f"{int(address.split(':')[1]):04X}"
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    # State 0A is the listening socket itself; what has been closed has no inode.
    return {row[2] for row in rows if row[1].endswith(":" + port) and row[3] != "0A" and row[9] != "0"}


def predictions(backend):
    text = get(backend.address, "/metrics")[2].decode()
    return int(re.search(r"predictions_total (\d+)", text).group(1))
