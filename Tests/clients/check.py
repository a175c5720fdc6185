"""Real clients, unmodified: tritonclient, grpcio, grpcurl, requests, httpx, curl."""
import json
import os
import platform
import subprocess
import sys
import tempfile

import grpc
import httpx
import numpy as np
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from comparison import BACKEND, GATEWAY, ROWS, V1, check, finish, options, same

V2 = {"id": "7", "inputs": [
    {"name": "input", "datatype": "FP32", "shape": [3, 4], "data": ROWS.astype(float).ravel().tolist()}]}


def triton_http_infer(rest, binary, name="input", data=ROWS, datatype="FP32", model=None):
    client = triton_http.InferenceServerClient(rest)
    tensor = triton_http.InferInput(name, list(data.shape), datatype)
    tensor.set_data_from_numpy(data, binary_data=binary)
    answer = client.infer(model or options.model, [tensor], request_id="42")
    outputs = {o["name"]: answer.as_numpy(o["name"]) for o in answer.get_response()["outputs"]}
    return outputs, answer.get_response().get("id")


def triton_grpc_infer(target, name="input", data=ROWS, datatype="FP32", model=None):
    client = triton_grpc.InferenceServerClient(target)
    tensor = triton_grpc.InferInput(name, list(data.shape), datatype)
    tensor.set_data_from_numpy(data)
    answer = client.infer(model or options.model, [tensor], request_id="42")
    outputs = {o.name: answer.as_numpy(o.name) for o in answer.get_response().outputs}
    client.close()
    return outputs, answer.get_response().id


@check
def tritonclient_http_json():
    outputs, identifier = same(lambda rest, _: triton_http_infer(rest, binary=False))
    assert identifier == "42" and outputs["label"].tolist() == [0, 2, 2]


@check
def tritonclient_http_binary():
    same(lambda rest, _: triton_http_infer(rest, binary=True))


@check
def tritonclient_grpc_unary():
    outputs, identifier = same(lambda _, target: triton_grpc_infer(target))
    assert identifier == "42" and outputs["label"].tolist() == [0, 2, 2]


@check
def tritonclient_grpc_stream():
    def stream(_, target):
        answers = []
        client = triton_grpc.InferenceServerClient(target)
        client.start_stream(lambda result, error: answers.append((result, error)))
        for row in range(3):
            tensor = triton_grpc.InferInput("input", [1, 4], "FP32")
            tensor.set_data_from_numpy(ROWS[row:row + 1])
            client.async_stream_infer(options.model, [tensor], request_id=str(row))
        client.stop_stream()
        assert all(error is None for _, error in answers), answers
        return [result.as_numpy("probabilities").tolist() for result, _ in answers]

    assert len(same(stream)) == 3


@check
def every_datatype_echoes_over_both_protocols():
    values = {
        "BOOL": np.array([[True, False]]), "UINT8": np.array([[0, 255]], np.uint8),
        "UINT16": np.array([[0, 65535]], np.uint16), "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
        "UINT64": np.array([[0, 2**64 - 1]], np.uint64), "INT8": np.array([[-128, 127]], np.int8),
        "INT16": np.array([[-2**15, 2**15 - 1]], np.int16), "INT32": np.array([[-2**31, 2**31 - 1]], np.int32),
        "INT64": np.array([[-2**63, 2**63 - 1]], np.int64), "FP16": np.array([[0.5, -2]], np.float16),
        "FP32": np.array([[0.1, np.inf]], np.float32), "FP64": np.array([[0.1, np.nan]], np.float64),
        "BYTES": np.array([["a", "\u00e4\u00f6"]], dtype=object),
    }
    for datatype, data in values.items():
        same(lambda rest, _: triton_http_infer(rest, True, "x", data, datatype, "echo"))
        same(lambda _, target: triton_grpc_infer(target, "x", data, datatype, "echo"))


