"""Labelled images from a folder, a tar or an npz file, and the way from pixels to a network's input."""

import csv
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from simulator.errors import InputError
from simulator.extract.eight_bit import eight_bit

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

# The customary ImageNet statistics (channel mean and standard deviation of pixels in 0..1), on the 0..255 scale.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_SCALE = (1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255))


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes input: resize, centre crop, channel order, then (pixel - mean) * scale.

    `resize` is the length of the short side in pixels (None leaves the size), `crop` is (height, width); `mean` and
    `scale` have one value per channel in `channel_order`, for pixels 0..255. "L" is one grey channel.
    """

    resize: int | None
    crop: tuple[int, int]
    channel_order: Literal["RGB", "BGR", "L"]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.channel_order not in ("RGB", "BGR", "L"):
            raise InputError(f"preprocessing: channel_order is {self.channel_order!r}, expected RGB, BGR or L")
        channels = len(self.channel_order)
        if (len(self.mean), len(self.scale)) != (channels, channels):
            raise InputError(
                f"preprocessing: {len(self.mean)} means and {len(self.scale)} scales, "
                f"expected {channels} of each for {self.channel_order}"
            )
        if min(self.crop) < 1 or (self.resize is not None and self.resize < min(self.crop)):
            raise InputError(f"preprocessing: cannot cut {self.crop} from a short side of {self.resize}")

    def __str__(self) -> str:
        """In words: `short side to 256, centre 224x224, RGB, (pixel - [0.0]) * [1.0]`."""
        size = "size kept" if self.resize is None else f"short side to {self.resize}"
        mean, scale = ([float(f"{value:.4g}") for value in values] for values in (self.mean, self.scale))
        return f"{size}, centre {self.crop[0]}x{self.crop[1]}, {self.channel_order}, (pixel - {mean}) * {scale}"

    def apply(self, image: Image.Image, name: str = "image") -> Tensor:
        """Return the input as float32 [C, H, W].

        Raises InputError naming an image that is smaller than the crop, or whose pixels are no 8- or 16-bit values.
        """
        image = eight_bit(image, "L" if self.channel_order == "L" else "RGB", name)
        if self.resize is not None and min(image.size) != self.resize:
            short = min(image.size)
            width, height = (max(self.resize, int(self.resize * side / short)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        height, width = self.crop
        if image.height < height or image.width < width:
            raise InputError(f"{name}: image is {image.height}x{image.width}, expected at least {height}x{width}")
        top, left = round((image.height - height) / 2), round((image.width - width) / 2)
        pixels = np.asarray(image.crop((left, top, left + width, top + height)), dtype=np.float32)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if self.channel_order == "BGR":
            pixels = pixels[::-1]
        mean = np.asarray(self.mean, dtype=np.float32)[:, None, None]
        scale = np.asarray(self.scale, dtype=np.float32)[:, None, None]
        return torch.from_numpy(np.ascontiguousarray((pixels - mean) * scale))


IMAGENET = Preprocessing(256, (224, 224), "RGB", IMAGENET_MEAN, IMAGENET_SCALE)


def resize_for(side: int) -> int:
    """Return the customary short side before a crop of `side` pixels: 256 for 224, `side` itself up to 64."""
    if side <= 64:
        return side
    return 256 if side <= 256 else round(side * 256 / 224)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in a fixed order, decoded one at a time.

    `names` are paths inside the source (running numbers for arrays), `labels` the class index per image (int64 [n]) or
    None, `fingerprint` the SHA-256 over names, sizes and labels (over the pixels for arrays).
    """

    source: str
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    fingerprint: str
    _open: Callable[[int], Image.Image]
    _numbers: tuple[int, ...]  # position in the source of each image

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int, preprocessing: Preprocessing) -> Tensor:
        """Return image `index` as float32 [C, H, W]. Raises InputError naming an image that cannot be decoded."""
        name = f"{self.source}: {self.names[index]}"
        try:
            image = self._open(self._numbers[index])
            image.load()
        except UnidentifiedImageError as error:
            raise InputError(f"{name}: no image that can be read, expected {', '.join(EXTENSIONS)}") from error
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise InputError(f"{name}: cannot be read as an image ({_one_line(error)})") from error
        return preprocessing.apply(image, name)

    def check_labels(self, num_classes: int) -> None:
        """Raise InputError naming the first image whose class index is not in 0..num_classes-1."""
        if self.labels is None:
            return
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= num_classes))
        if wrong.size:
            first = wrong[0]
            raise InputError(
                f"{self.source}: {self.names[first]} has class index {self.labels[first]}, "
                f"expected 0..{num_classes - 1} for this network ({wrong.size} such labels)"
            )

    def subset(self, positions: Sequence[int]) -> "ImageSet":
        """Return the images at `positions`, in that order. Raises InputError for a position that does not exist."""
        outside = [p for p in positions if not 0 <= p < len(self)]
        if outside:
            raise InputError(f"{self.source}: no image {outside[0]}, expected 0..{len(self) - 1}")
        chosen = list(positions)
        digest = hashlib.sha256(f"{self.fingerprint} {chosen}".encode()).hexdigest()
        return replace(
            self,
            names=tuple(self.names[p] for p in chosen),
            labels=None if self.labels is None else self.labels[chosen],
            fingerprint=digest,
            _numbers=tuple(self._numbers[p] for p in chosen),
        )


