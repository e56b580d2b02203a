"""Which images of a trace: `0:8`, `3` or `1,5,9`."""

import re
from collections.abc import Sequence

from simulator.errors import InputError

_NUMBERS = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")
_SLICE = re.compile(r"([0-9]{0,9}):([0-9]{0,9})(?::([0-9]{1,9}))?")


def selected_images(text: str, count: int, option: str) -> list[int]:
    """The images that `text` selects among `count`: "3", "1,5,9", "0:8", "0:100:2", "50:".

    A slice counts like Python's, but may not reach past the last image. Raises InputError that names `option`.
    """
    found = _SLICE.fullmatch(text)
    if found:
        start, stop, step = (int(part) if part else None for part in found.groups())
        if step == 0:
            raise InputError(f"{option} {text}: the step is 0, expected 1 or more")
        slice_stop = count if stop is None else stop
        chosen: Sequence[int] = range(start or 0, slice_stop, step or 1)
    elif _NUMBERS.fullmatch(text):
        chosen = [int(number) for number in text.split(",")]
    else:
        raise InputError(f"{option}: found '{text}', expected images such as 3, 1,5,9, 0:8 or 0:100:2")
    if not chosen:
        raise InputError(f"{option} {text}: selects no image of {count}")
    last = chosen[-1] if isinstance(chosen, range) else max(chosen)
    if last >= count:
        raise InputError(f"{option} {text}: no image {last}; there are {count} (0 is the first)")
    repeated = len(chosen) - len(set(chosen))
    if repeated:
        raise InputError(f"{option} {text}: selects {repeated} image{'s' if repeated > 1 else ''} twice")
    return list(chosen)
