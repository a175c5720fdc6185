"""Logs as operators meet them: rotated, into pipes that are full or that wait for each line, on full disks.

    Tests/run --only a_rotated_access_log_goes_on_in_a_new_file
"""
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess

import processes
from processes import config, folder, get, until

F_SETPIPE_SZ = 1031
NO_BACKEND = ["  - {name: m, revisions: [{name: v1, backends: [{rest: 'http://127.0.0.1:1'}]}]}"]


def number(address, name):
    text = get(address, "/metrics")[2].decode()
    return int(re.search(r"^" + re.escape(name) + r" (\d+)", text, re.M).group(1))


def started(log, **pipes):
    """A gateway whose stderr need not be read; listener and admin are asked of the kernel beforehand."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    address, admin = (f"127.0.0.1:{holder.getsockname()[1]}" for holder in holders)
    for holder in holders:
        holder.close()
    path = os.path.join(folder, f"logs-{address[10:]}.yaml")
    with open(path, "w") as file:
        file.write(f"listeners: [{{address: '{address}'}}]\nadmin: {{address: '{admin}'}}\n"
                   f"accessLog: {log}\nmodels:\n" + "\n".join(NO_BACKEND) + "\n")
    child = processes.spawn([processes.SLUICE, "serve", "--config", path], **pipes)

    def is_alive():
        try:
            return get(admin, "/healthz")[0] == 200
        except OSError:
            return False
    until(is_alive)
    return child, address, admin, path


def a_rotated_access_log_goes_on_in_a_new_file():
    log = os.path.join(folder, "rotated.log")
    text = config(NO_BACKEND, log=log)
    path = os.path.join(folder, "rotated.yaml")
    with open(path, "w") as file:
        file.write(text)
    process = processes.Process(processes.SLUICE, "serve", "--config", path)
    address = process.wait_for(r" listening address=(\S+) tls=off")

    def lines(name):
        with open(name) as file:
            return [json.loads(line) for line in file]
    for turn, signum in enumerate((signal.SIGHUP, signal.SIGUSR1), 1):
        get(address, "/v2/health/live")
        until(lambda: os.path.exists(log) and len(lines(log)) == 1)
        os.rename(log, f"{log}.{turn}")
        process.child.send_signal(signum)
        until(lambda: os.path.exists(log))
    get(address, "/v2/health/live")
    until(lambda: len(lines(log)) == 1)
    assert len(lines(f"{log}.1")) == len(lines(f"{log}.2")) == 1
    # A folder that is gone leaves the file that is open in use, and says so.
    os.rename(log, f"{log}.3")
    os.mkdir(log)
    process.child.send_signal(signal.SIGUSR1)
    process.wait_for("access log can't be opened anew")
    get(address, "/v2/health/live")
    until(lambda: len(lines(f"{log}.3")) == 2)
    assert process.stop() == 0


def a_full_stderr_stops_nothing_and_is_counted():
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    child, address, admin, path = started("off", stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    try:
        # Each reload is a line; what waits for the pipe is 256 KiB, lines of some 100 bytes.
        for _ in range(60):
            assert get(admin, "/api/v1/reload", b"", method="POST")[0] == 200
            assert get(address, "/v2/health/live")[0] == 200
        with open(path, "a") as file:
            file.write("nonsense: " + "x" * 3000 + "\n")
        until(lambda: get(admin, "/api/v1/reload", b"", method="POST")[0] != 200
              and number(admin, 'sluice_log_lines_dropped_total{target="events"}') > 0)
        assert get(address, "/v2/health/live")[0] == 200
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        os.close(read)


def a_full_disk_is_counted_and_said_once():
    text = config(NO_BACKEND, log="/dev/full")
    path = os.path.join(folder, "full.yaml")
    with open(path, "w") as file:
        file.write(text)
    process = processes.Process(processes.SLUICE, "serve", "--config", path)
    address, admin = (process.wait_for(p) for p in (r" listening address=(\S+) tls=off",
                                                    r"admin listening address=(\S+)"))
    for _ in range(20):
        get(address, "/v2/health/live")
    until(lambda: number(admin, "sluice_access_log_dropped_total") == 20)
    assert number(admin, 'sluice_log_lines_dropped_total{target="access"}') == 20
    process.wait_for("the access log loses lines.*No space left")
    assert process.stop() == 0
    assert sum("loses lines" in line for line in process.lines) == 1


def the_demo_shows_its_lines_as_they_come():
    child = processes.spawn(
        [processes.SLUICE, "demo", "--listen", "127.0.0.1:18481", "--admin", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        # It goes on until it is ended, so what is read here was sent without an end.
        ready, _, _ = select.select([child.stdout], [], [], 60)
        assert ready and child.stdout.readline().startswith(b"Two revisions of the model")
        assert child.poll() is None
    finally:
        child.kill()


CHECKS = [a_rotated_access_log_goes_on_in_a_new_file, a_full_stderr_stops_nothing_and_is_counted,
          a_full_disk_is_counted_and_said_once, the_demo_shows_its_lines_as_they_come]
