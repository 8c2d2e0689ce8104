"""Lists of options whose keys work at any size: textual's fail on paging where they have no room for a line."""

from __future__ import annotations

from collections.abc import Callable

from textual.widgets import OptionList


def mend_paging() -> None:
    """Let paging go to an end of the list where its lines are not laid out.

    Lines are laid out only where there is a width, and textual looks them up on paging all the same. The lists of its
    palette and its selects do so too, and cannot be given another class: so this mends all of them.
    """
    if OptionList.action_page_up.__module__ != __name__:
        OptionList.action_page_up = _mended(OptionList.action_page_up, OptionList.action_first)  # type: ignore[method-assign]
        OptionList.action_page_down = _mended(OptionList.action_page_down, OptionList.action_last)  # type: ignore[method-assign]


def _mended(page: Callable[[OptionList], None], end: Callable[[OptionList], None]) -> Callable[[OptionList], None]:
    def action(self: OptionList) -> None:
        try:
            page(self)
        except LookupError:
            end(self)

    return action
