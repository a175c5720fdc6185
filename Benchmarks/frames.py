"""Predictions over gRPC as frames made beforehand, for loads in which each question is another one."""
import socket
import struct

import load

CONNECTIONS, STREAMS = 4, 32


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    return bytes([len(value)]) + value.encode()


# RFC 7541: indexed :method POST and :scheme http, the rest as literals that are not kept.
HEAD = (b"\x83\x86" + b"\x04" + text(load.GRPC_PATH) + b"\x01" + text("x")
        + b"\x00" + text("content-type") + text("application/grpc") + b"\x00" + text("te") + text("trailers"))


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
                            + frame(8, 0, 0, struct.pack(">I", 1 << 30)))
        self.rest, self.stream = b"", 1

    def send(self, messages):
        out = []
        for message in messages:
            out += [frame(1, 4, self.stream, HEAD), frame(0, 1, self.stream, message)]
            self.stream += 2
        self.socket.sendall(b"".join(out))

    def receive(self, count):
        """Reads until so many answers have ended; each must have ended well."""
        while count:
            while len(self.rest) >= 9:
                length = int.from_bytes(self.rest[:3], "big")
                if len(self.rest) < 9 + length:
                    break
                kind, flags = self.rest[3], self.rest[4]
                if kind == 4 and not flags & 1:
                    self.socket.sendall(frame(4, 1, 0, b""))
                assert kind not in (3, 7), "the gateway reset a stream"
                if kind in (0, 1) and flags & 1:
                    count -= 1
                self.rest = self.rest[9 + length:]
            if count:
                piece = self.socket.recv(1 << 18)
                assert piece, "the gateway closed the connection"
                self.rest += piece


def ask(port, messages):
    """All messages, framed, a batch on each connection at a time."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    size = CONNECTIONS * STREAMS
    for start in range(0, len(messages), size):
        pieces = [messages[start + STREAMS * n:start + STREAMS * (n + 1)] for n in range(CONNECTIONS)]
        for connection, piece in zip(connections, pieces):
            connection.send(piece)
        for connection, piece in zip(connections, pieces):
            connection.receive(len(piece))
