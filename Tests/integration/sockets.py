"""Unix sockets wherever a port may be: listeners, the admin API, backends and commands; and addresses that others hold.

    Tests/run --only sockets_serve_every_protocol
"""
import concurrent.futures
import http.server
import json
import os
import signal
import socketserver
import stat
import subprocess
import tempfile
import threading

import grpc
import numpy
import tritonclient.grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

import processes
from processes import V1, Process, get, model, until
from tls import certificate

V2 = b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}'


class Folder:
    """Short paths: a socket's has 107 bytes at most."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sluice-", dir="/tmp")

    def __call__(self, name):
        return os.path.join(self.path, name)


def curl(path, url, *flags, body=None):
    """Status, head and body, asked for by curl over a socket."""
    command = ["curl", "-sS", "-i", "--max-time", "20", "--unix-socket", path, *flags, url]
    if body is not None:
        command += ["-H", "content-type: application/json", "--data-binary", body.decode()]
    answer = subprocess.run(command, capture_output=True, timeout=30)
    assert answer.returncode == 0, answer.stderr
    head, _, rest = answer.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict((name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:]))
    return int(lines[0].split()[1]), fields, rest


def sluice(*arguments):
    return subprocess.run([processes.SLUICE, *arguments], capture_output=True, text=True, timeout=60)


def start(folder, text, *flags, name="sluice.yaml"):
    path = folder(name)
    if text is not None:
        with open(path, "w") as file:
            file.write(text)
    return Process(processes.SLUICE, "serve", "--config", path, *flags)


def ready(admin):
    until(lambda: curl(admin, "http://localhost/readyz")[0] == 200)


def settings(folder, backends, more=""):
    return f"""
listeners: [{{address: 'unix://{folder("data.sock")}'}}]
admin: {{address: 'unix://{folder("admin.sock")}'}}
accessLog: {folder("access.log")}
workers: 2
{more}
models:
  - {{name: iris, revisions: [{{name: v1, backends: [{backends}]}}]}}
