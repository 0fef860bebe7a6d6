"""The gateway alone: `davitd gateway` on a root of its own, a store we write to as `api` and `run` would, and web
instances that are threads of the test."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from davit import BUILD, REPO, _ensure_user, free_port, wait_for


def haproxy_version():
    """(3, 0) and the like, of the one on the PATH."""
    said = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.search(r"version (\d+)\.(\d+)", said).groups()))


class Store:
    """The store of a root, by the helper `store_pipe`."""

    def __init__(self, root):
        self.pipe = subprocess.Popen([BUILD / "test/unit/store_pipe", f"sqlite://{root}/var/lib/davit/store/state.db"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, text):
        self.pipe.stdin.write(text)
        self.pipe.stdin.flush()
        answer = self.pipe.stdout.readline()
        assert answer and not answer.startswith("error"), f"{text!r}: {answer!r}"
        return answer.rstrip("\n")

    def write(self, *changes):
        """(key, value) pairs in one transaction; None deletes."""
        lines = [f"put {k} {json.dumps(v)}\n" if v is not None else f"del {k}\n" for k, v in changes]
        self._ask((f"many {len(lines)}\n" if len(lines) > 1 else "") + "".join(lines))

    def get(self, key):
        answer = self._ask(f"get {key}\n")
        return None if answer == "none" else json.loads(answer.split(" ", 1)[1])

    def wait(self, key, text):
        answer = self._ask(f"wait {key} {text}\n")
        assert answer != "late", f"{key} never had {text}"

    def close(self):
        self.pipe.stdin.close()
        self.pipe.wait()


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Gateway:
    def __init__(self, start=True, env=None, **settings):
        _ensure_user()
        self.root = Path(tempfile.mkdtemp(prefix="gw.", dir="/tmp"))
        os.chmod(self.root, 0o755)
        (self.root / "etc/davit").mkdir(parents=True)
        self.settings = {"http_port": free_port(), "https_port": free_port(), **settings}
        self.configure()
        # The checkout may lie where the user davit can't look.
        shutil.copytree(REPO / "data/errors", self.root / "data/errors")
        shutil.copy(REPO / "data/gateway.lua", self.root / "data")
        self.env = {**os.environ, "DAVIT_DATA": str(self.root / "data"), **(env or {})}
        self.run = self.root / "run/davit"
        self.dir = self.run / "gateway"
        self.process = None
        self.output = open(self.root / "gateway.out", "w+")
        self.store = None
        if start:
            try:
                self.start()
            except AssertionError:
                print(self.log())
                self.close()
                raise

    def configure(self, **settings):
        self.settings.update(settings)
        text = "".join(f"{k} = {v}\n" for k, v in self.settings.items())
        (self.root / "etc/davit/davit.conf").write_text(text)

    @property
    def http(self):
        return ("127.0.0.1", self.settings["http_port"])

    def start(self, wait=True):
        if self.store:  # what one that was killed said stands until its lease ends
            self.store.write((f"/gateway/{socket.gethostname()}", None))
        self.process = subprocess.Popen([BUILD / "src/daemon/davitd", "--root", self.root, "gateway"], env=self.env,
                                        stdout=subprocess.DEVNULL, stderr=self.output, start_new_session=True)
        if not self.store:
            wait_for(lambda: (self.root / "var/lib/davit/store/state.db").exists(), "a store")
            self.store = Store(self.root)
        if wait:
            wait_for(lambda: self.process.poll() is not None or self.status() == "ok", "the gateway is up")
            assert self.process.poll() is None, self.log()

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        self.process.wait()

    def log(self):
        return Path(self.output.name).read_text()

    def status(self):
        """ok, or why nobody is served and what to do; None while nothing is said."""
        said = self.store.get(f"/gateway/{socket.gethostname()}")
        return said and (said["state"] if said["state"] == "ok" else f"{said['message']}\n{said.get('hint')}")

    def ask(self, command, name="haproxy.sock"):
        """What HAProxy's runtime socket answers."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.dir / name))
            s.sendall(command.encode() + b"\n")
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def servers(self, app, kind="s"):
        """The names of the app's servers in HAProxy (with "g": those for gRPC)."""
        rows = [line.split() for line in self.ask("show servers state").splitlines()]
        return [r[3] for r in rows if len(r) > 3 and r[1].startswith(kind) and r[3].startswith(f"{app}:")]

    def processes(self):
        """(master, worker)"""
        lines = [line.split() for line in self.ask("show proc", "master.sock").splitlines()]
        old = next((i for i, line in enumerate(lines) if line[:2] == ["#", "old"]), len(lines))
        pids = {line[1]: int(line[0]) for line in lines[:old] if len(line) > 1 and line[0].isdigit()}
        return pids["master"], pids["worker"]

    # -- what api and run would write ------------------------------------------------------------

    def app(self, name, **desired):
        self.store.write((f"/apps/{name}", {"name": name, "owner": "t", "created": now()}),
                         (f"/apps/{name}/desired", {"release": 1, "generation": 0, "formation": {}, **desired}))

    def instance_change(self, app, ident, state, address, index=1, **more):
        key = f"/instances/{app}/web/{ident}"
        return key, {"app": app, "type": "web", "id": ident, "index": index, "release": 1, "generation": 0,
                     "state": state, "ip": address[0], "port": address[1], "since": now(), **more}

    def instance(self, app, ident, state, address, index=1, **more):
        self.store.write(self.instance_change(app, ident, state, address, index, **more))

    def wait_drained(self, app, ident):
        self.store.wait(f"/instances/{app}/web/{ident}", '"drained"')

    def wait_routed(self, app, target=None):
        """Until the app's requests reach it (or, with a code, are answered by that)."""
        def routed():
            row = [line.split() for line in self.ask("show map apps.map").splitlines()]
            value = next((r[2] for r in row if len(r) == 3 and r[1] == app), "")
            return (value == target if target else value.startswith("s")) and f" {app}\n" in self.ask("show map hosts.map")
        wait_for(routed, f"{app} is routed to {target or 'its instances'}")

    # -- requests ----------------------------------------------------------------------------------

    def connect(self):
        return socket.create_connection(self.http, timeout=45)

    def get(self, host, path="/", method="GET", headers=(), body=b"", sock=None):
        """(status, headers, body) of one request."""
        s = sock or self.connect()
        head = "".join(f"{k}: {v}\r\n" for k, v in headers)
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode() + body)
        answer = read_response(s, method)
        if not sock:
            s.close()
        return answer

    def router_log(self, app):
        with contextlib.suppress(FileNotFoundError):
            return (self.root / "var/log/davit" / app / "router.log").read_text()
        return ""

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        print(self.log())  # pytest shows it for a test that failed
        subprocess.run([BUILD / "src/daemon/davitd", "--root", self.root, "teardown"], env=self.env, check=True)
        left = subprocess.run(["pgrep", "-af", str(self.dir)], capture_output=True, text=True).stdout
        if self.store:
            self.store.close()
        shutil.rmtree(self.root)
        assert not left, left


