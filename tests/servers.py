"""A server on this machine that misbehaves as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class Site:
    """Files by their path, faults to come, and what was asked for.

    Attributes:
        files: Content by path.
        faults: For each path what becomes of the next requests, one each: a status, or after how
            many bytes the connection is cut.
        asked: Path and Range header of each request.
    """

    def __init__(self):
        self.files, self.faults, self.asked, self.url = {}, {}, [], ""

    def tag(self, path):
        return f'"{hash(self.files[path])}"'


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(body=True)

    def do_POST(self):
        """What Hugging Face says of files of a data set."""
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        paths = json.loads(sent)["paths"] if sent.startswith("{") else parse_qs(sent)["paths"]
        repository = self.path.removeprefix("/api").removesuffix("/paths-info/main")
        files = self.server.site.files
        found = [
            {"type": "file", "path": path, "oid": "0", "size": len(files[place])}
            for path in paths
            if (place := f"{repository}/resolve/main/{path}") in files
        ]
        answer = json.dumps(found).encode()
        self._begin(200, {"Content-Type": "application/json", "Content-Length": str(len(answer))})
        self.wfile.write(answer)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, *, body):
        site, path = self.server.site, self.path.partition("?")[0]
        wanted = self.headers.get("Range")
        site.asked.append((path, wanted))
        faults = site.faults.get(path, []) if body else []
        kind, number = faults.pop(0) if faults else (None, 0)
        if kind == "status" or path not in site.files:
            self._begin(number if kind == "status" else 404, {"Content-Length": "0"})
            return
        content, status = site.files[path], 200
        headers = {"ETag": site.tag(path), "X-Repo-Commit": "1" * 40, "Accept-Ranges": "bytes"}
        whole = len(content)
        if wanted and self.headers.get("If-Range", site.tag(path)) == site.tag(path):
            first = int(wanted.removeprefix("bytes=").partition("-")[0])
            content, status = content[first:], 206
            headers["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
        self._begin(status, headers | {"Content-Length": str(len(content))})
        if body:
            self.wfile.write(content[:number] if kind == "cut" else content)
            self.close_connection = True

    def _begin(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a site on a free port."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.site = site
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