"""


class Recorder(http.server.BaseHTTPRequestHandler):
    """A V1 server of Python's own; keeps the heads of what it is asked."""
    protocol_version = "HTTP/1.1"
    heads = []

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        if self.command == "POST":
            self.heads.append(dict((name.lower(), value) for name, value in self.headers.items()))
        body = b'{"predictions":[0]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Inference(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A model server of grpcio's own."""

    def ServerReady(self, request, context):
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request, context):
        return service_pb2.ModelReadyResponse(ready=True)

    def ModelInfer(self, request, context):
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
        answer.outputs.add(name="output", datatype="INT64", shape=[1])
        answer.raw_output_contents.append((7).to_bytes(8, "little"))
        return answer


def infer(target):
    tensor = tritonclient.grpc.InferInput("input", [1, 4], "FP32")
    tensor.set_data_from_numpy(numpy.array([[5.1, 3.5, 1.4, 0.2]], dtype=numpy.float32))
    with tritonclient.grpc.InferenceServerClient(
            target, channel_args=[("grpc.use_local_subchannel_pool", 1)]) as client:
        return client.infer("iris", [tensor], client_timeout=20)


def sockets_serve_every_protocol():
    folder = Folder()
    backend = Process(processes.MODEL, "--listen", f"unix://{folder('model.sock')}")
    assert backend.wait_for(r"on (unix://\S+)") == f"unix://{folder('model.sock')}"
    url = f"unix://{folder('model.sock')}"
    gateway = start(folder, settings(folder, f"{{rest: '{url}', grpc: '{url}'}}"))
    data, admin = folder("data.sock"), folder("admin.sock")
    assert gateway.wait_for(r"admin listening address=(\S+) from=admin.address") == f"unix://{admin}"
    assert gateway.wait_for(r" listening address=(\S+) tls=off") == f"unix://{data}"
    ready(admin)
    for path in (data, admin):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660, oct(os.stat(path).st_mode)
    # REST over both HTTP, gRPC by gRPC's own library.
    for flags in ([], ["--http2-prior-knowledge"]):
        status, fields, body = curl(data, "http://localhost/v1/models/iris:predict", *flags, body=V1)
        assert status == 200 and b"predictions" in body, (status, body)
        assert fields["x-sluice-backend"] == url, fields
        status, _, body = curl(data, "http://localhost/v2/models/iris/infer", *flags, body=V2)
        assert status == 200 and b"outputs" in body, (status, body)
    for spelling in (f"unix:{data}", f"unix://{data}"):
        assert infer(spelling).get_response().model_name == "iris"
    # Commands.
    shown = sluice("status", "--admin", f"unix://{admin}")
    assert shown.returncode == 0 and "iris" in shown.stdout, shown
    for flags in ([], ["--grpc"]):
        told = sluice("predict", "iris", "--url", f"unix://{data}", "--data", V2.decode(), *flags)
        assert told.returncode == 0 and f"backend {url}" in told.stdout, told
    # A reload leaves the sockets alone; a backend is drained by its name there.
    status, _, body = curl(admin, "http://localhost/api/v1/reload", "-X", "POST")
    assert status == 200 and b"takes a restart" not in body, body
    escaped = url.replace(":", "%3A").replace("/", "%2F")
    status, _, body = curl(admin, f"http://localhost/api/v1/models/iris/revisions/v1/backends/{escaped}",
                           "-X", "PUT", body=b'{"state":"drain"}')
    assert status == 200 and b'"drain"' in body, body
    curl(admin, f"http://localhost/api/v1/models/iris/revisions/v1/backends/{escaped}", "-X", "PUT", body=b'{"state":"ready"}')
    assert curl(data, "http://localhost/v1/models/iris:predict", body=V1)[0] == 200
    # Whatever name a caller has for it, nothing but the file's permissions guards a socket.
    assert curl(admin, "http://sluice.example/api/v1/models")[0] == 200
    text = curl(admin, "http://localhost/metrics")[2].decode()
    assert f'backend="{url}"' in text and f'listener="unix://{data}"' in text
    assert gateway.stop() == 0, "".join(gateway.lines)
    assert not os.path.exists(data) and not os.path.exists(admin), os.listdir(folder.path)
    with open(folder("access.log")) as file:
        lines = [json.loads(line) for line in file]
    assert lines and {line["client"] for line in lines} == {"unix:"}, lines[:2]
    assert {line["backend"] for line in lines} == {url}
    backend.stop()


def backends_on_sockets_are_asked_as_localhost():
    folder = Folder()
    with Server(folder("rest.sock"), Recorder) as rest:
        threading.Thread(target=rest.serve_forever, daemon=True).start()
        servicer, server = Inference(), grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        server.add_insecure_port(f"unix:{folder('grpc.sock')}")
        server.start()
        backends = f"{{rest: 'unix://{folder('rest.sock')}', grpc: 'unix://{folder('grpc.sock')}'}}"
        limit = "[{rate: 2/h, burst: 2, per: client}]"
        text = settings(folder, backends) + (
            f"  - {{name: few, rateLimit: {limit}, revisions: [{{name: v1, backends: [{backends}]}}]}}\n")
        gateway = start(folder, text)
        gateway.wait_for(r"admin listening address=(\S+)")
        ready(folder("admin.sock"))
        data = folder("data.sock")
        Recorder.heads.clear()
        assert curl(data, "http://sluice.example/v1/models/iris:predict", body=V1)[0] == 200
        assert curl(data, "http://localhost/v1/models/iris:predict", "-H", "x-forwarded-for: 192.0.2.1", body=V1)[0] == 200
        first, second = Recorder.heads
        assert first["host"] == "localhost" and first["x-forwarded-host"] == "sluice.example", first
        assert first["x-forwarded-for"] == "unix:" and second["x-forwarded-for"] == "192.0.2.1, unix:", (first, second)
        # grpcio refuses an authority that is none; its server sees one now.
        assert infer(f"unix:{data}").as_numpy("output").tolist() == [7]
        # Callers over a socket are one client.
        statuses = [curl(data, "http://localhost/v1/models/few:predict", body=V1)[0] for _ in range(3)]
        assert statuses == [200, 200, 429], statuses
        # A backend that goes is told of like any other, and found again.
        server.stop(None).wait()
        os.path.exists(folder("grpc.sock")) and os.unlink(folder("grpc.sock"))
        try:
            infer(f"unix:{data}")
            raise AssertionError("it was answered without a backend")
        except tritonclient.grpc.InferenceServerException as error:
            assert "UNAVAILABLE" in str(error), error
        again = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, again)
        again.add_insecure_port(f"unix:{folder('grpc.sock')}")
        again.start()

        def answered():
            try:
                return infer(f"unix:{data}").as_numpy("output").tolist() == [7]
            except tritonclient.grpc.InferenceServerException:
                return False
        until(answered)
        assert gateway.stop() == 0, "".join(gateway.lines)
        again.stop(None), rest.shutdown()


def socket_files_outlive_a_kill_and_are_one_process_s():
    folder = Folder()
    backend = model()
    text = settings(folder, f"{{rest: 'http://{backend.address}'}}")
    data, admin = folder("data.sock"), folder("admin.sock")
    first = start(folder, text)
    first.wait_for("admin listening")
    ready(admin)
    first.stop(signal.SIGKILL)
    assert os.path.exists(data) and os.path.exists(admin)
    second = start(folder, None)
    second.wait_for("admin listening")
    ready(admin)
    # A second at the same only listener ends and says who has it.
    third = start(folder, None)
    assert third.child.wait(20) == 1, third.lines
    third.wait_for(rf"listener unix://{data}: .*another process listens there \(sluice, process {second.child.pid}\)")
    assert curl(data, "http://localhost/v1/models/iris:predict", body=V1)[0] == 200
    # With a port beside it the port is served at once, and the socket and the admin API when they are let go.
    fourth = start(folder, text.replace("listeners: [", "listeners: [{address: '127.0.0.1:0'}, "), name="fourth.yaml")
    address = fourth.wait_for(r" listening address=(127\S+) tls=off")
    fourth.wait_for(rf"another process listens there \(sluice, process {second.child.pid}\); it is served as soon as it is free")
    fourth.wait_for(rf"the admin address is taken.*address=unix://{admin} holder=.*process {second.child.pid}")
    until(lambda: get(address, "/v1/models/iris:predict", V1)[0] == 200)
    # One that ends while it waits leaves the file to the one that has it.
    passing = start(folder, None, name="fourth.yaml")
    passing.wait_for("it is served as soon as it is free")
    assert passing.stop() == 0, "".join(passing.lines)
    assert curl(data, "http://localhost/v1/models/iris:predict", body=V1)[0] == 200
    assert second.stop() == 0, "".join(second.lines)
    fourth.wait_for(rf" listening address=unix://{data} tls=off")
    fourth.wait_for(rf"admin listening address=unix://{admin}")
    assert curl(data, "http://localhost/v1/models/iris:predict", body=V1)[0] == 200
    assert sluice("status", "--admin", f"unix://{admin}").returncode == 0
    assert fourth.stop() == 0, "".join(fourth.lines)
    assert not os.path.exists(data) and not os.path.exists(admin)
    # What is no socket is not removed, and what is no path is told.
    with open(data, "w") as file:
        file.write("precious")
    fifth = start(folder, None)
    assert fifth.child.wait(20) == 1
    fifth.wait_for("there is a file that isn't a socket")
    assert os.path.getsize(data) == len("precious")
    told = sluice("serve", "--config", folder("sluice.yaml"), "--admin", "unix:///" + "a" * 107)
    assert told.returncode == 64 and "at most 107 bytes, and this one has 108" in told.stderr, told
    told = sluice("status", "--admin", f"unix://{folder('none.sock')}")
    assert told.returncode == 1 and "No such file" in told.stderr and "`--admin` says where" in told.stderr, told
    backend.stop()


def sockets_speak_tls():
    authority, _ = certificate("authority", "/CN=test authority", is_authority=True)
    certificate("server", by="authority")
    cert, key = certificate("socket", "/CN=model", names="DNS:model.example", by="authority")
    folder, backend = Folder(), model()
    inner = start(folder, settings(folder, f"{{rest: 'http://{backend.address}', grpc: 'http://{backend.address}'}}").replace(
        "data.sock'", f"data.sock', tls: {{certificate: {cert}, privateKey: {key}}}"))
    inner.wait_for("admin listening")
    ready(folder("admin.sock"))
    url = f"https+unix://{folder('data.sock')}"
    outer = Folder()

    def answers(tls, name):
        gateway = start(outer, settings(outer, f"{{rest: '{url}', grpc: '{url}', tls: {tls}}}"), name=name)
        gateway.wait_for("admin listening")
        if "serverName" not in tls:
            gateway.wait_for("TLS failed|certificate")
        else:
            ready(outer("admin.sock"))
            infer(f"unix:{outer('data.sock')}")
        status = curl(outer("data.sock"), "http://localhost/v1/models/iris:predict", body=V1)[0]
        assert gateway.stop() == 0, "".join(gateway.lines)
        return status
    assert answers(f"{{ca: {authority}, serverName: model.example}}", "named.yaml") == 200
    # Without a name of its own it must be localhost's.
    assert answers(f"{{ca: {authority}}}", "localhost.yaml") == 503
    flags = ["--cacert", authority, "--resolve", "model.example:443:127.0.0.1"]
    assert curl(folder("data.sock"), "https://model.example/v1/models/iris:predict", *flags, body=V1)[0] == 200
    assert inner.stop() == 0
    backend.stop()


class Stranger(http.server.BaseHTTPRequestHandler):
    """Speaks HTTP and JSON, and is no gateway."""

    def do_GET(self):
        body = b'{"detail":"Not Found"}'
        self.send_response(404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def an_admin_port_that_a_stranger_holds_stops_nothing():
    backend = model()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        taken = "127.0.0.1:%d" % stranger.server_address[1]
        folder = Folder()
        text = f"""
