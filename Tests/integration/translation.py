"""Callers of one protocol, backends of the other: the numbers are the same, and so are the failures.

    Tests/run --only translation
"""
import gzip
import http.client
import http.server
import json
import re
import struct
import subprocess
import threading

import numpy
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from backends import Recorder
from processes import config, folder, gateway, get, model, predictions, until

TYPES = [numpy.bool_, numpy.int8, numpy.int16, numpy.int32, numpy.int64, numpy.uint8, numpy.uint16, numpy.uint32,
         numpy.uint64, numpy.float16, numpy.float32, numpy.float64, numpy.object_]


def sample(kind):
    if kind == numpy.object_:
        return numpy.array([[b"abc", "naïve".encode(), b""]], dtype=numpy.object_)
    if kind == numpy.bool_:
        return numpy.array([[True, False, True]])
    if numpy.issubdtype(kind, numpy.integer):
        return numpy.array([[numpy.iinfo(kind).min, 0, numpy.iinfo(kind).max]], dtype=kind)
    return numpy.array([[0.1, -1.5, numpy.finfo(kind).max]], dtype=kind)


def single(name, **speaks):
    way = ", ".join(f"{key}: 'http://{address}'" for key, address in speaks.items())
    return f"  - {{name: {name}, revisions: [{{name: v1, backends: [{{{way}}}]}}]}}"


