#!/usr/bin/env python3
"""A gateway built with a sanitizer, under load: gRPC, REST over HTTP/2, HTTP/1.1 and TLS by h2load at once, half of the
questions cached in memory and Redis, while weights shift, the configuration is reloaded, a cache is purged, a backend is
drained, and metrics are scraped; then it is told to end under load. The sanitizer's report must be empty, the leak
checker's at the end too, and no request may fail before the end begins.

    Tests/sanitizers/load.py --binaries .build-address/debug [--rounds 3] [--requests 20000] [--preload FILE]
"""
import argparse
import atexit
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import urllib.error

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import processes  # noqa: E402
from processes import Process, config, folder, get, until  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--binaries", required=True)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--requests", type=int, default=20_000)
parser.add_argument("--preload", default="")
options = parser.parse_args()
processes.use(options.binaries)
os.environ["SWIFT_BACKTRACE"] = "enable=no"
REPORT = os.path.join(folder, "sanitizer")
ROW = [5.1, 3.5, 1.4, 0.2]


def varint(number):
    text = b""
    while number > 127:
        text += bytes([number & 127 | 128])
        number >>= 7
    return text + bytes([number])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def question(model):
    tensor = field(1, b"input") + field(2, b"FP32") + field(3, b"\x01\x04")
    message = field(1, model.encode()) + field(5, tensor) + field(7, struct.pack("<4f", *ROW))
    return b"\0" + struct.pack(">I", len(message)) + message


def kept(name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def backend(revision):
    process = Process(processes.MODEL, "--listen", "127.0.0.1:0", f"--revision={revision}")
    process.address = process.wait_for(r"on (127\.0\.0\.1:\d+)", timeout=60)
    return process


certificate, key = f"{folder}/c.pem", f"{folder}/k.pem"
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
     key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
    check=True, capture_output=True)
redis = f"{folder}/redis.sock"
store = subprocess.Popen(["redis-server", "--unixsocket", redis, "--port", "0", "--save", ""], stdout=subprocess.DEVNULL)
atexit.register(store.kill)
# The models are plain or checked like the gateway, as the folder has them; reports are the gateway's alone.
backends = [backend(f"v{number}") for number in (1, 2, 2)]


def written(cached_for):
    rows = ["".join(f"{{rest: 'http://{b.address}', grpc: 'http://{b.address}'}}, " for b in group)
            for group in (backends[:1], backends[1:])]
    revisions = ("revisions: ["
                 + ", ".join(f"{{name: v{n + 1}, traffic: 50, backends: [{row}]}}" for n, row in enumerate(rows)) + "]")
    models = [f"  - {{name: iris, {revisions}}}",
              f"  - {{name: echo, cache: {{ttl: {cached_for}}}, {revisions}}}"]
    text = config(models, extra=f"workers: 2\ndrainTimeout: 20s\ncache: {{redis: {{url: 'unix://{redis}'}}}}")
    return text.replace("'127.0.0.1:0'}]", "'127.0.0.1:0'}, {address: 'localhost:0', tls: {certificate: "
                        f"{certificate}, privateKey: {key}}}}}]")


common = f"log_path={REPORT}:halt_on_error=0:exitcode=0"
os.environ["ASAN_OPTIONS"] = common + ":detect_leaks=1"
os.environ["TSAN_OPTIONS"] = common + ":history_size=5"
here = os.path.dirname(os.path.abspath(__file__))
os.environ["LSAN_OPTIONS"] = f"suppressions={here}/suppressions.txt:print_suppressions=0"
path = kept("sluice.yaml", written("10m").encode())
command = [processes.SLUICE, "serve", "--config", path]
if options.preload:
    command = ["env", f"LD_PRELOAD={options.preload}", *command]
gateway = Process(*command)
admin = gateway.wait_for(r"admin listening address=(\S+)", timeout=60)
plain = gateway.wait_for(r" listening address=(\S+) tls=off", timeout=60)
secure = gateway.wait_for(r" listening address=(\S+) tls=on", timeout=60).replace("[::1]", "localhost")
until(lambda: get(admin, "/readyz")[0] == 200, timeout=60)

