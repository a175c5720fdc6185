"""A real model server behind the gateway: trains an iris classifier, serves it by MLServer, starts the gateway before
it and runs check_mlserver.py.

    .build/venv-mlserver/bin/python Tests/clients/mlserver.py --binaries .build/debug"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))
import processes

parser = argparse.ArgumentParser()
parser.add_argument("--binaries", required=True)
processes.use(parser.parse_args().binaries)


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    [probe.close() for probe in probes]
    return ports


def serve_iris(folder):
    """MLServer with the trained model in the folder, ready to answer; its process, REST and gRPC addresses."""
    rest, rpc, metrics = free_ports(3)
    joblib.dump(LogisticRegression(max_iter=10000).fit(*load_iris(return_X_y=True)), f"{folder}/model.joblib")
    settings = {"host": "127.0.0.1", "http_port": rest, "grpc_port": rpc, "metrics_port": metrics,
                "parallel_workers": 0, "debug": False}
    tensor = {"name": "input", "datatype": "FP32", "shape": [-1, 4]}
    described = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "platform": "sklearn",
                 "inputs": [tensor], "parameters": {"uri": "./model.joblib", "version": "v1"}}
    for name, content in (("settings.json", settings), ("model-settings.json", described)):
        with open(f"{folder}/{name}", "w") as file:
            json.dump(content, file)
    server = processes.Process(os.path.join(os.path.dirname(sys.executable), "mlserver"), "start", folder)
    deadline = time.monotonic() + 60

    def ready():
        assert server.child.poll() is None and time.monotonic() < deadline, \
            "MLServer did not become ready; it said: " + "".join(server.lines)
        try:
            return processes.get(f"127.0.0.1:{rest}", "/v2/models/iris/ready")[0] == 200
        except OSError:
            return False

    processes.until(ready, timeout=70)
    return server, f"127.0.0.1:{rest}", f"127.0.0.1:{rpc}"


with tempfile.TemporaryDirectory() as folder:
    server, rest, rpc = serve_iris(folder)
    proxy = processes.gateway(processes.config(
        [f"  - {{name: iris, revisions: [{{name: v1, backends: [{{rest: 'http://{rest}', grpc: 'http://{rpc}'}}]}}]}}"]))
    code = subprocess.run(
        [sys.executable, os.path.join(HERE, "check_mlserver.py"), "--gateway", proxy.address, "--backend", rest,
         "--backend-grpc", rpc], timeout=120).returncode
    assert proxy.stop() == 0, f"the gateway did not end well: {''.join(proxy.lines)}"
    server.stop()
sys.exit(code)
