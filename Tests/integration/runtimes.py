"""Unmodified clients before real model servers, with nothing said of what the servers are: the runtime's own numbers,
ids and error sentences come back, whatever the client speaks and the server doesn't.

Every server has the model `sum`: rows of four numbers give their sums and where the largest is.

    Tests/run --only runtimes
"""
import http.server
import json
import os
import socket
import subprocess
import sys
import threading

import numpy
import requests
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from processes import Process, config, folder, gateway, get, model, until
from translation import JSONOnly

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = [[1.5, 2, -3, 0.25], [0, 0, 7, 1]]
TOLD = {"sum": [0.75, 8.0], "top": [1, 2]}
NARROW = [[1, 2, 3]]
SENTENCE = "a row has four numbers, not 3"
TENSORS = ("tensors: {inputs: [{name: rows, datatype: FP32, shape: [-1, 4]}], "
           "outputs: [{name: sum, datatype: FP64, shape: [-1]}, {name: top, datatype: INT64, shape: [-1]}]}")


def ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [probe.getsockname()[1] for probe in probes]
    [probe.close() for probe in probes]
    return found


# MARK: Callers. Each returns what the answer says, or the sentence of its refusal.

def triton_http(address, rows, binary, outputs=None, **keys):
    with tritonclient.http.InferenceServerClient(address) as client:
        tensor = tritonclient.http.InferInput("rows", list(numpy.shape(rows)), "FP32")
        tensor.set_data_from_numpy(numpy.array(rows, dtype=numpy.float32), binary_data=binary)
        # Unless told otherwise it asks for binary outputs, whatever it sends.
        wanted = None if outputs is None else [
            tritonclient.http.InferRequestedOutput(name, binary_data=outputs) for name in TOLD]
        try:
            answer = client.infer("sum", [tensor], request_id="42", outputs=wanted, **keys)
        except InferenceServerException as error:
            return {"error": error.message()}
        return {"id": answer.get_response()["id"], **{name: answer.as_numpy(name).tolist() for name in TOLD}}


def triton_grpc(address, rows, **keys):
    with tritonclient.grpc.InferenceServerClient(address) as client:
        tensor = tritonclient.grpc.InferInput("rows", list(numpy.shape(rows)), "FP32")
        tensor.set_data_from_numpy(numpy.array(rows, dtype=numpy.float32))
        try:
            answer = client.infer("sum", [tensor], request_id="42", **keys)
        except InferenceServerException as error:
            return {"error": error.message()}
        return {"id": answer.get_response().id, **{name: answer.as_numpy(name).tolist() for name in TOLD}}


def curl(address, path, document, *flags):
    text = subprocess.run(["curl", "-s", f"http://{address}{path}", "--data-binary", json.dumps(document), *flags],
                          capture_output=True, text=True, check=True, timeout=20).stdout
    answer = json.loads(text)
    if "outputs" in answer:
        return {"id": answer["id"], **{output["name"]: output["data"] for output in answer["outputs"]}}
    return answer


def v2(rows):
    return {"id": "42", "inputs": [{"name": "rows", "datatype": "FP32", "shape": list(numpy.shape(rows)), "data": rows}]}


