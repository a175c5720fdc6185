"""A client that sends at its own pace, however slowly it is answered (open loop), over HTTP/1.1 connections that it keeps
and adds to. A client that waits for answers before it asks again would slow down with the server and hide its queue."""
import asyncio
import time


class _Connection(asyncio.Protocol):
    def __init__(self, load):
        self.load, self.held, self.began, self.code = load, b"", 0.0, 0

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, bytes):
        self.began = time.monotonic()
        self.transport.write(bytes)

    def data_received(self, data):
        self.held += data
        end = self.held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.held[:end].lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(self.held) < end + 4 + length:
            return
        code = int(self.held[9:12])
        self.held = b""
        self.load.answered(self, code, b"retry-after: " in head)

    def connection_lost(self, error):
        self.load.lost(self)


class OpenLoop:
    """Sends `rate` requests a second for `seconds`; `rows` has (code, seconds, has Retry-After) of each, 0 for a lost one."""

    def __init__(self, address, path, body, rate, seconds):
        self.host, port = address.split(":")
        self.port, self.rate, self.seconds = int(port), rate, seconds
        self.bytes = (f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                      f"content-length: {len(body)}\r\n\r\n").encode() + body
        self.idle, self.busy, self.rows, self.tasks = [], set(), [], set()
        asyncio.run(self.run())

    async def run(self):
        loop = asyncio.get_running_loop()
        self.began = time.monotonic()
        sent = 0
        while (now := time.monotonic() - self.began) < self.seconds:
            while sent < now * self.rate:
                sent += 1
                if self.idle:
                    self.send(self.idle.pop())
                else:
                    task = loop.create_task(self.connect(loop))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
            await asyncio.sleep(0.001)
        while self.tasks or self.busy:
            await asyncio.sleep(0.01)
        for connection in self.idle:
            connection.transport.abort()
        self.sent = sent

    async def connect(self, loop):
        _, connection = await loop.create_connection(lambda: _Connection(self), self.host, self.port)
        self.send(connection)

    def send(self, connection):
        self.busy.add(connection)
        connection.ask(self.bytes)

    def answered(self, connection, code, may_retry):
        self.rows.append((code, time.monotonic() - connection.began, may_retry))
        self.busy.discard(connection)
        self.idle.append(connection)

    def lost(self, connection):
        if connection in self.busy:
            self.busy.discard(connection)
            self.rows.append((0, time.monotonic() - connection.began, False))
        elif connection in self.idle:
            self.idle.remove(connection)

    def times(self, *codes):
        return sorted(row[1] for row in self.rows if row[0] in codes)


def quantile(ranked, part):
    return ranked[min(len(ranked) - 1, int(len(ranked) * part))] if ranked else float("nan")
