"""Backends that fail as they are told, and remember who came."""
import asyncio
import socket
import struct
import threading

from slow_clients import frame


class Recorder:
    """An HTTP/1.1 backend: answers after `delay` with `status`, or hangs up; counts what it has at once.

    A request is over for it when it has answered or when the caller has closed the connection, whichever is first."""

    def __init__(self, delay=0.0, status=200):
        self.delay, self.status, self.hangs_up = delay, status, False
        self.active = self.busiest = self.count = 0
        self.bodies, self.headers = [], []
        self.loop = asyncio.new_event_loop()
        self.server = None
        ready = threading.Event()

        def run():
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(
                self.loop.create_server(lambda: _Exchange(self), "127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
            ready.set()
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


class _Exchange(asyncio.Protocol):
    def __init__(self, recorder):
        self.recorder, self.buffer, self.timer, self.transport = recorder, b"", None, None

    def connection_made(self, transport):
        self.transport = transport

    def eof_received(self):
        # Now, and not when the loop comes to telling that the connection is lost.
        self.connection_lost(None)

    def connection_lost(self, _):
        if self.timer:
            self.timer.cancel()
            self.timer = None
            self.recorder.active -= 1

    def data_received(self, data):
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", b"0"))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if head.startswith(b"GET "):
            self.answer(200)
            return
        # One look at the sockets may show a new request before the close that came first, so what else was seen is
        # heard before the request begins.
        loop = self.recorder.loop
        loop.call_soon(loop.call_soon, self.begin, rest[:length], fields)

    def begin(self, body, fields):
        recorder = self.recorder
        recorder.count += 1
        recorder.bodies.append(body)
        recorder.headers.append(fields)
        if self.transport.is_closing():
            return
        recorder.active += 1
        recorder.busiest = max(recorder.busiest, recorder.active)
        self.timer = recorder.loop.call_later(recorder.delay, self.end)

    def end(self):
        self.timer = None
        self.recorder.active -= 1
        if self.recorder.hangs_up:
            self.transport.close()
        else:
            self.answer(self.recorder.status)

    def answer(self, status):
        body = b'{"predictions":[1]}'
        self.transport.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))


# Trailers-Only (gRPC over HTTP/2, "Responses"): HPACK literals that nobody remembers.
UNAVAILABLE = b"\x88" + b"".join(b"\x00%c%s%c%s" % (len(name), name, len(value), value) for name, value in (
    (b"content-type", b"application/grpc"), (b"grpc-status", b"14"), (b"grpc-message", b"not now")))


class Refuser:
    """An HTTP/2 backend that does nothing: "refuse" by RST_STREAM(REFUSED_STREAM), "leave" by GOAWAY with last = 0,
    "fail" by a gRPC status of UNAVAILABLE. Probes (requests without a body) it answers well."""

    def __init__(self, manner):
        self.manner, self.count = manner, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.sendall(frame(4, 0, 0, b""))
        received = b""
        while True:
            try:
                piece = connection.recv(1 << 16)
            except OSError:
                return
            if not piece:
                return
            received += piece
            if received.startswith(b"PRI "):
                if len(received) < 24:
                    continue
                received = received[24:]
            while len(received) >= 9:
                length = int.from_bytes(received[:3], "big")
                if len(received) < 9 + length:
                    break
                kind, flags, stream = received[3], received[4], struct.unpack(">I", received[5:9])[0]
                received = received[9 + length:]
                if kind == 4 and not flags & 1:
                    connection.sendall(frame(4, 1, 0, b""))
                if kind == 1 and flags & 1:  # a probe has no body
                    connection.sendall(frame(1, 5, stream, b"\x88"))
                elif kind == 1:
                    self.count += 1
                    if self.manner == "fail":
                        connection.sendall(frame(1, 5, stream, UNAVAILABLE))
                    elif self.manner == "leave":
                        connection.sendall(frame(7, 0, 0, struct.pack(">II", 0, 0)))
                    else:
                        connection.sendall(frame(3, 0, stream, struct.pack(">I", 7)))

    def stop(self):
        self.listener.close()
