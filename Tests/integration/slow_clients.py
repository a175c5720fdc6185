"""A thousand slow clients beside an honest one.

Half dribble a request's head byte by byte (slowloris), half ask for a large answer and don't read it; a fifth of each
speaks HTTP/2. The gateway must cut all of them off by its timers, and the honest client must not notice them.

    Tests/run --only a_thousand_slow_clients_are_cut_off
"""
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import threading
import time

from processes import V1, Control, accepted, config, folder, gateway, get, model, one, predictions, resident, until

EACH, HTTP2_SHARE = 500, 5
TIMERS = {"headerTimeout": 3, "bodyTimeout": 2, "idleTimeout": 1.5}
ANSWER_BYTES = 256 << 10
STEP = 0.1  # seconds between two bytes of a slow head
# For a client that does not read: what fills the kernels' buffers, and up to 256 KiB that wait in the gateway.
MEMORY_MAXIMUM = EACH * ANSWER_BYTES * 5 // 4
SLACK = 0.010  # seconds an honest p99 may differ with debug builds on a machine that others share
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def http2_head(stream, end_headers):
    fields = b"".join(literal(*field) for field in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"),
        (b":path", b"/v1/models/echo:predict"), (b"content-type", b"application/json")))
    return frame(1, 4 if end_headers else 0, stream, fields)


def unread_connection(address, blocking=True):
    """A connection whose owner is not going to read: small segments and a small window, so that an answer of some
    hundred kilobytes does not fit into the kernels' buffers."""
    host, port = address.split(":")
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(blocking)
    client.connect_ex((host, int(port)))
    return client


class SlowClient:
    """A connection that never finishes its head, or (`hoards`) never reads its answer."""

    def __init__(self, address, hoards, speaks_http2):
        self.hoards, self.speaks_http2 = hoards, speaks_http2
        self.received, self.opened, self.ended = b"", time.monotonic(), None
        self.socket = unread_connection(address, blocking=False)
        self.slow = b""
        if hoards:
            first = self._large_question()
        elif speaks_http2:
            first, self.slow = PREFACE + frame(4, 0, 0, b""), http2_head(1, end_headers=True)
        else:
            first, self.slow = b"", b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: x\r\nx-filler: " + b"y" * 1000
        self.pending = memoryview(first)

    def _large_question(self):
        if self.speaks_http2:
            # The settings leave no window for the answer at all.
            body = b'{"instances":["%s"]}' % (b"x" * 1000)
            return PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0)) + http2_head(1, end_headers=True) + \
                frame(0, 1, 1, body)
        head = json.dumps({"inputs": [{"name": "x", "datatype": "UINT8", "shape": [ANSWER_BYTES],
                                       "parameters": {"binary_data_size": ANSWER_BYTES}}],
                           "parameters": {"binary_data_output": True}}).encode()
        return (b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\ninference-header-content-length: %d\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(head), len(head) + ANSWER_BYTES, head)) + bytes(ANSWER_BYTES)

    def write(self):
        """Sends what is due: the first bytes at once, a slow head byte by byte."""
        try:
            if self.pending:
                self.pending = self.pending[self.socket.send(self.pending):]
            elif self.slow:
                self.slow = self.slow[self.socket.send(self.slow[:1]):]
        except BlockingIOError:
            pass
        except OSError:
            self.end()

    def read(self):
        try:
            piece = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.received += piece
        if not piece:
            self.end()

    def end(self):
        if self.ended is None:
            self.ended = time.monotonic()
            self.socket.close()

    def fault(self, control):
        """What is wrong with how the gateway ended the connection of a slow head; None when all is well."""
        if self.ended is None:
            return "it is still open"
        if not self.speaks_http2 and not self.received.startswith(b"HTTP/1.1 408 "):
            return f"it got {self.received[:40]} and not a 408"
        lasted, limit = self.ended - self.opened, TIMERS["headerTimeout"]
        # A busy machine accepts late; none may be cut off early.
        latest = limit + control.allows(2.5)
        return None if limit - 0.2 <= lasted <= latest else \
            f"it lasted {lasted:.1f} s, headerTimeout is {limit} s, and {latest:.1f} s are allowed here"