def open_images(
    path: str | Path,
    labels: str | Path | None = None,
    *,
    limit: int | None = None,
    select: Sequence[int] | None = None,
) -> ImageSet:
    """Return the images of a folder (searched recursively), an uncompressed .tar, or an .npz, sorted by name.

    An .npz holds either `images` (uint8 [n, H, W, 3], or [n, H, W] for grey) and `labels`, or `jpeg` (all files in a
    row), `offset` (n + 1) and `label`. `labels` is a TSV or CSV file with columns `file` and `class_index`, or two
    columns without a header; rows for other files are ignored. `select` keeps these positions, then `limit` the first
    so many.
    Raises InputError for a missing or empty source and for images without a label.
    """
    path = Path(path)
    if path.is_dir():
        images = _open_folder(path)
    elif not path.exists():
        raise InputError(f"{path}: does not exist, expected a folder, .tar or .npz of images")
    elif path.suffix == ".npz":
        images = _open_npz(path)
    else:
        images = _open_tar(path)
    if not len(images):
        raise InputError(f"{path}: holds no images, expected {', '.join(EXTENSIONS)}")
    if select is not None:
        images = images.subset(select)
    if labels is not None:
        images = with_labels(images, labels)
    if limit is not None:
        if limit < 1:
            raise InputError(f"{path}: limit is {limit}, expected at least 1 image")
        if limit < len(images):
            images = images.subset(range(limit))
    return images


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_image(name: str) -> bool:
    file = PurePosixPath(name).name
    return file.lower().endswith(EXTENSIONS) and not file.startswith(".")


def _image_set(
    path: Path, names: Sequence[str], content: str, read: Callable[[int], bytes], labels: npt.NDArray[np.int64] | None
) -> ImageSet:
    digest = hashlib.sha256(content.encode()).hexdigest()
    order = tuple(range(len(names)))
    return ImageSet(str(path), tuple(names), labels, digest, lambda i: Image.open(io.BytesIO(read(i))), order)


def _open_folder(path: Path) -> ImageSet:
    names = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    files = sorted(name for name in names if _is_image(name))
    content = "\n".join(f"{name}\t{(path / name).stat().st_size}" for name in files)
    return _image_set(path, files, content, lambda i: (path / files[i]).read_bytes(), None)


def _open_tar(path: Path) -> ImageSet:
    try:
        with tarfile.open(path, "r:") as tar:
            members = {m.name.removeprefix("./"): (m.offset_data, m.size) for m in tar if m.isreg()}
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: is not an uncompressed tar of images ({_one_line(error)})") from error
    names = sorted(name for name in members if _is_image(name))
    end = max((sum(members[name]) for name in names), default=0)
    if end > path.stat().st_size:
        raise InputError(f"{path}: truncated tar, {path.stat().st_size} bytes, expected at least {end}")

    def read(index: int) -> bytes:
        offset, size = members[names[index]]
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return _image_set(path, names, "\n".join(f"{name}\t{members[name][1]}" for name in names), read, None)


def _open_npz(path: Path) -> ImageSet:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = list(archive.files)
            wanted = ("images", "labels") if "images" in found else ("jpeg", "offset", "label")
            arrays = {key: archive[key] for key in wanted if key in found}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path}: is not an npz file of plain arrays ({_one_line(error)})") from error
    if "images" in arrays:
        return _pixel_arrays(path, arrays["images"], arrays.get("labels"))
    if "jpeg" in arrays and "offset" in arrays:
        return _jpeg_arrays(path, arrays["jpeg"], arrays["offset"], arrays.get("label"))
    raise InputError(
        f"{path}: holds arrays {', '.join(found) or 'none'}, expected images, labels or jpeg, offset, label"
    )


