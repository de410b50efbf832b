"""What the tests of bundles share beside their fixtures (conftest.py): a download site's files, servers, forgers."""

import contextlib
import hashlib
import io
import json
import sys
import threading
import warnings
import zipfile
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from loaders import esp_image, kind, uf2_image

from tools.bundle import file

# Image -> a board type of the shipped town that takes it.
TYPES = {
    "ESP32_GENERIC": "esp32", "ESP32_GENERIC_C3": "esp32-c3", "RPI_PICO": "pico", "RPI_PICO2": "pico2", "RPI_PICO_W": "pico-w",
}  # fmt: skip


def made(name, version="1.29.0"):
    return (esp_image if kind(TYPES[name]).platform == "esp32" else uf2_image)(TYPES[name], version)


def file_of(name):
    return f"{name}-20260824-v1.29.0.{'bin' if name.startswith('ESP') else 'uf2'}"


@cache
def known_facts():
    """What the project knows of these files: RPI_PICO2 it does not."""
    known = {name: hashlib.sha256(made(name)).hexdigest() for name in TYPES if name != "RPI_PICO2"}
    return file.Facts("1.29.0", "20260824", "https://127.0.0.1:1/", known)


class Server(ThreadingHTTPServer):
    """A web server on loopback; `answer(handler)` writes what comes for each request, whose paths are kept."""

    daemon_threads = True

    def __init__(self, answer):
        outer = self
        self.paths = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.paths.append(self.path)
                with contextlib.suppress(OSError):
                    answer(self)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/firmware/"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


def send(handler, data, *, length=None, status=200, headers=()):
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    if length != "none":
        handler.send_header("Content-Length", str(len(data) if length is None else length))
    handler.end_headers()
    handler.wfile.write(data)


def good(handler):
    send(handler, made(handler.path.rpartition("/")[2].partition("-")[0]))


def rebuilt(path, *, change=None, add=(), drop=(), deflate=False):
    """The bundle written anew: `change(manifest as JSON)`, members added [(name, data)] or dropped."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist() if name not in drop]
    said = json.loads(members[0][1])
    if change:
        change(said)
    members[0] = ("manifest.json", json.dumps(said).encode())
    out = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", how) as archive:
        for name, data in [*members, *add]:
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return out.getvalue()


def put(said, path, data, listed=None):
    said["files"][path] = {"bytes": len(data) if listed is None else listed, "sha256": hashlib.sha256(data).hexdigest()}
