"""Checks of real clients: each call goes to the backend directly and through the gateway, and the answers must be
the same. Prints a line a check and `N passed, N failed`."""
import argparse
import sys
import traceback

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--gateway", required=True, help="HOST:PORT")
parser.add_argument("--gateway-tls", help="HOST:PORT")
parser.add_argument("--ca", help="PEM file that signs the TLS listener")
parser.add_argument("--backend", required=True, help="HOST:PORT of REST")
parser.add_argument("--backend-grpc", required=True, help="HOST:PORT of gRPC")
parser.add_argument("--model", default="iris")
options = parser.parse_args()

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 3.0, 5.1, 1.8]], dtype=np.float32)
V1 = {"instances": ROWS.astype(float).tolist()}
GATEWAY, BACKEND = f"http://{options.gateway}", f"http://{options.backend}"
checks = []


def check(function):
    checks.append(function)
    return function


def same(call):
    """The call's result through the gateway, after comparing it with the backend's own."""
    direct, proxied = call(options.backend, options.backend_grpc), call(options.gateway, options.gateway)
    np.testing.assert_equal(proxied, direct, "the gateway's answer (ACTUAL) is not the backend's own (DESIRED)")
    return proxied


def finish():
    failed = 0
    for function in checks:
        try:
            function()
            print(f"ok    {function.__name__}", flush=True)
        except Exception:  # noqa: BLE001 - every failure is a finding
            failed += 1
            print(f"FAIL  {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(checks) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
