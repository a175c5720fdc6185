"""Callers of one protocol before a real server's other one. The gateway has the server's model NAME as NAME-rest, whose
backend speaks REST only, and as NAME-grpc, whose backend speaks gRPC only (see servers.py)."""
import threading

import grpc
import numpy as np
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2, service_pb2_grpc

from comparison import options

TYPES = {"BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8,
         "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "FP16": np.float16, "FP32": np.float32,
         "FP64": np.float64, "BYTES": np.object_}
CONTENTS = {"BOOL": "bool", "INT8": "int", "INT16": "int", "INT32": "int", "INT64": "int64", "UINT8": "uint",
            "UINT16": "uint", "UINT32": "uint", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}
# With and without the backend's dialect in the configuration.
SETTINGS = ("", "-generic")
# What the gateway makes of the statuses (the manual, Translation.md).
GRPC_OF_HTTP = {400: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT", 404: "NOT_FOUND", 500: "INTERNAL", 503: "UNAVAILABLE"}
HTTP_OF_GRPC = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "NOT_FOUND": 404, "INTERNAL": 500,
                "UNAVAILABLE": 503, "UNKNOWN": 500, "UNIMPLEMENTED": 501, "RESOURCE_EXHAUSTED": 429}


def sample(datatype, shape=(2, 3)):
    """The type's extremes among others, in a tensor of two dimensions."""
    kind = TYPES[datatype]
    if datatype == "BYTES":
        values = np.array(["abc", "naïve", "", "with \"quotes\"\n", "日本語", "x" * 300], dtype=np.object_)
    elif datatype == "BOOL":
        values = np.array([True, False, False, True, True, False])
    elif np.issubdtype(kind, np.integer):
        values = np.array([np.iinfo(kind).min, 0, 1, 2, 100, np.iinfo(kind).max], dtype=kind)
    else:
        limits = np.finfo(kind)
        values = np.array([0.1, -1.5, limits.max, limits.min, limits.tiny, 0.0], dtype=kind)
    return values.reshape(shape)


def text(array):
    """BYTES as text, whichever way they came; other tensors unchanged."""
    if array.dtype.kind not in "OSU":
        return array
    items = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return np.array(items).reshape(array.shape)


def same(found, wanted):
    np.testing.assert_array_equal(text(found), text(wanted), strict=wanted.dtype.kind != "O")


# MARK: callers

def over_http(model, arrays, outputs=None, binary=(True, True), address=None, **more):
    """tritonclient's answer over REST; `binary` is for inputs and for outputs."""
    with triton_http.InferenceServerClient(address or options.gateway) as client:
        inputs = []
        for name, (datatype, array) in arrays.items():
            inputs.append(triton_http.InferInput(name, list(array.shape), datatype))
            # tritonclient takes no text for BYTES in JSON, but bytes.
            inputs[-1].set_data_from_numpy(array if array.dtype != object else encoded(array), binary_data=binary[0])
        wanted = [triton_http.InferRequestedOutput(name, binary_data=binary[1]) for name in outputs or arrays]
        answer = client.infer(model, inputs, outputs=wanted, request_id="call-7", **more)
        assert answer.get_response()["id"] == "call-7", answer.get_response()
        return {output["name"]: answer.as_numpy(output["name"]) for output in answer.get_response()["outputs"]}


def over_grpc(model, arrays, outputs=None, address=None, **more):
    """tritonclient's answer over gRPC, which has raw contents always."""
    with triton_grpc.InferenceServerClient(address or options.gateway) as client:
        inputs = []
        for name, (datatype, array) in arrays.items():
            inputs.append(triton_grpc.InferInput(name, list(array.shape), datatype))
            inputs[-1].set_data_from_numpy(array if array.dtype != object else encoded(array))
        wanted = [triton_grpc.InferRequestedOutput(name) for name in outputs or arrays]
        answer = client.infer(model, inputs, outputs=wanted, request_id="call-7", **more)
        assert answer.get_response().id == "call-7", answer.get_response()
        return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def encoded(array):
    return np.array([item.encode() if isinstance(item, str) else item for item in array.ravel()],
                    dtype=np.object_).reshape(array.shape)


