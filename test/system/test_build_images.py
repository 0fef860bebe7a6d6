"""Images: built by Dockerfiles, and deployed as they are."""
import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import apps
import pytest
from davit import commands, wait_for
from forge import davit_with_forge


@pytest.fixture(scope="module")
def davit():
    """Its builds reach a forge of ours on loopback, and a port at which we may listen."""
    with davit_with_forge() as d:
        yield d


def written(davit):
    """Bytes that the builder and all that it started and waited for have written to disks."""
    return int(re.search(r"^write_bytes: (\d+)", Path(f"/proc/{davit.operator('builder')}/io").read_text(), re.M)[1])


def test_a_dockerfile_on_the_stacks_of_this_machine(davit):
    example = Path(__file__).resolve().parents[2] / "examples/dockerfile"
    files = {p.name: p.read_text() for p in example.iterdir()}
    folder = davit.app("docked", files)
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
    folder = davit.app("chosen", {"Dockerfile": "FROM davit/run\nRUN echo built > /result\nCMD [\"false\"]\n",
                                      "Procfile": "worker: while :; do echo it was $(cat /result); sleep 0.2; done\n",
                                      "app.json": '{"formation": {"worker": {"quantity": 1}}}'})
    davit.push(folder)
    wait_for(lambda: "it was built" in davit.cli("logs", "-a", "chosen"), "the worker")


def test_a_secret_is_mounted_into_a_dockerfiles_step_and_stays_out_of_the_image(davit):
    folder = davit.app("sealed", {
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
    folder = davit.app("trapped", {
        "break.pl": BREAK_OUT, "Procfile": "worker: sleep 1000\n",
        "Dockerfile": "FROM davit/run AS trap\nRUN ln -s / /host\nFROM davit/run\nCOPY break.pl /break.pl\n"
                      + trap("bind") + trap("cache") + "RUN perl /break.pl chroot\n"})
    out = davit.push(folder)
    assert "bind: filter 2" in out and "cache: filter 2" in out and "chroot: filter 2" in out, out
    assert "bind: builder met" not in out and "cache: builder met" not in out and "wrote" not in out, out


def test_an_image_is_deployed_as_it_is(davit, tmp_path):
    layout = davit.root / "var/cache/davit/build/layouts/run"
    if not layout.exists():
        folder = davit.app("layouts", {"Dockerfile": "FROM davit/run\nCMD sleep 1000\n", "Procfile": "worker: sleep 1000\n"})
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


def test_a_cancelled_fetch_of_an_image_ends(davit, tmp_path):
    davit.cli("apps", "create", "slow", cwd=tmp_path)
    with contextlib.nullcontext(davit.forge.silent) as registry:  # it takes connections and says nothing
        registry.listen()
        image = f"127.0.0.1:{registry.getsockname()[1]}/x:1"
        fetching = lambda: [p for p, argv in commands().items()
                            if argv[0] in ("skopeo", "setpriv", "env", "prlimit") and f"docker://{image}" in argv]
        start = lambda: subprocess.Popen(["davit", "deploy", "-a", "slow", "--image", image], env=davit.env,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (signal.SIGKILL, signal.SIGTERM):
            deploy = start()
            wait_for(fetching, "skopeo")
            os.kill(davit.operator("builder"), end)
            wait_for(lambda: not fetching(), "its end with the operator's", 10)
            assert deploy.wait(60)
        deploy = start()
        wait_for(fetching, "skopeo")
        deploy.send_signal(signal.SIGINT)
        deploy.wait(10)
        wait_for(lambda: not fetching(), "its end", 10)
        wait_for(lambda: not list((davit.state / "images/tmp").glob("*")), "what it left", 10)
