"""Text that changes often: the screen around it is laid out again only where the text asks for other room."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.css.styles import RulesMap


class Words(Static):
    """A ``Static`` whose updates cost what they change.

    What it says already is not drawn again, and ``layout`` happens only where the new text is wider or higher than
    the room it has, or leaves some.
    """

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Say something else."""
        before = self.content
        if isinstance(content, Content) and isinstance(before, Content):
            if before.is_same(content):
                return
            layout = layout and not self._has_room(before, content)
        super().update(content, layout=layout)

    def _has_room(self, before: Content, after: Content) -> bool:
        """Whether the new text takes the room that the old one was given."""
        styles, width = self.styles, self.content_size.width
        rules, least = cast("RulesMap", styles), styles.min_height
        if not width or (
            styles.is_auto_width and before.get_optimal_width(rules, 0) != after.get_optimal_width(rules, 0)
        ):
            return False
        floor = int(least.value) if least is not None and least.is_cells else 0
        heights = {max(floor, text.get_height(rules, width)) for text in (before, after)}
        return not styles.is_auto_height or len(heights) == 1
