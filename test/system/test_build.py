"""Builds: what is reused, what runs where, what a build may and may not do, and how it ends."""
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import apps
import pytest
from davit import Davit, free_port, wait_for
from forge import Forge
from shim import owner

UNCHANGED = "Dependencies unchanged, using the cached ones"


@pytest.fixture(scope="module")
def davit():
    """Its builds reach a forge of ours on loopback, and a port at which we may listen."""
    with Forge(free_port()) as forge, socket.socket() as silent:
        silent.bind(("127.0.0.1", free_port()))
        forge.silent = silent
        with Davit(build_services=f"127.0.0.1:{forge.port} 127.0.0.1:{silent.getsockname()[1]}") as d:
            d.forge = forge
            yield d


def create(davit, name, files):
    folder = davit.checkout(files, name)
    davit.create_app(name, folder)
    return folder


def make(script):
    """A C app whose Makefile runs a shell script."""
    return {"Makefile": "all:\n\tsh ./script\n", "script": script, "Procfile": "worker: sleep 1000\n"}


def test_a_compile_step_is_skipped_while_nothing_it_depends_on_changes(davit):
    folder = create(davit, "skip", apps.static("one"))
    assert UNCHANGED not in davit.push(folder)
    davit.commit(folder, apps.static("two"))
    assert UNCHANGED in davit.push(folder)
    assert davit.get("skip")[1] == "two"
    davit.commit(folder, {"public/index.html": "moved"})  # a name more at the top: another root
    assert UNCHANGED not in davit.push(folder)
    assert davit.get("skip")[1] == "moved"
    davit.commit(folder, {"public/index.html": "again"})
    assert UNCHANGED in davit.push(folder)
    assert davit.get("skip")[1] == "again"
    davit.git(folder, "mv", "public/index.html", "public/other.html")
    davit.commit(folder, {"index.html": "two"})
    davit.push(folder)
    assert davit.get("skip", "/other.html")[1] == "again"


def test_a_static_site_hides_what_is_not_the_site(davit):
    folder = create(davit, "site", {**apps.static("home"), "Procfile.txt": "x", ".env": "SECRET=1", "app.json": "{}",
                                    "404.html": "nothing here", "d/index.html": "folder"})
    davit.push(folder)
    assert davit.get("site", "/d/")[:2] == (200, "folder")
    assert davit.get("site", "/none")[:2] == (404, "nothing here")
    for hidden in ("/.env", "/app.json", "/.davit/nginx.conf"):
        assert davit.get("site", hidden)[0] == 404


def test_static_json_says_what_is_served(davit):
    """The fields of Heroku's buildpack; the sources beside the root, and links out of it, are nobody's."""
    says = {"root": "dist/", "error_page": "oops.html", "clean_urls": True, "colour": "red",
            "routes": {"/assets/*": "/assets/", "/app/**": "index.html"},
            "redirects": {"/old": {"url": "/new?price=$5", "status": 302}},
            "headers": {"/**": {"X-Where": "all"}, "/d/*": {"X-Where": 'a "$uri"; } root /;', "Cache-Control": "no-store"}}}
    folder = create(davit, "spa", {
        "static.json": json.dumps(says) + " // as Heroku has it", "src/secret.key": "SECRET", "dist/index.html": "home",
        "dist/about.html": "about", "dist/oops.html": "oops", "dist/d/x.txt": "x", "dist/.env": "SECRET",
        "dist/.well-known/security.txt": "mail us", "dist/Procfile": "web: not ours"})
    (folder / "dist/out").symlink_to("../src/secret.key")
    (folder / "dist/folder").symlink_to("../src")
    (folder / "dist/passwd").symlink_to("/etc/passwd")
    (folder / "dist/hidden").symlink_to(".env")
    (folder / "dist/in").symlink_to("d/x.txt")
    davit.commit(folder, {})
    out = davit.push(folder)
    assert "there is no 'colour'" in out and "Dependencies" not in out
    for path, expected in {"/": "home", "/about": "about", "/about.html": "about", "/app/a/b": "home", "/in": "x", "/d/x.txt": "x",
                           "/.well-known/security.txt": "mail us", "/Procfile": "web: not ours"}.items():
        assert davit.get("spa", path)[:2] == (200, expected), path
    assert davit.get("spa", "/../src/secret.key")[0] == 400
    for path in ("/src/secret.key", "/out", "/folder/secret.key", "/passwd",
                 "/hidden", "/.env", "/d/../.env", "/static.json", "/assets/none", "/other"):
        assert davit.get("spa", path)[:2] == (404, "oops"), path
    status, _, headers = davit.get("spa", "/old")
    assert (status, headers["Location"]) == (302, "/new?price=$5")
    assert davit.get("spa", "/")[2]["X-Where"] == "all"
    headers = davit.get("spa", "/d/x.txt")[2]
    assert (headers["X-Where"], headers["Cache-Control"]) == ('a "$uri"; } root /;', "no-store")


