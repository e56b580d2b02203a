"""Images of every mode that Pillow knows become 8-bit channels, or are refused by name."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from simulator.errors import InputError
from simulator.extract.images import Preprocessing

RAW = Preprocessing(None, (4, 4), "RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
GREY = Preprocessing(None, (4, 4), "L", (0.0,), (1.0,))


def stored(image: Image.Image, kind: str, **options: object) -> Image.Image:
    """The image as it comes back from a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


@pytest.mark.parametrize(("kind", "dtype"), [("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", np.int32)])
def test_sixteen_bits_become_eight(kind: str, dtype: type) -> None:
    """Black stays black and white white, instead of nearly all values white."""
    values = np.array(
        [[0, 128, 129, 257], [258, 384, 386, 1000], [32767, 32768, 40000, 50000], [65406, 65407, 2, 65535]]
    )
    image = stored(Image.fromarray(values.astype(dtype)), kind)
    for channel in (*RAW.apply(image), *GREY.apply(image)):
        np.testing.assert_array_equal(channel.numpy(), np.round(values / 257))


def test_big_endian_sixteen_bits() -> None:
    image = Image.frombytes("I;16B", (4, 4), np.full((4, 4), 100 * 257, ">u2").tobytes())
    assert bool((RAW.apply(image) == 100).all())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_grey_ramp_is_the_same_in_every_mode(mode: str) -> None:
    levels = [0, 0, 255, 255] if mode == "1" else [0, 85, 170, 255]
    ramp = np.repeat(np.array(levels, np.uint8)[:, None], 4, axis=1)
    colour = Image.fromarray(ramp).convert("RGB")
    image = stored(colour.quantize(4) if mode == "P" else colour.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    assert image.mode == mode
    for channel in (*RAW.apply(image), *GREY.apply(image)):
        np.testing.assert_array_equal(channel.numpy(), ramp)


@pytest.mark.filterwarnings("error::UserWarning:PIL")
def test_a_palette_with_transparency_gives_its_colours_without_a_warning() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).quantize(16)
    expected = np.array(image.convert("RGB"), np.float32)
    found = RAW.apply(stored(image, "PNG", transparency=bytes(range(16))))
    assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "floating-point numbers"),
        (Image.fromarray(np.full((4, 4), 70_000, np.int32)), "values of 70000 to 70000"),
        (Image.fromarray(np.full((4, 4), -1, np.int32)), "values of -1 to -1"),
        (Image.new("LAB", (4, 4)), "pixels of mode LAB"),
    ],
)
def test_pixels_without_a_known_black_and_white(image: Image.Image, found: str) -> None:
    with pytest.raises(InputError) as caught:
        RAW.apply(stored(image, "TIFF"), "photos: a.png")
    assert str(caught.value) == f"photos: a.png: image holds {found}, expected 8- or 16-bit grey, or 8-bit colour"