@check
def tritonclient_health_and_metadata():
    for client in (triton_http.InferenceServerClient(options.gateway),
                   triton_grpc.InferenceServerClient(options.gateway)):
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(options.model)
    http = triton_http.InferenceServerClient(options.gateway).get_model_metadata(options.model)
    assert http == triton_http.InferenceServerClient(options.backend).get_model_metadata(options.model)
    rpc = triton_grpc.InferenceServerClient(options.gateway).get_model_metadata(options.model)
    assert rpc == triton_grpc.InferenceServerClient(options.backend_grpc).get_model_metadata(options.model)


@check
def tritonclient_reads_our_errors():
    try:
        triton_http.InferenceServerClient(options.gateway).get_model_metadata("nope")
        raise AssertionError("no error")
    except triton_http.InferenceServerException as error:
        assert "unknown model 'nope'" in error.message(), error
    try:
        triton_grpc_infer(options.gateway, model="nope")
        raise AssertionError("no error")
    except triton_grpc.InferenceServerException as error:
        assert "unknown model 'nope'" in error.message() and "NOT_FOUND" in error.status(), error


@check
def grpcio_health_stub():
    with grpc.insecure_channel(options.gateway) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService", options.model):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=options.model), timeout=5)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        try:
            stub.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=5)
            raise AssertionError("no error")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND


@check
def grpcio_reflection_stub():
    from google.protobuf import descriptor_pb2
    with grpc.insecure_channel(options.gateway) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest
        answers = list(stub.ServerReflectionInfo(iter([
            request(list_services=""),
            request(file_containing_symbol="inference.GRPCInferenceService"),
            request(file_containing_symbol="inference.ModelInferRequest.InferInputTensor"),
            request(file_by_filename="nope.proto")]), timeout=5))
        names = [service.name for service in answers[0].list_services_response.service]
        assert "inference.GRPCInferenceService" in names and "grpc.health.v1.Health" in names, names
        file = descriptor_pb2.FileDescriptorProto.FromString(
            answers[1].file_descriptor_response.file_descriptor_proto[0])
        methods = [method.name for method in file.service[0].method]
        assert "ModelInfer" in methods and "ModelStreamInfer" in methods, methods
        assert answers[2].file_descriptor_response.file_descriptor_proto
        assert answers[3].error_response.error_code == 5


@check
def grpcio_calls_by_reflection_alone():
    from google.protobuf import message_factory
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
    with grpc.insecure_channel(options.gateway) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName("inference.GRPCInferenceService").FindMethodByName("ModelReady")
        request = message_factory.GetMessageClass(method.input_type)(name=options.model)
        answer = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelReady",
            request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString)
        assert call(request, timeout=5).ready


def grpcurl(*words, flags, data=None):
    """grpcurl's answer; it knows no .proto file but what the gateway's reflection tells it."""
    command = [os.path.join(os.path.dirname(sys.executable), "grpcurl"), "-max-time", "5", *flags]
    command += [*(["-d", json.dumps(data)] if data else []), *words]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stderr}"
    return result.stdout


