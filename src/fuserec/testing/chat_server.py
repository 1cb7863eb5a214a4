"""A language-model server for tests: real HTTP on loopback, the chat protocol of OpenAI, answers by a function."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = str | tuple[int, str] | tuple[int, bytes, float] | dict[str, Any]
"""The words of an answer, (a status, the body), (a status, the body, seconds before each of its bytes), or fields that
are put in the place of those of the protocol."""


class ChatServer:
    """Serves ``POST /v1/chat/completions`` while it is entered.

    Parameters
    ----------
    answer : callable
        From the request's JSON to a reply; :func:`said` gives the text that was asked about.
    key : str, optional
        The only key that is taken.
    models : tuple of str
        Others are answered with 404.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], Reply],
        key: str | None = None,
        models: tuple[str, ...] = ("m",),
    ) -> None:
        self.answer, self.key, self.models = answer, key, models
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, blob, pause = outer.replied(self)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(blob)))
                self.end_headers()
                for at in range(0, len(blob), 1 if pause else len(blob)):
                    time.sleep(pause)
                    self.wfile.write(blob[at : at + 1] if pause else blob)

            def log_message(self, *told: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address, up to the version."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def replied(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes, float]:
        """Return status and body for a request, and the pause before each byte of it."""
        status, body, *pause = self._reply(request)
        return status, body.encode() if isinstance(body, str) else body, pause[0] if pause else 0.0

    def _reply(self, request: BaseHTTPRequestHandler) -> tuple[int, str] | tuple[int, bytes, float]:
        asked = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.requests.append(asked)
        if request.path != "/v1/chat/completions":
            return _failed(404, "no such path")
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _failed(401, f"wrong key {request.headers.get('Authorization')}")
        if asked["model"] not in self.models:
            return _failed(404, "no such model")
        reply = self.answer(asked)
        if isinstance(reply, tuple):
            return reply
        fields = {"content": reply, "finish_reason": "stop"} if isinstance(reply, str) else reply
        message = {"role": "assistant", "content": fields.get("content", "")}
        made = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [
                {"index": 0, "message": message, "finish_reason": fields.get("finish_reason", "stop")}
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }
        return 200, json.dumps(made)


def _failed(status: int, why: str) -> tuple[int, str]:
    """Return an error as such servers tell it."""
    return status, json.dumps({"error": {"message": why, "type": "invalid_request_error"}})


def said(asked: dict[str, Any]) -> str:
    """Return the text from data that a request asks about."""
    found = re.fullmatch(r"<(data-[0-9a-f]{12})>\n(.*)\n</\1>", asked["messages"][1]["content"], re.DOTALL)
    assert found is not None, asked
    return found[2]