class Crowd:
    """Many slow clients in one thread, until `stop`."""

    def __init__(self, address, each):
        self.clients = [SlowClient(address, hoards, number % HTTP2_SHARE == 0)
                        for number in range(each) for hoards in (False, True)]
        self.dribblers = [client for client in self.clients if not client.hoards]
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        poll = selectors.DefaultSelector()
        for client in self.clients:
            poll.register(client.socket, selectors.EVENT_WRITE, client)
        due = time.monotonic()
        while not self.stopping:
            for key, events in poll.select(max(0, due - time.monotonic())):
                client = key.data
                if events & selectors.EVENT_WRITE:
                    client.write()
                    if not client.pending:
                        # From here on hoarders do nothing, and dribblers hear how they are ended.
                        poll.unregister(key.fileobj)
                        if not client.hoards and client.ended is None:
                            poll.register(key.fileobj, selectors.EVENT_READ, client)
                        continue
                else:
                    client.read()
                if client.ended is not None:
                    poll.unregister(key.fileobj)
            if time.monotonic() >= due:
                due = time.monotonic() + STEP
                for client in self.dribblers:
                    if client.ended is None and not client.pending:
                        client.write()

    def stop(self):
        self.stopping = True
        self.thread.join()
        for client in self.clients:
            client.socket.close()


def honest_p99(address):
    """The p99 in seconds of an honest client that sends 600 requests a second for two seconds."""
    log = os.path.join(folder, "honest.log")
    with open(f"{folder}/honest.json", "wb") as file:
        file.write(V1)
    if os.path.exists(log):
        os.remove(log)
    text = subprocess.run(
        ["h2load", "--h1", "-n", "1200", "-c", "12", "--rps", "50", f"--log-file={log}", "-d", f"{folder}/honest.json",
         f"http://{address}/v1/models/iris:predict"], check=True, capture_output=True, text=True, timeout=60).stdout
    assert "1200 succeeded, 0 failed" in text, f"requests of the honest client failed:\n{text}"
    with open(log) as file:
        times = sorted(int(line.split()[2]) for line in file)
    return times[len(times) * 99 // 100] / 1e6


def open_connections(proxy):
    text = get(proxy.admin, "/metrics")[2].decode()
    return sum(int(count) for count in re.findall(r"^sluice_connections\{.*\} (\d+)", text, re.M))


def beside_a_crowd(proxy, backend, control):
    """The honest p99 while slow clients hold on and are cut off, after checking that each was."""
    before = predictions(backend)
    crowd = Crowd(proxy.address, EACH)
    until(lambda: open_connections(proxy) >= 2 * EACH and predictions(backend) - before == EACH,
          what=lambda: f"only {open_connections(proxy)} of {2 * EACH} slow clients were let in, "
                       f"{predictions(backend) - before} of {EACH} large questions reached the backend")
    p99 = honest_p99(proxy.address)
    until(lambda: open_connections(proxy) == 0 and accepted(proxy.address) == 0, timeout=60,
          what=lambda: f"after all timers sluice_connections is {open_connections(proxy)}, the kernel counts "
                       f"{accepted(proxy.address)} sockets, and both should be 0")
    crowd.stop()
    faults = [fault for client in crowd.dribblers if (fault := client.fault(control))]
    assert not faults, f"{len(faults)} of {EACH} slow heads did not end by headerTimeout; of the first {faults[0]}"
    return p99


def a_thousand_slow_clients_are_cut_off():
    backend, other = model(), model()
    limits = ", ".join(f"{name}: {int(seconds * 1000)}ms" for name, seconds in TIMERS.items())
    proxy = gateway(config([one("echo", backend.address), one("iris", other.address)], f"limits: {{{limits}}}"))
    tries, memory = [], resident(proxy)
    # The machine may be busy with something else for a moment; three times in a row it is the gateway.
    while len(tries) < 3 and (not tries or tries[-1][1] > allowed):
        alone = honest_p99(proxy.address)
        until(lambda: accepted(proxy.address) == 0)
        with Control() as control:
            tries.append((alone, beside_a_crowd(proxy, backend, control)))
        allowed = 2 * alone + control.allows(SLACK)
    text = ", ".join(f"{alone * 1000:.2f} ms alone and {beside * 1000:.2f} ms beside" for alone, beside in tries)
    assert tries[-1][1] <= allowed, f"{2 * EACH} slow clients hold an honest one up: p99 {text}"
    grown = resident(proxy) - memory
    print(f"      p99 {text} {2 * EACH} slow clients; memory grew by {grown >> 20} MB")
    assert grown < MEMORY_MAXIMUM, f"memory grew by {grown >> 20} MB, more than {MEMORY_MAXIMUM >> 20} MB"
    assert proxy.stop() == 0, "".join(proxy.lines)
    backend.stop(), other.stop()


CHECKS = [a_thousand_slow_clients_are_cut_off]