def every_caller(address, rows):
    """What each client gets, by its name."""
    found = {
        "tritonclient HTTP, JSON": triton_http(address, rows, False, outputs=False),
        "tritonclient HTTP, JSON, binary answer": triton_http(address, rows, False),
        "tritonclient HTTP, binary": triton_http(address, rows, True),
        "tritonclient HTTP, binary, JSON answer": triton_http(address, rows, True, outputs=False),
        "tritonclient HTTP, binary outputs by name": triton_http(address, rows, True, outputs=True),
        "tritonclient gRPC": triton_grpc(address, rows),
    }
    for name, flags in {"a form's": (), "none": ("-H", "content-type:"), "text": ("-H", "Content-Type: Text/Plain; charset=utf-8"),
                        "a form's, in capitals": ("-H", "Content-Type: Application/X-WWW-Form-Urlencoded")}.items():
        found[f"curl V2, content type: {name}"] = curl(address, "/v2/models/sum/infer", v2(rows), *flags)
    for flags in ((), ("-H", "content-type:")):
        found[f"curl V1 {flags}"] = curl(address, "/v1/models/sum:predict", {"instances": rows}, *flags)
    text = subprocess.run([sys.executable, os.path.join(HERE, "kserve_caller.py"), address, json.dumps(rows)],
                          capture_output=True, text=True, timeout=60)
    assert text.returncode == 0, text.stderr
    found |= {f"KServe's client, {name}": answer for name, answer in json.loads(text.stdout.splitlines()[-1]).items()}
    return found


def every_compressed_caller(address, rows):
    """What tritonclient gets when it compresses, by how."""
    found = {}
    for coding in ("gzip", "deflate"):
        keys = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
        for binary in (False, True):
            found[f"tritonclient HTTP, {coding}, binary: {binary}"] = triton_http(address, rows, binary, **keys)
        found[f"tritonclient gRPC, {coding}"] = triton_grpc(address, rows, compression_algorithm=coding)
    return found


def check_compressed(address, sentence):
    for name, found in every_compressed_caller(address, ROWS).items():
        assert found == {"id": "42", **TOLD}, (name, found)
    for name, found in every_compressed_caller(address, NARROW).items():
        assert sentence in found.get("error", ""), (name, found)


def check_all(address, sentence=SENTENCE):
    for name, found in every_caller(address, ROWS).items():
        if "predictions" in found:
            wanted = {"predictions": [dict(zip(TOLD, row)) for row in zip(*TOLD.values())]}
        else:
            wanted = {"id": "42", **TOLD}
        assert found == wanted, (name, found)
    check_compressed(address, sentence)
    for name, found in every_caller(address, NARROW).items():
        assert sentence in found.get("error", ""), (name, found)
    # What clients ask before they predict.
    with tritonclient.http.InferenceServerClient(address) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("sum")
        assert client.get_model_metadata("sum")["inputs"][0]["name"] == "rows"
    with tritonclient.grpc.InferenceServerClient(address) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("sum")
        assert client.get_model_metadata("sum").inputs[0].name == "rows"
    assert requests.get(f"http://{address}/", timeout=10).json() == {"status": "alive"}
    assert requests.get(f"http://{address}/v1/models", timeout=10).json() == {"models": ["sum"]}
    status = requests.get(f"http://{address}/v1/models/sum", timeout=10)
    assert status.status_code == 200, status.text


def before(backend, keys="", more=""):
    """A gateway whose model `sum` has that backend, and nothing that says what it is."""
    return gateway(config([f"  - {{name: sum, timeout: 20s{keys}, revisions: [{{name: v1{more}, backends: [{backend}]}}]}}"]))


def dialect(proxy):
    return json.loads(get(proxy.admin, "/api/v1/models/sum")[2])["revisions"][0]["dialect"]


# MARK: Servers

def kserve_server(*flags):
    rest, rpc = ports(2)
    server = Process(sys.executable, "-W", "ignore", os.path.join(HERE, "kserve_server.py"), str(rest), str(rpc), *flags)
    address = f"127.0.0.1:{rest}"

    def answers():
        assert server.child.poll() is None, "".join(server.lines)
        try:
            return get(address, "/v1/models/sum")[0] == 200
        except OSError:
            return False

    until(answers, timeout=90, what=lambda: "KServe's server didn't come up: " + "".join(server.lines))
    return server, address, f"127.0.0.1:{rpc}"