def test_a_static_json_that_is_wrong_is_refused_before_the_build(davit):
    folder = create(davit, "wrongsite", apps.static("x"))
    for says, complaint in (('{"root": "dist"', "static.json, line 1"), ('{"root": "../.."}', "leads out of the site"),
                            ('{"root": "dist"}', "is no folder of the source tree"), ('{"routes": {"/": 5}}', "routes./"),
                            ('{"basic_auth": true}', "know no passwords")):
        davit.commit(folder, {"static.json": says})
        done = davit.push(folder, ok=False)
        assert done.returncode and complaint in done.stderr and "app detected" not in done.stderr, done.stderr


def test_a_procfile_that_is_wrong_or_missing_is_told_before_anything_is_built(davit):
    folder = create(davit, "procs", {})
    wrong, none = "Procfile, line 1, column 1", "no Procfile, and nothing else says what to run"
    code, package = {"Makefile": "all:\n\techo compiled\n"}, {"package.json": '{"dependencies": {"left-pad": "1.3.0"}}'}
    for files, complaint in (({**code, "Procfile": "web node x\n"}, wrong), ({**code, "Procfile": "release: x\n"}, "names no process"),
                             (code, none), ({"requirements.txt": "flask\n"}, none), (package, none),
                             ({"Dockerfile": "FROM davit/run\n", "Procfile": "web node x\n"}, wrong)):
        davit.git(folder, "rm", "-rfq", "--ignore-unmatch", ".")
        davit.commit(folder, files)
        done = davit.push(folder, ok=False)
        assert done.returncode and complaint in done.stderr, done.stderr
        assert "app detected" not in done.stderr and "compiled" not in done.stderr, done.stderr


def test_buildpacks_that_are_named_win_over_a_dockerfile(davit):
    folder = create(davit, "both", {**make("echo made by C"), "Dockerfile": "FROM nowhere.invalid/x\n", ".buildpacks": "davit/c\n"})
    out = davit.push(folder)
    assert "made by C" in out and "the Dockerfile does not count" in out
    davit.git(folder, "rm", "-q", ".buildpacks")
    davit.commit(folder, {"app.json": '{"buildpacks": [{"url": "davit/c"}]}', "x": ""})
    assert "made by C" in davit.push(folder)


def test_run_mounted_noexec():
    """As systemd mounts /run: what a build runs from there is run all the same."""
    d = Davit(start=False)
    run = d.root / "run"
    run.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec,mode=755", "tmpfs", run], check=True)
    try:
        d.start()
        d.push(create(d, "strict", apps.static("served")))
        assert d.get("strict")[1] == "served"
        d.stop()
        subprocess.run([d.davitd, "--root", d.root, "teardown"], env=d.env, check=True, timeout=120)
    finally:
        subprocess.run(["umount", "-l", run], check=True)
        d.close()


