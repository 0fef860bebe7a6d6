"""What a build may and may not do, and how it ends."""
import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
from pathlib import Path

import apps
import pytest
from davit import Davit, free_port, wait_for
from shim import owner


def test_a_run_mounted_noexec_stops_no_build():
    """As systemd mounts /run: what a build runs from there is run all the same."""
    d = Davit(start=False)
    run = d.root / "run"
    run.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec,mode=755", "tmpfs", run], check=True)
    try:
        d.start()
        d.push(d.app("strict", apps.static("served")))
        assert d.get("strict")[1] == "served"
        d.stop()
        subprocess.run([d.davitd, "--root", d.root, "teardown"], env=d.env, check=True, timeout=120)
    finally:
        subprocess.run(["umount", "-l", run], check=True)
        d.close()


def test_a_build_is_nobody_on_this_machine(davit):
    secret = davit.root / "secret"
    secret.write_text("of the host")
    script = f"""
        id -u; cat {secret} 2>&1; test -e {davit.root} && echo host seen
        grep CapEff /proc/self/status; ls /proc | grep -c '^[0-9]'
        truncate -s 17G large && echo a file of any size; rm -f large
        mount -t tmpfs none /mnt 2>&1; echo 1 > /proc/sys/kernel/panic
        bash -c 'exec 3<>/dev/tcp/127.0.0.1/{davit.http[1]}' && echo gateway reached
        bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' && echo metadata reached
        true
    """
    out = davit.push(davit.app("nobody", apps.make(script)))
    assert "CapEff:\t0000000000000000" in out
    assert "of the host" not in out and "host seen" not in out and "a file of any size" not in out
    assert "gateway reached" not in out and "metadata reached" not in out


ASK = """
import concurrent.futures, os, socket
TARGETS = {targets!r}

def ask(kind, family, address, source):
    with socket.socket(family, kind) as s:
        s.settimeout(3)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address[0], source))
        s.connect(address)
        s.send(b"hello")
        return s.recv(9)

def tell(target):
    try:
        return target[0] + " from %d answers %r" % (target[-1], ask(*target[1:]))
    except OSError:
        return target[0] + " is closed"

with concurrent.futures.ThreadPoolExecutor(len(TARGETS)) as pool:
    print("\\n".join(pool.map(tell, TARGETS)))
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for port in (0, {low}):
        with socket.socket(family) as own:
            own.bind((host, port))
            own.listen()
            client = socket.create_connection(own.getsockname()[:2], 5)
            served = own.accept()[0]
            client.send(b"x")
            served.send(served.recv(1))
            print("own server", host, port, client.recv(1))
with socket.socket() as own:
    own.bind(("0.0.0.0", {low}))
    own.listen()
    own.settimeout(0.05)
    print("listening", flush=True)
    while not os.path.exists("/davit/out/go"):
        try:
            own.accept()
            print("a visitor")
        except OSError:
            pass
"""


@contextlib.contextmanager
def echo(kind, family, host, ports):
    """A server of the host's, at a port of that range: yields (its address, what it heard)."""
    with socket.socket(family, kind) as s:
        while True:
            with contextlib.suppress(OSError):
                s.bind((host, random.randrange(*ports)))
                break
        heard, end = [], threading.Event()

        def serve():
            s.settimeout(0.05)
            while not end.is_set():
                with contextlib.suppress(OSError):
                    if kind == socket.SOCK_DGRAM:
                        data, peer = s.recvfrom(9)
                        heard.append(data)
                        s.sendto(data, peer)
                    else:
                        peer = s.accept()[0]
                        peer.settimeout(5)
                        heard.append(peer.recv(9))
                        peer.send(heard[-1])
                        peer.close()

        if kind == socket.SOCK_STREAM:
            s.listen()
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield s.getsockname()[:2], heard
        finally:
            end.set()
            server.join()