listeners: [{{address: '127.0.0.1:0'}}]
admin: {{address: '{taken}'}}
accessLog: off
models: [{{name: iris, revisions: [{{name: v1, backends: [{{rest: 'http://{backend.address}'}}]}}]}}]
"""
        gateway = start(folder, text)
        address = gateway.wait_for(r" listening address=(\S+) tls=off")
        holder = gateway.wait_for(rf'the admin address is taken by another program.*--admin ADDRESS.*address={taken} holder="([^"]+)"')
        assert holder.endswith(f"process {os.getpid()}") and holder.startswith("python"), holder
        until(lambda: get(address, "/v1/models/iris:predict", V1)[0] == 200)
        told = sluice("status", "--admin", f"http://{taken}")
        assert told.returncode == 1 and told.stdout == "", told
        assert "doesn't answer like Sluice's admin API (HTTP 404): another program listens there" in told.stderr, told
        # With an address of its own nothing is missing.
        second = start(folder, None, "--admin", "127.0.0.1:0")
        own = second.wait_for(r"admin listening address=(\S+) from=--admin")
        until(lambda: get(own, "/readyz")[0] == 200)
        assert second.stop() == 0
        # At a listener's port there is nothing to wait for.
        third = start(folder, text.replace("address: '127.0.0.1:0'", f"address: '{taken}'").replace(
            f"admin: {{address: '{taken}'", "admin: {address: '127.0.0.1:0'"), name="third.yaml")
        assert third.child.wait(20) == 1
        third.wait_for(rf"listener {taken}: .*Address already in use \(python.*, process {os.getpid()}\)")
        stranger.shutdown()
    # The stranger is gone: what was configured is served.
    assert gateway.wait_for(r"admin listening address=(\S+) from=admin.address") == taken
    until(lambda: get(taken, "/readyz")[0] == 200)
    assert gateway.stop() == 0
    backend.stop()


CHECKS = [
    sockets_serve_every_protocol,
    backends_on_sockets_are_asked_as_localhost,
    socket_files_outlive_a_kill_and_are_one_process_s,
    sockets_speak_tls,
    an_admin_port_that_a_stranger_holds_stops_nothing,
]
