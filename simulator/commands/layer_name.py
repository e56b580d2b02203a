"""Names of layers in tables: where a table is too wide, they break at a separator and not inside a word."""

import re
from typing import Any

from rich.console import Console
from rich.containers import Lines
from rich.text import Text

_PIECES = re.compile(r"[^._/\-:]*[._/\-:]+|[^._/\-:]+")


class LayerName(Text):
    """A cell with the name of a layer."""

    def wrap(self, console: Console, width: int, **how: Any) -> Lines:
        """Lines of at most `width` columns, each ending behind a separator where there is one."""
        lines = [""]
        for piece in _PIECES.findall(self.plain):
            if lines[-1] and len(lines[-1]) + len(piece) > width:
                lines.append("")
            lines[-1] += piece
        return Lines(part for line in lines for part in Text(line).wrap(console, width, **how))