PATH = "/inference.GRPCInferenceService/ModelInfer"
GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
JSON = kept("v1.json", b'{"instances":[[5.1,3.5,1.4,0.2]]}')
V2 = kept("v2.json", b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}')


# Written once: h2load maps its file.
QUESTIONS = {model: kept(f"{model}.grpc", question(model)) for model in ("iris", "echo")}


def loads():
    """What h2load is asked for at the same time."""
    for model, data in QUESTIONS.items():
        yield ["-c", "4", "-m", "16", *GRPC, "-d", data, f"http://{plain}{PATH}"]
        yield ["-c", "4", "-m", "8", "-d", V2, f"http://{plain}/v2/models/{model}/infer"]
        yield ["-c", "8", "--h1", "-d", JSON if model == "iris" else V2,
               f"http://{plain}/" + ("v1/models/iris:predict" if model == "iris" else "v2/models/echo/infer")]
    yield ["-c", "4", "-m", "8", *GRPC, "-d", QUESTIONS["iris"], f"https://{secure}{PATH}"]


def start(count):
    return [subprocess.Popen(["h2load", "-n", str(count), *flags], stdout=subprocess.PIPE, text=True) for flags in loads()]


def meddle(stopping, seen):
    """What operators do, over and over."""
    turn = 0
    while not stopping.is_set():
        turn += 1
        share = (turn * 37) % 101
        body = f'{{"v1": {100 - share}, "v2": {share}}}'.encode()
        steps = [("PUT", "/api/v1/models/iris/traffic", body), ("PUT", "/api/v1/models/echo/traffic", body),
                 ("GET", "/metrics", None), ("GET", "/api/v1/models", None)]
        if turn % 5 == 0:
            kept("sluice.yaml", written("10m" if turn % 2 else "5m").encode())
            gateway.child.send_signal(signal.SIGHUP)
        if turn % 7 == 0:
            steps.append(("DELETE", "/api/v1/models/echo/cache", None))
        if turn % 4 == 0:
            state = b'{"state": "drain"}' if turn % 8 == 0 else b'{"state": "ready"}'
            steps.append(("PUT", f"/api/v1/models/iris/revisions/v2/backends/{backends[1].address}", state))
        for method, target, data in steps:
            code = get(admin, target, data, method=method)[0]
            seen[code] = seen.get(code, 0) + 1
        stopping.wait(0.05)


failures = []
stopping, seen = threading.Event(), {}
operator = threading.Thread(target=meddle, args=(stopping, seen), daemon=True)
operator.start()
for turn in range(options.rounds):
    for process in start(options.requests):
        text = process.communicate(timeout=560)[0]
        summary = re.search(r"requests: .*", text).group(0)
        if f"{options.requests} succeeded, 0 failed" not in summary:
            failures.append(f"{' '.join(process.args[3:])}: {summary} {re.search('status codes: .*', text).group(0)}")
    if failures:
        metrics = get(admin, "/metrics")[2].decode()
        print("\n".join(re.findall(r"^sluice_(?:abuse|connections_refused|rejected)_total.* [1-9]\d*$", metrics, re.M)))
        print("".join(gateway.lines[-20:]), flush=True)
    print(f"round {turn + 1}: {options.requests} requests by each of {len(list(loads()))} clients", flush=True)
stopping.set()
operator.join()
print(f"meanwhile the admin API answered {seen}; {get(admin, '/metrics')[2].count(b'sluice_')} series")
# The end, under load: whoever is on the way is answered or told to go elsewhere.
last = start(options.requests)
until(lambda: any(process.poll() is None for process in last), timeout=30)
code = gateway.stop()
for process in last:
    process.communicate(timeout=60)
for process in backends:
    process.stop()
store.terminate()
print(f"ended under load with {code}")

reports = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("sanitizer.")]
for report in reports:
    with open(report) as file:
        print(file.read())
for failure in failures:
    print(f"FAIL {failure}")
if reports or failures or code != 0:
    raise SystemExit(f"{len(reports)} reports of the sanitizer, {len(failures)} loads with failures, exit code {code}")
print("no report of the sanitizer, no failed request")