@pytest.fixture
def buildpack(davit, tmp_path):
    """A git repository with a buildpack at the forge: make(name, bin/compile, …) gives its URL."""
    davit.forge.repositories = tmp_path

    def make_one(name, compile_step, release="", detect="echo "):
        folder = tmp_path / f"{name}.git"
        (folder / "bin").mkdir(parents=True)
        for part, text in {"detect": f"{detect}{name}", "compile": compile_step,
                           "release": f"cat <<'END'\n{release}\nEND"}.items():
            (folder / "bin" / part).write_text(f"#!/bin/sh\nset -e\n{text}\n")
            (folder / "bin" / part).chmod(0o755)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"],
                      ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", folder, *words], check=True)
        return f"{davit.forge.url}/{name}.git"

    return make_one


def test_classic_buildpacks_in_order(davit, buildpack):
    one = buildpack("One", 'echo "export FROM_ONE=yes" > "$(dirname "$0")/../export"; echo "token $(cat "$3/API_TOKEN")"\n'
                           'echo "user $(id -u) stack $STACK"; echo kept >> "$2/count"; mkdir -p "$1/.profile.d"\n'
                           'echo "export FROM_PROFILE=sourced" > "$1/.profile.d/one.sh"')
    two = buildpack("Two", 'echo "first said $FROM_ONE, cache $(wc -l < "$2/count")"; echo made > "$1/made"',
                    "default_process_types:\n  worker: 'while :; do echo \"$(cat made) $FROM_PROFILE $FROM_RELEASE\"; "
                    "sleep 0.2; done'\nconfig_vars:\n  FROM_RELEASE: released")
    folder = create(davit, "packs", {".buildpacks": f"{one}#main\n{two}\n",
                                     "app.json": '{"formation": {"worker": {"quantity": 1}}}'})
    davit.cli("config", "set", "-a", "packs", "API_TOKEN=s3cret-s3cret", "--no-restart")
    out = davit.push(folder)
    assert "-----> One app detected" in out and "-----> Two app detected" in out
    assert "token [redacted]" in out and "s3cret" not in out
    assert "user 1000 stack davit" in out and "first said yes, cache 1" in out
    wait_for(lambda: "made sourced released" in davit.cli("logs", "-a", "packs"), "what the buildpacks made")
    davit.commit(folder, {"x": ""})
    assert "cache 2" in davit.push(folder)


def test_buildpacks_that_fail_say_which(davit, buildpack):
    bad = buildpack("Broken", "echo trying; exit 3")
    folder = create(davit, "broken", {".buildpacks": bad + "\n", "Procfile": "web: x\n"})
    done = davit.push(folder, ok=False)
    assert done.returncode and "trying" in done.stderr and "Push rejected, failed to compile Broken app" in done.stderr
    davit.commit(folder, {".buildpacks": f"{davit.forge.url}/nowhere/at/all\n"})
    done = davit.push(folder, ok=False)
    assert done.returncode and f"{davit.forge.url}/nowhere/at/all" in done.stderr
    davit.commit(folder, {".buildpacks": "-upload-pack=touch\n"})
    done = davit.push(folder, ok=False)
    assert done.returncode and "is no URL" in done.stderr


