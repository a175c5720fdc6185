"""Compressed requests and answers between real processes: read where they must be, passed on elsewhere, bounded.

    Tests/run --only compression
"""
import concurrent.futures
import gzip
import json
import struct
import zlib

import grpc
import numpy
import tritonclient.grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from backends import Recorder
from processes import config, gateway, get, model, until
from resilience import metric
from translation import bypasses, call_raw

V2 = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
V1 = {"instances": [[1, 2]]}
INFER = "inference.GRPCInferenceService/ModelInfer"
def raw(body):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


KNOWN = {"gzip": gzip.compress, "X-GZip": gzip.compress, "GZIP": gzip.compress, "deflate": zlib.compress,
         "identity, gzip": gzip.compress, " ,deflate": zlib.compress,
         # Without zlib's header, as some mean the word.
         "Deflate": raw}


def echo(backends, keys="", more=""):
    return f"  - {{name: echo{keys}, revisions: [{{name: v1{more}, backends: [{{{backends}}}]}}]}}"


def decoded(proxy, **labels):
    return metric(proxy, "sluice_decoded_bodies_total", **labels)


def frame(flag, content):
    return struct.pack(">BI", flag, len(content)) + content


def message(count=2, name="echo"):
    tensor = tritonclient.grpc.InferInput("input", [1, count], "FP32")
    tensor.set_data_from_numpy(numpy.zeros((1, count), dtype=numpy.float32))
    return tritonclient.grpc._utils._get_inference_request(
        name, [tensor], "", "", None, 0, False, False, 0, None, None).SerializeToString()


def coded_bodies_are_read_where_they_must_be():
    backend = model()
    one, both = f"grpc: 'http://{backend.address}'", f"rest: 'http://{backend.address}'"
    for speaks, keys, dialect in ((one, "", ""), (one, ", cache: {ttl: 60s}", ""), (both, ", cache: {ttl: 60s}", ""),
                                  (both, "", ", dialect: mlserver")):
        proxy = gateway(config([echo(speaks, keys, dialect)]))
        for path, body in (("/v2/models/echo/infer", V2), ("/v1/models/echo:predict", V1)):
            if dialect and path.startswith("/v1"):
                continue
            body = json.dumps(body).encode()
            plain = json.loads(get(proxy.address, path, body)[2])
            for coding, compress in KNOWN.items():
                code, fields, answer = get(proxy.address, path, compress(body), {"content-encoding": coding})
                assert code == 200 and json.loads(answer) == plain, (speaks, keys, path, coding, code, answer)
                if keys:
                    assert fields["cache-status"].startswith("sluice; hit"), (path, coding, fields)
            # RFC 9110 section 15.5.16: which codings are taken is said with the refusal.
            for coding in ("br", "gzip, gzip", "zstd"):
                if speaks == one:
                    code, fields, answer = get(proxy.address, path, body, {"content-encoding": coding})
                    assert code == 415 and fields["accept-encoding"] == "gzip, deflate, identity", (coding, code, fields)
                    assert coding in json.loads(answer)["error"], answer
            for broken in (gzip.compress(body)[:-1], body, b"", gzip.compress(body) + b"x"):
                code, _, answer = get(proxy.address, path, broken, {"content-encoding": "gzip"}, method="POST")
                assert code == 400 and b"gzip body can't be decoded" in answer, (broken, code, answer)
        assert decoded(proxy, direction="request", coding="gzip", result="malformed") > 0
        assert decoded(proxy, direction="request", result="decoded") >= len(KNOWN)
        # Nothing of this counts against the backend.
        assert "up" in get(proxy.admin, "/api/v1/models")[2].decode()
        assert metric(proxy, "sluice_backend_ejections_total") == 0
        assert proxy.stop() == 0
    backend.stop()


