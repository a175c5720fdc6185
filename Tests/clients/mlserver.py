"""MLServer behind the gateway: trains an iris classifier, serves it and an echo of tensors by MLServer, starts the
gateway before it and runs check_mlserver.py.

    .build/venv-mlserver/bin/python Tests/clients/mlserver.py --binaries .build/debug"""
import argparse
import json
import os
import sys
import tempfile

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from servers import check_through_gateway, free_ports, processes, wait_until_ready

parser = argparse.ArgumentParser()
parser.add_argument("--binaries", required=True)
processes.use(parser.parse_args().binaries)

ECHO = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse

class Echo(MLModel):
    async def predict(self, request):
        outputs = []
        for tensor in request.inputs:
            # Over REST it is the type's name, over gRPC text.
            datatype = getattr(tensor.datatype, "value", tensor.datatype)
            if tensor.name != datatype:
                raise InferenceError(f"no input called '{tensor.name}' takes {datatype}")
            if tensor.name == "BYTES":
                outputs.append(StringCodec.encode_output(tensor.name, StringCodec.decode_input(tensor)))
                outputs[-1].shape = tensor.shape
            else:
                outputs.append(NumpyCodec.encode_output(tensor.name, NumpyCodec.decode_input(tensor)))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
"""


def serve(folder):
    """MLServer with both models, ready to answer; its process, REST and gRPC addresses."""
    rest, rpc, metrics = free_ports(3)
    for name in ("iris", "echo"):
        os.mkdir(f"{folder}/{name}")
    joblib.dump(LogisticRegression(max_iter=10000).fit(*load_iris(return_X_y=True)), f"{folder}/iris/model.joblib")
    with open(f"{folder}/echo/echo_runtime.py", "w") as file:
        file.write(ECHO)
    tensor = {"name": "input", "datatype": "FP32", "shape": [-1, 4]}
    for name, content in {
        "settings.json": {"host": "127.0.0.1", "http_port": rest, "grpc_port": rpc, "metrics_port": metrics,
                          "parallel_workers": 0, "debug": False},
        "iris/model-settings.json": {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel",
                                     "platform": "sklearn", "inputs": [tensor],
                                     "parameters": {"uri": "./model.joblib", "version": "v1"}},
        "echo/model-settings.json": {"name": "echo", "implementation": "echo_runtime.Echo"},
    }.items():
        with open(f"{folder}/{name}", "w") as file:
            json.dump(content, file)
    server = processes.Process(os.path.join(os.path.dirname(sys.executable), "mlserver"), "start", folder)
    wait_until_ready(server, f"127.0.0.1:{rest}", ("iris", "echo"))
    return server, f"127.0.0.1:{rest}", f"127.0.0.1:{rpc}"


with tempfile.TemporaryDirectory() as folder:
    server, rest, rpc = serve(folder)
    code = check_through_gateway("check_mlserver.py", "mlserver", ("iris", "echo"), rest, rpc)
    server.stop()
sys.exit(code)