def test_buildpacks_and_images_are_not_fetched_from_this_machine(davit):
    """But from what build_services names. Redirects and realms lead nowhere else either."""
    folder = create(davit, "fetcher", {"Procfile": "web: x\n"})
    with Forge() as hidden:
        davit.forge.redirect = hidden.url
        for url, why in ((f"{hidden.url}/x.git", "is no URL"), ("file:///etc", "is no URL"), ("git://127.0.0.1/x", "is no URL"),
                         (f"https://127.0.0.1:{hidden.port}/x.git", "fetching buildpack"),
                         (f"https://127.0.0.1:{hidden.port}/x.tgz", "fetching buildpack"),
                         (f"{davit.forge.url}/away/x.git", "fetching buildpack"),
                         (f"{davit.forge.url}/away/x.tgz", "fetching buildpack")):
            davit.commit(folder, {".buildpacks": url + "\n"})
            done = davit.push(folder, ok=False)
            assert done.returncode and why in done.stderr, done.stderr
        assert any(path.startswith("/away/x.git") for path in davit.forge.heard)
        assert any(path.startswith("/away/x.tgz") for path in davit.forge.heard)
        deploy = lambda host: davit.cli("deploy", "-a", "fetcher", "--image", f"docker://{host}/x:1", ok=False)
        done = deploy(f"127.0.0.1:{hidden.port}")
        assert done.returncode and f"build_services = 127.0.0.1:{hidden.port}" in done.stdout + done.stderr
        davit.forge.realm = hidden.url + "/token"
        done = deploy(f"127.0.0.1:{davit.forge.port}")
        davit.forge.realm = None
        assert done.returncode and hidden.url in done.stdout + done.stderr
        assert not hidden.heard


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
    out = davit.push(create(davit, "nobody", make(script)))
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
        folder = create(davit, "loopback", make(f"cat > ask.py <<'END'\n{ASK.format(targets=targets, low=low)}\nEND\npython3 -u ask.py\n"))
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
    greedy = make("python3 -c 'import time; x = bytearray(300 << 20); time.sleep(2)' & wait $!; sleep 1; exit 1")
    done = davit.push(create(davit, "greedy", greedy), ok=False)
    assert done.returncode and "build_memory" in done.stderr and "96 MiB" in done.stderr


def test_a_build_that_writes_too_large_a_file_is_told_so(new_davit):
    davit = new_davit(unpack_max=1)
    large = {"package.json": '{"scripts": {"build": "true; head -c 9000000 /dev/zero >large"}}', "Procfile": "worker: x\n"}
    done = davit.push(create(davit, "large", large), ok=False)
    assert done.returncode and "no file of a build may have more than 8 MiB" in done.stderr and "unpack_max" in done.stderr


def test_a_build_that_takes_too_long_ends(new_davit):
    davit = new_davit(build_timeout=10)
    done = davit.push(create(davit, "endless", make("sleep 1000")), ok=False)
    assert done.returncode and "longer than 10 s" in done.stderr and "build_timeout" in done.stderr


def operator_pid(davit):
    """Of `davitd build`."""
    parent = lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    (build,) = [p for p in davit.pids() if davit.processes()[p][-1] == "builder" and parent(p) == davit.process.pid]
    return build


def test_killing_the_operator_leaves_nothing_of_its_builds(davit):
    nap = f"sleep 4321.{os.getpid()}"  # nobody else's on this machine
    folder = create(davit, "killed", make(f"setsid {nap} & {nap}"))
    push = subprocess.Popen(["git", "-C", folder, "push", "davit", "main"], env=davit.env, stderr=subprocess.PIPE, text=True)
    sleeping = lambda: subprocess.run(["pgrep", "-f", f"^{nap}$"], capture_output=True, text=True).stdout.split()
    wait_for(sleeping, "the build")
    pid = sleeping()[0]
    base = int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])
    assert owner(pid) == base + 65536  # not root: inotify and the like are counted for it
    os.kill(operator_pid(davit), signal.SIGKILL)
    said = push.communicate(timeout=60)[1]
    assert push.returncode and "restarted" in said, said
    wait_for(lambda: not sleeping(), "the end of its processes")
    assert not list((davit.run_dir / "build").glob("*"))
    davit.commit(folder, make("true"))
    davit.push(folder)