def bodies_that_needn_t_be_read_pass_as_they_are():
    backend = Recorder()
    body = json.dumps(V2).encode()
    proxy = gateway(config([echo(f"rest: 'http://{backend.address}'")]))
    for coding, compress in (("gzip", gzip.compress), ("br", bytes)):
        sent = compress(body)
        assert get(proxy.address, "/v2/models/echo/infer", sent, {"content-encoding": coding})[0] == 200
        assert backend.bodies[-1] == sent and backend.headers[-1][b"content-encoding"] == coding.encode()
    assert decoded(proxy) == 0
    assert proxy.stop() == 0
    # A coding that isn't read has no key, and goes by the cache.
    proxy = gateway(config([echo(f"rest: 'http://{backend.address}'", ", cache: {ttl: 60s}")]))
    for number in (1, 2):
        code, fields, _ = get(proxy.address, "/v2/models/echo/infer", body, {"content-encoding": "br"})
        assert code == 200 and fields["cache-status"] == "sluice; fwd=bypass", (code, fields)
        assert backend.headers[-1][b"content-encoding"] == b"br"
    assert bypasses(proxy) == 2
    # One that is read goes on decoded, with the length that it has then.
    code, _, _ = get(proxy.address, "/v2/models/echo/infer", gzip.compress(body), {"content-encoding": "gzip"})
    assert code == 200 and backend.bodies[-1] == body and b"content-encoding" not in backend.headers[-1]
    assert backend.headers[-1][b"content-length"] == str(len(body)).encode()
    assert proxy.stop() == 0
    backend.stop()


def bombs_are_refused_by_length_and_by_ratio():
    backend = model()
    proxy = gateway(config([echo(f"grpc: 'http://{backend.address}'")], "limits: {maxRequestBytes: 8MiB}"))
    path = "/v2/models/echo/infer"
    # Noise of nine bits a byte's worth of text: long, and not dense.
    text = numpy.random.default_rng(1).integers(97, 123, 9 << 20, dtype=numpy.uint8).tobytes()
    code, _, answer = get(proxy.address, path, gzip.compress(text, 1), {"content-encoding": "gzip"})
    assert code == 413 and b"8388608 bytes (limits.maxRequestBytes)" in answer, (code, answer)
    code, _, answer = get(proxy.address, path, gzip.compress(bytes(7 << 20)), {"content-encoding": "gzip"})
    assert code == 413 and b"100 times" in answer, (code, answer)
    for content in (text, bytes(7 << 20)):
        fields = call_raw(proxy.address, INFER, frame(1, gzip.compress(content, 1)), "grpc-encoding: gzip")
        assert fields["grpc-status"] == "8", fields
    assert decoded(proxy, result="too_large") == 4
    # Beside them everything goes on.
    assert get(proxy.address, path, json.dumps(V2).encode())[0] == 200
    assert proxy.stop() == 0
    backend.stop()


def compressed_messages_are_read_as_grpc_says():
    backend = model()
    rest, both = f"rest: 'http://{backend.address}'", f"rest: 'http://{backend.address}', grpc: 'http://{backend.address}'"
    packed, squeezed = frame(1, gzip.compress(message())), frame(1, zlib.compress(message()))
    cases = [
        # Status, whether the answer says what is taken, body, metadata; gRPC Compression, "Specification".
        ("0", False, packed, ["grpc-encoding: gzip"]),
        ("0", False, squeezed, ["grpc-encoding: deflate"]),
        ("0", False, packed, ["grpc-encoding: gzip", "mm-model-id: echo"]),
        ("12", True, packed, ["grpc-encoding: snappy"]),
        ("13", False, packed, []),
        ("13", False, packed, ["grpc-encoding: identity"]),
        ("13", False, packed, ["grpc-encoding: deflate"]),
        ("13", False, frame(1, gzip.compress(message())[:-3]), ["grpc-encoding: gzip"]),
        ("5", False, frame(1, gzip.compress(message(name="nothing"))), ["grpc-encoding: gzip"]),
        ("3", False, frame(1, gzip.compress(message() + message())), ["grpc-encoding: gzip"]),
        # Messages may be left as they are, whatever the call's coding.
        ("0", False, frame(0, message()), ["grpc-encoding: gzip"]),
    ]
    for speaks, keys in ((rest, ""), (rest, ", cache: {ttl: 60s}"), (both, ", cache: {ttl: 60s}")):
        proxy = gateway(config([echo(speaks, keys)]))
        for status, tells, body, metadata in cases:
            fields = call_raw(proxy.address, INFER, body, *metadata)
            assert fields.get("grpc-status") == status, (speaks, keys, metadata, fields)
            assert (fields.get("grpc-accept-encoding") == "identity, deflate, gzip") == tells, (metadata, fields)
        # What the gateway answers itself.
        fields = call_raw(proxy.address, "inference.GRPCInferenceService/ModelReady",
                          frame(1, gzip.compress(service_pb2.ModelReadyRequest(name="echo").SerializeToString())),
                          "grpc-encoding: gzip")
        assert fields["grpc-status"] == "0", fields
        assert proxy.stop() == 0
    backend.stop()


