"""Builds: what is reused, what runs where, and what is refused before anything is built."""
import json
import subprocess

import apps
import pytest
from davit import wait_for
from forge import Forge, davit_with_forge

UNCHANGED = "Dependencies unchanged, using the cached ones"


@pytest.fixture(scope="module")
def davit():
    """Its builds reach a forge of ours on loopback, and a port at which we may listen."""
    with davit_with_forge() as d:
        yield d


def test_a_compile_step_is_skipped_while_nothing_it_depends_on_changes(davit):
    folder = davit.app("skip", apps.static("one"))
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
    folder = davit.app("site", {**apps.static("home"), "Procfile.txt": "x", ".env": "SECRET=1", "app.json": "{}",
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
    folder = davit.app("spa", {
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
    folder = davit.app("wrongsite", apps.static("x"))
    for says, complaint in (('{"root": "dist"', "static.json, line 1"), ('{"root": "../.."}', "leads out of the site"),
                            ('{"root": "dist"}', "is no folder of the source tree"), ('{"routes": {"/": 5}}', "routes./"),
                            ('{"basic_auth": true}', "know no passwords")):
        davit.commit(folder, {"static.json": says})
        done = davit.push(folder, ok=False)
        assert done.returncode and complaint in done.stderr and "app detected" not in done.stderr, done.stderr


def test_a_procfile_that_is_wrong_or_missing_is_told_before_anything_is_built(davit):
    folder = davit.app("procs", {})
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
    folder = davit.app("both", {**apps.make("echo made by C"), "Dockerfile": "FROM nowhere.invalid/x\n", ".buildpacks": "davit/c\n"})
    out = davit.push(folder)
    assert "made by C" in out and "the Dockerfile does not count" in out
    davit.git(folder, "rm", "-q", ".buildpacks")
    davit.commit(folder, {"app.json": '{"buildpacks": [{"url": "davit/c"}]}', "x": ""})
    assert "made by C" in davit.push(folder)


@pytest.fixture
def buildpack(davit, tmp_path):
    """A git repository with a buildpack at the forge: apps.make(name, bin/compile, …) gives its URL."""
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


def test_classic_buildpacks_run_in_order(davit, buildpack):
    one = buildpack("One", 'echo "export FROM_ONE=yes" > "$(dirname "$0")/../export"; echo "token $(cat "$3/API_TOKEN")"\n'
                           'echo "user $(id -u) stack $STACK"; echo kept >> "$2/count"; mkdir -p "$1/.profile.d"\n'
                           'echo "export FROM_PROFILE=sourced" > "$1/.profile.d/one.sh"')
    two = buildpack("Two", 'echo "first said $FROM_ONE, cache $(wc -l < "$2/count")"; echo made > "$1/made"',
                    "default_process_types:\n  worker: 'while :; do echo \"$(cat made) $FROM_PROFILE $FROM_RELEASE\"; "
                    "sleep 0.2; done'\nconfig_vars:\n  FROM_RELEASE: released")
    folder = davit.app("packs", {".buildpacks": f"{one}#main\n{two}\n",
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
    folder = davit.app("broken", {".buildpacks": bad + "\n", "Procfile": "web: x\n"})
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
    folder = davit.app("fetcher", {"Procfile": "web: x\n"})
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


def test_app_json_makes_secrets_once(davit):
    files = {**apps.static("x"), "app.json": json.dumps({"env": {"KEY": {"generator": "secret"}, "MODE": "fast"}})}
    folder = davit.app("wishes", files)
    davit.push(folder)
    first = json.loads(davit.cli("config", "-a", "wishes", "--json"))
    assert len(first["KEY"]) == 64 and first["MODE"] == "fast"
    davit.cli("config", "set", "-a", "wishes", "MODE=slow")
    davit.commit(folder, apps.static("y"))
    davit.push(folder)
    assert json.loads(davit.cli("config", "-a", "wishes", "--json")) == {**first, "MODE": "slow"}


def test_old_builds_are_forgotten(davit):
    folder = davit.app("often", apps.static("0"))
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


@pytest.mark.parametrize("files, who", [({"runtime.txt": "python-3.9.18\n"}, "runtime.txt asks for Python 3.9.18"),
                                        ({".python-version": "# mine\n3.14\n"}, ".python-version asks for Python 3.14"),
                                        ({"pyproject.toml": "[project]\nname = 'x'\nrequires-python = '~=3.12.1'\n"},
                                         "pyproject.toml asks for Python ~=3.12.1")])
def test_a_python_that_can_not_be_had_is_refused_before_anything_is_fetched(davit, files, who):
    name = f"py{len(who)}"
    folder = davit.app(name, {"requirements.txt": "", "Procfile": "worker: sleep 1000\n", **files})
    done = davit.push(folder, ok=False)
    assert done.returncode and f"{who}; 3.13.5 and 3.11.2 can be had" in done.stderr, done.stderr
    assert "Preparing" not in done.stderr and "detected" not in done.stderr
    davit.git(folder, "rm", "-q", *files)
    davit.commit(folder, {".python-version": "3.11.9\n"})
    davit.push(folder)
