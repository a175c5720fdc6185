"""A second gateway takes over from a first under full load: it starts on the same port (SO_REUSEPORT), then the first is
told to end. Clients that honour `Connection: close` and GOAWAY must not lose one request.

    Tests/run --only a_second_gateway_takes_over_without_a_failure
"""
import http.client
import socket
import threading
import time

import grpc
import numpy
import tritonclient.grpc

from processes import V1, config, gateway, model, one, until

THREADS, HANDOVERS = 4, 2


class Load:
    """Clients that ask as fast as they are answered, until `stop`; counts answers and keeps what failed."""

    def __init__(self, address):
        self.address, self.stopping = address, threading.Event()
        self.lock, self.counts, self.failures, self.closes = threading.Lock(), {}, [], 0
        kinds = [self.http1, self.http1_anew, self.grpc]
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in kinds for _ in range(THREADS)]
        [thread.start() for thread in self.threads]

    def run(self, kind):
        try:
            kind()
        except Exception as error:  # noqa: BLE001 - every failure is a finding
            self.failed(kind.__name__, repr(error))

    def answered(self, kind):
        with self.lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def failed(self, kind, what):
        with self.lock:
            self.failures.append((round(time.monotonic(), 2), kind, what))

    def http1(self):
        """One connection, opened anew when an answer says `Connection: close` - and not when it merely breaks."""
        client = None
        while not self.stopping.is_set():
            if client is None:
                client = http.client.HTTPConnection(self.address, timeout=20)
            try:
                client.request("POST", "/v1/models/iris:predict", V1)
                answer = client.getresponse()
                closes = answer.getheader("connection") == "close"
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed("http1", repr(error))
                client = None
                continue
            self.answered("http1") if answer.status == 200 else self.failed("http1", answer.status)
            if closes:
                with self.lock:
                    self.closes += 1
                client.close()
                client = None
        if client:
            client.close()

    def http1_anew(self):
        """A connection for each request: these may wait in the kernel's queue when the old socket goes."""
        while not self.stopping.is_set():
            client = http.client.HTTPConnection(self.address, timeout=20)
            try:
                client.request("POST", "/v1/models/iris:predict", V1)
                answer = client.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed("http1_anew", repr(error))
                continue
            finally:
                client.close()
            self.answered("http1_anew") if answer.status == 200 else self.failed("http1_anew", answer.status)

    def grpc(self):
        # grpc honours GOAWAY by itself: it opens another connection, and moves what was not begun there.
        tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
        tensor.set_data_from_numpy(numpy.array([[5.1, 3.5, 1.4, 0.2]], dtype=numpy.float32))
        with tritonclient.grpc.InferenceServerClient(
                self.address, channel_args=[("grpc.use_local_subchannel_pool", 1)]) as client:
            while not self.stopping.is_set():
                try:
                    client.infer("iris", [tensor], client_timeout=20)
                except (grpc.RpcError, tritonclient.grpc.InferenceServerException) as error:
                    self.failed("grpc", str(error))
                    continue
                self.answered("grpc")

    def stop(self):
        self.stopping.set()
        [thread.join(30) for thread in self.threads]
        return self.counts


def a_second_gateway_takes_over_without_a_failure():
    backend = model()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    text = config([one("iris", backend.address)], "drainDelay: 500ms\ndrainTimeout: 20s").replace(
        "address: '127.0.0.1:0'}]", f"address: '127.0.0.1:{port}'}}]")
    running = gateway(text)
    load = Load(running.address)
    until(lambda: len(load.counts) == 3 and min(load.counts.values()) > 50, what=lambda: f"only {load.counts} were answered")
    for _ in range(HANDOVERS):
        following = gateway(text)
        before = dict(load.counts)
        assert running.stop() == 0, "".join(running.lines)
        assert '"cutOff":"0"' in running.lines[-2] or "cutOff=0" in "".join(running.lines[-4:]), running.lines[-4:]
        # The first is gone; everybody goes on with the second.
        until(lambda: all(load.counts[kind] > before[kind] + 50 for kind in before),
              what=lambda: f"after the handover {load.counts}, before it {before}")
        running = following
    counts = load.stop()
    print(f"      {counts}, {HANDOVERS} handovers, {load.closes} connections closed by `Connection: close`")
    assert not load.failures, f"{len(load.failures)} of {sum(counts.values())} failed: {load.failures[:5]}"
    assert load.closes >= THREADS, "nobody was told to close"
    assert running.stop() == 0, "".join(running.lines)
    backend.stop()


CHECKS = [a_second_gateway_takes_over_without_a_failure]