class OnlyV1(http.server.BaseHTTPRequestHandler):
    """TensorFlow Serving's V1: status by versions, signatures, columns by name; and nothing else."""

    protocol_version = "HTTP/1.1"
    has_metadata = has_status = True
    seen = []

    def do_GET(self):
        if self.path == "/v1/models/sum" and self.has_status:
            self.reply(200, {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]})
        elif self.path == "/v1/models/sum/metadata" and self.has_metadata:
            def tensor(kind, *shape):
                return {"dtype": kind, "tensor_shape": {"dim": [{"size": str(size)} for size in shape]}}

            signature = {"inputs": {"rows": tensor("DT_FLOAT", -1, 4)},
                         "outputs": {"sum": tensor("DT_DOUBLE", -1), "top": tensor("DT_INT64", -1)}}
            self.reply(200, {"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}})
        elif self.path == "/v1/models/sum:predict":
            self.reply(405, {"error": "Method Not Allowed"})
        else:
            self.reply(404, {"error": f"Malformed request: GET {self.path}"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append((self.path, body))
        if self.path not in ("/v1/models/sum:predict", "/v1/models/sum/versions/1:predict"):
            return self.reply(404, {"error": f"Malformed request: POST {self.path}"})
        rows = body.get("instances", body.get("inputs"))
        rows = numpy.array(rows["rows"] if isinstance(rows, dict) else rows, dtype=numpy.float32)
        if rows.shape[1] != 4:
            return self.reply(400, {"error": f"a row has four numbers, not {rows.shape[1]}"})
        told = {"sum": rows.astype(float).sum(axis=1).tolist(), "top": rows.argmax(axis=1).tolist()}
        if "inputs" in body:
            return self.reply(200, {"outputs": told})
        return self.reply(200, {"predictions": [dict(zip(told, row)) for row in zip(*told.values())]})

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(handler, **members):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (handler,), {"seen": [], **members}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"127.0.0.1:{server.server_port}"


# MARK: Checks

def every_client_gets_what_a_v1_server_says():
    server, address, _ = kserve_server("--v1-only")
    for keys in ("", ", cache: {ttl: 60s}"):
        proxy = before(f"{{rest: 'http://{address}'}}", f", {TENSORS}{keys}")
        assert dialect(proxy) == "v1"
        check_all(proxy.address)
        assert proxy.stop() == 0
    # Without anything that says what the tensors are, V1's callers are served, and V2's are told what to do.
    proxy = before(f"{{rest: 'http://{address}'}}")
    assert "predictions" in curl(proxy.address, "/v1/models/sum:predict", {"instances": ROWS})
    for found in (triton_http(proxy.address, ROWS, True), triton_grpc(proxy.address, ROWS)):
        assert "`tensors:`" in found["error"], found
    code, _, body = get(proxy.address, "/v2/models/sum")
    assert code == 404 and "`tensors:`" in json.loads(body)["error"], (code, body)
    assert proxy.stop() == 0
    server.stop()


def every_client_gets_what_tensorflow_servings_protocol_says():
    server, address = serve(OnlyV1)
    proxy = before(f"{{rest: 'http://{address}'}}")
    assert dialect(proxy) == "tfserving"
    check_all(proxy.address)
    # The version that a caller asks for is asked for.
    assert triton_http(proxy.address, ROWS, True, model_version="1")["id"] == "42"
    assert server.RequestHandlerClass.seen[-1][0] == "/v1/models/sum/versions/1:predict"
    assert proxy.stop() == 0
    # What V2's callers are told is kept as V2, row by row too: one call serves them all, over REST and gRPC.
    for keys in ("{ttl: 60s}", "{ttl: 60s, rows: true}"):
        proxy = before(f"{{rest: 'http://{address}'}}", f", cache: {keys}")
        calls = len(server.RequestHandlerClass.seen)
        for number in range(2):
            answer = requests.post(f"http://{proxy.address}/v2/models/sum/infer", json=v2(ROWS), timeout=10)
            assert answer.status_code == 200 and answer.json()["model_name"] == "sum", answer.text
            assert ("; hit;" in answer.headers["cache-status"]) == (number > 0), answer.headers
        assert triton_grpc(proxy.address, ROWS) == triton_http(proxy.address, ROWS, True) == {"id": "42", **TOLD}
        assert len(server.RequestHandlerClass.seen) == calls + 1
        assert proxy.stop() == 0
    server.shutdown()
    # One that has nothing but the prediction.
    server, address = serve(OnlyV1, has_metadata=False, has_status=False)
    proxy = before(f"{{rest: 'http://{address}'}}", f", {TENSORS}")
    assert dialect(proxy) == "v1"
    assert triton_http(proxy.address, ROWS, True) == triton_grpc(proxy.address, ROWS) == {"id": "42", **TOLD}
    assert proxy.stop() == 0
    server.shutdown()


def every_client_gets_what_kserves_server_says():
    server, rest, rpc = kserve_server()
    for backend in (f"{{rest: 'http://{rest}'}}", f"{{rest: 'http://{rest}', grpc: 'http://{rpc}'}}"):
        proxy = before(backend)
        assert dialect(proxy) == "kserve"
        check_all(proxy.address)
        assert proxy.stop() == 0
    server.stop()


class OnlyJSON(JSONOnly):
    """A V2 server that says that it has no extensions, and can't do more."""

    seen = []

    def do_GET(self):
        if self.path == "/v2":
            return self.reply(200, {"name": "ours", "version": "1", "extensions": []})
        if self.path.startswith("/v2/"):
            return self.reply(200, {"name": "sum", "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1]}]})
        return self.reply(404, {"error": "not here"})


def binary_tensors_go_over_grpc_where_rest_reads_only_json():
    seen = []
    (server, rest), (second, other) = serve(OnlyJSON, seen=seen), serve(OnlyJSON, seen=seen)
    backend = model()

    def ask(address, array, binary=True, **keys):
        """Whether REST was asked."""
        before = len(seen)
        with tritonclient.http.InferenceServerClient(address) as client:
            tensor = tritonclient.http.InferInput("input", list(array.shape), "FP32")
            tensor.set_data_from_numpy(array, binary_data=binary)
            answer = client.infer("sum", [tensor], request_id="42", **keys)
        assert (answer.as_numpy("input") == array).all() and answer.get_response()["id"] == "42", answer.get_response()
        # It asks for binary outputs, whatever it sends, and bodies above 1 MiB of JSON aren't looked at.
        assert "binary_data_size" in answer.get_output("input")["parameters"], answer.get_response()
        return len(seen) > before

    small, large = numpy.array([[1.5, -2]], dtype=numpy.float32), numpy.zeros((1, 1 << 20), dtype=numpy.float32)
    endless = numpy.array([[numpy.inf, 1]], dtype=numpy.float32)
    both, name = f"{{rest: 'http://{rest}', grpc: 'http://{backend.address}'}}", ", modelName: echo"
    proxy = before(both, "", name)
    assert dialect(proxy) == "v2json"
    assert not ask(proxy.address, small), "binary tensors went as JSON, though there is gRPC"
    assert ask(proxy.address, small, binary=False), "JSON passes as it is"
    assert ask(proxy.address, large), "gRPC servers take no more than 4 MiB"
    assert not ask(proxy.address, endless)
    assert proxy.stop() == 0
    # Not all replicas have gRPC: those that have none get their share, but for what JSON can't say.
    proxy = before(f"{both}, {{rest: 'http://{other}'}}", "", name)
    assert ask(proxy.address, small) and not ask(proxy.address, endless)
    assert proxy.stop() == 0
    # V1 says no datatype: the configuration does, before the backend.
    proxy = before(f"{{rest: 'http://{rest}'}}", ", tensors: {inputs: [{name: input, datatype: INT64}]}", name)
    answer = requests.post(f"http://{proxy.address}/v1/models/sum:predict", json={"instances": [[1], [2]]}, timeout=10)
    assert answer.json() == {"predictions": [[1], [2]]}, answer.text
    assert json.loads(seen[-1][2])["inputs"][0]["datatype"] == "INT64", seen[-1]
    assert proxy.stop() == 0
    # Row by row as well.
    proxy = before(both, ", cache: {ttl: 60s, rows: true}", name)
    rows = numpy.array([[1, 2], [3, 4]], dtype=numpy.float32)
    assert not ask(proxy.address, rows[:1]) and not ask(proxy.address, rows) and not ask(proxy.address, rows[1:])
    assert proxy.stop() == 0
    # Whatever is configured is not asked about.
    proxy = before(f"{{rest: 'http://{rest}'}}", "", ", dialect: generic")
    assert dialect(proxy) == "generic"
    try:
        ask(proxy.address, small)
        raise AssertionError("a server that reads only JSON answered binary tensors")
    except InferenceServerException as error:
        assert "JSON only" in error.message(), error
    assert proxy.stop() == 0
    server.shutdown(), second.shutdown(), backend.stop()


MLSERVER = '''
import numpy
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse

class Sum(MLModel):
    async def predict(self, request):
        rows = NumpyCodec.decode_input(request.inputs[0])
        if rows.shape[1] != 4:
            raise InferenceError(f"a row has four numbers, not {rows.shape[1]}")
        outputs = {"sum": rows.astype(numpy.float64).sum(axis=1), "top": rows.argmax(axis=1)}
        encoded = [NumpyCodec.encode_output(name, array) for name, array in outputs.items()]
        for output in encoded:
            output.shape = [len(rows)]
        return InferenceResponse(model_name=self.name, outputs=encoded)
'''


def mlserver(program, **settings):
    """MLServer with the model; its process, REST and gRPC addresses."""
    rest, rpc, metrics = ports(3)
    place = os.path.join(folder, f"mlserver-{rest}")
    os.mkdir(place)
    files = {"sum_runtime.py": MLSERVER,
             "settings.json": json.dumps({"host": "127.0.0.1", "http_port": rest, "grpc_port": rpc, "metrics_port": metrics,
                                          "parallel_workers": 0, "debug": False, **settings}),
             "model-settings.json": json.dumps({"name": "sum", "implementation": "sum_runtime.Sum", "inputs": [
                 {"name": "rows", "datatype": "FP32", "shape": [-1, 4]}]})}
    for name, text in files.items():
        with open(os.path.join(place, name), "w") as file:
            file.write(text)
    server = Process(program, "start", place)

    def answers():
        assert server.child.poll() is None, "".join(server.lines)
        try:
            return get(f"127.0.0.1:{rest}", "/v2/models/sum/ready")[0] == 200
        except OSError:
            return False

    until(answers, timeout=120, what=lambda: "MLServer didn't come up: " + "".join(server.lines))
    return server, f"127.0.0.1:{rest}", f"127.0.0.1:{rpc}"


# The program; see run.py.
PROGRAM = None


def every_client_gets_what_mlserver_says():
    # One that has another name is known by what it can't.
    for settings, known in (({}, "mlserver"), ({"server_name": "ours"}, "v2json")):
        server, rest, rpc = mlserver(PROGRAM, **settings)
        for backend in (f"{{rest: 'http://{rest}'}}", f"{{rest: 'http://{rest}', grpc: 'http://{rpc}'}}"):
            for keys in ("", ", cache: {ttl: 60s}"):
                proxy = before(backend, keys)
                assert dialect(proxy) == known, dialect(proxy)
                check_all(proxy.address)
                assert proxy.stop() == 0
        proxy = before(f"{{grpc: 'http://{rpc}'}}")
        check_all(proxy.address)
        assert proxy.stop() == 0
        server.stop()


CHECKS = [every_client_gets_what_a_v1_server_says, every_client_gets_what_tensorflow_servings_protocol_says,
          every_client_gets_what_kserves_server_says, binary_tensors_go_over_grpc_where_rest_reads_only_json]