def test_app_json_makes_secrets_once(davit):
    files = {**apps.static("x"), "app.json": json.dumps({"env": {"KEY": {"generator": "secret"}, "MODE": "fast"}})}
    folder = create(davit, "wishes", files)
    davit.push(folder)
    first = json.loads(davit.cli("config", "-a", "wishes", "--json"))
    assert len(first["KEY"]) == 64 and first["MODE"] == "fast"
    davit.cli("config", "set", "-a", "wishes", "MODE=slow")
    davit.commit(folder, apps.static("y"))
    davit.push(folder)
    assert json.loads(davit.cli("config", "-a", "wishes", "--json")) == {**first, "MODE": "slow"}


def written(davit):
    """Bytes that the builder and all that it started and waited for have written to disks."""
    return int(re.search(r"^write_bytes: (\d+)", Path(f"/proc/{operator_pid(davit)}/io").read_text(), re.M)[1])


def test_a_dockerfile_on_the_stacks_of_this_machine(davit):
    example = Path(__file__).resolve().parents[2] / "examples/dockerfile"
    files = {p.name: p.read_text() for p in example.iterdir()}
    folder = create(davit, "docked", files)
    before = written(davit)
    out = davit.push(folder)
    assert "STEP" in out and written(davit) - before > 40 << 20  # its base alone is 44 MB
    assert davit.get("docked")[1] == "Hello from a Dockerfile\n"
    (source,) = [name for name in files if name.endswith(".c")]
    davit.commit(folder, {source: files[source] + "/* a line more */\n"})
    before = written(davit)
    assert "Using cache" in davit.push(folder)
    assert written(davit) - before < 20 << 20
    release = davit.request("GET", "/v1/apps/docked/releases/1")
    (process,) = json.loads(release[1])["processes"]
    assert process["port"] == 8000 and process["argv"] == ["server"] and process["user"] == "app"
    assert {c["type"] for c in process["checks"]} == {"startup", "liveness"}
    davit.commit(folder, {"Dockerfile": "FROM davit/run\nRUN echo about to fail; false\n"})
    done = davit.push(folder, ok=False)
    assert done.returncode and "about to fail" in done.stderr and "failed to build the Dockerfile" in done.stderr
    assert davit.get("docked")[1] == "Hello from a Dockerfile\n"


def test_a_procfile_chooses_what_runs_in_an_image(davit):
    folder = create(davit, "chosen", {"Dockerfile": "FROM davit/run\nRUN echo built > /result\nCMD [\"false\"]\n",
                                      "Procfile": "worker: while :; do echo it was $(cat /result); sleep 0.2; done\n",
                                      "app.json": '{"formation": {"worker": {"quantity": 1}}}'})
    davit.push(folder)
    wait_for(lambda: "it was built" in davit.cli("logs", "-a", "chosen"), "the worker")


def test_a_secret_is_mounted_into_a_dockerfiles_step_and_stays_out_of_the_image(davit):
    folder = create(davit, "sealed", {
        "Dockerfile": "FROM davit/run\nRUN --mount=type=secret,id=TOKEN sha256sum < /run/secrets/TOKEN > /digest\n"
                      "RUN env | grep -c TOKEN > /seen || true\n",
        "Procfile": "worker: while :; do echo digest $(cat /digest) seen $(cat /seen) $(ls /run/secrets 2>&1); sleep 0.2; done\n",
        "app.json": '{"formation": {"worker": {"quantity": 1}}}'})
    davit.cli("config", "set", "-a", "sealed", "TOKEN=wiMkb92yz7", "--no-restart")
    davit.push(folder)
    import hashlib
    digest = hashlib.sha256(b"wiMkb92yz7").hexdigest()
    wait_for(lambda: f"digest {digest} - seen 0" in davit.cli("logs", "-a", "sealed"), "the digest of the secret")


BREAK_OUT = r"""
my ($way, $root) = @ARGV;
unless ($root) {
    mkdir "/x"; chroot "/x"; chdir ".." for 1 .. 64; chroot "."; $root = "/";
}
print "$way: builder met\n" if -e "$root/davit/lib/dockerfile";
for my $file (qw(usr/bin/buildah usr/bin/bash davit/lib/dockerfile davit/lib/storage.conf root/.bashrc etc/evil)) {
    print "$way: wrote $file of the builder\n"
        if -e "$root/davit/lib/dockerfile" && open my $f, ">>", "$root/$file";
}
open my $status, "/proc/1/status";
/^Seccomp:\s*(\d)/ and print "$way: filter $1\n" while <$status>;
"""


