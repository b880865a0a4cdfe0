"""An S3 server in a thread of this process, and the faults that a test asks of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Fault = Callable[[dict, "Wrapped"], Iterator[bytes]]
Wrapped = Callable[[], Iterator[bytes]]


class _Quiet(WSGIRequestHandler):
    """Says nothing of requests, and nothing of the connections that a test has it lose."""

    def log(self, *_: object) -> None:
        pass


@dataclass
class Server:
    """An S3 server.

    Attributes
    ----------
    requests
        How many came, by method.
    faults
        How many of the next requests of a kind go wrong: ``failed put``, ``slow get``, ``lost get``, ``failed get``.
    only
        Those alone of an object whose address holds this text.
    """

    requests: Counter = field(default_factory=Counter)
    faults: Counter = field(default_factory=Counter)
    only: str = ""

    def __post_init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._lock = threading.Lock()
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def quiet(self) -> None:
        """Nothing goes wrong any more, and nothing was asked."""
        self.faults.clear()
        self.requests.clear()
        self.only = ""

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __call__(self, environ: dict, start_response: Callable) -> Iterator[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.requests[method] += 1
            names = {"PUT": ("failed put",), "GET": ("slow get", "lost get", "failed get")}.get(method, ())
            hit = next(
                (name for name in names if self.faults[name] > 0 and self.only in path and "/" in path[1:]), None
            )
            if hit is not None:
                self.faults[hit] -= 1
        if hit in ("failed put", "failed get"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return iter([b""])
        if hit == "slow get":
            time.sleep(1)
        content = self._app(environ, start_response)
        return _cut(content) if hit == "lost get" else content


def _cut(content: Iterator[bytes]) -> Iterator[bytes]:
    """Half of a body; then the connection is lost."""
    whole = b"".join(content)
    yield whole[: len(whole) // 2]
    raise ConnectionResetError


def upload(fs, folder: Path, address: str) -> None:
    """Put the files of a folder below an address."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            fs.pipe_file(f"{address}/{path.relative_to(folder)}", path.read_bytes())


def download(fs, address: str, folder: Path) -> Path:
    """What ``aws s3 sync`` does: each object becomes a file."""
    root = address.removeprefix("s3://")
    for name in fs.find(root):
        place = folder / name.removeprefix(f"{root}/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(fs.cat_file(name))
    return folder
