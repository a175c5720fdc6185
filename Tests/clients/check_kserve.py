"""KServe's own Python client through the gateway. A process of its own, because its descriptors of the package
`inference` and tritonclient's can't be loaded together."""
import asyncio

import kserve

from comparison import ROWS, V1, check, finish, options, same


def request(binary):
    tensor = kserve.InferInput("input", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    # A binary answer is asked for, too, and only where the question was binary.
    parameters = {"binary_data_output": True} if binary else None
    return kserve.InferRequest(options.model, [tensor], "42", parameters=parameters)


def content(answer):
    return answer.model_name, answer.id, {output.name: output.as_numpy().tolist() for output in answer.outputs}


def rest(protocol, **keys):
    return kserve.InferenceRESTClient(kserve.RESTConfig(protocol=protocol, **keys))


def in_loop(call):
    """A coroutine function as a plain one."""
    return lambda *words: asyncio.run(call(*words))


def rest_v2(binary, prefix=""):
    async def call(address, _):
        async with rest("v2") as client:
            headers = {}
            answer = await client.infer(
                f"http://{address}{prefix}", request(binary), model_name=options.model, response_headers=headers)
            assert ("inference-header-content-length" in headers) == binary, headers
            return content(answer)

    return in_loop(call)


@check
def kserve_rest_v2_json_and_binary():
    for binary in (False, True):
        _, identifier, outputs = same(rest_v2(binary))
        assert identifier == "42" and outputs["label"] == [0, 2, 2], outputs


@check
def kserve_rest_v2_under_the_path_of_an_ingress():
    # Only the gateway knows this prefix, so its answer is compared with the backend's without.
    proxied = rest_v2(True, f"/serving/default/{options.model}")(options.gateway, None)
    assert proxied == rest_v2(True)(options.backend, None), proxied


@check
def kserve_rest_v1():
    async def call(address, _):
        async with rest("v1") as client:
            answer = await client.infer(f"http://{address}", V1, model_name=options.model)
            return answer, await client.is_model_ready(f"http://{address}", options.model)

    answer, ready = same(in_loop(call))
    assert len(answer["predictions"]) == 3 and ready is True, (answer, ready)


@check
def kserve_grpc():
    async def call(_, target):
        async with kserve.InferenceGRPCClient(target) as client:
            return content(await client.infer(request(True)))

    _, identifier, outputs = same(in_loop(call))
    assert identifier == "42" and outputs["label"] == [0, 2, 2], outputs


@check
def kserve_health_over_both_protocols():
    async def call(address, target):
        async with rest("v2") as client, kserve.InferenceGRPCClient(target) as rpc:
            base = f"http://{address}"
            return {
                "REST live": await client.is_server_live(base), "REST ready": await client.is_server_ready(base),
                "REST model ready": await client.is_model_ready(base, options.model),
                "REST unknown model ready": await client.is_model_ready(base, "nope"),
                "gRPC live": await rpc.is_server_live(), "gRPC ready": await rpc.is_server_ready(),
                "gRPC model ready": await rpc.is_model_ready(options.model)}

    answers = same(in_loop(call))
    assert answers.pop("REST unknown model ready") is False and all(a is True for a in answers.values()), answers


finish()
