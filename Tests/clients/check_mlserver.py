"""Real clients against MLServer, directly and through the gateway, in the server's protocol and in the other."""
import threading

import numpy as np
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

import crossed
from comparison import GATEWAY, ROWS, V1, check, finish, options, same
from crossed import SETTINGS, over_grpc, over_http

V2 = {"id": "7", "inputs": [
    {"name": "input", "datatype": "FP32", "shape": [3, 4], "data": ROWS.astype(float).ravel().tolist()}],
    "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}
OUTPUTS = ("predict", "predict_proba")


def infer_http(rest, binary):
    client = triton_http.InferenceServerClient(rest)
    tensor = triton_http.InferInput("input", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    outputs = [triton_http.InferRequestedOutput(name, binary_data=binary) for name in OUTPUTS]
    answer = client.infer("iris", [tensor], outputs=outputs, request_id="42")
    assert answer.get_response()["id"] == "42", answer.get_response()
    return answer.get_response(), {name: answer.as_numpy(name) for name in OUTPUTS}


def infer_grpc(target):
    with triton_grpc.InferenceServerClient(target) as client:
        tensor = triton_grpc.InferInput("input", list(ROWS.shape), "FP32")
        tensor.set_data_from_numpy(ROWS)
        outputs = [triton_grpc.InferRequestedOutput(name) for name in OUTPUTS]
        answer = client.infer("iris", [tensor], outputs=outputs, request_id="42")
        assert answer.get_response().id == "42", answer.get_response()
        return {name: answer.as_numpy(name) for name in OUTPUTS}


@check
def tritonclient_http_json():
    _, outputs = same(lambda rest, _: infer_http(rest, binary=False))
    assert outputs["predict"].ravel().tolist() == [0, 2, 2], outputs


@check
def tritonclient_http_binary():
    # MLServer 1.7.1 knows binary tensors over gRPC only: behind the gateway they are answered all the same.
    try:
        infer_http(options.backend, binary=True)
        raise AssertionError("MLServer reads binary tensors over REST by now")
    except triton_http.InferenceServerException as error:
        assert "422" in str(error), error
    _, direct = infer_http(options.backend, binary=False)
    answer, outputs = infer_http(options.gateway, binary=True)
    assert all("binary_data_size" in output["parameters"] for output in answer["outputs"]), answer
    for name in OUTPUTS:
        crossed.same(outputs[name], direct[name])


@check
def tritonclient_grpc_unary():
    outputs = same(lambda _, target: infer_grpc(target))
    assert outputs["predict"].ravel().tolist() == [0, 2, 2] and outputs["predict_proba"].shape == (3, 3), outputs


@check
def requests_v2():
    def call(rest, _):
        answer = requests.post(f"http://{rest}/v2/models/iris/infer", json=V2, timeout=10)
        return answer.status_code, answer.headers["content-type"], answer.json()

    assert same(call)[0] == 200


@check
def model_metadata_over_both_protocols():
    rest = same(lambda rest, _: triton_http.InferenceServerClient(rest).get_model_metadata("iris"))
    rpc = same(lambda _, target: triton_grpc.InferenceServerClient(target).get_model_metadata("iris", as_json=True))
    assert rest["name"] == rpc["name"] == "iris" and rest["inputs"][0]["name"] == "input", (rest, rpc)


@check
def health_over_both_protocols():
    for module, address in ((triton_http, options.gateway), (triton_grpc, options.gateway)):
        client = module.InferenceServerClient(address)
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("iris"), module


@check
def the_servers_own_errors_pass_unchanged():
    def rest_errors(rest, _):
        url = f"http://{rest}/v2/models/iris"
        answers = [requests.post(f"{url}/infer", data=body, timeout=10, headers={"content-type": "application/json"})
                   for body in ("{", '{"inputs":[]}', '{"inputs":[{"name":"input","datatype":"FP32"}]}')]
        answers.append(requests.post(f"{url}/versions/nope/infer", json=V2, timeout=10))
        return [(answer.status_code, answer.text) for answer in answers]

    def grpc_error(_, target):
        try:
            with triton_grpc.InferenceServerClient(target) as client:
                client.get_model_metadata("iris", model_version="nope")
        except triton_grpc.InferenceServerException as error:
            return error.status(), error.message()

    assert all(status >= 400 for status, _ in same(rest_errors)) and same(grpc_error), "an error was expected"


@check
def many_at_once():
    expected = infer_grpc(options.backend_grpc)["predict_proba"].tolist()
    wrong = []

    def work():
        for _ in range(10):
            try:
                for answer in (infer_http(options.gateway, False)[1], infer_grpc(options.gateway)):
                    if answer["predict_proba"].tolist() != expected:
                        wrong.append(answer)
            except Exception as error:  # noqa: BLE001 - told to the main thread
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong, f"{len(wrong)} of 160 answers were wrong; the first: {wrong[0]}"


# MARK: callers of one protocol, the server's other one

ALL = list(crossed.TYPES)
# tritonclient writes no FP16 in JSON; MLServer has no typed form for it.
IN_JSON = [datatype for datatype in ALL if datatype != "FP16"]


@check
def tritonclient_http_binary_before_grpc():
    crossed.rest_callers_reach_grpc_backends((True, True), ALL)


@check
def tritonclient_http_json_before_grpc():
    crossed.rest_callers_reach_grpc_backends((False, False), IN_JSON)


@check
def tritonclient_grpc_before_rest():
    crossed.grpc_callers_reach_rest_backends(IN_JSON, False)


@check
def halves_before_rest():
    # MLServer reads FP16 as numbers and takes no bytes, which the gateway finds out or is told.
    array = crossed.sample("FP16")
    for setting in SETTINGS:
        crossed.same(over_grpc(f"echo-rest{setting}", {"FP16": ("FP16", array)})["FP16"], array)


@check
def typed_contents_before_rest():
    crossed.typed_callers_reach_rest_backends(ALL)


@check
def iris_is_the_same_in_every_way():
    arrays = {"input": ("FP32", ROWS)}
    direct = over_grpc("iris", arrays, OUTPUTS, address=options.backend_grpc)
    assert direct["predict"].ravel().tolist() == [0, 2, 2], direct
    answers = [over_http("iris", arrays, OUTPUTS, (False, False), address=options.backend)]
    for setting in SETTINGS:
        answers += [over_http(f"iris-grpc{setting}", arrays, OUTPUTS, (binary, binary)) for binary in (True, False)]
        answers.append(over_grpc(f"iris-rest{setting}", arrays, OUTPUTS))
    for answer in answers:
        [crossed.same(answer[name], direct[name]) for name in OUTPUTS]
    # One output alone, which isn't the model's first.
    one = ["predict_proba"]
    for answer in (over_http("iris-grpc", arrays, one), over_grpc("iris-rest", arrays, one)):
        assert list(answer) == one, answer


@check
def v1_before_a_server_without_it():
    for model in ("iris-grpc", "iris-grpc-generic", "iris-rest"):
        answer = requests.post(f"{GATEWAY}/v1/models/{model}:predict", json=V1, timeout=20)
        assert answer.status_code == 200 and answer.json() == {"predictions": [[0], [2], [2]]}, (model, answer.text)


@check
def numbers_that_json_cannot_say():
    # NaN is its null, both ways; Infinity it can't say.
    array = np.array([[np.nan, 1]])
    crossed.same(over_grpc("echo-rest", {"FP64": ("FP64", array)}, ["FP64"])["FP64"], array)
    array = np.array([[np.inf, 1]])
    code, sentence = crossed.grpc_failure(
        "echo-rest", [{"name": "FP64", "datatype": "FP64", "shape": [1, 2], "data": array.ravel().tolist()}])
    assert code == "UNIMPLEMENTED" and "infinity" in sentence and "gRPC" in sentence, (code, sentence)
    # gRPC carries what it is given.
    crossed.same(over_http("echo-grpc", {"FP64": ("FP64", np.array([[np.inf, 1]]))})["FP64"], np.array([[np.inf, 1]]))


def tensor(name="FP32", datatype="FP32", shape=(1, 2), data=(1, 2)):
    return [{"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}]


@check
def refusals_keep_their_words():
    fail = crossed.failures_keep_their_words
    fail("echo", tensor(name="width"), "no input called 'width' takes FP32")
    fail("echo", tensor(datatype="INT32"), "no input called 'FP32' takes INT32")
    fail("iris", tensor("input", shape=(1, 3), data=(1, 2, 3)), "features", "Internal Server Error")
    fail("nowhere", tensor(), "nowhere")
    fail("iris", tensor("input", shape=(1, 4), data=(1, 2, 3, 4)), "version", version="v7")


@check
def what_the_gateway_itself_refuses():
    for setting in SETTINGS:
        for inputs in (tensor(data=(1, 2, 3)), tensor(datatype="FP128")):
            code, sentence = crossed.http_failure(f"echo-grpc{setting}", inputs)
            assert code == 400 and "FP32" in sentence, (code, sentence)
        code, sentence = crossed.grpc_failure(f"echo-rest{setting}", tensor(data=(1, 2, 3)))
        assert code == "INVALID_ARGUMENT" and "FP32" in sentence, (code, sentence)


@check
def empty_and_large_tensors():
    # MLServer takes no more than 4 MiB over gRPC, and reads slowly what it takes.
    crossed.empty_and_large_tensors(50_000, 20_000)


@check
def many_at_once_both_ways():
    crossed.many_at_once()


@check
def metadata():
    for model in ("iris", "echo"):
        crossed.metadata_in_the_callers_protocol(model)


finish()
