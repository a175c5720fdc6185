"""The gateway as the first process of a container, and beside one that it is to replace.

    Tests/run --only a_second_signal_ends_the_first_process_of_a_container
"""
import os
import signal
import socket
import subprocess

import processes
from processes import Process, config, gateway, get, model, one, until


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def ends_at_the_second(number, wrapper):
    """The first signal drains, for as long as a request hangs; the second ends. Returns the status."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = os.path.join(processes.folder, f"first-{number}-{len(wrapper)}.yaml")
        with open(path, "w") as file:
            file.write(config([one("iris", "127.0.0.1:%d" % silent.getsockname()[1], timeout="60s")], "drainTimeout: 60s"))
        process = Process(*wrapper, processes.SLUICE, "serve", "--config", path)
        address = process.wait_for(r" listening address=(\S+) tls=off")
        process.wait_for("admin listening")
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /v1/models/iris:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            # Probes connect, too.
            kept = [silent.accept()[0]]
            while not kept[-1].recv(64).startswith(b"POST"):
                kept.append(silent.accept()[0])
            pid = children(process.child.pid)[0] if wrapper else process.child.pid
            os.kill(pid, number)
            process.wait_for("draining")
            os.kill(pid, number)
            status = process.child.wait(20)
            [connection.close() for connection in kept]
        assert not any("stopped" in line for line in process.lines), process.lines
        return status


def a_second_signal_ends_the_first_process_of_a_container():
    for number in (signal.SIGTERM, signal.SIGINT):
        assert ends_at_the_second(number, []) == 128 + number
    wrapper = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if os.geteuid() == 0:
        wrapper = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*wrapper, "true"], capture_output=True).returncode:
        print("    (no namespaces here: not tried as the first process)")
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        assert ends_at_the_second(number, wrapper) == 128 + number


def a_second_gateway_serves_before_it_has_the_admin_port():
    backend = model()
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    admin = f"127.0.0.1:{ports[1]}"
    text = config([one("iris", backend.address)]).replace("127.0.0.1:0'}]", f"127.0.0.1:{ports[0]}'}}]")
    text = text.replace("admin: {address: '127.0.0.1:0'", f"admin: {{address: '{admin}'")
    first = gateway(text)
    assert first.admin == admin
    # One of its own by the option, which a reload of the file keeps.
    third = Process(processes.SLUICE, "serve", "--config", first.config, "--admin", "127.0.0.1:0")
    own = third.wait_for(r"admin listening address=(\S+)")
    assert own != admin
    until(lambda: get(own, "/readyz")[0] == 200)
    status, _, body = get(own, "/api/v1/reload", b"", method="POST")
    assert status == 200 and b"takes a restart" not in body, body
    assert third.stop() == 0
    # Without the option it serves and waits for the first's.
    second = Process(processes.SLUICE, "serve", "--config", first.config)
    assert second.wait_for(r"the admin address is taken.*address=(\S+)") == admin
    second.wait_for(r" listening address=(\S+) tls=off")
    assert first.stop() == 0
    assert get(f"127.0.0.1:{ports[0]}", "/v1/models/iris:predict", processes.V1)[0] == 200
    assert second.wait_for(r"admin listening address=(\S+)") == admin
    assert get(admin, "/readyz")[0] == 200
    assert second.stop() == 0
    backend.stop()


CHECKS = [
    a_second_signal_ends_the_first_process_of_a_container,
    a_second_gateway_serves_before_it_has_the_admin_port,
]
