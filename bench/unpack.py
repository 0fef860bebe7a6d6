#!/usr/bin/python3
"""Layers: unpacking one of 100 MB in 5,700 files (tar.gz, both digests checked on the way) against `tar xzf` of the
same file, turn by turn on the same disk: once until the command has ended, and once until it would survive power loss
(Davit: the whole import, which seals the layer in its place; tar: followed by `sync -f`). Then sealing a small layer.

Goal: <= 1.0 x tar. The files are those of this machine's /usr, so the ratio counts, not the figures."""
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "lib")]
from live import bench, row  # noqa: E402

PROGRAM = Path(os.environ.get("DAVIT_BUILD", Path(__file__).parents[1] / "build")) / "bench" / "unpack_bench"
ROUNDS, FILES, BYTES, LARGEST = 5, 5700, 102_000_000, 400_000


def choose_files():
    """FILES files of the wanted mean size: folders in a fixed shuffle, and in each the larger or the smaller files, as
    the mean asks for."""
    folders = []
    for top in ("/usr/share", "/usr/include", "/usr/lib"):
        for folder, below, names in os.walk(top):
            below.sort()
            paths = [os.path.join(folder, name) for name in sorted(names)]
            sizes = [(p, os.path.getsize(p)) for p in paths if os.path.isfile(p) and not os.path.islink(p)]
            folders.append([(path, size) for path, size in sizes if 0 < size <= LARGEST])
    random.Random(1).shuffle(folders)
    chosen, total, mean = [], 0, BYTES / FILES
    for path, size in (file for folder in folders if len(folder) >= 8 for file in folder):
        if len(chosen) < FILES and (size > mean) == (total < mean * len(chosen)):
            chosen.append(path)
            total += size
    return sorted(chosen)


def make_layer(folder):
    tar = folder / "layer.tar"
    files = choose_files()
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as t:
        made = set()
        for path in files:
            for parent in reversed(Path(path).parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    t.add(parent, str(parent).lstrip("/"), recursive=False)
            t.add(path, path.lstrip("/"))
    plain = hashlib.sha256(tar.read_bytes()).hexdigest()
    print(f"# {tar.stat().st_size / 1e6:.0f} MB, {len(files)} files, {len(made)} folders", flush=True)
    subprocess.run(["gzip", "-6", tar], check=True)
    return folder / "layer.tar.gz", plain


def make_layout(folder, layer, plain):
    """The layer as an OCI image."""
    blobs = folder / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": "sha256:" + name, "size": len(data)}

    def document(value):
        return blob(json.dumps(value).encode())

    packed = blob(layer.read_bytes())
    config = document({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + plain]}})
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = document({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [packed]})
    (folder / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "layout" / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": kind, **manifest}]}))
    return folder / "layout", packed["digest"]


def timed(*commands):
    begin = time.perf_counter()
    for command in commands:
        subprocess.run([str(a) for a in command], check=True)
    return (time.perf_counter() - begin) * 1000


def main():
    with tempfile.TemporaryDirectory(prefix="bench-unpack.", dir=os.environ.get("DAVIT_BENCH_DIR", "/var/tmp")) as name:
        folder = Path(name)
        layer, plain = make_layer(folder)
        layout, digest = make_layout(folder, layer, plain)
        jobs = {
            "davit": lambda to: [[PROGRAM, "unpack", to, layer, digest, "sha256:" + plain]],
            "tar": lambda to: [["tar", "xzf", layer, "-C", to]],
            "davit durable": lambda to: [[PROGRAM, "import", to, f"oci:{layout}"]],
            "tar durable": lambda to: [["tar", "xzf", layer, "-C", to], ["sync", "-f", to]],
        }
        times = {job: [] for job in jobs}
        for turn in range(ROUNDS + 1):
            for job, commands in jobs.items():
                # Nothing is removed before the end: ext4 is slow to use an inode again that was freed a moment ago.
                to = folder / f"{job} {turn}"
                to.mkdir()
                subprocess.run(["sync", "-f", folder], check=True)
                ms = timed(*commands(to))
                if turn:  # the first round warms the caches
                    times[job].append(ms)
        p50 = {job: statistics.median(ms) for job, ms in times.items()}
        row("unpack a 100 MB layer, digests checked", p50["davit"], p50["tar"], "<= 1.0", peer_name="tar xzf")
        row("the same, safe on disk", p50["davit durable"], p50["tar durable"], "<= 1.0", peer_name="tar xzf; sync -f")
        app = folder / "app"
        app.mkdir()
        for i in range(9):
            (app / f"file{i}").write_text("x" * 2000 * i)
        subprocess.run(["sync", "-f", folder], check=True)
        sealed = subprocess.run([PROGRAM, "seal", folder / "store", app, "50"], check=True, stdout=subprocess.PIPE, text=True).stdout
        us = [float(line) for line in sealed.split()]
        print(f"{'seal a layer of 10 files, safe on disk':<52} davit {statistics.median(us) / 1000:9.2f} ms    "
              f"largest {max(us) / 1000:.2f} ms", flush=True)


bench(main, "tar", "gzip")
