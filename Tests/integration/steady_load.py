"""Callers that ask at a steady pace, however they are answered: V1 over HTTP/1.1, V2 over HTTP/2 and gRPC, side by side.

Each request has an identifier and a number of its own, and the answer must bring the number back: an answer that is
another's, or nobody's, is worse than none. What became of each is kept, to be compared with what gateway and backends say.
"""
import asyncio
import json
import random
import struct
import threading
import time
import traceback

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from tritonclient.grpc import service_pb2

KINDS = ("v1", "v2", "grpc")
STATUS_NAMES = ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
                "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
                "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED")
IDLE_SECONDS = 5  # after which an HTTP/1.1 connection is given up, so that it is never the gateway that does it first
STALL = 0.05  # seconds in which a caller comes to nothing are the machine's doing
LARGE = 4_000  # numbers in the one request of twenty that is large
HOT = 40  # different questions to the model that has a cache


class Call:
    """One request and what became of it; `code` is what the gateway counts it under, None while there is no answer."""
    __slots__ = ("id", "kind", "model", "values", "began", "ended", "code", "is_good", "is_wrong", "backend", "complaint")

    def __init__(self, id, kind, model, values):
        self.id, self.kind, self.model, self.values = id, kind, model, values
        self.began = self.ended = 0.0
        self.code = self.backend = self.complaint = None
        # Whether it ended as a good answer does, without being one.
        self.is_good = self.is_wrong = False

    def body(self):
        if self.kind == "v1":
            return json.dumps({"instances": self.values}).encode()
        if self.kind == "v2":
            return json.dumps({"id": self.id, "inputs": [
                {"name": "input", "datatype": "FP32", "shape": [len(self.values)], "data": self.values}]}).encode()
        message = service_pb2.ModelInferRequest(model_name=self.model, id=self.id)
        tensor = message.inputs.add(name="input", datatype="FP32", shape=[len(self.values)])
        tensor.contents.fp32_contents.extend(self.values)
        text = message.SerializeToString()
        return b"\0" + len(text).to_bytes(4, "big") + text

    def path(self):
        return {"v1": f"/v1/models/{self.model}:predict", "v2": f"/v2/models/{self.model}/infer",
                "grpc": "/inference.GRPCInferenceService/ModelInfer"}[self.kind]

    def judge(self, body):
        """Whether the answer is the one to this question."""
        try:
            if self.kind == "v1":
                numbers = json.loads(body)["predictions"]
            elif self.kind == "v2":
                answer = json.loads(body)
                numbers = answer["outputs"][0]["data"] if answer["id"] == self.id else None
            else:
                answer = service_pb2.ModelInferResponse.FromString(body[5:])
                numbers = list(answer.outputs[0].contents.fp32_contents) if answer.id == self.id else None
                if not numbers and answer.raw_output_contents:
                    raw = answer.raw_output_contents[0]
                    numbers = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        except Exception as error:  # noqa: BLE001 - whatever can't be read is a wrong answer
            self.complaint = f"unreadable: {error!r} {bytes(body[:200])!r}"
            self.is_wrong = True
            return
        self.is_good, self.is_wrong = numbers == self.values, numbers != self.values
        if self.is_wrong:
            self.complaint = f"not its own answer: {bytes(body[:200])!r}"


