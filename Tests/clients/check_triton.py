"""Real clients against Triton, directly and through the gateway, in the server's protocol and in the other."""
import numpy as np
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

import crossed
from comparison import GATEWAY, check, finish, options
from crossed import SETTINGS, over_grpc, over_http

ALL = list(crossed.TYPES)
# tritonclient writes no FP16 in JSON.
IN_JSON = [datatype for datatype in ALL if datatype != "FP16"]


@check
def tritonclient_http_binary_before_grpc():
    crossed.rest_callers_reach_grpc_backends((True, True), ALL)


@check
def tritonclient_http_json_before_grpc():
    crossed.rest_callers_reach_grpc_backends((False, False), IN_JSON)


@check
def tritonclient_http_binary_inputs_and_json_outputs_before_grpc():
    crossed.rest_callers_reach_grpc_backends((True, False), IN_JSON)
    crossed.rest_callers_reach_grpc_backends((False, True), IN_JSON)


@check
def tritonclient_grpc_before_rest():
    crossed.grpc_callers_reach_rest_backends(ALL, True)


@check
def typed_contents_before_rest():
    crossed.typed_callers_reach_rest_backends(ALL)


ROWS = np.array([[1, 2, 3, 4], [0.5, 0.25, 0, 0]], dtype=np.float32)


@check
def sums_are_the_same_in_every_way():
    arrays, outputs = {"rows": ("FP32", ROWS)}, ["sums", "shares"]
    direct = over_grpc("sums", arrays, outputs, address=options.backend_grpc)
    assert direct["sums"].ravel().tolist() == [10, 0.75], direct
    answers = [over_http("sums", arrays, outputs, address=options.backend)]
    for setting in ("", "-grpc", "-grpc-generic"):
        answers += [over_http(f"sums{setting}", arrays, outputs, (binary, binary)) for binary in (True, False)]
    answers += [over_grpc(f"sums{setting}", arrays, outputs) for setting in ("", "-rest", "-rest-generic")]
    for answer in answers:
        [crossed.same(answer[name], direct[name]) for name in outputs]
    # One output alone, where the model has two.
    for answer in (over_http("sums-grpc", arrays, ["shares"]), over_grpc("sums-rest", arrays, ["shares"])):
        assert list(answer) == ["shares"], answer


@check
def v1_before_v2_servers():
    for backend in ("-grpc", "-rest", "-grpc-generic"):
        url = f"{GATEWAY}/v1/models/sums{backend}:predict"
        answer = requests.post(url, json={"instances": ROWS.tolist()}, timeout=20)
        assert answer.status_code == 200, (backend, answer.text)
        found = answer.json()["predictions"]
        assert [row["sums"] for row in found] in ([10, 0.75], [[10], [0.75]]), (backend, found)


@check
def numbers_that_json_cannot_say():
    array = np.array([[np.nan, np.inf, -np.inf]], dtype=np.float32)
    for datatype, kind in (("FP32", np.float32), ("FP64", np.float64), ("FP16", np.float16)):
        arrays = {datatype: (datatype, array.astype(kind))}
        for setting in SETTINGS:
            crossed.same(over_grpc(f"echo-rest{setting}", arrays)[datatype], array.astype(kind))
            crossed.same(over_http(f"echo-grpc{setting}", arrays)[datatype], array.astype(kind))
    for setting in SETTINGS:
        answer = requests.post(
            f"{GATEWAY}/v2/models/echo-grpc{setting}/infer", timeout=20,
            data='{"inputs":[{"name":"FP32","datatype":"FP32","shape":[1,3],"data":[NaN,Infinity,-Infinity]}]}')
        crossed.same(np.array(answer.json()["outputs"][0]["data"], dtype=np.float32).reshape(1, 3), array)


@check
def bytes_that_are_no_text():
    array = np.array([[b"\xff\x00\xfe", b"", bytes(range(256))]], dtype=np.object_)
    for setting in SETTINGS:
        for found in (over_grpc(f"echo-rest{setting}", {"BYTES": ("BYTES", array)}),
                      over_http(f"echo-grpc{setting}", {"BYTES": ("BYTES", array)})):
            assert found["BYTES"].tolist() == array.tolist(), found


@check
def parameters_with_meaning():
    arrays, meant = {"rows": ("FP32", ROWS)}, {"priority": 1, "timeout": 5_000_000}
    for parameters in ({}, {"note": "hello", "level": 3, "exact": True, "share": 0.5}):
        for found in (over_grpc("sums-rest", arrays, ["sums"], parameters=parameters, **meant),
                      over_http("sums-grpc", arrays, ["sums"], parameters=parameters, **meant)):
            assert found["sums"].ravel().tolist() == [10, 0.75], found


@check
def classification():
    for module, address, model in (
            (triton_http, options.backend, "sums"), (triton_http, options.gateway, "sums-grpc"),
            (triton_grpc, options.gateway, "sums-rest"), (triton_grpc, options.gateway, "sums-rest-generic")):
        client = module.InferenceServerClient(address)
        tensor = module.InferInput("rows", [2, 4], "FP32")
        tensor.set_data_from_numpy(ROWS)
        found = client.infer(model, [tensor], outputs=[module.InferRequestedOutput("shares", class_count=2)])
        assert found.as_numpy("shares").tolist() == [[b"0.400000:3", b"0.300000:2"], [b"0.666667:0", b"0.333333:1"]], \
            (module.__name__, model, found.as_numpy("shares"))
        client.close()


def rows(name="rows", datatype="FP32", shape=(1, 4), data=(1, 2, 3, 4)):
    return [{"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}]


@check
def refusals_keep_their_words():
    fail = crossed.failures_keep_their_words
    fail("sums", rows(name="width"), "width")
    fail("sums", rows(shape=(2, 3), data=range(6)), "shape")
    fail("sums", rows(shape=(65, 4), data=range(260)), "batch")
    fail("sums", rows(datatype="INT32"), "INT32")
    fail("sums", rows(datatype="BYTES", data="abcd"), "BYTES")
    fail("sums", rows(data=(-1, 2, 3, 4)), "sums of 'negative' numbers are not for sale")
    fail("nowhere", rows(), "nowhere")
    fail("sums", rows(), "version", version="7")


@check
def what_the_gateway_itself_refuses():
    for setting in SETTINGS:
        for inputs in (rows(data=(1, 2, 3)), rows(datatype="FP128")):
            code, sentence = crossed.http_failure(f"sums-grpc{setting}", inputs)
            assert code == 400 and "rows" in sentence, (code, sentence)
        code, sentence = crossed.grpc_failure(f"sums-rest{setting}", rows(data=(1, 2, 3)))
        assert code == "INVALID_ARGUMENT" and "rows" in sentence, (code, sentence)


@check
def empty_and_large_tensors():
    crossed.empty_and_large_tensors(1_000_000, 20_000)


@check
def many_at_once_both_ways():
    crossed.many_at_once()


@check
def metadata():
    for model in ("sums", "echo"):
        crossed.metadata_in_the_callers_protocol(model)


finish()
