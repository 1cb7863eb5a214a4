"""Limits of a whole answer: the HTTP client waits ``timeout_s`` for every piece, and a piece may be one byte."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 16 * 2**20
"""Of an answer: the words of one are a thousandth of it."""

_ASKED_AT = "fuserec_asked_at"


class TooLongError(Exception):
    """An answer is longer than :data:`MOST_BYTES`."""


def limits(timeout_s: float) -> dict[str, list[Any]]:
    """Return hooks of an httpx client by which an answer has to be whole within so many seconds, and not too long.

    A late answer ends as every other one does that the client has waited for in vain.
    """

    def asked(request: Any) -> None:
        request.extensions[_ASKED_AT] = time.monotonic()

    def answered(response: Any) -> None:
        began = response.request.extensions[_ASKED_AT]
        response.stream = _limited(response, began + timeout_s)

    return {"request": [asked], "response": [answered]}


def _limited(response: Any, until: float) -> Any:
    """Return the stream of a response within the limits, as the library that the client stands on has streams."""
    library: Any = importlib.import_module(
        type(response).__module__.partition(".")[0]
    )  # httpx, or its successor
    stream = response.stream

    class Limited(library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for piece in stream:
                size += len(piece)
                if size > MOST_BYTES:
                    raise TooLongError
                if time.monotonic() > until:
                    raise library.ReadTimeout("the answer is not whole in time", request=response.request)
                yield piece

        def close(self) -> None:
            stream.close()

    return Limited()
