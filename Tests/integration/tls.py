"""TLS as clients, scanners and backends meet it: versions, ciphers, resumption, mutual TLS and names.

    Tests/run --only nothing_weak_is_offered
"""
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import threading

from backends import Recorder
import processes
from processes import V1, Process, config, folder, gateway, get, until

MADE = {}


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


def certificate(name, subject="/CN=localhost", names="DNS:localhost,IP:127.0.0.1", by=None, dates=(), is_authority=False):
    """A key and a certificate, signed by another (or itself); the paths of both."""
    if name in MADE:
        return MADE[name]
    cert, key, request = (f"{folder}/tls-{name}.{end}" for end in ("pem", "key", "csr"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
            "-subj", subject)
    extensions = f"{folder}/tls-{name}.ext"
    with open(extensions, "w") as file:
        file.write(f"basicConstraints=critical,CA:{'TRUE' if is_authority else 'FALSE'}\nsubjectAltName={names}\n")
    signer = ["-signkey", key] if by is None else ["-CA", MADE[by][0], "-CAkey", MADE[by][1], "-CAcreateserial"]
    if dates:
        # x509 of OpenSSL 3.0 knows no dates; ca does.
        index = f"{folder}/tls-{name}.index"
        open(index, "w").close()
        settings = f"{folder}/tls-{name}.cnf"
        with open(settings, "w") as file:
            file.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\nnew_certs_dir={folder}\ndefault_md=sha256\npolicy=p\n"
                       f"rand_serial=yes\nemail_in_dn=no\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", settings, "-in", request, "-out", cert, "-cert", MADE[by][0], "-keyfile",
                MADE[by][1], "-extfile", extensions, "-notext", "-startdate", dates[0], "-enddate", dates[1])
    else:
        openssl("x509", "-req", "-in", request, "-days", "2", "-out", cert, "-extfile", extensions, *signer)
    MADE[name] = cert, key
    return cert, key


def everyone():
    certificate("authority", "/CN=test authority", is_authority=True)
    certificate("server", by="authority")
    certificate("client", '/CN=worker "7"/O=Tests', by="authority")
    certificate("expired", "/CN=late", by="authority", dates=("20200101000000Z", "20210101000000Z"))
    certificate("others", "/CN=another authority", is_authority=True)
    certificate("stranger", "/CN=stranger", by="others")


def secure_gateway(backend, more="", backends=None):
    cert, key = MADE["server"]
    rows = backends or f"{{rest: 'http://{backend.address}'}}"
    proxy = gateway(config([f"  - {{name: m, revisions: [{{name: v1, backends: [{rows}]}}]}}"]).replace(
        "'127.0.0.1:0'}]",
        f"'127.0.0.1:0'}}, {{address: '127.0.0.1:0', tls: {{certificate: {cert}, privateKey: {key}{more}}}}}]"))
    proxy.secure = proxy.wait_for(r"address=(\S+) tls=on")
    return proxy


def connected(proxy, present=None, version=None, ciphers=None, alpn=None, session=None, context=None):
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(MADE["authority"][0])
        if present:
            context.load_cert_chain(*MADE[present])
        if version:
            context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        if alpn:
            context.set_alpn_protocols(alpn)
    host, port = proxy.secure.split(":")
    raw = socket.create_connection((host, int(port)), timeout=10)
    return context.wrap_socket(raw, server_hostname="localhost", session=session)


def predict(client, more=b""):
    client.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (more, len(V1), V1))
    return client.recv(1 << 16)


