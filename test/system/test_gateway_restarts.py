"""The gateway's parts killed, its settings changed, its ports taken, its logs rotated."""
import os
import signal
import socket
import threading

import pytest

from davit import free_port, wait_for
from gateway import Gateway, Instance, StrictClient, echoes, host, logged, names, ok, open_websocket, read_response, serve, swap, upgrade


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


def test_what_changed_while_all_was_dead_is_made_so(gateway):
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


def test_settings_changed_while_down_are_taken(gateway):
    app = serve(gateway, Instance("x"))
    before = gateway.processes()
    gateway.kill(signal.SIGTERM)
    gateway.configure(http_port=free_port())
    gateway.start()
    assert gateway.get(host(app))[2] == b"x"
    assert gateway.processes()[0] == before[0]


def test_settings_that_cannot_be_had_leave_the_old_ones_in_force(gateway):
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


def test_a_taken_port_is_had_once_it_is_free():
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


def test_a_port_of_another_davit_is_not_shared(gateway):
    """Both are of the user davit and listen with SO_REUSEPORT: the kernel would let them share it."""
    second = Gateway(start=False, http_port=gateway.http[1])
    try:
        second.start(wait=False)
        wait_for(lambda: second.status(), "the status says something")
        assert "Address already in use by haproxy (pid " in second.status()
    finally:
        second.close()


def test_the_router_log_is_rotated():
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
