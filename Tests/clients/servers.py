"""What the tests with real model servers share: ports, waiting until a server is ready, and gateways whose models reach
one server in every way."""
import os
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))
import processes


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    [probe.close() for probe in probes]
    return ports


def wait_until_ready(server, rest, models, timeout=120):
    """Waits until a server process answers for all its models."""
    deadline = time.monotonic() + timeout

    def ready():
        assert server.child.poll() is None and time.monotonic() < deadline, \
            "the model server did not become ready; it said: " + "".join(server.lines)
        try:
            return all(processes.get(rest, f"/v2/models/{name}/ready")[0] == 200 for name in models)
        except OSError:
            return False

    processes.until(ready, timeout=timeout + 10)


def ways(name, dialect, rest, rpc):
    """The lines of a server's model under its own name, which speaks both protocols, and as NAME-rest and NAME-grpc,
    which have one each; -generic ones leave the dialect open, as who doesn't know of it does."""
    both, one, other = f"rest: 'http://{rest}', grpc: 'http://{rpc}'", f"rest: 'http://{rest}'", f"grpc: 'http://{rpc}'"
    rows = [(name, both, "")]
    for suffix, key in (("", f", dialect: {dialect}"), ("-generic", "")):
        rows += [(f"{name}-rest{suffix}", one, key), (f"{name}-grpc{suffix}", other, key)]
    # An unoptimized gateway on a busy machine may take its time over megabytes.
    return [f"  - {{name: {public}, timeout: 60s, "
            f"revisions: [{{name: v1, modelName: {name}{key}, backends: [{{{backend}}}]}}]}}"
            for public, backend, key in rows]


def check_through_gateway(script, dialect, models, rest, rpc):
    """Runs a script of checks with a gateway before the server; its exit code."""
    # `nowhere` is a model that the gateway knows and the server doesn't.
    known = [line for name in (*models, "nowhere") for line in ways(name, dialect, rest, rpc)]
    proxy = processes.gateway(processes.config(known))
    code = subprocess.run(
        [sys.executable, os.path.join(HERE, script), "--gateway", proxy.address, "--backend", rest,
         "--backend-grpc", rpc], timeout=300).returncode
    assert proxy.stop() == 0, f"the gateway did not end well: {''.join(proxy.lines)}"
    return code
