"""The gateway with a real HAProxy: routing, every H code, headers, swaps of instances, and kill -9 of each part."""
import json
import os
import re
import signal
import socket
import ssl
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import h2.config
import h2.connection
import h2.events
import pytest

from davit import free_port, wait_for
from gateway import Gateway, Instance, ProcessInstance, StrictClient, ok, read_response


@pytest.fixture(scope="module")
def shared():
    """One gateway for tests that leave it as it was, each with an app of its own."""
    g = Gateway()
    yield g
    g.close()


@pytest.fixture
def gateway():
    g = Gateway()
    yield g
    g.close()


names = (f"app{n}" for n in range(1000))


def serve(g, *instances, app=None, **desired):
    """A new app with these ready instances; its name."""
    app = app or next(names)
    g.app(app, **desired)
    g.store.write(*[g.instance_change(app, f"v1.g0.{n}", "ready", i.address, n)
                    for n, i in enumerate(instances, 1)])
    g.wait_routed(app)
    wait_for(lambda: len(g.servers(app)) == len(instances), "all servers are there")
    return app


def host(app):
    return f"{app}.localhost"


def logged(g, app, text, n=1):
    """The last router line with `text`, once there are n of them."""
    def lines():
        found = [line for line in g.router_log(app).splitlines() if text in line]
        return found if len(found) >= n else None
    return wait_for(lines, f"a router line with {text!r}", 10)[-1]


# -- hosts -----------------------------------------------------------------------------------------

def test_unknown_host(shared):
    status, headers, body = shared.get("nobody.localhost")
    assert status == 404 and b"No app answers" in body


def test_app_host(shared):
    app = serve(shared, Instance("hello"))
    assert shared.get(host(app))[2] == b"hello"
    assert shared.get(host(app).upper() + ":8080")[2] == b"hello"
    assert shared.get(host(app) + ".")[2] == b"hello"


def test_domains(shared):
    app = serve(shared, Instance("mine"))
    for h in ("www.example.com", "*.wild.example.com"):
        shared.store.write((f"/apps/{app}/domains/{h}", {"host": h, "created": "2026-01-01T00:00:00Z"}))
    wait_for(lambda: shared.get("a.wild.example.com")[0] == 200, "the wildcard domain answers")
    assert shared.get("www.example.com")[2] == b"mine"
    assert shared.get("wild.example.com")[0] == 404
    assert shared.get("b.a.wild.example.com")[0] == 404
    shared.store.write((f"/apps/{app}/domains/www.example.com", None))
    wait_for(lambda: shared.get("www.example.com")[0] == 404, "the removed domain is unknown")
    assert shared.get("a.wild.example.com")[2] == b"mine"


def test_app_destroyed(shared):
    app = serve(shared, Instance("bye"))
    shared.store.write((f"/apps/{app}", None), (f"/apps/{app}/desired", None), (f"/instances/{app}/web/v1.g0.1", None))
    wait_for(lambda: shared.get(host(app))[0] == 404, "its host is unknown")
    wait_for(lambda: not shared.servers(app) + shared.servers(app, "g"), "its server is gone")


def test_api_host(shared):
    with socket.socket(socket.AF_UNIX) as s:
        path = shared.run / "gateway-api.sock"
        s.bind(str(path))
        path.chmod(0o666)
        s.listen()
        api = Instance.__new__(Instance)
        api.sock, api.open, api.handler, api.name, api.served = s, set(), None, "the api", 0
        threading.Thread(target=api._accept, daemon=True).start()
        assert shared.get("api.localhost")[2] == b"the api"


# -- errors ----------------------------------------------------------------------------------------

def assert_error(g, app, code, text, path="/", status=503):
    got, headers, body = g.get(host(app), path)
    assert (got, headers["davit-error"]) == (503, code)
    assert code.encode() in body and headers["content-type"].startswith("text/html")
    line = logged(g, app, f'at=error code={code} desc="{text}" method=GET path="{path}"')
    assert f"status={status}" in line
    return line


def test_h14_never_deployed_and_scaled_to_zero(shared):
    app = next(names)
    shared.app(app, release=0)
    shared.wait_routed(app, "H14")
    assert_error(shared, app, "H14", "No web processes running")


@pytest.mark.parametrize("accept, kind", [
    ("application/json", "application/json"), ("application/json, text/plain, */*", "application/json"),
    ("text/plain", "text/plain; charset=utf-8"), ("*/*", "text/html; charset=utf-8"),
    ("text/html,application/xhtml+xml,application/json;q=0.5", "text/html; charset=utf-8")])
def test_errors_come_as_they_are_wanted(shared, accept, kind):
    app = next(names)
    shared.app(app, maintenance=True)
    shared.wait_routed(app, "H80")
    status, headers, body = shared.get(host(app), headers=[("Accept", accept)])
    assert (status, headers["davit-error"], headers["content-type"]) == (503, "H80", kind)
    if kind == "application/json":
        assert json.loads(body) == {"code": "H80", "message": "Maintenance mode", "hint": "the app will be back soon"}
        assert json.loads(shared.get("nobody.localhost", headers=[("Accept", accept)])[2])["code"] == "not_found"
    assert b"H80" in body