def read_response(s, method="GET"):
    """One HTTP/1.1 response: with Content-Length, chunked, or to the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = s.recv(65536)
        if not got:
            raise ConnectionError(f"closed after {data!r}")
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    if method == "HEAD" or status in (101, 204, 304):
        return status, headers, body
    if "content-length" in headers:
        while len(body) < int(headers["content-length"]):
            got = s.recv(65536)
            if not got:
                raise ConnectionError("cut short")
            body += got
    elif headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            got = s.recv(65536)
            if not got:
                raise ConnectionError("cut short")
            body += got
    else:
        while got := s.recv(65536):
            body += got
    return status, headers, body


class Instance:
    """A web instance in a thread: answers what `handler(request line, headers, connection)` returns (bytes, sent as
    they are), by default its name. handler may also write to the connection itself and return None."""

    last = 1

    def __init__(self, name="x", handler=None, address=None):
        Instance.last += 1
        self.name, self.handler = name, handler
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(address or (f"127.9.{Instance.last // 250}.{Instance.last % 250 + 1}", free_port()))
        self.sock.listen(128)
        self.address = self.sock.getsockname()
        self.open = set()
        self.served = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                c, _ = self.sock.accept()
                self.open.add(c)
                threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        with contextlib.suppress(OSError, ValueError), c, c.makefile("rb") as f:
            while line := f.readline():
                headers = {}
                while (h := f.readline().decode("latin-1")) not in ("\r\n", ""):
                    k, _, v = h.partition(":")
                    headers.setdefault(k.lower(), []).append(v.strip())
                f.read(int(headers.get("content-length", ["0"])[0]))
                self.served += 1
                answer = self.handler(line.decode("latin-1"), headers, c) if self.handler else ok(self.name)
                if answer is None:
                    break
                c.sendall(answer)
        self.open.discard(c)

    def kill(self):
        """As if the process died: connections reset, port closed."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for c in list(self.open):
            with contextlib.suppress(OSError):
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                c.shutdown(socket.SHUT_RDWR)


class ProcessInstance:
    """A web instance that is a process: kill() is kill -9."""

    def __init__(self, name):
        Instance.last += 1
        self.name, self.address = name, (f"127.9.{Instance.last // 250}.{Instance.last % 250 + 1}", free_port())
        self.start()

    def start(self):
        self.process = subprocess.Popen(["/usr/bin/python3", Path(__file__).with_name("web_process.py"), self.name,
                                         self.address[0], str(self.address[1])])
        wait_for(self._listens, f"{self.name} listens")

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection(self.address, 1):
            return True

    def kill(self):
        self.process.kill()
        self.process.wait()


def ok(body, headers=""):
    body = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class StrictClient:
    """Sends requests one after the other over a connection kept alive and counts what isn't answered with 200. A
    request on a connection the gateway announced it closes is never sent there; every other one must be answered."""

    def __init__(self, gateway, host, path="/", method="GET", body=b""):
        self.gateway, self.host, self.path, self.method, self.body = gateway, host, path, method, body
        self.done, self.bodies, self.failures = 0, {}, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        s = None
        while not self._stop.is_set():
            try:
                s = s or self.gateway.connect()
                length = [("Content-Length", str(len(self.body)))] if self.body else []
                status, headers, body = self.gateway.get(self.host, self.path, self.method, length, self.body, sock=s)
                if status != 200:
                    self.failures.append((time.time(), status, headers.get("davit-error")))
                self.bodies[body] = self.bodies.get(body, 0) + 1
                if headers.get("connection") == "close":
                    s.close()
                    s = None
            except OSError as e:
                self.failures.append((time.time(), repr(e)))
                s = None
            self.done += 1

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        return self.done, self.failures


# -- what the tests share ---------------------------------------------------------------------------

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


def assert_error(g, app, code, text, path="/", status=503):
    got, headers, body = g.get(host(app), path)
    assert (got, headers["davit-error"]) == (503, code)
    assert code.encode() in body and headers["content-type"].startswith("text/html")
    line = logged(g, app, f'at=error code={code} desc="{text}" method=GET path="{path}"')
    assert f"status={status}" in line
    return line


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
