"""Predictions over gRPC as frames made beforehand (`frames.c`), for loads in which each question is another one."""
import os
import struct
import subprocess

import load

CONNECTIONS, STREAMS = 4, 32


def text(value):
    return bytes([len(value)]) + value.encode()


# RFC 7541: indexed :method POST and :scheme http, the rest as literals that are not kept.
HEAD = (b"\x83\x86" + b"\x04" + text(load.GRPC_PATH) + b"\x01" + text("x")
        + b"\x00" + text("content-type") + text("application/grpc") + b"\x00" + text("te") + text("trailers"))


def program():
    """Compiled where the benchmarks keep what they make, anew when the source is newer."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "frames.c")
    path = os.path.join(load.WORK, "frames")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        os.makedirs(load.WORK, exist_ok=True)
        subprocess.run(["clang", "-O2", "-o", path, source], check=True)
    return path


def ask(port, messages, core=None):
    """All messages, each of which must be answered; at most STREAMS at a time on each connection.

    Raises `CalledProcessError` when the gateway resets a stream, closes a connection or is silent for 10 s.
    """
    pin = [] if core is None else ["taskset", "-c", str(core)]
    subprocess.run(
        pin + [program(), str(port), str(CONNECTIONS), str(STREAMS)], check=True,
        input=b"".join(struct.pack(">I", len(piece)) + piece for piece in [HEAD, *messages]))
