"""The file that was meant by a name that is none."""

from collections.abc import Sequence
from pathlib import Path


def near_file(given: str | Path, endings: Sequence[str]) -> str:
    """The end of a message: the file that differs from `given` in its ending alone; nothing where there is none.

    endings: those that such files have, the longest first where one ends like another.
    """
    given = str(given)
    ending = next((one for one in endings if given.endswith(one)), "")
    near = [path for one in endings if one != ending and Path(path := given.removesuffix(ending) + one).is_file()]
    return f"; did you mean {near[0]}, which lies there?" if near else ""