def _pixel_arrays(path: Path, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None) -> ImageSet:
    grey = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 1)
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 4 and pixels.shape[3] == 3)):
        raise InputError(
            f"{path}: images is {pixels.dtype} {list(pixels.shape)}, expected uint8 [n, H, W, 3], or [n, H, W] for grey"
        )
    if grey:
        pixels = pixels.reshape(pixels.shape[:3])
    count = len(pixels)
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    names = tuple(f"{i:06d}" for i in range(count))
    return ImageSet(
        str(path),
        names,
        _array_labels(path, labels, count),
        digest,
        lambda i: Image.fromarray(pixels[i]),
        tuple(range(count)),
    )


def _jpeg_arrays(
    path: Path, jpeg: npt.NDArray[np.uint8], offset: npt.NDArray[np.int64], labels: npt.NDArray[np.int64] | None
) -> ImageSet:
    fits = offset.ndim == 1 and len(offset) > 0 and offset[0] >= 0 and offset[-1] <= jpeg.size
    if jpeg.dtype != np.uint8 or not fits or bool(np.any(np.diff(offset) < 0)):
        raise InputError(
            f"{path}: offset does not cut jpeg ({jpeg.dtype}, {jpeg.size} bytes), expected rising positions"
        )
    count = len(offset) - 1
    names = [f"{i:06d}" for i in range(count)]
    content = hashlib.sha256(jpeg.tobytes()).hexdigest() + hashlib.sha256(offset.tobytes()).hexdigest()
    return _image_set(
        path, names, content, lambda i: jpeg[offset[i] : offset[i + 1]].tobytes(), _array_labels(path, labels, count)
    )


def _array_labels(path: Path, labels: npt.NDArray[np.int64] | None, count: int) -> npt.NDArray[np.int64] | None:
    if labels is None:
        return None
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{path}: labels are {labels.dtype} {list(labels.shape)}, expected {count} integers")
    return labels.astype(np.int64)


def _read_labels(path: Path) -> dict[str, int]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table of labels, expected columns file and class_index") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"{path}: cannot be read as a table of labels ({reason})") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: labels file is empty, expected columns file and class_index")
    delimiter = next((mark for mark in "\t," if mark in lines[0]), " ")
    rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    header = [cell.strip().lower() for cell in rows[0]]
    file_column, class_column, first = 0, 1, 0
    if "file" in header or "class_index" in header:
        if not {"file", "class_index"} <= set(header):
            raise InputError(f"{path}: columns are {', '.join(header)}, expected file and class_index")
        file_column, class_column, first = header.index("file"), header.index("class_index"), 1
    found: dict[str, int] = {}
    for number, row in enumerate(rows[first:], start=first + 1):
        cells = [cell.strip() for cell in row]
        if len(cells) <= max(file_column, class_column) or not cells[class_column].isdecimal():
            raise InputError(f"{path}: row {number} is {delimiter.join(row)!r}, expected a file and a class index")
        name, label = cells[file_column].removeprefix("./"), int(cells[class_column])
        if found.setdefault(name, label) != label:
            raise InputError(f"{path}: row {number} gives {name} class {label}, an earlier row gives {found[name]}")
    return found


def with_labels(images: ImageSet, file: str | Path) -> ImageSet:
    """The images with the labels of a file, whose rows are matched by path, else by bare file name.

    Raises InputError for an image without a row, for a file that cannot be read, and for images that have labels.
    """
    path = Path(file)
    if images.source.endswith(".npz"):
        raise InputError(f"{path}: labels file given, but {images.source} carries its own labels")
    by_name = _read_labels(path)
    matched = [by_name.get(name, by_name.get(PurePosixPath(name).name)) for name in images.names]
    missing = [name for name, label in zip(images.names, matched, strict=True) if label is None]
    if missing:
        raise InputError(f"{path}: no label for image {missing[0]} ({len(missing)} of {len(images)} images have none)")
    labels = np.asarray(matched, dtype=np.int64)
    digest = hashlib.sha256(images.fingerprint.encode() + labels.tobytes()).hexdigest()
    return replace(images, labels=labels, fingerprint=digest)


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches that can be iterated again and again; each is float32 [N, C, H, W], the last one may be smaller.

    `labels` are the class indices in the order of the images (int64 [n]), None without labels.
    """

    images: ImageSet
    preprocessing: Preprocessing
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self.images), self.batch_size):
            numbers = range(start, min(start + self.batch_size, len(self.images)))
            yield torch.stack([self.images.load(i, self.preprocessing) for i in numbers])

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """Class index per image in iteration order, or None."""
        return self.images.labels


def batches(
    images: ImageSet, preprocessing: Preprocessing, batch_size: int, indices: Sequence[int] | None = None
) -> Batches:
    """Return the images (those at `indices`, if given) in batches. Raises InputError for a batch size below 1."""
    if batch_size < 1:
        raise InputError(f"batch size is {batch_size}, expected at least 1")
    return Batches(images if indices is None else images.subset(indices), preprocessing, batch_size)