class _HTTP1(asyncio.Protocol):
    def __init__(self, load):
        self.load, self.call, self.held, self.since, self.rest = load, None, b"", 0.0, None

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, call):
        self.call, self.held, body = call, b"", call.body()
        # One of four is of an old kind, to which the end of the connection is the end of the answer.
        self.is_old = int(call.id.split("-")[1]) % 12 == 3
        self.transport.write(
            (f"POST {call.path()} HTTP/1.{0 if self.is_old else 1}\r\nhost: x\r\nx-request-id: {call.id}\r\ncontent-type: application/json\r\n"
             f"content-length: {len(body)}\r\n\r\n").encode() + body)

    def data_received(self, data):
        self.held += data
        head, found, rest = self.held.partition(b"\r\n\r\n")
        if not found or self.call is None:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        self.call.code = str(int(head[9:12]))
        self.call.backend = fields.get(b"x-sluice-backend", b"").decode() or None
        if b"content-length" not in fields and b"transfer-encoding" not in fields:
            self.rest = rest
            return
        body = self.chunks(rest) if b"chunked" in fields.get(b"transfer-encoding", b"") else rest
        if body is None or len(body) < int(fields.get(b"content-length", b"0")):
            return
        self.answered(body)
        self.since = time.monotonic()
        if self.is_old or fields.get(b"connection") == b"close":
            self.transport.close()
        else:
            self.load.idle.append(self)

    def answered(self, body):
        call, self.call = self.call, None
        if call.code == "200":
            call.judge(body)
        self.load.ended(call)

    @staticmethod
    def chunks(rest):
        body = b""
        while True:
            size, found, rest = rest.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                return None
            if int(size, 16) == 0:
                return body
            body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]

    def connection_lost(self, error):
        if self in self.load.idle:
            self.load.idle.remove(self)
        if self.call is not None and self.rest is not None and error is None:
            self.answered(self.rest)
        call, self.call = self.call, None
        if call is not None:
            call.complaint = f"connection lost: {error!r}"
            self.load.ended(call)


class _HTTP2(asyncio.Protocol):
    """One connection for many calls; bodies wait for the gateway's windows."""

    def __init__(self, load):
        self.load, self.calls, self.unsent, self.answers = load, {}, {}, {}
        self.session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.is_open = True

    def connection_made(self, transport):
        self.transport = transport
        self.session.initiate_connection()
        self.session.increment_flow_control_window(1 << 24)
        self.flush()

    def flush(self):
        data = self.session.data_to_send()
        if data:
            self.transport.write(data)

    def ask(self, call):
        stream = self.session.get_next_available_stream_id()
        self.calls[stream], self.answers[stream] = call, bytearray()
        kind = "application/grpc" if call.kind == "grpc" else "application/json"
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", call.path()),
                  ("content-type", kind), ("x-request-id", call.id)]
        self.session.send_headers(stream, fields + ([("te", "trailers")] if call.kind == "grpc" else []))
        self.unsent[stream] = call.body()
        self.pump()

    def pump(self):
        for stream in list(self.unsent):
            while stream in self.unsent:
                body = self.unsent[stream]
                room = min(self.session.local_flow_control_window(stream), self.session.max_outbound_frame_size)
                if room <= 0:
                    break
                self.session.send_data(stream, body[:room], end_stream=len(body) <= room)
                if len(body) <= room:
                    del self.unsent[stream]
                else:
                    self.unsent[stream] = body[room:]
        self.flush()

    def data_received(self, data):
        try:
            for event in self.session.receive_data(data):
                self.happened(event)
        except h2.exceptions.ProtocolError as error:
            self.load.faults.append(f"the gateway broke HTTP/2: {error!r}")
            self.transport.abort()
            return
        self.pump()

    def happened(self, event):
        stream = getattr(event, "stream_id", None)
        call = self.calls.get(stream)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.is_open = False
            if event.error_code:
                self.load.faults.append(f"the gateway said GOAWAY {event.error_code}: {event.additional_data}")
        if call is None:
            return
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            fields = {bytes(name): bytes(value).decode() for name, value in event.headers}
            call.backend = fields.get(b"x-sluice-backend", call.backend)
            if call.kind == "grpc":
                if b"grpc-status" in fields:
                    call.code = STATUS_NAMES[int(fields[b"grpc-status"])]
            elif b":status" in fields:
                call.code = fields[b":status"]
        elif isinstance(event, h2.events.DataReceived):
            self.answers[stream] += event.data
            self.session.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            if call.code in ("200", "OK"):
                call.judge(bytes(self.answers[stream]))
            self.over(stream)
        elif isinstance(event, h2.events.StreamReset):
            call.complaint = f"RST_STREAM {event.error_code}"
            self.over(stream)

    def over(self, stream):
        self.unsent.pop(stream, None)
        del self.answers[stream]
        self.load.ended(self.calls.pop(stream))

    def connection_lost(self, error):
        self.is_open = False
        for stream in list(self.calls):
            self.calls[stream].complaint = f"connection lost: {error!r}"
            self.over(stream)


