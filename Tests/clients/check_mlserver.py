"""Real clients against MLServer, directly and through the gateway."""
import threading

import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from comparison import ROWS, check, finish, options, same

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
    # MLServer 1.7.1 knows binary tensors over gRPC only: the answers are the same, be they tensors or a refusal.
    def call(rest, _):
        try:
            return infer_http(rest, binary=True)
        except triton_http.InferenceServerException as error:
            assert "422" in str(error), error
            return str(error)

    same(call)


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


finish()
