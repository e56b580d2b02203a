"""What a page of the documentation holds that a test can run: files, changes of files, commands and Python.

A fence with a name behind its language is a file of that name, one of language `diff` a change of that file, and
`python run` a script for the changed package. A comment `<!-- with: NEED -->` before a fence says what it needs that a
reader has; `<!-- parsed: REASON -->` that its commands are not run.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>\w+): (?P<need>[^>]*) -->\n+)?"
    r"(?:^```(?P<language>\w*) ?(?P<name>[^\n]*)\n(?P<fenced>.*?)^```$|(?P<indented>(?:^    [^\n]*\n)+))",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A piece of code on a page. mark and need are those of the comment before it."""

    language: str
    name: str
    text: str
    mark: str
    need: str

    @property
    def commands(self) -> list[list[str]]:
        """Its `fmapsim` commands, split into words."""
        joined = self.text.replace("\\\n", " ")
        lines = (line.strip() for line in joined.splitlines())
        return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("fmapsim ")]


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        text = match["fenced"] if match["indented"] is None else re.sub(r"^    ", "", match["indented"], flags=re.M)
        parts = (match["language"] or "", match["name"] or "", text, match["mark"] or "", match["need"] or "")
        found.append(Block(*parts))
    return found


def changed(text: str, diff: str) -> str:
    """The text with a change: lines that begin with a space or `-` must stand in it once, those with `+` come."""
    lines = diff.splitlines()
    old = "\n".join(line[1:] for line in lines if line[:1] in " -")
    new = "\n".join(line[1:] for line in lines if line[:1] in " +")
    assert text.count(old) == 1, f"found {text.count(old)} times: {old!r}"
    return text.replace(old, new)