class SteadyLoad:
    """`rate` requests a second in all, from `start` to `stop`; `calls` has all of them, answered or not."""

    def __init__(self, address, rate, models, seed):
        self.host, port = address.split(":")
        self.port, self.rate, self.models = int(port), rate, models
        self.random = random.Random(seed)
        self.calls, self.faults, self.stalls, self.open = [], [], [], set()
        self.idle, self.shared, self.every, self.tasks = [], [None] * 4, [], set()
        self.stopping, self.extra = threading.Event(), 0
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)

    def start(self):
        self.thread.start()
        return self

    def burst(self, count):
        """So many requests at one moment, beside the steady ones; returns when they are answered."""
        wanted, self.extra = len(self.calls) + count, count
        while len(self.calls) < wanted:
            time.sleep(0.01)
        calls = self.calls[:wanted]
        while not all(call.ended for call in calls):
            time.sleep(0.01)

    def stop(self):
        """Ends when every request has its answer."""
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), f"{len(self.open)} requests were never answered"

    async def run(self):
        try:
            loop = asyncio.get_running_loop()
            began, sent, spare = time.monotonic(), 0, 0
            before = began
            while not self.stopping.is_set():
                now = time.monotonic()
                if now - before > STALL:
                    self.stalls.append((before, now))
                before = now
                due = int((time.monotonic() - began) * self.rate) + spare
                while sent < due:
                    sent += 1
                    task = loop.create_task(self.send(sent))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
                self.age()
                spare, self.extra = spare + self.extra, 0
                await asyncio.sleep(0.002)
            while self.tasks or self.open:
                await asyncio.sleep(0.01)
            for connection in self.every:
                connection.transport.close()
            await asyncio.sleep(0.05)
        except Exception:  # noqa: BLE001 - told where the run is judged
            self.faults.append(traceback.format_exc())

    def age(self):
        while self.idle and time.monotonic() - self.idle[0].since > IDLE_SECONDS:
            self.idle.pop(0).transport.close()

    def question(self, number):
        kind = KINDS[number % 3]
        model = self.models[number // 3 % len(self.models)]
        count = LARGE if number % 20 == 7 else 4
        first = self.random.randrange(HOT) if model == "cached" else number
        values = [float(first % (1 << 23)), float(count)] + [1.0] * (count - 2)
        return Call(f"chaos-{number}", kind, model, values)

    async def send(self, number):
        call = self.question(number)
        call.began = time.monotonic()
        self.calls.append(call)
        self.open.add(call)
        try:
            connection = await self.connection(call.kind, number)
            connection.ask(call)
        except (OSError, h2.exceptions.ProtocolError) as error:
            call.complaint = f"could not be sent: {error!r}"
            self.ended(call)

    async def connection(self, kind, number):
        loop = asyncio.get_running_loop()
        if kind == "v1":
            while self.idle:
                connection = self.idle.pop()
                if not connection.transport.is_closing():
                    return connection
            return await self.connect(loop, _HTTP1)
        place = (2 if kind == "grpc" else 0) + number // 3 % 2
        connection = self.shared[place]
        if connection is None or not connection.is_open:
            connection = self.shared[place] = await self.connect(loop, _HTTP2)
        return connection

    async def connect(self, loop, kind):
        _, connection = await loop.create_connection(lambda: kind(self), self.host, self.port)
        self.every.append(connection)
        return connection

    def ended(self, call):
        if call in self.open:
            call.ended = time.monotonic()
            self.open.discard(call)
