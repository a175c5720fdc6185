"""HTTP/1.1 at the edge: a table of requests, what each must be answered and which bytes a backend must see, against a
real gateway; and the same requests through nginx and HAProxy, to see where we are laxer than both.

    Tests/run --only no_request_is_smuggled

The table is Tests/fixtures/http1-requests.toml. `<<a*1000>>` in it stands for a thousand times `a`.
"""
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import tomllib

from processes import Process, config, folder, gateway, until

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "http1-requests.toml")
PROBE = b"GET /v2/health/live HTTP/1.1\r\nHost: probe\r\n\r\n"
# Seconds of silence after which a server is taken to wait for more: of ours nothing in the table makes it wait.
OURS, THEIRS = 10, 0.7
# What differs from run to run, in the bytes that a backend sees.
VOLATILE = ((rb"x-request-id: \S+", b"x-request-id: ID"), (rb"traceparent: \S+", b"traceparent: ID"),
            (rb"127\.0\.0\.1:\d+", b"BACKEND"),
            # A prediction that does not say what it is goes on as JSON.
            (rb"content-type: application/json\r\n", b""))


def expand(text):
    return re.sub(r"<<(.)\*(\d+)>>", lambda m: m[1] * int(m[2]), text).encode("latin-1")


def table():
    with open(TABLE, "rb") as file:
        rows = tomllib.load(file)["request"]
    for row in rows:
        row["send"] = expand(row["send"])
        row["backend"] = [expand(request) for request in row.get("backend", [])]
    return rows


class RecordingBackend:
    """Keeps the bytes of each connection, parted into requests by a strict reading of RFC 9112, and answers each."""

    def __init__(self):
        self.requests, self.cut, self.wrong, self.lock = [], [], [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self):
        """What came since the last call: whole requests, and the beginnings of others."""
        with self.lock:
            taken = self.requests, self.cut, self.wrong
            self.requests, self.cut, self.wrong = [], [], []
        return taken

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        received = b""
        while True:
            try:
                piece = connection.recv(1 << 16)
            except OSError:
                piece = b""
            if not piece:
                break
            received += piece
            try:
                while (end := request_end(received)) is not None:
                    request, received = received[:end], received[end:]
                    # Not what the check itself sends last, nor the gateway's health probes.
                    if PROBE.split(b" ")[1] not in request and b"user-agent: sluice-probe" not in request:
                        with self.lock:
                            self.requests.append(request)
                    body = b'{"predictions":[1]}'
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
                                       + (b"" if request.startswith(b"HEAD ") else body))
            except ValueError as error:
                with self.lock:
                    self.wrong.append(f"{error}: {received[:200]}")
                break
            except OSError:
                break
        if received:
            with self.lock:
                self.cut.append(received)
        connection.close()


def request_end(received):
    """Where the first request ends; None until it is whole. What isn't exactly RFC 9112's is an error."""
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.split(b"\r\n")
    if not re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/1\.[01]", lines[0]):
        raise ValueError("a request line that is not RFC 9112's")
    fields = {}
    for line in lines[1:]:
        if not re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*", line):
            raise ValueError(f"a field line that is not RFC 9112's ({line})")
        name, value = line.split(b":", 1)
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(fields.get(b"host", [])) != 1 and lines[0].endswith(b"1.1"):
        raise ValueError("not one host")
    if len(lengths) + len(codings) > 1:
        raise ValueError("framed twice")
    if codings:
        if codings != [b"chunked"]:
            raise ValueError(f"a coding {codings}")
        place = len(head) + 4
        while True:
            line = re.match(rb"([0-9a-fA-F]{1,8})(;[^\r\n]*)?\r\n", received[place:])
            if not line:
                if b"\r\n" in received[place:]:
                    raise ValueError("a malformed chunk")
                return None
            place += line.end()
            size = int(line[1], 16)
            if size == 0:
                trailer = re.match(rb"([^\r\n]+\r\n)*\r\n", received[place:])
                return place + trailer.end() if trailer else None
            if len(received) < place + size + 2:
                return None
            if received[place + size:place + size + 2] != b"\r\n":
                raise ValueError("a chunk without its line end")
            place += size + 2
    if lengths and not re.fullmatch(rb"\d+", lengths[0]):
        raise ValueError(f"a content-length {lengths}")
    length = int(lengths[0]) if lengths else 0
    return len(head) + 4 + length if len(rest) >= length else None