def test_a_step_of_a_dockerfile_gets_nothing_run_by_its_builder(davit):
    """Mounts that lead out of their stage (CVE-2024-1753, -9675), and the oldest way out of a chroot."""
    trap = lambda kind: f"RUN --mount=type={kind},from=trap,source=/host,target=/mnt,rw perl /break.pl {kind} /mnt\n"
    folder = create(davit, "trapped", {
        "break.pl": BREAK_OUT, "Procfile": "worker: sleep 1000\n",
        "Dockerfile": "FROM davit/run AS trap\nRUN ln -s / /host\nFROM davit/run\nCOPY break.pl /break.pl\n"
                      + trap("bind") + trap("cache") + "RUN perl /break.pl chroot\n"})
    out = davit.push(folder)
    assert "bind: filter 2" in out and "cache: filter 2" in out and "chroot: filter 2" in out, out
    assert "bind: builder met" not in out and "cache: builder met" not in out and "wrote" not in out, out


def test_a_swapped_folder_of_logs_leads_root_nowhere(davit, tmp_path):
    """User davit puts a link in the place of an app's folder; what root writes next stays where it belongs."""
    davit.push(create(davit, "swapped", apps.static("x")))
    folder = davit.log / "swapped"
    wait_for(lambda: list(folder.glob("web.*.log")), "its log")
    subprocess.run(["setpriv", "--reuid=davit", "--regid=davit", "--clear-groups", "sh", "-c",
                    f"mv {folder} {folder}.aside && ln -s {tmp_path} {folder}"], stderr=subprocess.DEVNULL)
    size = (davit.log / "swapped.aside" if folder.is_symlink() else folder).joinpath("web.1.log").stat().st_size
    davit.cli("restart", "-a", "swapped")
    wait_for(lambda: list(tmp_path.iterdir()) or [f for f in folder.glob("web.1.log") if f.stat().st_size > size], "what the shim says of it")
    assert not list(tmp_path.iterdir())


def test_an_image_is_deployed_as_it_is(davit, tmp_path):
    layout = davit.root / "var/cache/davit/build/layouts/run"
    if not layout.exists():
        folder = create(davit, "layouts", {"Dockerfile": "FROM davit/run\nCMD sleep 1000\n", "Procfile": "worker: sleep 1000\n"})
        davit.push(folder)
    subprocess.run(["cp", "-a", layout, tmp_path / "image"], check=True)
    server = ("use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 8123, Listen => 9, ReuseAddr => 1) or die; "
              "while ($c = $s->accept) { sysread $c, $_, 4096; "
              "print $c qq(HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\nit!); close $c }")
    davit.cli("apps", "create", "taken", cwd=tmp_path)
    done = davit.cli("deploy", "-a", "taken", "--image", f"oci:{tmp_path}/image:latest", ok=False)
    assert done.returncode and "neither ENTRYPOINT nor CMD" in done.stderr + done.stdout
    subprocess.run(["umoci", "config", "--image", f"{tmp_path}/image:latest", "--config.exposedports", "8123/tcp",
                    "--config.user", "app", "--config.cmd", "perl", "--config.cmd", "-e", "--config.cmd", server], check=True)
    davit.cli("deploy", "-a", "taken", "--image", f"oci:{tmp_path}/image:latest")
    assert davit.get("taken")[:2] == (200, "it!")
    davit.forge.layout, davit.forge.password, image = tmp_path / "image", "shop:pass", f"127.0.0.1:{davit.forge.port}/shop:1"
    done = davit.cli("deploy", "-a", "taken", "--image", image, ok=False)
    assert done.returncode and "skopeo login --authfile" in done.stdout + done.stderr
    logins = davit.root / "etc/davit/registries.json"
    subprocess.run(["skopeo", "login", "--tls-verify=false", "--authfile", logins, "-u", "shop", "-p", "pass",
                    f"127.0.0.1:{davit.forge.port}"], check=True, stdout=subprocess.DEVNULL)
    davit.cli("deploy", "-a", "taken", "--image", image)
    logins.unlink()
    done = davit.cli("deploy", "-a", "taken", "--image", f"oci:{tmp_path}/nothing", ok=False)
    assert done.returncode and "nothing" in done.stderr + done.stdout
    assert davit.get("taken")[:2] == (200, "it!")


