"""A thousand slow clients beside an honest one.

Half dribble a request's head byte by byte (slowloris), half ask for a large answer and don't read it; a fifth of each
speaks HTTP/2. All must be cut off by `headerTimeout`, `bodyTimeout` or the model's `timeout`, and nobody else notice."""
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import threading
import time

from processes import config, folder, gateway, get, model, one, resident, until

EACH, HTTP2_SHARE = 500, 5
HEAD_TIMEOUT, BODY_TIMEOUT, MODEL_TIMEOUT = 1.5, 1.5, 2.5
ANSWER_BYTES = 256 << 10
STEP = 0.1  # seconds between two bytes of a slow head
MEMORY_MAXIMUM = 160 << 20
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
    """A connection that never finishes its head (`dribble`), or never reads its answer (`hoard`)."""

    def __init__(self, address, kind, speaks_http2):
        self.kind, self.speaks_http2 = kind, speaks_http2
        self.received, self.opened, self.ended = b"", time.monotonic(), None
        self.socket = socket.socket()
        if kind == "hoard":
            # Small segments and a small window, so that the answer does not fit into the kernels' buffers.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.socket.connect_ex(address)
        self.pending = memoryview(self._hoard() if kind == "hoard" else self._start())
        self.slow = http2_head(0x5) if speaks_http2 else (
            b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: x\r\n" + b"x-filler: 0123456789\r\n" * 40)
        self.next = 0

    def _start(self):
        return PREFACE + frame(4, 0, 0, b"") if self.speaks_http2 else b""

    def _hoard(self):
        if self.speaks_http2:
            # No window for the answer at all, in the settings; the body fits the window every peer begins with.
            body = b'{"instances":["' + b"x" * 1000 + b'"]}'
            return (PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0)) + http2_head(0x4) + frame(0, 1, 1, body))
        body = b'{"instances":["' + b"x" * ANSWER_BYTES + b'"]}'
        return (b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n" % len(body)) + body

    def write(self):
        """Sends what is due; a hoarder does nothing after its request."""
        try:
            if self.pending:
                self.pending = self.pending[self.socket.send(self.pending):]
            elif self.kind == "dribble":
                self.socket.send(self.slow[self.next:self.next + 1])
                self.next += 1
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

    @property
    def lasted(self):
        return self.ended - self.opened


class Crowd:
    """Many slow clients in one thread, until `stop`."""

    def __init__(self, address, each):
        host, port = address.split(":")
        self.clients = [SlowClient((host, int(port)), kind, number % HTTP2_SHARE == 0)
                        for number in range(each) for kind in ("dribble", "hoard")]
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        poll = selectors.DefaultSelector()
        dribblers = [client for client in self.clients if client.kind == "dribble"]
        for client in self.clients:
            events = selectors.EVENT_WRITE | (selectors.EVENT_READ if client.kind == "dribble" else 0)
            poll.register(client.socket, events, client)
        due = time.monotonic()
        while not self.stopping:
            for key, events in poll.select(max(0, due - time.monotonic())):
                client = key.data
                if events & selectors.EVENT_READ:
                    client.read()
                if events & selectors.EVENT_WRITE and client.ended is None and client.pending:
                    client.write()
                if client.ended is not None or not client.pending:
                    poll.unregister(key.fileobj)
                    if client.ended is None and client.kind == "dribble":
                        poll.register(key.fileobj, selectors.EVENT_READ, client)
            if time.monotonic() >= due:
                due += STEP
                for client in dribblers:
                    if client.ended is None and not client.pending:
                        client.write()

    def stop(self):
        """Ends the slowness: what hoarders were sent is read to its end."""
        self.stopping = True
        self.thread.join()
        for client in self.clients:
            if client.ended is None:
                client.socket.setblocking(True)
                client.socket.settimeout(5)
                while client.ended is None:
                    client.read()