@check
def grpcurl_lists_describes_and_calls():
    if platform.machine() != "x86_64":
        print("      grpcurl is left out: its package on PyPI is for x86_64")
        return
    service = "inference.GRPCInferenceService"
    question = {"model_name": options.model, "id": "42", "inputs": [
        {"name": "input", "datatype": "FP32", "shape": [3, 4],
         "contents": {"fp32_contents": ROWS.astype(float).ravel().tolist()}}]}
    with tempfile.TemporaryDirectory() as folder:
        # The backend need not know reflection: it is asked with the description the gateway gave.
        described = os.path.join(folder, "described")
        grpcurl(options.gateway, "describe", service, flags=["-plaintext", "-protoset-out", described])
        direct = grpcurl(options.backend_grpc, f"{service}/ModelInfer", data=question,
                         flags=["-plaintext", "-protoset", described])
    ways = [(options.gateway, ["-plaintext"])]
    if options.gateway_tls:
        ways.append((options.gateway_tls, ["-cacert", options.ca]))
    for address, flags in ways:
        names = grpcurl(address, "list", flags=flags).split()
        assert service in names and "grpc.health.v1.Health" in names, names
        methods = grpcurl(address, "list", service, flags=flags).split()
        for method in ("ServerLive", "ModelInfer", "ModelStreamInfer"):
            assert f"{service}.{method}" in methods, methods
        text = grpcurl(address, "describe", f"{service}.ModelInfer", flags=flags)
        assert "rpc ModelInfer ( .inference.ModelInferRequest ) returns ( .inference.ModelInferResponse )" in text, text
        text = grpcurl(address, "describe", "inference.ModelInferRequest", flags=flags)
        assert "string model_name = 1" in text and "repeated bytes raw_input_contents = 7" in text, text
        assert json.loads(grpcurl(address, f"{service}/ServerLive", flags=flags)) == {"live": True}
        assert json.loads(grpcurl(address, "grpc.health.v1.Health/Check", flags=flags)) == {"status": "SERVING"}
        answer = grpcurl(address, f"{service}/ModelInfer", flags=flags, data=question)
        assert json.loads(answer) == json.loads(direct) and json.loads(answer)["id"] == "42", (answer, direct)


@check
def requests_v1_and_v2():
    for path, body in ((f"/v1/models/{options.model}:predict", V1), (f"/v2/models/{options.model}/infer", V2)):
        direct, proxied = (requests.post(base + path, json=body, timeout=5) for base in (BACKEND, GATEWAY))
        assert proxied.status_code == direct.status_code == 200, proxied.text
        assert proxied.json() == direct.json()
        assert proxied.headers["x-sluice-revision"] and proxied.headers["x-request-id"]


@check
def requests_chunked_upload():
    pieces = (bytes([byte]) for byte in json.dumps(V2).encode())
    answer = requests.post(f"{GATEWAY}/v2/models/{options.model}/infer", data=pieces, timeout=5)
    assert answer.json() == requests.post(f"{BACKEND}/v2/models/{options.model}/infer", json=V2, timeout=5).json()


@check
def httpx_http1_and_http2():
    direct = httpx.post(f"{BACKEND}/v2/models/{options.model}/infer", json=V2).json()
    with httpx.Client() as client:
        assert client.post(f"{GATEWAY}/v2/models/{options.model}/infer", json=V2).json() == direct
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.post(f"{GATEWAY}/v2/models/{options.model}/infer", json=V2)
        assert answer.json() == direct and answer.http_version == "HTTP/2"
    if options.gateway_tls:
        import ssl
        with httpx.Client(http2=True, verify=ssl.create_default_context(cafile=options.ca)) as client:
            answer = client.post(f"https://{options.gateway_tls}/v2/models/{options.model}/infer", json=V2)
            assert answer.json() == direct and answer.http_version == "HTTP/2"


@check
def curl_http1_h2c_and_tls():
    direct = requests.post(f"{BACKEND}/v1/models/{options.model}:predict", json=V1, timeout=5).json()
    ways = [["--http1.1", GATEWAY], ["--http2-prior-knowledge", GATEWAY]]
    if options.gateway_tls:
        for version in ("--http1.1", "--http2"):
            ways.append([version, "--cacert", options.ca, f"https://{options.gateway_tls}"])
    for *flags, base in ways:
        text = subprocess.run(
            ["curl", "-sS", "--max-time", "5", *flags, f"{base}/v1/models/{options.model}:predict",
             "-H", "content-type: application/json", "-d", json.dumps(V1)],
            check=True, capture_output=True, text=True).stdout
        assert json.loads(text) == direct, (flags, text)


@check
def grpc_over_tls():
    if not options.gateway_tls:
        return
    with open(options.ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(options.gateway_tls, credentials) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


finish()
