"""The peers Davit is measured against, each set up as a careful owner would do it by hand.

DockerHook is the usual home-made platform: a bare repository whose post-receive hook unpacks the push with
git archive, builds with `docker build`, starts the new container beside the old one with `docker run`, waits until
it answers and switches HAProxy over by its runtime socket. It gets every advantage a hand-written one can have: a
local path instead of HTTP for the push, a base image that is there already, the layer cache, as few build steps as
there can be, the former container removed behind the push, no TLS, no login. (Debian's docker.io builds by its own
builder: BuildKit would ask a registry for the local base image.)
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def run(*argv, **kw):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw).stdout


def wait_for(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: nothing within {seconds} s")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


DOCKER = ("dockerd", "docker", "ip", "iptables")  # the programs it takes
HOOK_PROGRAMS = (*DOCKER, "mmdebstrap", "haproxy", "socat")


class Docker:
    """A dockerd of our own, with everything below one folder, ended with the benchmark."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="bd.", dir="/tmp"))
        self.host = f"unix://{self.dir}/docker.sock"
        self.env = {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}
        self.bridge = f"bd{os.getpid()}"  # not docker0: another dockerd may be using that
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"172.29.{os.getpid() % 250}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        self.process = subprocess.Popen(
            ["dockerd", "--bridge", self.bridge, "--data-root", self.dir / "data", "--exec-root", self.dir / "exec", "--host", self.host,
             "--pidfile", self.dir / "pid", "--storage-driver", "overlay2", "--log-driver", "json-file"],
            stdout=open(self.dir / "log", "w"), stderr=subprocess.STDOUT)
        wait_for(lambda: subprocess.run(["docker", "version"], env=self.env, capture_output=True).returncode == 0,
                 f"dockerd (see {self.dir}/log)")

    def __call__(self, *args, **kw):
        return run("docker", *args, env=self.env, **kw)

    def base(self, name, packages):
        """A base image made of Debian's packages, as no registry is needed for a fair race."""
        tar = self.dir / f"{name}.tar"
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", str(tar),
            os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian"))
        self("import", str(tar), f"{name}:1")
        tar.unlink()
        return f"{name}:1"

    def close(self):
        names = self("ps", "-aq").split()
        if names:
            self("rm", "-f", *names)
        self.process.terminate()
        self.process.wait()
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)
        for table in ("nat", "filter"):  # dockerd leaves its rules behind
            for rule in subprocess.run(["iptables-save", "-t", table], capture_output=True, text=True).stdout.splitlines():
                if rule.startswith("-A ") and self.bridge in rule.split():
                    subprocess.run(["iptables", "-t", table, "-D", *rule.split()[1:]], capture_output=True)
        subprocess.run(["umount", "-R", self.dir / "data"], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


class Haproxy:
    """HAProxy configured by hand: two slots for the app's server, switched by the runtime socket."""

    def __init__(self, extra=""):
        self.dir = Path(tempfile.mkdtemp(prefix="bh.", dir="/tmp"))
        self.port = free_port()
        self.socket = self.dir / "admin.sock"
        (self.dir / "haproxy.cfg").write_text(f"""
global
    stats socket {self.socket} level admin
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{self.port}
    default_backend app
backend app
    server blue 127.0.0.1:1 disabled
    server green 127.0.0.1:1 disabled
{extra}
""")
        self.process = subprocess.Popen(["haproxy", "-f", self.dir / "haproxy.cfg", "-db"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.socket.exists, "haproxy")

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


HOOK = r"""#!/bin/bash
set -eE -o pipefail
exec 2>&1
trap 'echo "hook failed: $BASH_COMMAND"' ERR
read old new ref
src=$(mktemp -d)
git archive "$new" | tar -x -C "$src"
docker build -q -t app:"$new" "$src" >/dev/null
rm -rf "$src"
turn=blue; [ "$(cat turn 2>/dev/null)" = blue ] && turn=green
id=$(docker run -d -e PORT=5000 app:"$new")
ip=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$id")
n=0
until (exec 3<>"/dev/tcp/$ip/5000") 2>/dev/null; do [ $((++n)) -lt 3000 ]; sleep 0.01; done
old=blue; [ "$turn" = blue ] && old=green
printf 'set server app/%s addr %s port 5000;set server app/%s state ready;set server app/%s state drain\n' \
    "$turn" "$ip" "$turn" "$old" | socat - UNIX-CONNECT:"$HAPROXY_SOCKET" >/dev/null
echo "$turn" > turn
last=$(cat id 2>/dev/null || true)
echo "$id" > id
[ -z "$last" ] || docker rm -f "$last" >/dev/null 2>&1 </dev/null &
"""


class DockerHook:
    def __init__(self, docker, haproxy):
        self.docker, self.haproxy = docker, haproxy
        self.dir = Path(tempfile.mkdtemp(prefix="bg.", dir="/tmp"))
        self.repo = self.dir / "app.git"
        run("git", "init", "-q", "--bare", "-b", "main", str(self.repo))
        hook = self.repo / "hooks" / "post-receive"
        hook.write_text(HOOK)
        hook.chmod(0o755)
        self.env = {**docker.env, "HAPROXY_SOCKET": str(haproxy.socket)}

    @property
    def url(self):
        return str(self.repo)

    @property
    def address(self):
        return ("127.0.0.1", self.haproxy.port, "app.localhost")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
