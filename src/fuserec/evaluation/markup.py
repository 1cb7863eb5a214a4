"""HTML as a tree of escaped parts: all that is not :class:`Html` is escaped, so data never become markup."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Union

Child = Union[str, "Html", None, Iterable["Child"]]

_VOID = frozenset({"meta", "input", "br"})


class Html(str):
    """Text that is markup already; made by :func:`element`, :func:`join`, and trusted constants only."""

    __slots__ = ()


def join(*children: Child) -> Html:
    """Put children one after another; strings are escaped, None is nothing, iterables are flattened."""
    return Html("".join(_render(child) for child in children))


def element(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """Make one element.

    Parameters
    ----------
    tag : str
        Its name.
    *children : str, Html, None, or iterables of these
        Its content; strings are escaped.
    **attributes
        ``class_`` stands for ``class`` and ``_`` for ``-``; values are escaped, None and False leave one out,
        True gives it no value.

    Examples
    --------
    >>> element("td", "a < b", class_="best", title='"', hidden=None)
    '<td class="best" title="&quot;">a &lt; b</td>'
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{written}>" if tag in _VOID else f"<{tag}{written}>{join(*children)}</{tag}>")


def _render(child: Child) -> str:
    """Return one child as markup."""
    if child is None:
        return ""
    if isinstance(child, Html):
        return str(child)
    if isinstance(child, str):
        return html.escape(child)
    return "".join(_render(part) for part in child)