def test_old_builds_are_forgotten(davit):
    folder = create(davit, "often", apps.static("0"))
    for n in range(1, 24):
        davit.commit(folder, apps.static(str(n)))
        davit.push(folder)
    ours = lambda: [p for p in (davit.state / "builds").iterdir() if (p / "output.log").exists()
                    and davit.request("GET", f"/v1/builds/{p.name}")[0] == 200
                    and json.loads(davit.request("GET", f"/v1/builds/{p.name}")[1])["app"] == "often"]
    wait_for(lambda: len(ours()) == 20, "twenty of them left")
    assert not list(davit.state.glob("builds/*/source.tar"))
    assert davit.get("often")[1] == "23"
    assert len(json.loads(davit.cli("releases", "-a", "often", "--json"))["items"]) == 23


def test_a_cancelled_fetch_of_an_image_ends(davit, tmp_path):
    davit.cli("apps", "create", "slow", cwd=tmp_path)
    with contextlib.nullcontext(davit.forge.silent) as registry:  # it takes connections and says nothing
        registry.listen()
        image = f"127.0.0.1:{registry.getsockname()[1]}/x:1"
        fetching = lambda: [p for p in Path("/proc").glob("[0-9]*/cmdline")
                            if (words := p.read_bytes().split(b"\0"))[0] in (b"skopeo", b"setpriv", b"env", b"prlimit") and f"docker://{image}".encode() in words]
        start = lambda: subprocess.Popen(["davit", "deploy", "-a", "slow", "--image", image], env=davit.env,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (signal.SIGKILL, signal.SIGTERM):
            deploy = start()
            wait_for(fetching, "skopeo")
            os.kill(operator_pid(davit), end)
            wait_for(lambda: not fetching(), "its end with the operator's", 10)
            assert deploy.wait(60)
        deploy = start()
        wait_for(fetching, "skopeo")
        deploy.send_signal(signal.SIGINT)
        deploy.wait(10)
        wait_for(lambda: not fetching(), "its end", 10)
        wait_for(lambda: not list((davit.state / "images/tmp").glob("*")), "what it left", 10)


@pytest.mark.parametrize("files, who", [({"runtime.txt": "python-3.9.18\n"}, "runtime.txt asks for Python 3.9.18"),
                                        ({".python-version": "# mine\n3.14\n"}, ".python-version asks for Python 3.14"),
                                        ({"pyproject.toml": "[project]\nname = 'x'\nrequires-python = '~=3.12.1'\n"},
                                         "pyproject.toml asks for Python ~=3.12.1")])
def test_a_python_that_can_not_be_had_is_refused_before_anything_is_fetched(davit, files, who):
    name = f"py{len(who)}"
    folder = create(davit, name, {"requirements.txt": "", "Procfile": "worker: sleep 1000\n", **files})
    done = davit.push(folder, ok=False)
    assert done.returncode and f"{who}; 3.13.5 and 3.11.2 can be had" in done.stderr, done.stderr
    assert "Preparing" not in done.stderr and "detected" not in done.stderr
    davit.git(folder, "rm", "-q", *files)
    davit.commit(folder, {".python-version": "3.11.9\n"})
    davit.push(folder)