def typed_message(model, arrays):
    """A ModelInferRequest with typed contents, which tritonclient doesn't write."""
    message = service_pb2.ModelInferRequest(model_name=model, id="call-7")
    for name, (datatype, array) in arrays.items():
        tensor = message.inputs.add(name=name, datatype=datatype, shape=array.shape)
        field = getattr(tensor.contents, CONTENTS[datatype] + "_contents")
        field.extend((encoded(array) if datatype == "BYTES" else array).ravel().tolist())
    return message


def over_stub(model, arrays, address=None):
    """The answer to typed contents over grpcio's own stub: (datatype, array) of each output."""
    with grpc.insecure_channel(address or options.gateway) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(typed_message(model, arrays), timeout=20)
    assert answer.id == "call-7", answer
    found = {}
    for output in answer.outputs:
        assert not answer.raw_output_contents, "a typed caller got raw contents"
        values = list(getattr(output.contents, CONTENTS[output.datatype] + "_contents"))
        found[output.name] = np.array(values, dtype=TYPES[output.datatype]).reshape(list(output.shape))
    return found


# MARK: failures

def http_failure(model, inputs, address=None, version=None):
    """Status and sentence of a REST call that must fail."""
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    url = f"http://{address or options.gateway}{path}"
    answer = requests.post(url, json={"id": "call-7", "inputs": inputs}, timeout=20)
    assert answer.status_code != 200, answer.text
    # MLServer's answer to its own crash is plain text.
    return answer.status_code, answer.json()["error"] if answer.text.startswith("{") else answer.text


def grpc_failure(model, inputs, address=None, version=""):
    """Status and sentence of a gRPC call that must fail; `inputs` are those of REST, with flat data."""
    arrays = {each["name"]: (each["datatype"], each) for each in inputs}
    message = service_pb2.ModelInferRequest(model_name=model, model_version=version, id="call-7")
    for name, (datatype, each) in arrays.items():
        tensor = message.inputs.add(name=name, datatype=datatype, shape=each["shape"])
        values = [value.encode() if isinstance(value, str) else value for value in each["data"]]
        getattr(tensor.contents, CONTENTS[datatype] + "_contents").extend(values)
    with grpc.insecure_channel(address or options.gateway) as channel:
        try:
            answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=20)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    raise AssertionError(f"an error was expected: {answer}")


def failures_keep_their_words(model, inputs, word, rest_word=None, **more):
    """A call that the server itself refuses: the gateway says the same sentence in the caller's protocol, with the
    status that says the same."""
    code, sentence = grpc_failure(model, inputs, address=options.backend_grpc, **more)
    status, direct = http_failure(model, inputs, address=options.backend, **more)
    assert word in sentence and (rest_word or word) in direct, f"the server itself says: {sentence} | {direct}"
    for setting in SETTINGS:
        found = http_failure(f"{model}-grpc{setting}", inputs, **more)
        assert found == (HTTP_OF_GRPC[code], sentence), (found, code, sentence)
        found = grpc_failure(f"{model}-rest{setting}", inputs, **more)
        assert found == (GRPC_OF_HTTP[status], direct), (found, status, direct)


# MARK: checks for both servers

def rest_callers_reach_grpc_backends(binary, types):
    for setting in SETTINGS:
        for datatype in types:
            array = sample(datatype)
            found = over_http(f"echo-grpc{setting}", {datatype: (datatype, array)}, binary=binary)
            direct = over_grpc("echo", {datatype: (datatype, array)}, address=options.backend_grpc)
            same(found[datatype], direct[datatype])
            same(direct[datatype], array)
    # All at once, in one message.
    arrays = {datatype: (datatype, sample(datatype)) for datatype in types}
    for setting in SETTINGS:
        for name, array in over_http(f"echo-grpc{setting}", arrays, binary=binary).items():
            same(array, arrays[name][1])


