"""A list of options whose keys work at any size: textual's own fails on paging where it has no room for a line."""

from __future__ import annotations

from textual.widgets import OptionList


class Options(OptionList):
    """A list of options to choose from."""

    def action_page_up(self) -> None:
        """Move up by a page; without room for a line, to the first."""
        try:
            super().action_page_up()  # type: ignore[no-untyped-call]
        except LookupError:  # lines are laid out only where there is a width, and paging looks them up all the same
            self.action_first()

    def action_page_down(self) -> None:
        """Move down by a page; without room for a line, to the last."""
        try:
            super().action_page_down()  # type: ignore[no-untyped-call]
        except LookupError:
            self.action_last()
