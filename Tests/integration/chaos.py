"""Chaos: a steady load over four backends while they are killed, stopped, restarted, slowed and made to misbehave in every
way `unruly_backend.py` knows, with reloads and Redis failures in between. Afterwards the books must balance:

1. every answer that was not a good one has one line in the access log, with a reason that fits the fault in force and
   the backend that had it; nothing fails while only the gateway is reloaded or only Redis is gone;
2. no request was taken by two models (they keep journals of what they have read whole and accepted), a good answer by
   exactly one of them, the one it names - or by none, where the cache gave it;
3. requests in flight and in line, connections, descriptors and memory are back where they were, all backends are in use,
   and everything asked in the last seconds was answered well;
4. `sluice_requests_total` is what the callers counted, by model, protocol and code.

    Tests/run --only chaos
    Tests/run --only chaos --minutes 10

The first plays each fault once, in half a minute; the second goes round for ten minutes. The order is drawn from a seed, which
is printed; SLUICE_CHAOS_SEED plays it again. SLUICE_CHAOS_RATE is the requests a second (120).
"""
import bisect
import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import processes
from cache import Redis
from open_loop import quantile
from processes import Process, folder, gateway, get, model, resident, until
from steady_load import KINDS, SteadyLoad

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTES = 0.0  # 0: each fault once
TIMEOUT = 2.0  # seconds, of the models; a backend that hangs has to hang for longer
GRACE = 0.1  # seconds after its end in which a fault may still be felt by who asks then
MEMORY_SLACK = 6 << 20  # bytes, beside a tenth of what there was

PACE = ("--delay", "10ms", "--jitter", "20ms")  # of a model that is well

BROKEN, LOST = {"backend_reset", "connect_failure"}, {"backend_reset"}
# What isn't HTTP fails the connection; a stream that ends short of its content-length is reset by the gateway alone.
MALFORMED = {"backend_protocol_error", "local_reset"}
# What each fault may do to a request, by the access log's closed list of reasons.
REASONS = {
    "kill": BROKEN, "restart": BROKEN, "slow": BROKEN, "stop": {"timeout"}, "errors": BROKEN | {"backend_error"},
    "unavailable": {"backend_error"}, "failing": {"backend_error"}, "reset": LOST, "refuse": BROKEN, "goaway": LOST,
    "half": LOST | MALFORMED, "tear": LOST, "garbage": LOST | MALFORMED,
    "hang": {"timeout"}, "drip": set(),
    "reload": set(), "broken reload": set(), "fewer backends": set(), "redis killed": set(), "redis stopped": set(),
}
PROCESS_FAULTS = ("kill", "restart", "slow", "stop", "errors")
GATEWAY_FAULTS = ("reload", "broken reload", "fewer backends", "redis killed", "redis stopped")
# These can't pass unnoticed: if nobody failed by them, they weren't in force.
FELT = ("stop", "errors", "unavailable", "failing", "reset", "half", "tear", "garbage", "hang")


class ModelSlot:
    """A `sluice-model` on an address that stays, whoever serves there."""

    def __init__(self, number):
        self.journal = f"{folder}/chaos-journal-{number}"
        self.process = model("--journal", self.journal, *PACE)
        self.address = self.process.address

    def start(self, *flags):
        flags = flags if "--delay" in flags else (*PACE, *flags)
        self.process = Process(processes.MODEL, "--listen", self.address, "--journal", self.journal, *flags)
        self.process.wait_for("on 127")

    def begin(self, fault):
        if fault == "stop":
            self.process.child.send_signal(signal.SIGSTOP)
            return
        self.process.stop(signal.SIGKILL if fault == "kill" else signal.SIGTERM)
        if fault != "kill":
            self.start(*{"slow": ("--delay", "250ms"), "errors": ("--fail-rate", "0.9")}.get(fault, ()))

    def end(self, fault):
        if fault == "stop":
            self.process.child.send_signal(signal.SIGCONT)
        elif fault != "restart":
            self.process.stop(signal.SIGTERM)
            self.start()


class UnrulySlot:
    """An `unruly_backend.py`."""

    def __init__(self, number, seed):
        self.journal = f"{folder}/chaos-journal-{number}"
        self.process = Process(
            sys.executable, f"{HERE}/unruly_backend.py", self.journal, str(seed), stdin=subprocess.PIPE)
        self.address = self.process.wait_for(r"unruly on (\S+)")
        self.count = 0

    def begin(self, fault):
        self.count += 1
        orders = self.process.child.stdin
        orders.write(f"{fault}\n")
        orders.flush()
        self.process.wait_for(r"manner", count=self.count)

    def end(self, fault):
        self.begin("well")