class Outcome:
    """What a server answered, and whether it would take another request."""

    def __init__(self, statuses, after, junk=b""):
        self.statuses, self.after, self.junk = statuses, after, junk

    def __repr__(self):
        return f"{self.statuses or 'nothing'}, then {self.after}" + (f", and {self.junk[:80]}" if self.junk else "")


def ask(address, row, quiet):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.settimeout(quiet)
        answers = Answers(client, is_head=row.get("head", False))
        try:
            client.sendall(row["send"])
        except OSError:
            pass  # refused before all of it was sent; the answer may be there all the same
        statuses, wanted = [], len(row["answer"]) if not row.get("either") else 1
        # One more than there should be is looked for only where the connection is to be closed.
        while len(statuses) < wanted:
            status = answers.next()
            if status is None:
                return Outcome(statuses, "waits" if answers.is_open else "close", answers.rest())
            if status >= 200:
                statuses.append(status)
        if answers.is_open:
            try:
                client.sendall(PROBE)
            except OSError:
                pass
        # 400 for the probe itself, or no answer to it, tells that the two sides are out of step.
        answers.is_head = False
        status = answers.next()
        while status is not None and status < 200:
            status = answers.next()
        if status == 200:
            return Outcome(statuses, "open")
        if status is not None:
            return Outcome(statuses + [status], "close")
        return Outcome(statuses, "waits" if answers.is_open else "close", answers.rest())


class Answers:
    """Reads a server's answers one by one."""

    def __init__(self, client, is_head):
        self.client, self.is_head, self.received, self.is_open = client, is_head, b"", True

    def _more(self):
        try:
            piece = self.client.recv(1 << 16)
        except TimeoutError:
            return False
        except OSError:
            piece = b""
        self.received += piece
        self.is_open = bool(piece)
        return self.is_open

    def next(self):
        while b"\r\n\r\n" not in self.received:
            if not self.is_open or not self._more():
                return None
        head, _, rest = self.received.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        if not found:
            return None
        status = int(found[1])
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        chunked = re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I)
        if status < 200 or status in (204, 304) or self.is_head:
            size = 0
        elif length:
            size = int(length[1])
        else:
            size = None
        while size is None or len(rest) < size:
            if size is None and chunked and b"0\r\n\r\n" in rest:
                size = rest.index(b"0\r\n\r\n") + 5
                break
            if not self.is_open or not self._more():
                break
            rest = self.received.partition(b"\r\n\r\n")[2]
        self.received = rest[size:] if size is not None else b""
        if re.search(rb"\r\nconnection: *close", head, re.I):
            # Whatever it says after this is looked at, and the end waited for.
            while self.is_open and self._more():
                pass
        return status

    def rest(self):
        return self.received


def one_chunk(request):
    """The request with its body in a single chunk: where chunks are cut depends on how the bytes arrived."""
    head, _, rest = request.partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" not in head:
        return request
    body = b""
    while found := re.match(rb"([0-9a-fA-F]+)(;[^\r\n]*)?\r\n", rest):
        size, rest = int(found[1], 16), rest[found.end():]
        if size == 0:
            return head + b"\r\n\r\n%x\r\n%s\r\n0\r\n%s" % (len(body), body, rest)
        body, rest = body + rest[:size], rest[size + 2:]
    return request


def forwarded(backend):
    """What a server has sent on, by requests; what differs by chance is evened out."""
    requests, cut, wrong = backend.take()

    def even(request):
        for pattern, text in VOLATILE:
            request = re.sub(pattern, text, request)
        return one_chunk(request)

    return [even(request) for request in requests], [even(request) for request in cut], wrong