def grpc_callers_reach_rest_backends(types, direct_binary):
    for setting in SETTINGS:
        for datatype in types:
            array = sample(datatype)
            found = over_grpc(f"echo-rest{setting}", {datatype: (datatype, array)})
            direct = over_http("echo", {datatype: (datatype, array)}, binary=(direct_binary, direct_binary),
                               address=options.backend)
            same(found[datatype], direct[datatype])
            same(direct[datatype], array)
    arrays = {datatype: (datatype, sample(datatype)) for datatype in types}
    for setting in SETTINGS:
        for name, array in over_grpc(f"echo-rest{setting}", arrays).items():
            same(array, arrays[name][1])


def typed_callers_reach_rest_backends(types):
    arrays = {datatype: (datatype, sample(datatype)) for datatype in types if datatype in CONTENTS}
    for setting in SETTINGS:
        found = over_stub(f"echo-rest{setting}", arrays)
        assert found.keys() == arrays.keys(), found.keys()
        for name, array in found.items():
            same(array, arrays[name][1])


def empty_and_large_tensors(bytes_count, json_count):
    """No elements at all, and many; fewer of them as JSON, which an unoptimized gateway reads slowly."""
    def many(count):
        return np.arange(count, dtype=np.float32).reshape(1, count) / 3

    empty = np.zeros((0, 3), dtype=np.float32)
    for setting in SETTINGS:
        # Dialects differ in whether tensors go to REST backends as bytes.
        for array in (empty, many(bytes_count if setting == "" else json_count)):
            same(over_grpc(f"echo-rest{setting}", {"FP32": ("FP32", array)})["FP32"], array)
        for binary, array in ((True, empty), (False, empty), (True, many(bytes_count)), (False, many(json_count))):
            found = over_http(f"echo-grpc{setting}", {"FP32": ("FP32", array)}, binary=(binary, binary))
            same(found["FP32"], array)


def many_at_once():
    """Eight threads, both ways at the same time: each gets its own numbers."""
    wrong = []

    def work(number):
        try:
            for turn in range(10):
                array = np.full((2, 3), number * 100 + turn, dtype=np.int64)
                same(over_http("echo-grpc", {"INT64": ("INT64", array)})["INT64"], array)
                same(over_grpc("echo-rest", {"INT64": ("INT64", array)})["INT64"], array)
        except Exception as error:  # noqa: BLE001 - told to the main thread
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong, f"{len(wrong)} of 8 callers failed; the first: {wrong[0]}"


def metadata_in_the_callers_protocol(model):
    """A model's description, asked for in the protocol that its backend doesn't speak."""
    with triton_grpc.InferenceServerClient(options.backend_grpc) as client:
        over_rpc = client.get_model_metadata(model)
    with triton_http.InferenceServerClient(options.backend) as client:
        over_rest = client.get_model_metadata(model)
    for setting in SETTINGS:
        with triton_http.InferenceServerClient(options.gateway) as client:
            found = client.get_model_metadata(f"{model}-grpc{setting}")
            assert described(found) == described(over_rest), (found, over_rest)
            assert client.is_model_ready(f"{model}-grpc{setting}")
        with triton_grpc.InferenceServerClient(options.gateway) as client:
            found = client.get_model_metadata(f"{model}-rest{setting}")
            assert found == over_rpc, (found, over_rpc)
            assert client.is_model_ready(f"{model}-rest{setting}")


def described(document):
    """What JSON says of a model, without the members that say nothing."""
    return {key: [described(each) for each in value] if key in ("inputs", "outputs") else value
            for key, value in document.items() if value or key in ("name", "shape")}
