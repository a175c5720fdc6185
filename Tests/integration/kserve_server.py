"""KServe's model server on loopback with one model, `sum`: rows of four numbers give their sums and where the largest is.

usage: kserve_server.py HTTP_PORT GRPC_PORT [--v1-only]: without the routes of V2, and without gRPC."""
import sys

import grpc
import numpy
import uvicorn

made = uvicorn.Config.__init__
server = type(grpc.aio.server())
added = server.add_insecure_port


def on_loopback(self, *args, **keys):
    keys["host"] = "127.0.0.1"
    made(self, *args, **keys)


uvicorn.Config.__init__ = on_loopback
server.add_insecure_port = lambda self, address: added(self, "127.0.0.1:" + address.rsplit(":", 1)[1])

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # noqa: E402
from kserve.errors import InvalidInput  # noqa: E402
from kserve.protocol.rest import server as routes  # noqa: E402


class Sum(Model):
    def __init__(self):
        super().__init__("sum")
        self.ready = True

    async def get_input_types(self):
        return [{"name": "rows", "datatype": "FP32", "shape": [-1, 4]}]

    async def get_output_types(self):
        return [{"name": "sum", "datatype": "FP64", "shape": [-1]}, {"name": "top", "datatype": "INT64", "shape": [-1]}]

    def predict(self, payload, headers=None, response_headers=None):
        is_v2 = isinstance(payload, InferRequest)
        rows = payload.inputs[0].as_numpy() if is_v2 else numpy.asarray(payload["instances"], dtype=numpy.float32)
        if rows.shape[1] != 4:
            raise InvalidInput(f"a row has four numbers, not {rows.shape[1]}")
        sums, tops = rows.astype(numpy.float64).sum(axis=1), rows.argmax(axis=1)
        if not is_v2:
            return {"predictions": [{"sum": float(a), "top": int(b)} for a, b in zip(sums, tops)]}
        outputs = [InferOutput("sum", list(sums.shape), "FP64"), InferOutput("top", list(tops.shape), "INT64")]
        outputs[0].set_data_from_numpy(sums, binary_data=payload.use_binary_outputs)
        outputs[1].set_data_from_numpy(tops, binary_data=payload.use_binary_outputs)
        return InferResponse(payload.id, self.name, outputs, use_binary_outputs=payload.use_binary_outputs,
                             requested_outputs=payload.request_outputs)


if __name__ == "__main__":
    is_v1 = "--v1-only" in sys.argv
    if is_v1:
        routes.register_v2_endpoints = lambda *_: None
    ModelServer(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), workers=1, enable_grpc=not is_v1,
                enable_latency_logging=False).start([Sum()])