def peers(backend):
    """nginx and HAProxy before the same backend, as far as they are installed."""
    found = {}
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ports.append(taken.getsockname()[1])
    run = os.path.join(folder, "peers")
    os.makedirs(run, exist_ok=True)
    if program := shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        with open(f"{run}/nginx.conf", "w") as file:
            file.write(f"""daemon off; master_process off; pid {run}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {run}/b; proxy_temp_path {run}/p; fastcgi_temp_path {run}/f;
  uwsgi_temp_path {run}/u; scgi_temp_path {run}/s; large_client_header_buffers 8 64k;
  upstream models {{ server {backend.address} max_fails=0; keepalive 16; }}
  server {{ listen 127.0.0.1:{ports[0]}; location / {{
    proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
""")
        found["nginx"] = (Process(program, "-c", f"{run}/nginx.conf", "-e", f"{run}/error.log"), f"127.0.0.1:{ports[0]}")
    if program := shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"):
        with open(f"{run}/haproxy.cfg", "w") as file:
            file.write(f"""global
    nbthread 1
    tune.bufsize 131072
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend in
    bind 127.0.0.1:{ports[1]}
    default_backend models
backend models
    server m0 {backend.address}
""")
        found["haproxy"] = (Process(program, "-f", f"{run}/haproxy.cfg"), f"127.0.0.1:{ports[1]}")
    for process, address in found.values():
        until(lambda: can_connect(address), what=lambda: f"nobody listens at {address}: {''.join(process.lines)}")
    return found


def can_connect(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    except OSError:
        return False


def settle(backend):
    """What a backend was sent arrives before its answer; only the end of what was cut may come later."""
    time.sleep(0.02)
    return forwarded(backend)


def faults(row, outcome, seen):
    """What is wrong with how a gateway has dealt with a row."""
    requests, cut, wrong = seen
    answer = [status for status in row["answer"] if status]
    if row.get("either"):
        if not (len(outcome.statuses) == 1 and outcome.statuses[0] in answer):
            yield f"answered {outcome}, not one of {answer}"
    elif outcome.statuses != answer:
        yield f"answered {outcome}, not {answer}"
    if outcome.after != row["after"]:
        yield f"the connection {outcome.after}s, it should be {row['after']}"
    if wrong:
        yield f"the backend could not read {wrong}"
    if requests != row["backend"]:
        yield f"the backend saw {requests}, not {row['backend']}"
    if cut and not row.get("cut"):
        yield f"the backend saw the beginning of a request: {cut}"


def no_request_is_smuggled():
    backend = RecordingBackend()
    proxy = gateway(config([f"  - {{name: m, revisions: [{{name: v1, backends: [{{rest: 'http://{backend.address}'}}]}}]}}"]))
    rows, bad = table(), []
    backend.take()
    for row in rows:
        outcome = ask(proxy.address, row, OURS)
        bad += [f"{row['name']} ({row['source']}): {fault}" for fault in faults(row, outcome, settle(backend))]
    assert not bad, f"{len(bad)} faults in {len(rows)} rows:\n" + "\n".join(bad)
    print(f"      {len(rows)} requests: {sum(1 for row in rows if row['backend'])} forwarded, the others refused")
    assert proxy.stop() == 0, "".join(proxy.lines)


def others_forward_no_less_than_we_do():
    """Where Sluice forwards what both nginx and HAProxy refuse, the table says why."""
    backend = RecordingBackend()
    others, rows = peers(backend), table()
    if not others:
        print("      neither nginx nor HAProxy is installed: not compared")
        return
    laxer, differences = [], {}
    for row in rows:
        if row.get("local"):
            continue
        takes = {}
        for name, (_, address) in others.items():
            outcome = ask(address, row, THEIRS)
            requests, _, wrong = settle(backend)
            takes[name] = len(requests)
            differences.setdefault((len(row["backend"]), name, len(requests)), []).append(row["name"])
        if len(takes) == 2 and len(row["backend"]) > max(takes.values()) and not row.get("why"):
            laxer.append(f"{row['name']}: Sluice forwards {len(row['backend'])}, {takes}")
    for (ours, name, theirs), names in sorted(differences.items()):
        if ours != theirs:
            print(f"      {name} forwards {theirs} where Sluice forwards {ours}: {'; '.join(names)}")
    assert not laxer, "both others refuse what Sluice forwards:\n" + "\n".join(laxer)
    for process, _ in others.values():
        process.stop()


CHECKS = [no_request_is_smuggled, others_forward_no_less_than_we_do]
