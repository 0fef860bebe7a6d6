#!/usr/bin/python3
"""Requests/s through the gateway, beside the same HAProxy configured by hand, nginx and Caddy.

All route by the Host header over kept-alive connections to one and the same backend, on the same cores. HAProxy by hand
comes twice: with the same job as Davit's (a log line a request, request id, X-Forwarded-For/-Proto/-Port,
X-Request-Start), which is the peer of the goal, and bare, with X-Forwarded-For alone, as nginx and Caddy are here too.
The peers take turns, several rounds; figures are medians, ratios are medians of the rounds' ratios."""
import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "test" / "lib")]
from davit import free_port, wait_for  # noqa: E402
from gateway import Gateway  # noqa: E402

HOST = "hello.localhost"


class Program:
    """A server in a folder of its own, ended with the benchmark. Like any daemon, and Davit's HAProxy, it is a session
    of its own: the kernel shares the CPU out between sessions first (autogroup), which would favour one in ours."""

    def __init__(self, config_name, config, argv, port):
        self.dir, self.port = Path(tempfile.mkdtemp(prefix="bench-gw.", dir="/tmp")), port
        os.chmod(self.dir, 0o755)
        (self.dir / config_name).write_text(config.replace("DIR", str(self.dir)))
        self.before()
        self.process = subprocess.Popen([a.replace("DIR", str(self.dir)) for a in argv], cwd=self.dir,
                                        stdout=subprocess.DEVNULL, stderr=open(self.dir / "err", "w"),
                                        start_new_session=True)
        wait_for(self.answers, f"{argv[0]} answers ({self.dir}/err)")

    def before(self):
        pass

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                return b" 200 " in s.recv(9999)
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


def backend():
    port = free_port()
    return Program("haproxy.cfg", f"""
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout client 60s
    timeout http-keep-alive 60s
frontend f
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string "hello, world"
""", ["haproxy", "-db", "-f", "haproxy.cfg"], port)


class Hand(Program):
    def __init__(self, target, bare=False):
        self.log = log = not bare
        port = free_port()
        super().__init__("haproxy.cfg", f"""
global
    maxconn 4000
    {"log DIR/log format rfc3164 local0" if log else ""}
defaults
    mode http
    timeout connect 5s
    timeout client 55s
    timeout server 55s
    option forwardfor
    {"log global" if log else ""}
    {"option httplog" if log else ""}
    {"unique-id-format %[uuid]" if log else ""}
    {"unique-id-header X-Request-Id" if log else ""}
frontend web
    bind 127.0.0.1:{port}
    {"http-request set-header X-Forwarded-Proto http" if log else ""}
    {"http-request set-header X-Forwarded-Port %[dst_port]" if log else ""}
    {"http-request set-header X-Request-Start %[date(0,ms)]" if log else ""}
    use_backend %[req.hdr(host),field(1,:),lower,map(DIR/hosts.map,none)]
backend none
    http-request return status 404
backend hello
    server web 127.0.0.1:{target}
""", ["haproxy", "-db", "-f", "haproxy.cfg"], port)

    def before(self):
        (self.dir / "hosts.map").write_text(f"{HOST} hello\n")
        if self.log:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.bind(str(self.dir / "log"))
            self.reader = subprocess.Popen(["cat"], stdin=s, stdout=open(self.dir / "lines", "w"))

    def close(self):
        if self.log:
            self.reader.kill()
            self.reader.wait()
        super().close()


def nginx(target):
    port = free_port()
    return Program("nginx.conf", f"""
daemon off;
worker_processes auto;
pid DIR/pid;
error_log stderr;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4;
    scgi_temp_path DIR/5;
    upstream hello {{ server 127.0.0.1:{target}; keepalive 128; }}
    server {{
        listen 127.0.0.1:{port};
        server_name {HOST};
        keepalive_requests 1000000000;
        location / {{
            proxy_pass http://hello;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
""", ["nginx", "-p", "DIR", "-c", "nginx.conf"], port)


def caddy(target):
    port = free_port()
    return Program("Caddyfile", f"""{{
    admin off
    auto_https off
    storage file_system DIR
}}
http://{HOST}:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{target}
}}
""", ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"], port)


class Davit:
    def __init__(self, target):
        self.gateway = Gateway()
        self.port = self.gateway.http[1]
        self.gateway.app("hello")
        self.gateway.instance("hello", "v1.g0.1", "ready", ("127.0.0.1", target))
        wait_for(lambda: self.gateway.get(HOST)[0] == 200, "davit answers")

    def close(self):
        self.gateway.close()


def load(port, seconds, connections):
    """(requests/s, 99th percentile in ms) by one load thread."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{int(seconds)}s", "--latency", "-H", f"Host: {HOST}",
                          f"http://127.0.0.1:{port}/"], check=True, capture_output=True, text=True).stdout
    errors = re.search(r"Non-2xx|Socket errors", out)
    if errors:
        raise RuntimeError(out)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--connections", type=int, default=64)
    a = p.parse_args()
    target = backend()
    peers = {"backend alone": target}
    try:
        peers["davit"] = Davit(target.port)
        peers["haproxy by hand"] = Hand(target.port)
        peers["haproxy by hand, bare"] = Hand(target.port, bare=True)
        for name, make in (("nginx", nginx), ("caddy", caddy)):
            if shutil.which(name):
                peers[name] = make(target.port)
            else:
                print(f"{name} is not installed: left out")
        figures = {name: [] for name in peers}
        for _ in range(a.rounds):
            for name, peer in peers.items():
                figures[name].append(load(peer.port, a.seconds, a.connections))
        lines = Path(peers["davit"].gateway.root / "var/log/davit/hello/router.log").exists()
    finally:
        for peer in reversed(list(peers.values())):
            peer.close()
    if not lines:
        raise RuntimeError("davit wrote no router log")
    for name, rounds in figures.items():
        ratio = statistics.median(d[0] / r[0] for d, r in zip(figures["davit"], rounds))
        goal = "  goal >= 0.97" if name == "haproxy by hand" else ""
        print(f"{name:<22} {statistics.median(r[0] for r in rounds):9.0f} requests/s   "
              f"p99 {statistics.median(r[1] for r in rounds):6.2f} ms   davit / it {ratio:5.3f}{goal}")


if __name__ == "__main__":
    main()
