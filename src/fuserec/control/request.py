"""The dials of one request: the operator's, what is kept of the user, and what the call says, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fuserec.control.board import Board
from fuserec.control.controls import Controls, controls_of
from fuserec.control.shown import showings
from fuserec.requests import left_out

if TYPE_CHECKING:
    from fuserec.control.shown import Showings
    from fuserec.fitted import Fitted
    from fuserec.requests import Request
    from fuserec.run import RunOptions

Shown = Sequence[str | tuple[str, float]]


def board_of(
    model: Fitted,
    request: Request,
    user: str | None,
    said: Controls | Mapping[str, Any] | None,
    shown: Shown,
    run: RunOptions,
) -> tuple[Board | None, tuple[str, ...]]:
    """Return the dials that act on a request, None where none is off 0; and warnings.

    Parameters
    ----------
    model : Fitted
    request : Request
        What was shown to its stored user counts, up to its moment.
    user : str or None
        Whose kept dials count, known to the data or not.
    said : Controls, mapping or None
        The dials of the call.
    shown : sequence
        What was shown beside the stored impressions.
    run : RunOptions

    Raises
    ------
    ConfigError, RequestError
        For an unknown dial, topic or column, a value that is not allowed, or showings that are none.
    """
    called = controls_of(said)
    more, unknown = showings(shown, model.dataset)
    controls = called.over(model.controls_for(user))
    if not controls.active:
        return None, ()
    history: Showings | None = None
    warnings: tuple[str, ...] = ()
    if controls.fatigue or controls.max_shown is not None:
        history = model.shown_index.to(request.user).joined(more)
        warnings = (left_out(unknown, "of what was shown"),) if unknown else ()
    board = Board.of(controls, model.catalogue, run, history, request.at)
    return (None if board.idle else board), warnings
