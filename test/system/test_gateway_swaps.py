"""The gateway while instances come, go and crash: what is lost, which is nothing that may be repeated."""
import socket
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.events
import pytest

from davit import wait_for
from gateway import Gateway, Instance, ProcessInstance, StrictClient, echoes, host, logged, ok, open_websocket, read_response, serve, swap, upgrade


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


def test_requests_go_to_all_instances(shared):
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
        time.sleep(1)  # "late"
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
