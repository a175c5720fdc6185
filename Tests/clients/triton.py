"""Triton behind the gateway: starts NVIDIA's server without a GPU, as the nvidia-pytriton wheel brings it, with models
for its Python backend, a gateway before it, and runs check_triton.py.

    .build/venv-triton/bin/python Tests/clients/triton.py --binaries .build/debug"""
import argparse
import importlib.util
import os
import sys
import sysconfig
import tempfile

from servers import check_through_gateway, free_ports, processes, wait_until_ready

parser = argparse.ArgumentParser()
parser.add_argument("--binaries", required=True)
processes.use(parser.parse_args().binaries)

TYPES = "BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 FP16 FP32 FP64 STRING".split()

ECHO = """
import triton_python_backend_utils as triton

class TritonPythonModel:
    def execute(self, requests):
        return [triton.InferenceResponse([triton.Tensor(each.name(), each.as_numpy()) for each in request.inputs()])
                for request in requests]
"""

# Adds up each row, and refuses negative numbers.
SUMS = """
import triton_python_backend_utils as triton

class TritonPythonModel:
    def answer(self, request):
        rows = triton.get_input_tensor_by_name(request, "rows").as_numpy()
        if (rows < 0).any():
            return triton.InferenceResponse([], triton.TritonError("sums of 'negative' numbers are not for sale"))
        return triton.InferenceResponse([triton.Tensor("sums", rows.sum(axis=1, keepdims=True)),
                                         triton.Tensor("shares", rows / rows.sum(axis=1, keepdims=True))])

    def execute(self, requests):
        return [self.answer(request) for request in requests]
"""


def tensors(kind, rows):
    return "".join(f'{kind} {{ name: "{name}" data_type: TYPE_{datatype} dims: [{dims}] {more} }}\n'
                   for name, datatype, dims, more in rows)


def write_model(folder, name, batch, inputs, outputs, code):
    os.makedirs(f"{folder}/models/{name}/1")
    with open(f"{folder}/models/{name}/config.pbtxt", "w") as file:
        file.write(f'backend: "python"\nmax_batch_size: {batch}\n{tensors("input", inputs)}{tensors("output", outputs)}'
                   "instance_group { count: 1 kind: KIND_CPU }\n")
    with open(f"{folder}/models/{name}/1/model.py", "w") as file:
        file.write(code)


def serve(folder):
    """Triton with an echo of every datatype and a model of sums, ready to answer; its process and addresses."""
    names = [(name.replace("STRING", "BYTES"), name, "-1, -1") for name in TYPES]
    write_model(folder, "echo", 0, [(*row, "optional: true") for row in names], [(*row, "") for row in names], ECHO)
    write_model(folder, "sums", 64, [("rows", "FP32", "4", "")],
                [("sums", "FP32", "1", ""), ("shares", "FP32", "4", "")], SUMS)
    # The wheel has the worker of the Python backend once for each Python, and Triton looks for it beside the backend.
    home = os.path.join(importlib.util.find_spec("pytriton").submodule_search_locations[0], "tritonserver")
    version = sysconfig.get_python_version()
    worker = f"{home}/python_backend_stubs/{version}/triton_python_backend_stub"
    os.makedirs(f"{folder}/backends/python")
    backend = f"{home}/backends/python"
    for file in (f"{backend}/libtriton_python.so", f"{backend}/triton_python_backend_utils.py", worker):
        os.symlink(file, f"{folder}/backends/python/{os.path.basename(file)}")
    for program in (worker, f"{home}/bin/tritonserver"):
        os.chmod(program, 0o755)
    # The worker starts the Python it finds, which must be the one that has numpy.
    os.environ["PATH"] = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
    rest, rpc = free_ports(2)
    server = processes.Process(
        f"{home}/bin/tritonserver", f"--model-repository={folder}/models", f"--backend-directory={folder}/backends",
        "--http-address=127.0.0.1", f"--http-port={rest}", "--grpc-address=127.0.0.1", f"--grpc-port={rpc}",
        "--allow-metrics=false", "--strict-readiness=true")
    wait_until_ready(server, f"127.0.0.1:{rest}", ("echo", "sums"))
    return server, f"127.0.0.1:{rest}", f"127.0.0.1:{rpc}"


with tempfile.TemporaryDirectory() as folder:
    server, rest, rpc = serve(folder)
    code = check_through_gateway("check_triton.py", "triton", ("echo", "sums"), rest, rpc)
    server.stop()
sys.exit(code)