def test_h20_starting_then_h10_crashed(shared):
    app, i = next(names), Instance()
    shared.app(app)
    shared.instance(app, "v1.g0.1", "starting", i.address)
    shared.wait_routed(app, "H20")
    assert_error(shared, app, "H20", "App boot timeout")
    shared.instance(app, "v1.g0.1", "crashed", i.address)
    shared.wait_routed(app, "H10")
    assert_error(shared, app, "H10", "App crashed")
    shared.instance(app, "v1.g0.1", "starting", i.address, restarts=1)
    shared.instance(app, "v1.g0.1", "ready", i.address, restarts=1)
    shared.wait_routed(app)
    assert shared.get(host(app))[0] == 200


def test_crash_and_return_with_another_address(shared):
    a, b = Instance("a"), Instance("b")
    app = serve(shared, a)
    shared.instance(app, "v1.g0.1", "crashed", a.address)
    shared.wait_routed(app, "H10")
    shared.instance(app, "v1.g0.1", "ready", b.address)
    wait_for(lambda: shared.get(host(app))[2] == b"b", "the new address serves")


def test_h80_maintenance(shared):
    app = serve(shared, Instance())
    shared.app(app, maintenance=True)
    shared.wait_routed(app, "H80")
    assert_error(shared, app, "H80", "Maintenance mode")
    shared.app(app, maintenance=False)
    shared.wait_routed(app)
    assert shared.get(host(app))[0] == 200


def test_h21_refused(shared):
    i = Instance()
    app = serve(shared, i)
    i.kill()
    assert_error(shared, app, "H21", "Backend connection refused")


