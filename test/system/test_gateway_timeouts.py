"""The gateway's patience: tests that wait for as long as it does, beside the others."""
import csv
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import Instance, assert_error, haproxy_version, host, logged, read_response, serve


def test_a_connection_that_takes_5_s_is_an_h19(shared):
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
        got, headers, body = shared.get(host(app))
        assert (got, headers["davit-error"]) == (503, "H19") and b"<code>H19</code>" in body
        rows = csv.DictReader(shared.ask("show stat").removeprefix("# ").splitlines())
        assert [r["wretr"] for r in rows if r["svname"].startswith(f"{app}:") and r["pxname"].startswith("s")] == ["0"]
        logged(shared, app, 'at=error code=H19 desc="Backend connection timeout"')


def upload(g, app, seconds):
    """A chunked upload that is that slow and never answered: the code, and the seconds from its end to the answer."""
    with g.connect() as s:
        s.settimeout(60)
        s.sendall(f"POST /upload HTTP/1.1\r\nHost: {host(app)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(seconds):
            s.sendall(b"5\r\nhello\r\n")
            time.sleep(1)
        s.sendall(b"0\r\n\r\n")
        sent = time.monotonic()
        return read_response(s)[1]["davit-error"], time.monotonic() - sent


def test_no_first_byte_within_30_s_is_an_h12(shared):
    """30 s without the first byte, counted from the end of the request; a stream of events may be silent for longer.
    A machine can be slow, not early: too late is after 45 s, when the connection is closed, which is an H13."""
    def silent(line, headers, c):
        if "/stream" in line:
            c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbegin ")
            time.sleep(40)
            c.sendall(b"end")
        else:
            time.sleep(45)
    app = serve(shared, Instance(handler=silent))
    with shared.connect() as s, ThreadPoolExecutor() as pool:
        s.sendall(f"GET /stream HTTP/1.1\r\nHost: {host(app)}\r\nAccept: text/event-stream\r\n"
                  "Connection: close\r\n\r\n".encode())
        uploaded = pool.submit(upload, shared, app, 5)
        assert_error(shared, app, "H12", "Request timeout", "/silent")
        s.settimeout(30)
        assert b"".join(iter(lambda: s.recv(9999), b"")).endswith(b"begin end")
        code, waited = uploaded.result()
        assert code == "H12" and waited > 29


@pytest.mark.slow
def test_an_answer_that_stops_is_an_h15(shared):
    """An answer that stops: cut after 55 s; before HAProxy 3.0 after 30 s, if the client doesn't want a stream of events.
    What isn't ends by itself after 70 s, which is an H18."""
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
        told_apart = haproxy_version() >= (3, 0)
        assert lasts() > (50 if told_apart else 28) and (told_apart or not stream.done())
        assert stream.result() > 50
    logged(shared, app, 'at=error code=H15 desc="Idle connection"', 2)
