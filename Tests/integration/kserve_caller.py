"""KServe's own client: asks `sum` in each of its ways and prints what came, as JSON. A process of its own, because its
descriptors of the package `inference` and tritonclient's can't be loaded together.

usage: kserve_caller.py ADDRESS ROWS, the rows as JSON."""
import asyncio
import json
import sys

import grpc
import httpx
import kserve
import numpy

address, rows = sys.argv[1], json.loads(sys.argv[2])


def question(binary):
    tensor = kserve.InferInput("rows", numpy.shape(rows), "FP32")
    tensor.set_data_from_numpy(numpy.array(rows, dtype=numpy.float32), binary_data=binary)
    return kserve.InferRequest("sum", [tensor], "42", parameters={"binary_data_output": True} if binary else None)


def told(answer):
    return {"id": answer.id, **{output.name: output.as_numpy().tolist() for output in answer.outputs}}


async def rest(protocol, data):
    async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol=protocol)) as client:
        answer = await client.infer(f"http://{address}", data, model_name="sum")
        return answer if protocol == "v1" else told(answer)


async def rpc(data):
    async with kserve.InferenceGRPCClient(address) as client:
        return told(await client.infer(data))


async def main():
    found = {}
    for name, call in {"V1": rest("v1", {"instances": rows}), "V2": rest("v2", question(False)),
                       "V2 binary": rest("v2", question(True)), "gRPC": rpc(question(True))}.items():
        try:
            found[name] = await call
        except (httpx.HTTPStatusError, grpc.RpcError) as error:
            found[name] = {"error": error.details() if hasattr(error, "details") else str(error)}
    print(json.dumps(found))


asyncio.run(main())
