"""The gateway with a real HAProxy: routing, every H code, headers."""
import json
import re
import signal
import socket
import ssl
import threading
import time
import uuid

import h2.connection
import h2.events
import pytest

from davit import wait_for
from gateway import Instance, assert_error, host, logged, names, ok, read_response, serve


def test_a_host_of_no_app_is_unknown(shared):
    status, headers, body = shared.get("nobody.localhost")
    assert status == 404 and b"No app answers" in body


def test_an_app_answers_at_its_host(shared):
    app = serve(shared, Instance("hello"))
    assert shared.get(host(app))[2] == b"hello"
    assert shared.get(host(app).upper() + ":8080")[2] == b"hello"
    assert shared.get(host(app) + ".")[2] == b"hello"


def test_an_app_answers_at_its_domains(shared):
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


def test_a_destroyed_app_is_unknown(shared):
    app = serve(shared, Instance("bye"))
    shared.store.write((f"/apps/{app}", None), (f"/apps/{app}/desired", None), (f"/instances/{app}/web/v1.g0.1", None))
    wait_for(lambda: shared.get(host(app))[0] == 404, "its host is unknown")
    wait_for(lambda: not shared.servers(app) + shared.servers(app, "g"), "its server is gone")


def test_the_api_has_a_host(shared):
    with socket.socket(socket.AF_UNIX) as s:
        path = shared.run / "gateway-api.sock"
        s.bind(str(path))
        path.chmod(0o666)
        s.listen()
        api = Instance.__new__(Instance)
        api.sock, api.open, api.handler, api.name, api.served = s, set(), None, "the api", 0
        threading.Thread(target=api._accept, daemon=True).start()
        assert shared.get("api.localhost")[2] == b"the api"


def test_an_app_without_web_processes_is_an_h14(shared):
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


def test_starting_is_an_h20_and_crashed_an_h10(shared):
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


def test_an_instance_may_come_back_at_another_address(shared):
    a, b = Instance("a"), Instance("b")
    app = serve(shared, a)
    shared.instance(app, "v1.g0.1", "crashed", a.address)
    shared.wait_routed(app, "H10")
    shared.instance(app, "v1.g0.1", "ready", b.address)
    wait_for(lambda: shared.get(host(app))[2] == b"b", "the new address serves")


def test_maintenance_is_an_h80(shared):
    app = serve(shared, Instance())
    shared.app(app, maintenance=True)
    shared.wait_routed(app, "H80")
    assert_error(shared, app, "H80", "Maintenance mode")
    shared.app(app, maintenance=False)
    shared.wait_routed(app)
    assert shared.get(host(app))[0] == 200


def test_a_refused_connection_is_an_h21(shared):
    i = Instance()
    app = serve(shared, i)
    i.kill()
    assert_error(shared, app, "H21", "Backend connection refused")


def test_a_connection_closed_without_a_response_is_an_h13(shared):
    def hang_up(line, headers, c):
        c.shutdown(socket.SHUT_RDWR)
    i = Instance(handler=hang_up)
    app = serve(shared, i)
    got, headers, _ = shared.get(host(app), "/", "POST", [("Content-Length", "0")])
    assert (got, headers["davit-error"], i.served) == (503, "H13", 1), "what may have been processed is not repeated"
    logged(shared, app, 'at=error code=H13 desc="Connection closed without response" method=POST')


def test_an_answer_that_cannot_be_passed_on_is_an_h25(shared):
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


def test_an_answer_the_server_breaks_off_is_an_h18(shared):
    def cut(line, headers, c):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        c.shutdown(socket.SHUT_RDWR)
    app = serve(shared, Instance(handler=cut))
    with pytest.raises(ConnectionError):
        shared.get(host(app))
    logged(shared, app, 'at=error code=H18 desc="Server Request Interrupted"')


def test_a_request_the_client_breaks_off_is_an_h27(shared):
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


def test_an_app_without_a_route_is_an_h99(shared):
    """Can't be reached by the store's contents; so HAProxy's table is damaged by hand, and repaired by a restart."""
    app = serve(shared, Instance())
    shared.ask(f"del map apps.map {app}")
    assert_error(shared, app, "H99", "Platform error")
    shared.kill(signal.SIGTERM)
    shared.start()
    shared.wait_routed(app)
    assert shared.get(host(app))[0] == 200


def echo(line, headers, c):
    return ok(line + "".join(f"{k}: {v}\n" for k, vs in headers.items() for v in vs))


def test_request_headers_say_who_asks(shared):
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


def test_a_router_line_says_all_of_a_request(shared):
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
def test_malformed_requests_are_answered_by_the_gateway(shared, request_text, status):
    app = serve(shared, Instance())
    with shared.connect() as s:
        s.sendall(request_text.format(host=host(app), long="x" * 8200).encode())
        assert read_response(s)[0] == status
    assert shared.get(host(app))[0] == 200


def test_https_speaks_http2_and_no_old_tls(shared):
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
