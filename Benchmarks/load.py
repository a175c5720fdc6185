"""Request bodies, processes and small tools that the benchmarks share."""
import os
import re
import shutil
import socket
import struct
import subprocess
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(ROOT, ".build", "release")
WORK = os.path.join(ROOT, ".build", "benchmark")
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
GRPC_HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def infer_request(shape, raw):
    """A framed ModelInferRequest for the model `echo` with one FP32 tensor."""
    dimensions = b"".join(varint(3 << 3) + varint(size) for size in shape)
    tensor = field(1, b"input") + field(2, b"FP32") + dimensions
    message = field(1, b"echo") + field(3, b"42") + field(5, tensor) + field(7, raw)
    return b"\0" + struct.pack(">I", len(message)) + message


def write_bodies():
    os.makedirs(WORK, exist_ok=True)
    bodies = {
        "small.bin": infer_request([1, 4], struct.pack("<4f", 5.1, 3.5, 1.4, 0.2)),
        "large.bin": infer_request([3, 112, 112], bytes(150_528)),
        "v1.json": b'{"instances":[[5.1,3.5,1.4,0.2]]}',
    }
    for name, body in bodies.items():
        with open(os.path.join(WORK, name), "wb") as file:
            file.write(body)
    return {name: os.path.join(WORK, name) for name in bodies}


def build():
    """The release of both programs, built the way it ships."""
    for product in ("sluice", "sluice-model"):
        subprocess.run(
            ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", product],
            cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def stripped(name):
    """A copy without debug information, which valgrind 3.19 can't read in Swift's form."""
    os.makedirs(WORK, exist_ok=True)
    copy = os.path.join(WORK, name)
    shutil.copy(os.path.join(RELEASE, name), copy)
    subprocess.run(["strip", "--strip-debug", copy], check=True)
    return copy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, timeout=60):
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on {port}")
            time.sleep(0.05)


def wait_until(condition, what, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"in {timeout} s it did not come true that {what}")
        time.sleep(0.05)


def start_model(port, core=None, *flags):
    pin = ["taskset", "-c", str(core)] if core is not None else []
    process = subprocess.Popen(
        pin + [os.path.join(RELEASE, "sluice-model"), "--listen", f"127.0.0.1:{port}", *flags],
        stderr=subprocess.DEVNULL)
    wait_for_port(port)
    return process


def predictions(port):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    return int(re.search(r"predictions_total (\d+)", text).group(1))


def sluice_config(port, admin, backends, rest_scheme="http", listener="", balancing="leastRequest",
                  workers=1, model_keys=""):
    rows = "".join(
        f"          - {{rest: '{rest_scheme}://127.0.0.1:{b}', grpc: 'http://127.0.0.1:{b}'}}\n" for b in backends)
    # A log that grows over all rounds makes the kernel fetch ever new memory for its pages.
    log = os.path.join(WORK, "access.log")
    if os.path.exists(log):
        os.remove(log)
    path = os.path.join(WORK, f"sluice-{port}.yaml")
    with open(path, "w") as file:
        file.write(
            f"listeners:\n  - address: 127.0.0.1:{port}\n{listener}admin: {{address: 127.0.0.1:{admin}}}\n"
            f"workers: {workers}\naccessLog: {WORK}/access.log\nlimits: {{maxConcurrentStreams: 1000}}\n"
            f"models:\n  - name: echo\n    timeout: 60s\n    loadBalancing: {balancing}\n{model_keys}"
            f"    revisions:\n      - name: v1\n        backends:\n{rows}")
    return path
