"""A local HTTP server with replies that a test chooses, and replies in the format of OpenAI's API."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """The reply to one request, sent after `wait` seconds, with a `pause` in seconds before each byte."""

    body: Row | bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    pause: float = 0.0


class Service(ThreadingHTTPServer):
    """Records `paths`, `keys` and `requests` in the order of arrival, and the largest number of concurrent requests."""

    request_queue_size = 64

    def __init__(self, answer: Callable[[Row], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.requests: list[Row] = []
        self.active = self.max_active = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.paths.append(self.path)
            self.server.keys.append(self.headers["Authorization"])
            self.server.requests.append(body)
            self.server.active += 1
            self.server.max_active = max(self.server.max_active, self.server.active)
            reply = self.server.answer(body)
        self.server.closing.wait(reply.wait)
        with self.server.lock:
            self.server.active -= 1
        text = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        with suppress(ConnectionError):  # the client may have timed out
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(text)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for part in [text[i : i + 1] for i in range(len(text))] if reply.pause else [text]:
                self.server.closing.wait(reply.pause)
                self.wfile.write(part)

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Do not log."""


@contextmanager
def serve_replies(answer: Callable[[Row], Reply]) -> Iterator[Service]:
    """Serve the replies that `answer` returns, one call at a time, until the end of the `with` block."""
    with Service(answer) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            service.closing.set()
            service.shutdown()
            thread.join()


def reply_in_order(*replies: Reply) -> Callable[[Row], Reply]:
    """Return a function that returns the replies in order, and then always the last one."""
    remaining = list(replies)
    return lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0]


def make_reply(text: str, finish: str = "stop", wait: float = 0.0, **usage: Any) -> Reply:
    """Return a chat completion in the format of OpenAI's API."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    used = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, **usage}
    return Reply(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": used},
        wait=wait,
    )


def make_error(status: int, message: str = "error of the test", code: str | None = None, **headers: str) -> Reply:
    """Return an error in the format of OpenAI's API. Clients may retry after one millisecond."""
    error = {"message": message, "type": "error", "param": None, "code": code}
    return Reply({"error": error}, status, {"Retry-After-Ms": "1", **headers})


def read_question(body: Row) -> str:
    """Return the content of the last message of a request."""
    return body["messages"][-1]["content"]
