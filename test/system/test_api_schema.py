"""The API does what docs/openapi.yaml says of it: schemathesis sends what the description allows and what it doesn't to
a live Davit, and compares each answer with it."""
import hashlib
import json
import os
import subprocess
import venv

import pytest
from davit import CACHE, REPO, _cache_lock

PINNED = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"]
# Endless and destructive requests are kept away from what the run itself needs: HOOKS below.
HOOKS = '''
import io
import os
import tarfile

import schemathesis
from schemathesis.core import NOT_SET

APP, USER, TOKEN = (os.environ["FUZZ_" + name] for name in ("APP", "USER", "TOKEN"))


@schemathesis.serializer("application/x-tar")
def tar(context, value):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as t:
        t.addfile(tarfile.TarInfo("nothing that could be built"))
    return packed.getvalue()


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.path_parameters or {}
    if isinstance(case.query, dict) and str(case.query.get("follow")) == "1":
        case.query["follow"] = 0  # such an answer has no end
    if path.get("user") == USER:
        path["user"] = "somebody"
    if TOKEN.startswith(str(path.get("id")) or "-"):
        path["id"] = "somebody"
    destroys = case.method == "DELETE" and case.operation.path == "/v1/apps/{app}"
    if destroys and path["app"] == APP:
        path["app"] = "none"
    if case.operation.path == "/v1/apps/{app}/builds":  # either an image or a source
        image = isinstance(case.query, dict) and case.query.get("image")
        case.body, case.media_type = (NOT_SET, None) if image else (b"", "application/x-tar")
    if "app" in path and not destroys and case.meta.generation.mode.is_positive:
        path["app"] = APP  # one that has something to show
'''
# 422: well-formed, but it doesn't apply to what there is now (RFC 9110 §15.5.21).
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422", "5xx"]

# The hook gives each of these a body that fits: what was wrong may then be right.
[[operations]]
include-operation-id = "builds_create"
checks.negative_data_rejection.enabled = false
"""


@pytest.fixture(scope="module")
def tools():
    """The folder of the pinned programs, installed once a machine."""
    folder = CACHE / f"schemathesis-{hashlib.sha256(' '.join(PINNED).encode()).hexdigest()[:12]}"
    with _cache_lock():
        if not (folder / "complete").exists():
            venv.create(folder, clear=True, with_pip=True)
            done = subprocess.run([folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *PINNED],
                                  capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no schemathesis to be had: {done.stderr.strip().splitlines()[-1:]}")
            (folder / "complete").touch()
    return folder / "bin"


@pytest.mark.slow
def test_the_description_is_valid_openapi(tools):
    subprocess.run([tools / "openapi-spec-validator", REPO / "docs/openapi.yaml"], check=True)


@pytest.mark.slow
def test_every_answer_is_as_described(davit, tools, tmp_path):
    davit.push(davit.app("shop", {"public/index.html": "shop"}))
    davit.cli("config", "set", "-a", "shop", "A=1")
    davit.cli("users", "add", "fuzz", "--role", "admin")
    token = json.loads(davit.cli("tokens", "create", "--name", "fuzz", "--user", "fuzz", "--json"))["token"]
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    port = davit.settings["http_port"]
    done = subprocess.run(
        [tools / "schemathesis", "run", f"http://127.0.0.1:{port}/v1/openapi.yaml", "-H", f"Host: api.localhost:{port}",
         "-H", f"Authorization: Bearer {token}", "--phases", "examples,coverage,fuzzing", "--max-examples", "20",
         "--request-timeout", "60", "--seed", "1", "--no-shrink"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path), "FUZZ_APP": "shop", "FUZZ_USER": "fuzz",
             "FUZZ_TOKEN": hashlib.sha256(token.encode()).hexdigest()})
    assert done.returncode == 0, done.stdout.replace("\\x00", "")[-20000:] + done.stderr
    assert "Tested: 30" in done.stdout, done.stdout