class Window:
    """A fault while it is in force, and until the gateway has got over it."""

    def __init__(self, fault, slot=None):
        self.fault, self.slot, self.begin, self.end, self.over = fault, slot, time.monotonic(), None, None

    def explains(self, call, line):
        is_then = call.began <= self.end + GRACE and call.ended >= self.begin
        # Who waited for another's call to a backend that hangs has had its time when it asks a second one.
        waited = line.get("why") == "timeout" and line.get("backend_us", 0) < line["duration_us"] / 2
        backend = None if waited else line.get("backend")
        return is_then and line.get("why") in REASONS[self.fault] and backend in (None, self.slot and self.slot.address)


class Standstill:
    """The machine itself, where others use it too: callers that came to nothing for half of a timeout explain it."""
    fault = "(machine)"

    def __init__(self, load):
        self.load = load

    def explains(self, call, line):
        held_up = sum(max(0, min(b, call.ended) - max(a, call.began)) for a, b in self.load.stalls)
        return line.get("why") == "timeout" and held_up > TIMEOUT / 2


class Chaos:
    def __init__(self, minutes, seed, rate):
        self.minutes, self.random, self.rate, self.seed = minutes, random.Random(seed), rate, seed
        self.log = f"{folder}/chaos-access.log"
        self.models = [ModelSlot(0), ModelSlot(1)]
        self.unruly = [UnrulySlot(2, seed), UnrulySlot(3, seed + 1)]
        self.slots = self.models + self.unruly
        self.still = model()
        self.redis = Redis()
        self.windows, self.causes, self.complaints, self.reloads = [], {}, [], collections.Counter()
        self.memory = []

    # What the gateway is told.

    def text(self, slots, extra=""):
        def entry(slot, form):
            return form.replace("@", slot.address)
        echo = ", ".join(entry(s, "{rest: 'http://@', grpc: 'http://@', maxInFlight: 2}") for s in slots)
        turns = ", ".join(entry(s, "{rest: 'http://@', grpc: 'http://@'}") for s in slots)
        cached = ", ".join(entry(s, "{rest: 'h2c://@'}") for s in slots)
        common = f"timeout: {TIMEOUT}s, health: {{interval: 250ms}}, outlier: {{baseEjection: 500ms}}"
        lines = [
            "listeners: [{address: '127.0.0.1:0'}]", "admin: {address: '127.0.0.1:0'}", "workers: 2", "watch: false",
            f"accessLog: {self.log}",
            f"cache: {{memory: {{maxBytes: 1MiB}}, redis: {{url: 'unix://{self.redis.socket}', timeout: 20ms}}}}",
            "models:", f"  - {{name: still, revisions: [{{name: v1, backends: [{{rest: 'http://{self.still.address}'}}]}}]}}"]
        if slots:
            lines += [
                f"  - {{name: echo, {common}, revisions: [{{name: v1, backends: [{echo}]}}]}}",
                f"  - {{name: turns, {common}, loadBalancing: roundRobin, "
                f"revisions: [{{name: v1, modelName: echo, backends: [{turns}]}}]}}",
                f"  - {{name: cached, {common}, cache: {{ttl: 1s}}, "
                f"revisions: [{{name: v1, modelName: echo, backends: [{cached}]}}]}}"]
        return "\n".join(lines) + "\n" + extra

    def reload(self, slots, extra=""):
        with open(self.proxy.config, "w") as file:
            file.write(self.text(slots, extra))
        result = "refused" if extra else "reloaded"
        self.reloads[result] += 1
        self.proxy.child.send_signal(signal.SIGHUP)
        self.proxy.wait_for(f"configuration {result}", count=self.reloads[result])

    # What it says.

    def samples(self):
        found = {}
        for line in get(self.proxy.admin, "/metrics")[2].decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def sum(self, family, **labels):
        return sum(value for name, value in self.samples().items() if re.match(rf"{family}(\{{|$)", name)
                   and all(f'{key}="{wanted}"' in name for key, wanted in labels.items()))

    def health(self):
        models = json.loads(get(self.proxy.admin, "/api/v1/models")[2])["models"]
        return {(m["name"], b["address"]): b["health"] for m in models for r in m["revisions"] for b in r["backends"]}

    def is_well(self):
        return set(self.health().values()) == {"up"} and self.sum("sluice_redis_up") == 1

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.proxy.child.pid}/fd"))

    def settled(self):
        """How many descriptors it has when the number rests."""
        numbers = [-1]
        while len(numbers) < 10 or len(set(numbers[-10:])) > 1:
            numbers.append(self.descriptors())
            time.sleep(0.05)
        return numbers[-1]

    # What happens to it.

    def play(self, fault, seconds):
        slot = None
        if fault not in GATEWAY_FAULTS:
            slot = self.random.choice(self.models if fault in PROCESS_FAULTS else self.unruly)
        window = Window(fault, slot)
        self.windows.append(window)
        if slot:
            slot.begin(fault)
            self.between(window, seconds)
            slot.end(fault)
        else:
            self.play_on_gateway(fault, seconds)
        window.end = time.monotonic()
        until(self.is_well, timeout=30, what=lambda: f"after '{fault}' {self.health()}, and not all are up")
        time.sleep(0.2)  # a calm moment, so that what follows is not mistaken for this fault's
        window.over = time.monotonic()

    def between(self, window, seconds):
        """In the longer run the gateway is also reloaded, or loses Redis, while a backend is at fault."""
        if window.fault in ("stop", "hang"):
            seconds = max(seconds, TIMEOUT + 0.6)
        if window.fault in ("refuse", "goaway", "slow", "errors"):
            seconds = max(seconds, 1.2)
        end = window.begin + seconds
        if self.minutes:
            time.sleep(max(0, end - time.monotonic()) / 2)
            self.play_on_gateway(self.random.choice(GATEWAY_FAULTS), 0.3)
        time.sleep(max(0, end - time.monotonic()))

    def play_on_gateway(self, fault, seconds):
        if fault == "reload":
            self.reload(self.slots)
        elif fault == "broken reload":
            self.reload(self.slots, "modles: []\n")
            self.reload(self.slots)
        elif fault == "fewer backends":
            # With requests under way there; they end well.
            left_out = self.random.choice(self.slots)
            self.reload([slot for slot in self.slots if slot is not left_out])
            time.sleep(seconds)
            self.reload(self.slots)
        elif fault == "redis stopped":
            self.redis.child.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            self.redis.child.send_signal(signal.SIGCONT)
        else:
            self.redis.kill()
            os.unlink(self.redis.socket)
            time.sleep(seconds)
            self.redis.start()

    def run(self):
        self.proxy = gateway(self.text([]))
        until(self.is_well)
        self.resting = self.settled()
        self.reload(self.slots)
        until(self.is_well)
        load = self.load = SteadyLoad(self.proxy.address, self.rate, ["echo", "turns", "cached"], self.seed).start()
        began = self.began = time.monotonic()
        try:
            time.sleep(10 if self.minutes else 3)
            self.memory.append(resident(self.proxy))
            rounds = 0
            while rounds == 0 or time.monotonic() - began < self.minutes * 60 - 60:
                order = list(REASONS)
                self.random.shuffle(order)
                for fault in order:
                    self.play(fault, self.random.uniform(2, 6) if self.minutes else 0.5)
                self.memory.append(resident(self.proxy))
                rounds += 1
            self.quiet = time.monotonic()
            time.sleep(20 if self.minutes else 3)
            self.check_rotation(load)
            self.memory.append(resident(self.proxy))
        finally:
            load.stop()
        self.seconds = time.monotonic() - began
        self.check_levels()
        self.counted = {name: value for name, value in self.samples().items() if name.startswith("sluice_requests_total{")}
        self.moved = {reason: int(self.sum("sluice_retries_total", reason=reason)) for reason in ("connect", "refused")}
        self.expect(self.sum("sluice_queue_seconds_count") > 0, "nobody ever waited in line")
        self.expect(self.moved["refused"] > 0, "nobody was refused untouched, by REFUSED_STREAM or GOAWAY")
        self.check_descriptors()
        self.expect(self.proxy.stop() == 0, "the gateway did not end well")
        for process in (self.still, *[slot.process for slot in self.slots]):
            process.stop()
        self.redis.kill()

    # What must be true.

    def expect(self, condition, complaint):
        if not condition:
            self.complaints.append(complaint)

    def check_rotation(self, load):
        """Everybody is in use; by turns, and by load as soon as there is some."""
        load.burst(120)
        for name in ("echo", "turns"):
            drawn = collections.Counter(
                c.backend for c in load.calls if c.began > self.quiet and c.is_good and c.model == name)
            for slot in self.slots:
                self.expect(drawn[slot.address] > 0, f"{slot.address} got nothing of '{name}' in the quiet time: {drawn}")

    def check_levels(self):
        gauges = ("sluice_requests_in_flight", "sluice_backend_in_flight", "sluice_queue_depth", "sluice_connections")

        def standing():
            return {name: value for name, value in self.samples().items() if value and name.startswith(gauges)}
        try:
            until(lambda: not standing(), timeout=10)
        except AssertionError:
            self.complaints.append(f"these did not come down: {standing()}")
        first, last = self.memory[1 if self.minutes else 0], self.memory[-1]
        self.expect(last < first * 1.1 + MEMORY_SLACK, f"memory went from {first >> 10} KiB to {last >> 10} KiB: "
                    f"{[m >> 10 for m in self.memory]}")

    def check_descriptors(self):
        """Without the three models, which takes their idle connections along, it has no more than it had before them; less
        where a kept connection to the model that stays has ended since."""
        self.reload([])
        try:
            until(lambda: self.descriptors() <= self.resting, timeout=10)
        except AssertionError:
            self.complaints.append(f"{self.descriptors()} descriptors, {self.resting} at first: " + ", ".join(
                os.readlink(f"/proc/{self.proxy.child.pid}/fd/{n}") for n in os.listdir(f"/proc/{self.proxy.child.pid}/fd")))

    def check_books(self):
        calls = self.load.calls
        self.complaints += self.load.faults
        for slot in self.unruly:
            self.complaints += [line for line in slot.process.lines if "manner" not in line and "unruly" not in line
                                and line != "(end)"]
        lines = collections.defaultdict(list)
        with open(self.log) as file:
            for row in map(json.loads, file):
                lines[row.get("request_id")].append(row)
        seen = collections.defaultdict(list)
        for slot in self.slots:
            with open(slot.journal) as file:
                for id in file.read().split("\n")[:-1]:
                    seen[id].append(slot.address)
        self.reasons = {}
        for call in calls:
            self.check_call(call, lines[call.id], seen[call.id])
        strangers = set(lines) - {c.id for c in calls}
        self.expect(not strangers, f"nobody sent {strangers}")
        self.check_totals(calls)
        failed = [c for c in calls if c.began > self.quiet and not c.is_good]
        self.expect(not failed, f"{len(failed)} failed in the quiet time")
        felt = {window.fault for window in self.causes.values() if window}
        for fault in FELT:
            self.expect(fault in felt, f"nobody felt '{fault}'")
        attempts = collections.Counter(row["attempts"] for rows in lines.values() for row in rows)
        models = collections.Counter(len(seen[c.id]) for c in calls)
        print(f"      {len(calls)} requests, {sum(c.is_good for c in calls)} answered well; taken by "
              + ", ".join(f"{count} models: {models[count]}" for count in sorted(models))
              + f"; attempts {dict(sorted(attempts.items()))}; moved {self.moved}; "
              f"callers held up by the machine for {sum(b - a for a, b in self.load.stalls):.1f} s; descriptors {self.resting}; memory in MiB {[round(m / 2**20, 1) for m in self.memory]}")

    def check_call(self, call, rows, seen):
        what = f"{call.id} ({call.kind}, {call.model}, {call.code}, {call.complaint})"
        if len(rows) != 1:
            self.complaints.append(f"{what} has {len(rows)} lines: {rows}")
            return
        row, self.reasons[call.id] = rows[0], rows[0].get("why")
        if len(seen) > 1:
            self.complaints.append(f"{what} was taken by {seen}: {row}")
        if call.is_good:
            self.expect("why" not in row, f"{what} was good, says {row}")
            answered = [call.backend] if call.backend and seen else []
            self.expect(seen == answered if call.model != "cached" else set(seen) <= set(self.addresses),
                        f"{what} was answered by {call.backend} and taken by {seen}")
            return
        if call.is_wrong:
            self.complaints.append(f"{what} was told as if it were well")
        self.causes[call.id] = next(
            (window for window in [*self.windows, Standstill(self.load)] if window.explains(call, row)), None)
        if self.causes[call.id] is None:
            around = [f"{w.fault} at {w.slot and w.slot.address} {w.begin - call.began:+.2f}..{w.end - call.began:+.2f} s"
                      for w in self.windows if w.begin - 3 < call.began < w.end + 3]
            self.complaints.append(f"{what} after {call.ended - call.began:.3f} s is not explained by {row}; {around}")

    @property
    def addresses(self):
        return [slot.address for slot in self.slots]

    def check_totals(self, calls):
        told = collections.Counter()
        for call in calls:
            told[f'{{model="{call.model}",revision="v1",protocol="{call.kind}",code="{call.code}"}}'] += 1
        counted = {name.removeprefix("sluice_requests_total"): value for name, value in self.counted.items() if value}
        self.expect(counted == told, "counted by the gateway and the callers: " + ", ".join(
            f"{key} {counted.get(key, 0):.0f} and {told.get(key, 0)}" for key in sorted(counted.keys() | told.keys())
            if counted.get(key, 0) != told.get(key, 0)))

    # The table.

    def row(self, call):
        """The fault that made it fail, or else that was in force when it began."""
        if call.began > self.quiet:
            return "none, at the end"
        window = self.causes.get(call.id) or next((w for w in self.windows if w.begin <= call.began < w.over), None)
        return window.fault if window else "none"

    def table(self):
        rows = collections.defaultdict(list)
        for call in self.load.calls:
            rows[self.row(call)].append(call)
        heads = ("fault", "seconds", "requests", "ok", "p50 ms", "p99 ms", "worst gap ms", "failed, by reason")
        print("      " + "{:<17}{:>9}{:>10}{:>8}{:>9}{:>9}{:>14}  {}".format(*heads))
        for fault in ["none", *REASONS, "(machine)", "none, at the end"]:
            calls, windows = rows[fault], [w for w in self.windows if w.fault == fault]
            if not calls:
                continue
            quiet = self.seconds - (self.quiet - self.began)
            seconds = sum(w.over - w.begin for w in windows) or (
                quiet if fault == "none, at the end" else 0 if fault == "(machine)" else self.seconds - quiet - sum(w.over - w.begin for w in self.windows))
            good = [c for c in calls if c.is_good]
            times = sorted(c.ended - c.began for c in good)
            failed = collections.Counter(self.reasons.get(c.id) or "?" for c in calls if not c.is_good)
            gap = max((self.gap(good, w) for w in windows), default=self.gap(good, None))
            print("      {:<17}{:>9.1f}{:>10}{:>8}{:>9.1f}{:>9.1f}{:>14.0f}  {}".format(
                fault, seconds, len(calls), len(good), quantile(times, 0.5) * 1e3, quantile(times, 0.99) * 1e3, gap * 1e3,
                ", ".join(f"{reason} {count}" for reason, count in failed.most_common()) or "-"))

    def gap(self, good, window):
        """The longest time without a good answer, within a window, less what the callers themselves were held up."""
        ends = sorted(c.ended for c in good if window is None or window.begin <= c.ended <= window.over)
        if window is None:  # between windows there are leaps
            begins = [w.begin for w in self.windows]
            return max((self.length(a, b) for a, b in zip(ends, ends[1:])
                        if bisect.bisect(begins, a) == bisect.bisect(begins, b)), default=0.0)
        marks = [window.begin, *ends, window.over]
        return max(self.length(a, b) for a, b in zip(marks, marks[1:]))

    def length(self, begin, end):
        stalls = self.load.stalls  # in their order, and apart
        first = max(0, bisect.bisect(stalls, (begin,)) - 1)
        last = bisect.bisect(stalls, (end,))
        return end - begin - sum(max(0, min(b, end) - max(a, begin)) for a, b in stalls[first:last])


def chaos():
    seed = int(os.environ.get("SLUICE_CHAOS_SEED", time.time_ns() % 100_000))
    print(f"      SLUICE_CHAOS_SEED={seed}", flush=True)
    run = Chaos(MINUTES, seed, float(os.environ.get("SLUICE_CHAOS_RATE", "120")))
    run.run()
    run.check_books()
    run.table()
    kinds = collections.Counter(c.kind for c in run.load.calls)
    assert all(kinds[kind] > 100 for kind in KINDS), kinds
    assert not run.complaints, f"{len(run.complaints)} things are wrong:\n" + "\n".join(run.complaints[:40])


CHECKS = [chaos]