def nothing_weak_is_offered():
    everyone()
    backend = Recorder()
    proxy = secure_gateway(backend)
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        # SECLEVEL=0: it must be the gateway that says no, not the client's own library.
        try:
            connected(proxy, version=version, ciphers="ALL:@SECLEVEL=0").close()
            raise AssertionError(f"{version} was agreed on")
        except (ssl.SSLError, ConnectionError):
            pass
    for ciphers in ("AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "aNULL:@SECLEVEL=0",
                    "eNULL:@SECLEVEL=0"):
        try:
            connected(proxy, version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers).close()
            raise AssertionError(f"{ciphers} was agreed on")
        except (ssl.SSLError, ConnectionError):
            pass
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with connected(proxy, version=version) as client:
            assert client.version() == name and predict(client).startswith(b"HTTP/1.1 200 "), client.version()
    for offered, expected in ((["h2"], "h2"), (["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"), (None, None)):
        with connected(proxy, alpn=offered) as client:
            assert client.selected_alpn_protocol() == expected, (offered, client.selected_alpn_protocol())
    scan(proxy)
    assert proxy.stop() == 0
    backend.stop()


def scan(proxy):
    """What sslscan finds, if it is installed."""
    if not shutil.which("sslscan"):
        print("      sslscan is not installed: only what is probed here was checked")
        return
    text = subprocess.run(["sslscan", "--no-colour", proxy.secure], capture_output=True, text=True, timeout=120).stdout
    enabled = re.findall(r"^(SSLv\d|TLSv1\.\d) +enabled", text, re.M)
    assert enabled == ["TLSv1.2", "TLSv1.3"], text
    suites = re.findall(r"^(?:Preferred|Accepted) +(TLSv1\.\d) +\d+ bits +(\S+)", text, re.M)
    assert suites, text
    weak = [suite for version, suite in suites
            if version == "TLSv1.2" and not re.match(r"ECDHE-\w+-(AES\d+-GCM|CHACHA20)", suite)]
    assert not weak, f"weak suites: {weak}"
    assert "Session renegotiation not supported" in text, text
    assert "Compression enabled" not in text, text
    assert "vulnerable to heartbleed" not in text.replace("not vulnerable", ""), text
    print(f"      sslscan: {' '.join(enabled)}; {', '.join(suite for _, suite in suites)}")


def sessions_are_resumed_and_nobody_renegotiates():
    everyone()
    backend = Recorder()
    proxy = secure_gateway(backend)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(MADE["authority"][0])
        context.minimum_version = context.maximum_version = version
        with connected(proxy, context=context) as first:
            predict(first)  # with TLS 1.3 the ticket comes after the handshake
            kept = first.session
        with connected(proxy, context=context, session=kept) as second:
            assert second.session_reused, f"{version}: the session was not resumed"
            assert predict(second).startswith(b"HTTP/1.1 200 ")
    # "R" asks for a renegotiation; the gateway does not take part.
    child = subprocess.run(["openssl", "s_client", "-connect", proxy.secure, "-tls1_2", "-CAfile", MADE["authority"][0]],
                           input="R\n", capture_output=True, text=True, timeout=20)
    said = child.stdout + child.stderr
    assert "RENEGOTIATING" in said and re.search(r"no renegotiation|wrong version|alert", said, re.I), said[-2000:]
    assert proxy.stop() == 0
    backend.stop()


def mutual_tls_says_who_it_is():
    everyone()
    backend = Recorder()
    proxy = secure_gateway(backend, f", clientCA: {MADE['authority'][0]}")
    forged = b'x-forwarded-client-cert: Subject="CN=root"\r\nclient-cert: :AAAA:\r\nX-Forwarded-Client-Cert: a\r\n'
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for present in (None, "stranger", "expired"):
            try:
                with connected(proxy, present=present, version=version) as client:
                    answer = predict(client)
                raise AssertionError(f"{present} was let in and got {answer[:60]}")
            except (ssl.SSLError, ConnectionError):
                pass
        assert backend.count == 0
        with connected(proxy, present="client", version=version) as client:
            for _ in range(2):
                assert predict(client, forged).startswith(b"HTTP/1.1 200 ")
        der = ssl.PEM_cert_to_DER_cert(open(MADE["client"][0]).read())
        expected = f'Hash={hashlib.sha256(der).hexdigest()};Subject="O=Tests,CN=worker \\"7\\""'
        seen = [(fields.get(b"x-forwarded-client-cert"), fields.get(b"client-cert")) for fields in backend.headers]
        assert seen == [(expected.lower().encode(), None)] * 2, (seen, expected)
        backend.headers.clear()
        backend.count = 0
    # In the clear nobody has shown anything, whatever they say.
    status, _, _ = get(proxy.address, "/v1/models/m:predict", V1, {"X-Forwarded-Client-Cert": 'Subject="CN=root"'})
    assert status == 200 and b"x-forwarded-client-cert" not in backend.headers[-1], backend.headers[-1]
    until(lambda: 'reason="handshake"} 6' in get(proxy.admin, "/metrics")[2].decode(),
          what=lambda: "refused handshakes are not counted")
    assert proxy.stop() == 0
    backend.stop()


class SecureBackend:
    """Answers every request over TLS; with `authority` only to who shows a certificate of it."""

    def __init__(self, name, authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*MADE[name])
        if authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(MADE[authority][0])
        self.count, self.context = 0, context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with self.context.wrap_socket(connection, server_side=True) as client:
                received = b""
                while piece := client.recv(1 << 16):
                    received += piece
                    if b"\r\n\r\n" in received and (received.startswith(b"GET ") or received.endswith(V1)):
                        self.count += received.startswith(b"POST ")
                        received = b""
                        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"predictions\":[1]}")
        except OSError:
            pass

    def stop(self):
        self.listener.close()


def predicted(backend, tls):
    """One prediction through a gateway that may never become ready; with what its log said of the backend."""
    path = f"{folder}/tls-{backend.port}.yaml"
    with open(path, "w") as file:
        file.write(config([f"  - {{name: m, revisions: [{{name: v1, backends: [{{rest: 'https://127.0.0.1:{backend.port}', "
                           f"tls: {{{tls}}}}}]}}]}}"]))
    proxy = Process(processes.SLUICE, "serve", "--config", path)
    address = proxy.wait_for(r" listening address=(\S+) tls=off")
    status, _, body = get(address, "/v1/models/m:predict", V1)
    assert proxy.stop() == 0
    return status, body, "".join(proxy.lines)


def backends_must_be_who_they_say():
    everyone()
    certificate("elsewhere", "/CN=elsewhere.example", names="DNS:elsewhere.example", by="authority")
    trusted = f"ca: {MADE['authority'][0]}"
    client = f", certificate: {MADE['client'][0]}, privateKey: {MADE['client'][1]}"
    for name, authority, tls, sentence in (
            ("server", None, trusted, None), ("elsewhere", None, trusted, "IP address mismatch"),
            ("expired", None, trusted, "certificate has expired"), ("stranger", None, trusted, "unable to get local issuer"), ("elsewhere", None, trusted + ", serverName: elsewhere.example", None),
            ("server", "authority", trusted + client, None), ("server", "others", trusted + client, "")):
        backend = SecureBackend(name, authority)
        status, body, log = predicted(backend, tls)
        what = f"{name} ({tls}) was answered {status} {body[:300]}; {log}"
        assert (status == 200) == (sentence is None) and backend.count == (sentence is None), what
        assert sentence is None or status in (502, 503), what
        # The log says what is wrong with it; callers needn't know.
        assert sentence is None or sentence in log, what
        backend.stop()


CHECKS = [nothing_weak_is_offered, sessions_are_resumed_and_nobody_renegotiates, mutual_tls_says_who_it_is,
          backends_must_be_who_they_say]