class Doubling(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server of grpcio's own, which compresses every answer, asked or not."""

    def __init__(self):
        self.calls = 0
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), compression=grpc.Compression.Gzip)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def ServerLive(self, request, context):
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, request, context):
        return service_pb2.ServerReadyResponse(ready=True)

    def ServerMetadata(self, request, context):
        return service_pb2.ServerMetadataResponse(name="doubling")

    def ModelReady(self, request, context):
        return service_pb2.ModelReadyResponse(ready=True)

    def ModelMetadata(self, request, context):
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        return service_pb2.ModelMetadataResponse(
            name=request.name, versions=["1"], platform="python",
            inputs=[tensor(name="x", datatype="FP32", shape=[-1, -1])],
            outputs=[tensor(name="y", datatype="FP32", shape=[-1, -1])])

    def ModelInfer(self, request, context):
        self.calls += 1
        values = numpy.frombuffer(request.raw_input_contents[0], dtype=numpy.float32) * 2
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
        answer.outputs.add(name="y", datatype="FP32", shape=request.inputs[0].shape)
        answer.raw_output_contents.append(values.tobytes())
        return answer

    def ModelStreamInfer(self, requests, context):
        for request in requests:
            yield service_pb2.ModelStreamInferResponse(infer_response=self.ModelInfer(request, context))


def a_server_that_compresses_all_is_read():
    backend = Doubling()
    for keys in ("", ", cache: {ttl: 60s}", ", cache: {ttl: 60s, rows: true}"):
        proxy = gateway(config([echo(f"grpc: 'http://{backend.address}'", keys)]))
        # Its readiness and its model's description are compressed as well: V1 needs the latter.
        until(lambda: get(proxy.address, "/v1/models/echo:predict", json.dumps({"instances": [[9, 9]]}).encode())[0] == 200,
              what=lambda: get(proxy.address, "/v1/models/echo:predict", json.dumps({"instances": [[9, 9]]}).encode()))
        backend.calls = 0
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}]}
        for _ in range(2):
            code, _, answer = get(proxy.address, "/v2/models/echo/infer", json.dumps(body).encode())
            assert code == 200 and json.loads(answer)["outputs"][0]["data"] == [2, 4, 6, 8], (code, answer)
        for coding in (None, "gzip", "deflate"):
            with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
                for count in (2, 200_000):
                    tensor = tritonclient.grpc.InferInput("x", [1, count], "FP32")
                    values = numpy.arange(count, dtype=numpy.float32).reshape(1, count)
                    tensor.set_data_from_numpy(values)
                    for _ in range(2):
                        answer = client.infer("echo", [tensor], compression_algorithm=coding)
                        assert (answer.as_numpy("y") == values * 2).all(), (keys, coding, count)
            # A stream's first message is read for its model, and all of them pass as they came.
            options = {} if coding is None else {"compression_algorithm": coding}
            with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
                answers = []
                client.start_stream(lambda result, error: answers.append((result, error)), **options)
                for _ in range(3):
                    client.async_stream_infer("echo", [tensor])
                until(lambda: len(answers) == 3, what=lambda: answers)
                assert all(error is None and (result.as_numpy("y") == values * 2).all() for result, error in answers), answers
                client.stop_stream()
        if keys:
            assert decoded(proxy, direction="answer", result="decoded") > 0
            assert metric(proxy, "sluice_cache_requests_total", tier="memory", result="hit") > 0
        assert proxy.stop() == 0
    # Under another name at the backend a compressed message is written anew.
    proxy = gateway(config([f"  - {{name: echo, revisions: [{{name: v1, modelName: other, backends: [{{grpc: 'http://{backend.address}'}}]}}]}}"]))
    with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
        answer = client.infer("echo", [tensor], compression_algorithm="gzip")
        assert (answer.as_numpy("y") == values * 2).all() and answer.get_response().model_name == "other"
    assert proxy.stop() == 0
    backend.server.stop(0)


CHECKS = [coded_bodies_are_read_where_they_must_be, bodies_that_needn_t_be_read_pass_as_they_are,
          bombs_are_refused_by_length_and_by_ratio, compressed_messages_are_read_as_grpc_says,
          a_server_that_compresses_all_is_read]