def rest_callers_reach_grpc_backends():
    backend = model()
    proxy = gateway(config([single(name, grpc=backend.address) for name in ("echo", "iris")]))
    client = tritonclient.http.InferenceServerClient(proxy.address)
    for binary in (True, False):
        for kind in TYPES:
            if kind == numpy.float16 and not binary:
                continue  # tritonclient has no JSON for FP16
            data = sample(kind)
            tensor = tritonclient.http.InferInput("input", data.shape, np_to_triton_dtype(data.dtype))
            tensor.set_data_from_numpy(data, binary_data=binary)
            result = client.infer("echo", [tensor], request_id="mine",
                                  outputs=[tritonclient.http.InferRequestedOutput("input", binary_data=binary)])
            assert result.get_response()["id"] == "mine"
            # In JSON, BYTES are text.
            wanted = [[item.decode() for item in data[0]]] if kind == numpy.object_ and not binary else data
            assert (result.as_numpy("input") == wanted).all(), (kind, binary, result.as_numpy("input"))
    told = client.get_model_metadata("iris")
    assert told["name"] == "iris" and told["inputs"][0]["shape"] == [-1, 4] and told["outputs"], told
    # The backend's own words, with the status that says the same.
    code, _, body = get(proxy.address, "/v2/models/iris/infer", json.dumps(
        {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode())
    assert code == 400 and json.loads(body)["error"], (code, body)
    # V1 says no names; the model's own description, which the probe has asked for, does.
    code, _, body = get(proxy.address, "/v1/models/iris:predict",
                        b'{"instances":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}')
    assert code == 200, (code, body)
    assert [row["label"] for row in json.loads(body)["predictions"]] == [0, 2], body
    # What a description doesn't settle is said, and not guessed.
    code, _, body = get(proxy.address, "/v1/models/iris:predict", b'{"instances":[{"width":1}]}')
    assert code == 400 and "width" in json.loads(body)["error"], (code, body)
    assert proxy.stop() == 0
    backend.stop()


def grpc_callers_reach_rest_backends():
    backend = model()
    proxy = gateway(config([single(name, rest=backend.address) for name in ("echo", "iris")]))
    with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
        for kind in TYPES:
            data = sample(kind)
            tensor = tritonclient.grpc.InferInput("input", data.shape, np_to_triton_dtype(data.dtype))
            tensor.set_data_from_numpy(data)
            result = client.infer("echo", [tensor], request_id="mine")
            assert result.get_response().id == "mine"
            assert (result.as_numpy("input") == data).all(), (kind, result.as_numpy("input"))
        told = client.get_model_metadata("iris")
        assert told.name == "iris" and list(told.inputs[0].shape) == [-1, 4] and told.outputs, told
        wrong = tritonclient.grpc.InferInput("input", [1, 3], "FP32")
        wrong.set_data_from_numpy(numpy.zeros((1, 3), dtype=numpy.float32))
        try:
            client.infer("iris", [wrong])
            raise AssertionError("a wrong shape was answered")
        except InferenceServerException as error:
            assert "INVALID_ARGUMENT" in error.status() and error.message(), error
    assert proxy.stop() == 0
    backend.stop()


def a_backend_may_know_a_model_by_another_name():
    backend = model()
    both = f"{{rest: 'http://{backend.address}', grpc: 'http://{backend.address}'}}"
    for keys in ("", ", cache: {ttl: 60s}", ", idempotent: true"):
        proxy = gateway(config([
            f"  - {{name: a-rather-long-name-for-it{keys}, revisions: [{{name: v1, modelName: echo, backends: [{both}]}}]}}"]))
        with tritonclient.grpc.InferenceServerClient(proxy.address) as client:
            # Small ones come in one piece, large ones in many.
            for count in (4, 40_000):
                data = numpy.arange(count, dtype=numpy.float32).reshape(1, count)
                tensor = tritonclient.grpc.InferInput("input", data.shape, "FP32")
                tensor.set_data_from_numpy(data)
                for _ in range(3):
                    assert (client.infer("a-rather-long-name-for-it", [tensor]).as_numpy("input") == data).all()
            assert client.is_model_ready("a-rather-long-name-for-it")
            assert client.get_model_metadata("a-rather-long-name-for-it").name == "echo"
        code, _, body = get(proxy.address, "/v1/models/a-rather-long-name-for-it:predict", b'{"instances":[1]}')
        assert code == 200, (code, body)
        assert proxy.stop() == 0
    backend.stop()


def bypasses(proxy):
    text = get(proxy.admin, "/metrics")[2].decode()
    found = re.search(r'sluice_cache_requests_total{model="echo",tier="memory",result="bypass"} (\d+)', text)
    return int(found.group(1)) if found else 0


def call_raw(address, method, body, *headers):
    """Calls over gRPC and returns what gRPC's own fields say, in head and trailers."""
    path = f"{folder}/call.bin"
    with open(path, "wb") as file:
        file.write(body)
    fields = [part for header in ("content-type: application/grpc", "te: trailers", *headers) for part in ("-H", header)]
    text = subprocess.run(["curl", "-s", "-i", "--http2-prior-knowledge", "--data-binary", f"@{path}", *fields,
                           f"http://{address}/{method}"], capture_output=True, timeout=20).stdout.decode("latin1")
    return dict(re.findall(r"(grpc-[a-z-]+): ([^\r\n]*)", text))


class JSONOnly(http.server.BaseHTTPRequestHandler):
    """A V2 server that takes strict JSON of its own type only, as MLServer does, and echoes tensors."""

    protocol_version = "HTTP/1.1"
    seen = []

    def do_GET(self):
        self.reply(200, {"name": "echo", "inputs": [], "outputs": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, self.headers, body))
        if self.headers["content-type"] != "application/json" or self.headers["inference-header-content-length"]:
            self.reply(415, {"error": "JSON only"})
            return
        document = json.loads(body)
        outputs = [{key: tensor[key] for key in ("name", "datatype", "shape", "data")} for tensor in document["inputs"]]
        self.reply(200, {"model_name": "echo", **({"id": document["id"]} if "id" in document else {}), "outputs": outputs})

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def unmodified_clients_reach_backends_that_read_only_json():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), JSONOnly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    way = f"backends: [{{rest: 'http://127.0.0.1:{server.server_port}'}}]"
    for keys in ("", ", cache: {ttl: 60s}"):
        proxy = gateway(config([f"  - {{name: echo{keys}, revisions: [{{name: v1, dialect: mlserver, modelName: other, {way}}}]}}"]))
        client = tritonclient.http.InferenceServerClient(proxy.address)
        for kind in (numpy.float32, numpy.int64, numpy.bool_, numpy.object_):
            data = numpy.array([[1.5, -2.25, 1e30]], dtype=kind) if kind == numpy.float32 else sample(kind)
            tensor = tritonclient.http.InferInput("input", data.shape, np_to_triton_dtype(data.dtype))
            tensor.set_data_from_numpy(data)
            for outputs in (None, [tritonclient.http.InferRequestedOutput("input", binary_data=True)]):
                result = client.infer("echo", [tensor], request_id="mine", outputs=outputs)
                assert result.get_response()["id"] == "mine"
                # Binary was asked for, and binary it is.
                assert "binary_data_size" in result.get_output("input")["parameters"], result.get_response()
                assert (result.as_numpy("input") == data).all(), (kind, result.as_numpy("input"))
        assert JSONOnly.seen[-1][0] == "/v2/models/other/infer"
        # What a tool says of a form, or doesn't say.
        body = b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1,2],"data":[%d,2]}]}'
        for number, fields in enumerate(({"content-type": "application/x-www-form-urlencoded"}, {"content-type": ""})):
            connection = http.client.HTTPConnection(proxy.address)
            fields = {name: value for name, value in fields.items() if value}
            connection.request("POST", "/v2/models/echo/infer", body % number, fields)
            answer = connection.getresponse()
            assert answer.status == 200, (fields, answer.read())
            connection.close()
        code, _, told = get(proxy.address, "/")
        assert code == 200 and json.loads(told) == {"status": "alive"}, (code, told)
        code, _, told = get(proxy.address, "/v1/models/echo")
        assert code == 200 and json.loads(told) == {"name": "echo", "ready": True}, (code, told)
        assert proxy.stop() == 0
    server.shutdown()


CHECKS = [unmodified_clients_reach_backends_that_read_only_json, rest_callers_reach_grpc_backends, grpc_callers_reach_rest_backends,
          a_backend_may_know_a_model_by_another_name]