def test_h19_connect_timeout(shared):
    """A full backlog drops SYNs, as a machine that is off does. One try of 5 s, not one after the other."""
    with socket.socket() as full:
        full.bind(("127.8.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for f in fillers:
            f.setblocking(False)
            f.connect_ex(full.getsockname())
        stuck = Instance.__new__(Instance)
        stuck.address = full.getsockname()
        app = serve(shared, stuck)
        started = time.monotonic()
        got, headers, body = shared.get(host(app))
        assert (got, headers["davit-error"]) == (503, "H19") and b"<code>H19</code>" in body
        assert 4.9 < time.monotonic() - started < 8
        logged(shared, app, 'at=error code=H19 desc="Backend connection timeout"')


def upload(g, app, seconds):
    """A chunked upload that takes so long and is never answered: the code, and the seconds from its end to the answer."""
    with g.connect() as s:
        s.settimeout(60)
        s.sendall(f"POST /upload HTTP/1.1\r\nHost: {host(app)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(seconds):
            s.sendall(b"5\r\nhello\r\n")
            time.sleep(1)
        s.sendall(b"0\r\n\r\n")
        sent = time.monotonic()
        return read_response(s)[1]["davit-error"], time.monotonic() - sent


def test_h12_no_first_byte(shared):
    """30 s without the first byte, counted from the end of the request; a stream of events may be silent for longer."""
    def silent(line, headers, c):
        if "/stream" in line:
            c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbegin ")
            time.sleep(40)
            c.sendall(b"end")
        else:
            time.sleep(50)
    app = serve(shared, Instance(handler=silent))
    with shared.connect() as s, ThreadPoolExecutor() as pool:
        s.sendall(f"GET /stream HTTP/1.1\r\nHost: {host(app)}\r\nAccept: text/event-stream\r\n"
                  "Connection: close\r\n\r\n".encode())
        uploaded = pool.submit(upload, shared, app, 5)
        assert_error(shared, app, "H12", "Request timeout", "/silent")
        s.settimeout(30)
        assert b"".join(iter(lambda: s.recv(9999), b"")).endswith(b"begin end")
        code, waited = uploaded.result()
        assert code == "H12" and 29 < waited < 34


def test_h13_closed_without_response(shared):
    def hang_up(line, headers, c):
        c.shutdown(socket.SHUT_RDWR)
    i = Instance(handler=hang_up)
    app = serve(shared, i)
    got, headers, _ = shared.get(host(app), "/", "POST", [("Content-Length", "0")])
    assert (got, headers["davit-error"], i.served) == (503, "H13", 1), "what may have been processed is not repeated"
    logged(shared, app, 'at=error code=H13 desc="Connection closed without response" method=POST')


def test_h25_answers_that_cannot_be_passed_on(shared):
    def answer(line, headers, c):
        if "/long" in line:
            return ok("x", "".join(f"X-{n}: {'x' * 1000}\r\n" for n in range(17)))
        return b"HTTP/1.1 200 OK\r\nno header\r\n\r\n" if "/bad" in line else ok("x", f"X: {'x' * 14000}\r\n")
    app = serve(shared, Instance(handler=answer))
    assert shared.get(host(app), "/fits")[0] == 200
    for path in ("/long", "/bad"):
        status, headers, body = shared.get(host(app), path)
        assert status == 503 and b"15 KB of headers" in body
        assert "status=503" in logged(shared, app, f'at=error code=H25 desc="HTTP restriction: malformed response, '
                                                   f'or more than 15 KB of headers" method=GET path="{path}"')


def test_h18_interrupted_by_the_server(shared):
    def cut(line, headers, c):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        c.shutdown(socket.SHUT_RDWR)
    app = serve(shared, Instance(handler=cut))
    with pytest.raises(ConnectionError):
        shared.get(host(app))
    logged(shared, app, 'at=error code=H18 desc="Server Request Interrupted"')


def test_h27_interrupted_by_the_client(shared):
    asked, answer = threading.Event(), threading.Event()

    def wait(line, headers, c):
        asked.set()
        answer.wait(20)
        return ok("late")
    app = serve(shared, Instance(handler=wait))
    with shared.connect() as s:
        s.sendall(f"GET / HTTP/1.1\r\nHost: {host(app)}\r\n\r\n".encode())
        assert asked.wait(10)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line = logged(shared, app, 'at=error code=H27 desc="Client Request Interrupted"')
    answer.set()
    assert "status=499" in line


@pytest.mark.slow
def test_h15_idle(shared):
    """An answer that stops: cut after 30 s, after 55 s if the client wants a stream of events."""
    def stall(line, headers, c):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        time.sleep(70)
    app = serve(shared, Instance(handler=stall))

    def lasts(*headers):
        started = time.monotonic()
        with shared.connect() as s, pytest.raises(ConnectionError):
            s.settimeout(80)
            shared.get(host(app), sock=s, headers=headers)
        return time.monotonic() - started
    with ThreadPoolExecutor() as pool:
        stream = pool.submit(lasts, ("Accept", "text/event-stream"))
        assert 28 < lasts() < 40
        assert 50 < stream.result() < 65
    logged(shared, app, 'at=error code=H15 desc="Idle connection"', 2)


def test_h99_app_without_a_route(shared):
    """Can't be reached by the store's contents; so HAProxy's table is damaged by hand, and repaired by a restart."""
    app = serve(shared, Instance())
    shared.ask(f"del map apps.map {app}")
    assert_error(shared, app, "H99", "Platform error")
    shared.kill(signal.SIGTERM)
    shared.start()
    shared.wait_routed(app)
    assert shared.get(host(app))[0] == 200


# -- requests --------------------------------------------------------------------------------------

def echo(line, headers, c):
    return ok(line + "".join(f"{k}: {v}\n" for k, vs in headers.items() for v in vs))


def test_request_headers(shared):
    app = serve(shared, Instance(handler=echo))
    forged = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7"), ("X-Forwarded-Proto", "https"),
              ("X-Forwarded-Port", "443"), ("X-Request-Start", "1"), ("X-Request-Id", "too short")]
    before = int(time.time() * 1000)
    text = shared.get(host(app), headers=forged)[2].decode()
    got = dict(line.split(": ", 1) for line in text.splitlines()[1:])
    assert text.count("x-forwarded-for") == text.count("x-request-id") == 1
    assert got["x-forwarded-for"] == "127.0.0.1"
    assert got["x-forwarded-proto"] == "http"
    assert got["x-forwarded-port"] == str(shared.http[1])
    assert before <= int(got["x-request-start"]) <= int(time.time() * 1000)
    assert got["via"] == "1.1 davit"
    assert str(uuid.UUID(got["x-request-id"])) == got["x-request-id"]
    line = logged(shared, app, got["x-request-id"])
    assert "dyno=web.1" in line and 'fwd="127.0.0.1"' in line


def test_apps_believe_only_the_gateway(shared):
    """Whatever a client calls itself, also in spellings that CGI and WSGI take for the same."""
    app = serve(shared, Instance(handler=echo))
    forged = ["X_Forwarded_For", "X-Forwarded_For", "x_forwarded-proto", "X-Forwarded-Host", "X-Forwarded-Ssl", "X_Real_IP",
              "X-Real-IP", "Forwarded", "True-Client-IP", "X-Client-IP", "Proxy", "X_Request_Start", "X_Request_Id",
              "Proxy-Connection", "HTTP2-Settings"]
    more = [("Connection", "X-Forwarded-For, X-Forwarded-Proto, Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
            ("X-Request-Id", "first" * 5), ("X-Request-Id", "second" * 5), ("X-Mine", "untouched"), ("My_Own", "untouched")]
    text = shared.get(host(app), headers=[(name, "forged") for name in forged] + more)[2].decode()
    assert "forged" not in text and text.count("untouched") == 2
    names = [line.split(":")[0] for line in text.splitlines()[1:]]
    assert not {"connection", "upgrade", "http2-settings"} & set(names)
    assert names.count("x-forwarded-for") == names.count("x-forwarded-proto") == names.count("x-request-id") == 1


def test_request_id_is_kept_if_valid(shared):
    app = serve(shared, Instance(handler=echo))
    for ident, kept in (("a" * 19, False), ("a" * 20, True), ("A-9" * 66, True), ("a" * 201, False),
                        ("a" * 20 + "_", False)):
        text = shared.get(host(app), headers=[("X-Request-Id", ident)])[2].decode()
        assert (f"x-request-id: {ident}\n" in text) == kept, ident


def test_router_line(shared):
    app = serve(shared, Instance("13 characters"))
    shared.get(host(app), '/a?b="c"&d=\\')
    line = logged(shared, app, "path=")
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 davit\[router\]: at=info method=GET path="/a\?b=#22c#22&d=\\\\" '
        rf'host={host(app)} request_id=[0-9a-f-]{{36}} fwd="127\.0\.0\.1" dyno=web\.1 connect=\d+ms service=\d+ms '
        r'status=200 bytes=\d+ protocol=http1\.1 tls=false', line), line


def test_router_lines_cannot_be_forged(shared):
    app = serve(shared, Instance())
    for path in ("/%0aforged", "/\tat=forged", '/" at=forged "', "/\x7f\x01"):
        with shared.connect() as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host(app)}\r\n\r\n".encode())
            read_response(s)
    shared.get(host(app), "/last")
    logged(shared, app, 'path="/last"')
    for line in shared.router_log(app).splitlines():
        assert line.count('"') in (4, 6) and re.match(r"\d{4}-", line), line
        assert all(" " <= c <= "~" for c in line), line


@pytest.mark.parametrize("request_text, status", [
    ("GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX-Long: {long}\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}{long}\r\n\r\n", 400),
    ("CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n", 405),
    ("nonsense\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nBad Header: x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\n\r\n", 404),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: evil.localhost,{host}\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: {host}, evil.localhost\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.localhost\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: {host}:80:80\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: user@{host}\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: \"x.{host}\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 404),
    ("GET http://evil.localhost/ HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
    ("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n", 200),
    ("GET / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 200),
])
def test_malformed_requests(shared, request_text, status):
    app = serve(shared, Instance())
    with shared.connect() as s:
        s.sendall(request_text.format(host=host(app), long="x" * 8200).encode())
        assert read_response(s)[0] == status
    assert shared.get(host(app))[0] == 200


def test_https_http2_and_old_tls(shared):
    app = serve(shared, Instance(handler=echo))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    address = ("127.0.0.1", shared.settings["https_port"])
    with context.wrap_socket(socket.create_connection(address), server_hostname=host(app)) as s:
        assert (s.selected_alpn_protocol(), s.version()) == ("h2", "TLSv1.3")
        h = h2.connection.H2Connection()
        h.initiate_connection()
        s.sendall(h.data_to_send())
        while not any(isinstance(e, h2.events.RemoteSettingsChanged) for e in h.receive_data(s.recv(9999))):
            pass
        assert h.remote_settings.initial_window_size == 1 << 20, "or uploads are slow"
    context.set_alpn_protocols(["http/1.1"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with context.wrap_socket(socket.create_connection(address), server_hostname=host(app)) as s:
        text = shared.get(host(app), sock=s)[2].decode()
        assert "x-forwarded-proto: https\n" in text
    assert "protocol=http1.1 tls=true tls_version=tls1.2" in logged(shared, app, "tls=true")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(socket.create_connection(address), server_hostname=host(app)).close()


def test_events_are_not_held_back(shared):
    """Server-sent events in chunks: each arrives when it is sent."""
    go = threading.Event()

    def events(line, headers, c):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(20):
            c.sendall(b"%x\r\ndata: %02d\n\n\r\n" % (10, n))
            assert go.wait(10)
            go.clear()
        return b"0\r\n\r\n"
    app = serve(shared, Instance(handler=events))
    with shared.connect() as s:
        s.settimeout(5)
        s.sendall(f"GET / HTTP/1.1\r\nHost: {host(app)}\r\nAccept: text/event-stream\r\n\r\n".encode())
        text = b""
        for n in range(20):
            while b"data: %02d" % n not in text:
                text += s.recv(9999)
            go.set()


# -- instances come and go -------------------------------------------------------------------------

def test_trailers_and_large_bodies_pass(shared):
    """What a push and its output need: a body of any size, and the trailer with the result."""
    def count(line, headers, c):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Davit-Result\r\n\r\n"
                b"2\r\nok\r\n0\r\nDavit-Result: succeeded\r\n\r\n")
    app, size = serve(shared, Instance(handler=count)), 50 << 20
    with shared.connect() as s:
        s.sendall(f"POST / HTTP/1.1\r\nHost: {host(app)}\r\nContent-Length: {size}\r\n\r\n".encode())
        s.sendall(bytes(size))
        text = b""
        while not text.endswith(b"\r\n\r\n") or b"ok" not in text:
            text += s.recv(9999)
    assert text.lower().endswith(b"0\r\ndavit-result: succeeded\r\n\r\n")


def test_balances(shared):
    app = serve(shared, Instance("a"), Instance("b"))
    assert {shared.get(host(app))[2] for _ in range(20)} == {b"a", b"b"}


def crash(g, app, instances, victims, clients):
    """kill -9 of the victims; much later `run` says so in the store, and then that they are back."""
    for v in victims:
        instances[v].kill()
    seen = sum(c.done for c in clients)
    wait_for(lambda: sum(c.done for c in clients) > seen + 500, "requests go on before the store says anything")
    g.store.write(*[g.instance_change(app, f"v1.g0.{v}", "crashed", instances[v].address, v) for v in victims])
    for v in victims:
        instances[v].start()
    g.store.write(*[g.instance_change(app, f"v1.g0.{v}", "ready", instances[v].address, v, restarts=1) for v in victims])
    wait_for(lambda: len(g.servers(app)) == len(instances), "all are back")


def test_crashes_lose_only_what_may_not_be_repeated(gateway):
    """kill -9 of one or two of three instances. Of requests that may be repeated (RFC 9110, 9.2.2) only those are lost that
    two crashed instances had got, of POSTs those that one had: at most the one that each client had under way. What
    no instance ever got isn't lost."""
    instances = {n: ProcessInstance(f"i{n}") for n in (1, 2, 3)}
    try:
        app = serve(gateway, *instances.values())
        repeatable = [StrictClient(gateway, host(app), f"/{n}", *how) for n in range(2)
                      for how in [("GET",), ("HEAD",), ("PUT", b"x" * 1000), ("DELETE",)]]
        posts = [StrictClient(gateway, host(app), f"/{n}", "POST", b"x" * 1000) for n in range(4)]
        crashes = [(n % 3 + 1,) if n % 2 else (n % 3 + 1, (n + 1) % 3 + 1) for n in range(12)]
        for victims in crashes:
            crash(gateway, app, instances, victims, repeatable + posts)
        for c in repeatable + posts:
            done, failures = c.stop()
            losing = sum(c in posts or len(victims) > 1 for victims in crashes)
            assert done > 100 and len(failures) <= losing, (c.method, failures)
            assert not [f for f in failures if "H13" not in f and "closed" not in str(f)], "nobody had got it"
    finally:
        for i in instances.values():
            i.kill()


@pytest.mark.parametrize("method, end, got, code", [("GET", "die", 2, "H13"), ("DELETE", "hang up", 2, "H13"),
                                                    ("GET", "cut", 1, None), ("POST", "die", 1, "H13")])
def test_a_request_that_ends_instances_gets_two_at_most(shared, method, end, got, code):
    """However many there are; and only if it may be repeated."""
    def crash_at(line, headers, c):
        if "/crash" not in line:
            return ok("fine")
        i = next(i for i in instances if c in i.open)
        if end == "die":
            i.kill()
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" if end == "cut" else b"")
        c.shutdown(socket.SHUT_RDWR)
    instances = [Instance(handler=crash_at) for _ in range(5)]
    app = serve(shared, *instances)
    try:
        status, headers, body = shared.get(host(app), "/crash", method)
        assert (status, headers["davit-error"]) == (503, code) and b"<code>H13</code>" in body
        assert headers["content-type"].startswith("text/html") and headers["cache-control"] == "no-store"
        logged(shared, app, f'at=error code=H13 desc="Connection closed without response" method={method} path="/crash"')
    except ConnectionError:
        assert end == "cut"
    assert sum(i.served for i in instances) == got
    assert shared.get(host(app))[2] == b"fine"


def test_an_answer_to_the_second_try_is_passed_on(shared):
    """Whole, however late and long it is."""
    def first_hangs_up(line, headers, c):
        if sum(i.served for i in instances) == 1:
            return c.shutdown(socket.SHUT_RDWR)
        time.sleep(1)
        return ok("x" * 1000000)
    instances = [Instance(handler=first_hangs_up) for _ in range(3)]
    app = serve(shared, *instances)
    assert shared.get(host(app))[2] == b"x" * 1000000
    assert sum(i.served for i in instances) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dead_instances_lose_nothing(shared, method):
    """What never reached an instance is tried until it does."""
    instances = [Instance(f"i{n}") for n in range(15)]
    app = serve(shared, *instances)
    for i in instances[:7] + instances[8:]:
        i.kill()
    assert shared.get(host(app), "/", method, [("Content-Length", "0")])[2] == b"i7"


def test_an_instance_that_refused_for_a_moment_comes_back(shared):
    """An app's own restart of its listener: nobody tells the gateway."""
    i = Instance("0")
    app = serve(shared, i)
    for n in range(1, 5):
        i.kill()
        assert shared.get(host(app))[1]["davit-error"] == "H21"
        i = Instance(f"{n}", address=i.address)
        wait_for(lambda: shared.get(host(app))[2] == i.name.encode(), "it serves again", 10)


def swap(g, app, n, old, bodies=None):
    """Deploys: a new instance is ready and the old one drains, in one transaction or two. The new one."""
    new = Instance(f"v{n}")
    changes = (g.instance_change(app, f"v{n}.g0.1", "ready", new.address),
               g.instance_change(app, f"v{n - 1}.g0.1", "draining", old.address))
    if n % 2:
        g.store.write(*changes)
    else:
        g.store.write(changes[0])
        g.store.write(changes[1])
    g.wait_drained(app, f"v{n - 1}.g0.1")
    old.kill()
    g.store.write((f"/instances/{app}/web/v{n - 1}.g0.1", None))
    return new


def test_200_swaps_lose_nothing(gateway):
    """The old instance is killed, with its connections reset, the moment it is `drained`."""
    i = Instance("v1")
    app = serve(gateway, i)
    clients = [StrictClient(gateway, host(app)) for _ in range(4)]
    for n in range(2, 202):
        i = swap(gateway, app, n, i)
        wait_for(lambda: i.served, "it serves")
    for c in clients:
        done, failures = c.stop()
        assert not failures and done > 200
    assert len({b for c in clients for b in c.bodies}) == 201
    wait_for(lambda: len(gateway.servers(app)) == len(gateway.servers(app, "g")) == 1, "old servers are deleted")


def test_drained_means_no_request_is_left(shared):
    asked, answer = threading.Event(), threading.Event()

    def slow(line, headers, c):
        if "/slow" not in line:
            return ok("old")
        asked.set()
        answer.wait(20)
        return ok("slow")
    old, new = Instance(handler=slow), Instance("new")
    app = serve(shared, old)
    with shared.connect() as s:
        s.sendall(f"GET /slow HTTP/1.1\r\nHost: {host(app)}\r\n\r\n".encode())
        assert asked.wait(10)
        shared.store.write(shared.instance_change(app, "v2.g0.1", "ready", new.address),
                           shared.instance_change(app, "v1.g0.1", "draining", old.address))
        wait_for(lambda: shared.get(host(app))[2] == b"new", "new requests go to the new one")
        assert shared.store.get(f"/instances/{app}/web/v1.g0.1")["state"] == "draining"
        answer.set()
        assert read_response(s)[2] == b"slow"
    shared.wait_drained(app, "v1.g0.1")
    wait_for(lambda: len(shared.servers(app)) == len(shared.servers(app, "g")) == 1, "its server is deleted")


def upgrade(line, headers, c):
    """A WebSocket's handshake and then an echo of bytes."""
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    while data := c.recv(9999):
        c.sendall(data)


def open_websocket(g, app):
    s = g.connect()
    s.sendall(f"GET /chat HTTP/1.1\r\nHost: {host(app)}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    status, headers, _ = read_response(s)
    assert status == 101 and headers["upgrade"] == "websocket"
    return s


def echoes(s, data):
    s.sendall(data)
    return s.recv(9999) == data


def test_websocket_lives_through_a_drain(shared):
    old, new = Instance(handler=upgrade), Instance("new")
    app = serve(shared, old)
    with open_websocket(shared, app) as s:
        assert echoes(s, b"before")
        shared.store.write(shared.instance_change(app, "v2.g0.1", "ready", new.address),
                           shared.instance_change(app, "v1.g0.1", "draining", old.address))
        wait_for(lambda: shared.get(host(app))[2] == b"new", "new requests go to the new one")
        assert echoes(s, b"while it drains")
        assert shared.store.get(f"/instances/{app}/web/v1.g0.1")["state"] == "draining"
    shared.wait_drained(app, "v1.g0.1")
    line = logged(shared, app, 'path="/chat"')
    assert "at=info" in line and "status=101" in line


def received(c):
    try:
        return c.recv(9999)
    except OSError:
        return b""


class GrpcInstance(Instance):
    """Speaks HTTP/2 without TLS, as gRPC servers do; echoes each message of a call and ends it with its trailers."""

    def _serve(self, c):
        h = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        h.initiate_connection()
        c.sendall(h.data_to_send())
        while data := received(c):
            for e in h.receive_data(data):
                if isinstance(e, h2.events.RequestReceived):
                    h.send_headers(e.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                elif isinstance(e, h2.events.DataReceived):
                    h.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                    h.send_data(e.stream_id, e.data)
                elif isinstance(e, h2.events.StreamEnded):
                    h.send_headers(e.stream_id, [("grpc-status", "0")], end_stream=True)
            c.sendall(h.data_to_send())


def test_grpc_streams_both_ways_and_drains(shared):
    old, new = GrpcInstance(), GrpcInstance()
    app = serve(shared, old)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    address = ("127.0.0.1", shared.settings["https_port"])
    with context.wrap_socket(socket.create_connection(address, 10), server_hostname=host(app)) as s:
        h = h2.connection.H2Connection()
        h.initiate_connection()
        h.send_headers(1, [(":method", "POST"), (":path", "/echo.Echo/Chat"), (":scheme", "https"),
                           (":authority", host(app)), ("content-type", "application/grpc"), ("te", "trailers")])

        def until(kind):
            while True:
                s.sendall(h.data_to_send())
                for e in h.receive_data(s.recv(9999)):
                    assert not isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)), e
                    if isinstance(e, kind):
                        return e

        assert (b":status", b"200") in [tuple(x) for x in until(h2.events.ResponseReceived).headers]
        for n in range(3):
            h.send_data(1, b"message %d" % n)
            assert until(h2.events.DataReceived).data == b"message %d" % n
        shared.store.write(shared.instance_change(app, "v2.g0.1", "ready", new.address),
                           shared.instance_change(app, "v1.g0.1", "draining", old.address))
        wait_for(lambda: f"{app}:web.1:v2.g0.1" in shared.servers(app, "g"), "the new one is there")
        h.send_data(1, b"last", end_stream=False)
        assert until(h2.events.DataReceived).data == b"last"
        assert shared.store.get(f"/instances/{app}/web/v1.g0.1")["state"] == "draining"
        h.end_stream(1)
        assert (b"grpc-status", b"0") in [tuple(x) for x in until(h2.events.TrailersReceived).headers]
    shared.wait_drained(app, "v1.g0.1")
    assert "protocol=http2 tls=true" in logged(shared, app, 'path="/echo.Echo/Chat"')


def test_drain_timeout_cuts():
    g = Gateway(drain_timeout=1)
    try:
        old = Instance(handler=upgrade)
        app = serve(g, old)
        with open_websocket(g, app) as s:
            g.instance(app, "v1.g0.1", "draining", old.address)
            g.wait_drained(app, "v1.g0.1")
            assert s.recv(1) == b""
    finally:
        g.close()


def test_last_instance_drains(shared):
    i = Instance()
    app = serve(shared, i)
    shared.instance(app, "v1.g0.1", "draining", i.address)
    shared.wait_drained(app, "v1.g0.1")
    assert shared.get(host(app))[1]["davit-error"] == "H14"


# -- what dies comes back --------------------------------------------------------------------------

def test_operator_killed_loses_nothing(gateway):
    i = Instance("v1")
    app = serve(gateway, i)
    before = gateway.processes()
    clients = [StrictClient(gateway, host(app)) for _ in range(2)]
    for n in range(2, 12):
        gateway.kill()
        gateway.start(wait=False)
        i = swap(gateway, app, n, i)
    for c in clients:
        done, failures = c.stop()
        assert done and not failures
    assert gateway.processes() == before, "the same HAProxy all along"


@pytest.mark.parametrize("part", [0, 1], ids=["master", "worker"])
def test_haproxy_killed_comes_back(gateway, part):
    i = Instance("still here")
    app = serve(gateway, i)
    before = gateway.processes()
    os.kill(before[part], signal.SIGKILL)

    def answers():
        try:
            return gateway.processes()[0] != before[0] and gateway.get(host(app))[2] == b"still here"
        except (OSError, KeyError):
            return False
    wait_for(answers, "it serves again")
    new = swap(gateway, app, 2, i)
    assert gateway.get(host(app))[2] == new.name.encode()


def test_all_killed_and_changed_meanwhile(gateway):
    i, other = Instance("old"), Instance("other")
    app = serve(gateway, i)
    gone = serve(gateway, Instance("gone"))
    gateway.kill()
    os.kill(gateway.processes()[0], signal.SIGKILL)
    new = Instance("new")
    gateway.store.write(gateway.instance_change(app, "v2.g0.1", "ready", new.address),
                        gateway.instance_change(app, "v1.g0.1", "draining", i.address), (f"/apps/{gone}", None))
    second = next(names)
    gateway.app(second)
    gateway.instance(second, "v1.g0.1", "ready", other.address)
    gateway.start()
    gateway.wait_drained(app, "v1.g0.1")
    assert gateway.get(host(app))[2] == b"new"
    assert gateway.get(host(second))[2] == b"other"
    assert gateway.get(host(gone))[0] == 404


def test_pool_grows_by_a_reload(gateway):
    """More apps than backends. A long request and a WebSocket go on, and what drains across it drains truly."""
    asked, answer = threading.Event(), threading.Event()

    def slow(line, headers, c):
        if "upgrade" in headers:
            return upgrade(line, headers, c)
        if "/slow" not in line:
            return ok("old")
        asked.set()
        answer.wait(30)
        return ok("slow")
    old, new = Instance(handler=slow), Instance("new")
    app = serve(gateway, old)
    before = gateway.processes()
    with open_websocket(gateway, app) as ws, gateway.connect() as s:
        s.sendall(f"GET /slow HTTP/1.1\r\nHost: {host(app)}\r\n\r\n".encode())
        assert asked.wait(10)
        one = Instance("many")
        for n in range(70):
            gateway.app(f"many{n}")
            gateway.instance(f"many{n}", "v1.g0.1", "ready", one.address)
        wait_for(lambda: gateway.get("many69.localhost")[0] == 200, "the last one answers")
        master, worker = gateway.processes()
        assert master == before[0] and worker != before[1]
        assert gateway.get("many69.localhost")[2] == b"many"
        gateway.store.write(gateway.instance_change(app, "v2.g0.1", "ready", new.address),
                            gateway.instance_change(app, "v1.g0.1", "draining", old.address))
        wait_for(lambda: gateway.get(host(app))[2] == b"new", "new requests go to the new one")
        assert echoes(ws, b"still there")
        assert gateway.store.get(f"/instances/{app}/web/v1.g0.1")["state"] == "draining"
        answer.set()
        assert read_response(s)[2] == b"slow"
        assert gateway.store.get(f"/instances/{app}/web/v1.g0.1")["state"] == "draining"
    gateway.wait_drained(app, "v1.g0.1")
    # What came into the new worker with its configuration can go at run time like any other.
    gateway.instance("many3", "v1.g0.1", "draining", one.address)
    gateway.wait_drained("many3", "v1.g0.1")
    wait_for(lambda: not gateway.servers("many3") + gateway.servers("many3", "g"), "it is deleted")


def test_settings_changed_while_down(gateway):
    app = serve(gateway, Instance("x"))
    before = gateway.processes()
    gateway.kill(signal.SIGTERM)
    gateway.configure(http_port=free_port())
    gateway.start()
    assert gateway.get(host(app))[2] == b"x"
    assert gateway.processes()[0] == before[0]


def test_new_settings_that_cannot_be_had(gateway):
    """The new port is taken: the old one goes on serving, the status says so, and once it is free it is taken over."""
    app, old = serve(gateway, Instance("x")), gateway.http
    gateway.kill(signal.SIGTERM)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        gateway.configure(http_port=s.getsockname()[1])
        gateway.start(wait=False)
        wait_for(lambda: "Address already in use" in (gateway.status() or ""), "the status says so")
        gateway.configure(http_port=old[1])
        second = Instance("y")
        gateway.instance(app, "v1.g0.1", "stopped", ("127.0.0.1", 1))
        gateway.instance(app, "v2.g0.1", "ready", second.address)
        wait_for(lambda: gateway.get(host(app))[2] == b"y", "deploys go on meanwhile")
        assert "Address already in use" in gateway.status()
        gateway.configure(http_port=s.getsockname()[1])
    wait_for(lambda: gateway.status() == "ok", "the new port is taken over")
    assert gateway.get(host(app))[2] == b"y"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(old)


def test_port_taken():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        g = Gateway(start=False, http_port=s.getsockname()[1])
        try:
            g.start(wait=False)
            wait_for(lambda: "Address already in use" in (g.status() or ""), "the status says so")
            assert f":{g.http[1]}" in g.status() and "http_port" in g.status()
            assert "Address already in use" in g.log()
            s.close()
            wait_for(lambda: g.status() == "ok", "it starts once the port is free")
        finally:
            g.close()


def test_port_taken_by_another_davit(gateway):
    """Both are of the user davit and listen with SO_REUSEPORT: the kernel would let them share it."""
    second = Gateway(start=False, http_port=gateway.http[1])
    try:
        second.start(wait=False)
        wait_for(lambda: second.status(), "the status says something")
        assert "Address already in use by haproxy (pid " in second.status()
    finally:
        second.close()


def test_log_rotation():
    g = Gateway(log_file_max=1, log_files=3)
    try:
        app = serve(g, Instance("x"))
        directory = g.root / "var/log/davit" / app
        path, n = "/" + "x" * 1000, 0
        with g.connect() as s:
            while not (directory / "router.log.2").exists():
                assert g.get(host(app), path, sock=s)[0] == 200
                n += 1
                assert n < 10000
            g.get(host(app), "/last", sock=s)
        logged(g, app, 'path="/last"')
        assert sorted(p.name for p in directory.iterdir()) == ["router.log", "router.log.1", "router.log.2"]
        total = sum(len(p.read_text().splitlines()) for p in directory.iterdir())
        assert total == n + 1, "no line is lost"
    finally:
        g.close()


def test_log_lines_wait_for_a_restarted_operator(gateway):
    app = serve(gateway, Instance("x"))
    gateway.kill()
    for n in range(500):
        gateway.get(host(app), f"/{n}")
    gateway.start()
    logged(gateway, app, 'path="/499"')
    assert len(gateway.router_log(app).splitlines()) == 500
