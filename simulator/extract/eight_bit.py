"""Images of every kind of pixel as 8-bit channels."""

from typing import Literal

import numpy as np
from PIL import Image

from simulator.errors import InputError

_CONVERTED = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
"""Modes that Pillow itself converts to 8-bit grey or colour without loss of range; transparency is dropped."""

_WHITE = 65535


def eight_bit(image: Image.Image, mode: Literal["L", "RGB"], name: str) -> Image.Image:
    """The image as grey or colour of 8 bits per channel; of 16-bit values 65535 becomes 255.

    Raises InputError naming an image of floating-point numbers, of whole numbers outside 0..65535, or of a colour space
    that has no way to RGB: what is black and white in them is not known.
    """
    if image.mode in _CONVERTED:
        if isinstance(image.info.get("transparency"), bytes):
            image = image.convert("RGBA")  # from a palette with transparency Pillow warns of any other way
        return image.convert(mode)
    expected = "expected 8- or 16-bit grey, or 8-bit colour"
    if image.mode != "I" and not image.mode.startswith("I;16"):
        kind = "floating-point numbers" if image.mode == "F" else f"pixels of mode {image.mode}"
        raise InputError(f"{name}: image holds {kind}, {expected}")
    # Pillow would cut everything above 255 to 255; and it reads 16-bit files as "I" in older versions.
    values = np.asarray(image).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _WHITE:
        raise InputError(f"{name}: image holds values of {low} to {high}, {expected}")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert(mode)
