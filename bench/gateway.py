#!/usr/bin/python3
"""Requests/s through the gateway, beside the same HAProxy configured by hand, nginx and Caddy.

All route by the Host header over kept-alive connections to one and the same backend, on the same cores. HAProxy and nginx
by hand come twice: with the same job as Davit's (a log line a request, request id, X-Forwarded-For/-Proto/-Port,
X-Request-Start), which are the peers of the goal, and bare, with X-Forwarded-For alone, as Caddy is here too.
The peers take turns, several rounds; figures are medians, ratios are medians of the rounds' ratios. What a request costs a
peer of the CPUs, its logging included, says the same where others are at work on the machine."""
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

sys.path[:0] = [str(Path(__file__).parent / "lib"), str(Path(__file__).parents[1] / "test" / "lib")]
from davit import free_port, wait_for  # noqa: E402
from gateway import Gateway  # noqa: E402
from live import bench  # noqa: E402

HOST = "hello.localhost"


def cpu_seconds(pids):
    """What these processes have used of the CPUs, those they started included."""
    used = 0
    for pid in pids:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        used += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        used += cpu_seconds(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return used


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

    def pids(self):
        return [self.process.pid]

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

    def pids(self):
        return super().pids() + ([self.reader.pid] if self.log else [])

    def close(self):
        if self.log:
            self.reader.kill()
            self.reader.wait()
        super().close()


def nginx(target, bare=False):
    port = free_port()
    same_job = """
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Request-Start $msec;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            access_log DIR/lines davit;"""
    return Program("nginx.conf", f"""
daemon off;
worker_processes auto;
pid DIR/pid;
error_log stderr;
events {{ worker_connections 4000; }}
http {{
    log_format davit '$time_iso8601 $upstream_addr method=$request_method path="$request_uri" host=$host '
                     'request_id=$request_id fwd="$remote_addr" connect=$upstream_connect_time service=$request_time '
                     'status=$status bytes=$bytes_sent protocol=$server_protocol tls=$https';
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
            proxy_set_header X-Forwarded-For $remote_addr;{"" if bare else same_job}
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

    def pids(self):
        return [self.gateway.process.pid]  # which started HAProxy

    def close(self):
        self.gateway.close()


def load(peer, seconds, connections):
    """(requests/s, 99th percentile in ms, µs of CPU a request cost the peer) by one load thread."""
    before = cpu_seconds(peer.pids())
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{int(seconds)}s", "--latency", "-H", f"Host: {HOST}",
                          f"http://127.0.0.1:{peer.port}/"], check=True, capture_output=True, text=True).stdout
    errors = re.search(r"Non-2xx|Socket errors", out)
    if errors:
        raise RuntimeError(out)
    cpu = (cpu_seconds(peer.pids()) - before) * 1e6 / int(re.search(r"(\d+) requests in", out)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    p99 = float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), p99, cpu


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
        for name, make in (("nginx", nginx), ("nginx, bare", lambda port: nginx(port, bare=True)), ("caddy", caddy)):
            peers[name] = make(target.port)
        figures = {name: [] for name in peers}
        for _ in range(a.rounds):
            for name, peer in peers.items():
                figures[name].append(load(peer, a.seconds, a.connections))
        lines = Path(peers["davit"].gateway.root / "var/log/davit/hello/router.log").exists()
    finally:
        for peer in reversed(list(peers.values())):
            peer.close()
    if not lines:
        raise RuntimeError("davit wrote no router log")
    for name, rounds in figures.items():
        ratio = statistics.median(d[0] / r[0] for d, r in zip(figures["davit"], rounds))
        goal = "  goal >= 0.97" if name in ("haproxy by hand", "nginx") else ""
        print(f"{name:<22} {statistics.median(r[0] for r in rounds):9.0f} requests/s   "
              f"p99 {statistics.median(r[1] for r in rounds):6.2f} ms   CPU {statistics.median(r[2] for r in rounds):5.1f} us/request   "
              f"davit / it {ratio:5.3f}{goal}")


if __name__ == "__main__":
    bench(main, "wrk", "haproxy", "nginx", "caddy")