def own_address():
    """This machine's address towards the world."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))
        return s.getsockname()[0]


def test_a_build_reaches_its_own_servers_on_loopback_and_no_others(davit):
    """Whatever port it asks from, of whatever address of this machine; and nobody reaches a build's servers."""
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    hosts = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, own_address())]
    with contextlib.ExitStack() as stack:
        targets, heard, low = [], [], free_port()
        for name, kind in kinds.items():
            for family, host in hosts:
                for ports in ((18000, 32000), (33000, 60000)):
                    address, said = stack.enter_context(echo(kind, family, host, ports))
                    heard.append(said)
                    for source in (0, free_port(), random.randrange(33000, 60000)):
                        targets.append((f"{name} {host} {address[1]}", int(kind), int(family), address, source))
        with socket.create_connection(targets[0][3]) as anybody_else:
            anybody_else.send(b"test")
            assert anybody_else.recv(9) == b"test"
        folder = davit.app("loopback", apps.make(f"cat > ask.py <<'END'\n{ASK.format(targets=targets, low=low)}\nEND\npython3 -u ask.py\n"))
        push = subprocess.Popen(["git", "-C", folder, "push", "davit", "main"], env=davit.env, stderr=subprocess.PIPE, text=True)
        out = ""
        for line in push.stderr:
            out += line
            if "listening" in line:
                break
        for host in ("127.0.0.1", own_address()):
            with pytest.raises(OSError), socket.create_connection((host, low), 2) as visitor:
                visitor.recv(1)
        for stage in davit.run_dir.glob("build/*.stage/out"):
            (stage / "go").touch()
        out += push.stderr.read()
        assert push.wait(60) == 0, out
    assert "answers" not in out and out.count("is closed") == len(targets), out
    assert heard.pop(0) == [b"test"] and not any(heard)
    assert out.count("own server") == 4 and "a visitor" not in out, out


def test_a_build_that_needs_too_much_memory_is_told_so(new_davit):
    davit = new_davit(build_memory=96)
    greedy = apps.make("python3 -c 'bytearray(300 << 20)' && echo it had it all")
    done = davit.push(davit.app("greedy", greedy), ok=False)
    assert done.returncode and "build_memory" in done.stderr and "96 MiB" in done.stderr and "had it all" not in done.stderr


def test_a_build_that_writes_too_large_a_file_is_told_so(new_davit):
    davit = new_davit(unpack_max=1)
    large = {"package.json": '{"scripts": {"build": "true; head -c 9000000 /dev/zero >large"}}', "Procfile": "worker: x\n"}
    done = davit.push(davit.app("large", large), ok=False)
    assert done.returncode and "no file of a build may have more than 8 MiB" in done.stderr and "unpack_max" in done.stderr


def test_a_build_that_takes_too_long_ends(new_davit):
    davit = new_davit(build_timeout=10)
    done = davit.push(davit.app("endless", apps.make("sleep 1000")), ok=False)
    assert done.returncode and "longer than 10 s" in done.stderr and "build_timeout" in done.stderr


def test_killing_the_operator_leaves_nothing_of_its_builds(davit):
    nap = f"sleep 4321.{os.getpid()}"  # nobody else's on this machine
    folder = davit.app("killed", apps.make(f"setsid {nap} & {nap}"))
    push = subprocess.Popen(["git", "-C", folder, "push", "davit", "main"], env=davit.env, stderr=subprocess.PIPE, text=True)
    sleeping = lambda: subprocess.run(["pgrep", "-f", f"^{nap}$"], capture_output=True, text=True).stdout.split()
    wait_for(sleeping, "the build")
    pid = sleeping()[0]
    base = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    assert owner(pid) == base + 65536  # not root: inotify and the like are counted for it
    os.kill(davit.operator("builder"), signal.SIGKILL)
    said = push.communicate(timeout=60)[1]
    assert push.returncode and "restarted" in said, said
    wait_for(lambda: not sleeping(), "the end of its processes")
    assert not list((davit.run_dir / "build").glob("*"))
    davit.commit(folder, apps.make("true"))
    davit.push(folder)


def test_a_swapped_folder_of_logs_leads_root_nowhere(davit, tmp_path):
    """User davit puts a link in the place of an app's folder; what root writes next stays where it belongs."""
    davit.push(davit.app("swapped", apps.static("x")))
    folder = davit.log / "swapped"
    wait_for(lambda: list(folder.glob("web.*.log")), "its log")
    subprocess.run(["setpriv", "--reuid=davit", "--regid=davit", "--clear-groups", "sh", "-c",
                    f"mv {folder} {folder}.aside && ln -s {tmp_path} {folder}"], stderr=subprocess.DEVNULL)
    size = (davit.log / "swapped.aside" if folder.is_symlink() else folder).joinpath("web.1.log").stat().st_size
    davit.cli("restart", "-a", "swapped")
    wait_for(lambda: list(tmp_path.iterdir()) or [f for f in folder.glob("web.1.log") if f.stat().st_size > size], "what the shim says of it")
    assert not list(tmp_path.iterdir())
