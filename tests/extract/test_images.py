import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from simulator.errors import InputError
from simulator.extract.images import IMAGENET, ImageSet, Preprocessing, batches, open_images, resize_for

torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RAW = Preprocessing(None, (4, 4), "RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
NAMES = ["a/x.png", "a/y.PNG", "b.bmp", "z.png"]  # in sorted order


def pixels(seed: int, height: int = 4, width: int = 4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(array: np.ndarray[Any, np.dtype[np.uint8]], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def files() -> dict[str, bytes]:
    kinds = {".bmp": "BMP"}
    images = {name: encoded(pixels(i), kinds.get(Path(name).suffix, "PNG")) for i, name in enumerate(NAMES)}
    return images | {"notes.txt": b"not an image", "a/._x.png": b"left by an archiver"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    for name, content in files().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_tar(path: Path, content: dict[str, bytes], mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    shuffled = dict(sorted(files().items(), reverse=True))
    return write_tar(tmp_path / "images.tar", {f"./{name}": data for name, data in shuffled.items()})


def labels_file(folder: Path, text: str, name: str = "labels.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def assert_holds_the_four(images: ImageSet) -> None:
    assert list(images.names) == NAMES
    assert len(images) == 4
    for i in range(4):
        expected = torch.from_numpy(pixels(i)).permute(2, 0, 1).float()
        assert torch.equal(images.load(i, RAW), expected), images.names[i]


def test_folder_and_tar_give_the_same_images_in_the_same_order(folder: Path, tar: Path) -> None:
    assert_holds_the_four(open_images(folder))
    assert_holds_the_four(open_images(tar))
    assert open_images(folder).fingerprint == open_images(tar).fingerprint
    assert open_images(folder).labels is None


def test_fingerprint_follows_names_sizes_labels_and_selection(folder: Path, tmp_path: Path) -> None:
    prints = [open_images(folder).fingerprint, open_images(folder, limit=3).fingerprint]
    prints.append(open_images(folder, select=[0, 1, 3]).fingerprint)
    for classes in ("0 1 2 3", "0 1 2 2"):
        rows = "\n".join(f"{name}\t{label}" for name, label in zip(NAMES, classes.split(), strict=True))
        prints.append(open_images(folder, labels_file(tmp_path, rows)).fingerprint)
    (folder / "b.bmp").write_bytes(encoded(pixels(0, 9, 9), "BMP"))
    prints.append(open_images(folder).fingerprint)
    assert len(set(prints)) == len(prints)


def test_npz_of_pixels(tmp_path: Path) -> None:
    data = np.stack([pixels(i) for i in range(5)])
    path = tmp_path / "set.npz"
    np.savez(path, images=data, labels=np.arange(5, dtype=np.uint8), all_labels=np.arange(99))
    images = open_images(path, limit=4)
    assert list(images.names) == ["000000", "000001", "000002", "000003"]
    assert images.labels is not None
    assert images.labels.dtype == np.int64
    assert images.labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(images.load(3, RAW), torch.from_numpy(data[3]).permute(2, 0, 1).float())


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 4, 4, 1)])
def test_npz_of_grey_pixels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = np.arange(48, dtype=np.uint8).reshape(shape)
    np.savez(tmp_path / "grey.npz", images=data)
    loaded = open_images(tmp_path / "grey.npz").load(1, Preprocessing(None, (4, 4), "L", (0.0,), (1.0,)))
    np.testing.assert_array_equal(loaded.numpy().ravel(), np.arange(16, 32))


def test_npz_of_jpeg_files(tmp_path: Path) -> None:
    data = [encoded(pixels(i, 8, 8), "JPEG") for i in range(3)]
    offset = np.cumsum([0, *map(len, data)])
    path = tmp_path / "set.npz"
    np.savez(path, jpeg=np.frombuffer(b"".join(data), np.uint8), offset=offset, label=np.array([7, 8, 9]))
    images = open_images(path, select=[2, 0])
    assert images.labels is not None
    assert images.labels.tolist() == [9, 7]
    expected = np.asarray(Image.open(io.BytesIO(data[2])), dtype=np.float32)[2:6, 2:6]
    assert torch.equal(images.load(0, RAW), torch.from_numpy(expected).permute(2, 0, 1))


# --- labels ---


@pytest.mark.parametrize(
    "text",
    [
        "file\tclass_index\twnid\nz.png\t3\tn1\na/x.png\t0\tn2\nb.bmp\t2\tn3\na/y.PNG\t1\tn4\nextra.png\t9\tn5\n",
        "class_index,file\n3,z.png\n0,a/x.png\n2,b.bmp\n1,a/y.PNG\n",
        "z.png\t3\na/x.png\t0\nb.bmp\t2\n\na/y.PNG\t1",
        "z.png 3\nx.png 0\nb.bmp 2\ny.PNG 1\n",
        "\ufeffz.png, 3\n./a/x.png, 0\nb.bmp, 2\ny.PNG, 1\n",
    ],
    ids=["tsv with header", "csv with header", "tsv", "spaces and bare names", "csv with byte-order mark"],
)
def test_forms_of_labels_files(folder: Path, tmp_path: Path, text: str) -> None:
    images = open_images(folder, labels_file(tmp_path, text))
    assert images.labels is not None
    assert images.labels.dtype == np.int64
    assert images.labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels file is empty"),
        ("file\tlabel\nb.bmp\t1\n", "columns are file, label, expected file and class_index"),
        ("b.bmp\t1\nz.png\tcat\n", r"row 2 is 'z\.png\\tcat', expected a file and a class index"),
        ("b.bmp,-1\n", "row 1 is 'b.bmp,-1'"),
        ("b.bmp\n", "row 1 is 'b.bmp'"),
        ("b.bmp\t1\nb.bmp\t2\n", "row 2 gives b.bmp class 2, an earlier row gives 1"),
        ("b.bmp\t1\nz.png\t2\n", "no label for image a/x.png .2 of 4 images have none"),
    ],
)
def test_labels_that_do_not_fit(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_images(folder, labels_file(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "labels.tsv"))
    assert "\n" not in str(caught.value)


def test_missing_labels_file(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"absent\.tsv: no such table of labels, expected columns file and class_index"
    ):
        open_images(folder, folder / "absent.tsv")


def test_labels_beyond_the_networks_classes(folder: Path, tmp_path: Path) -> None:
    rows = "".join(f"{name}\t{label}\n" for name, label in zip(NAMES, (0, 9, 10, 12), strict=True))
    images = open_images(folder, labels_file(tmp_path, rows))
    images.check_labels(13)
    with pytest.raises(InputError, match=r"b\.bmp has class index 10, expected 0\.\.9 for this network \(2 such"):
        images.check_labels(10)
    open_images(folder).check_labels(10)  # no labels, nothing to check


# --- sources that cannot be used ---


def test_sources_that_are_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: does not exist, expected a folder"):
        open_images(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("text")
    with pytest.raises(InputError, match=r"empty: holds no images, expected \.jpg"):
        open_images(tmp_path / "empty")
    with pytest.raises(InputError, match="holds no images"):
        open_images(write_tar(tmp_path / "empty.tar", {"notes.txt": b"text"}))


def test_archives_that_are_none(tmp_path: Path, tar: Path) -> None:
    (tmp_path / "text.tar").write_text("hello")
    with pytest.raises(InputError, match=r"text\.tar: is not an uncompressed tar"):
        open_images(tmp_path / "text.tar")
    with pytest.raises(InputError, match=r"images\.tar\.gz: is not an uncompressed tar"):
        open_images(write_tar(tmp_path / "images.tar.gz", files(), "w:gz"))
    big = write_tar(tmp_path / "big.tar", {"a.png": encoded(pixels(0, 99, 99)), "b.png": encoded(pixels(1, 99, 99))})
    big.write_bytes(big.read_bytes()[:40_000])
    with pytest.raises(InputError, match=r"big\.tar: (is not an uncompressed tar|truncated tar)"):
        open_images(big)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.zeros(3)}, "holds arrays data, expected images, labels or jpeg, offset, label"),
        ({"images": np.zeros((2, 4, 4, 3), np.float32)}, r"images is float32 \[2, 4, 4, 3\], expected uint8"),
        (
            {"images": np.zeros((2, 3, 4, 4), np.uint8)},
            r"images is uint8 \[2, 3, 4, 4\], expected uint8 \[n, H, W, 3\]",
        ),
        ({"images": np.zeros((2, 4, 4, 3), np.uint8), "labels": np.zeros(3, int)}, "expected 2 integers"),
        ({"jpeg": np.zeros(9, np.uint8), "offset": np.array([0, 12])}, "offset does not cut jpeg"),
        ({"jpeg": np.zeros(9, np.uint8), "offset": np.array([0, 5, 3])}, "offset does not cut jpeg"),
        ({"images": np.array([{"a": 1}], dtype=object)}, "is not an npz file of plain arrays"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(InputError, match=message):
        open_images(tmp_path / "set.npz")


def test_npz_mistakes(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="is not an npz file"):
        open_images(tmp_path / "text.npz")
    np.savez(tmp_path / "set.npz", images=pixels(0)[None])
    with pytest.raises(InputError, match=r"labels file given, but .* carries its own labels"):
        open_images(tmp_path / "set.npz", labels_file(tmp_path, "000000\t1"))


WHOLE = encoded(pixels(0, 64, 64))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no image that can be read, expected .jpg, .jpeg, .png, .bmp, .webp"),
        (b"text", "no image that can be read, expected .jpg, .jpeg, .png, .bmp, .webp"),
        (WHOLE[: len(WHOLE) // 2], "cannot be read as an image (image file is truncated"),
    ],
)
def test_an_unreadable_image_is_named(folder: Path, content: bytes, message: str) -> None:
    (folder / "b.bmp").write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_images(folder).load(2, RAW)
    assert str(caught.value).startswith(f"{folder}: b.bmp: {message}")
    assert "\n" not in str(caught.value)


def test_positions_that_do_not_exist(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no image 4, expected 0\.\.3"):
        open_images(folder, select=[1, 4])
    with pytest.raises(InputError, match="limit is 0"):
        open_images(folder, limit=0)
    assert len(open_images(folder, limit=10)) == 4


# --- from pixels to input ---


def test_channel_order_mean_and_scale() -> None:
    image = Image.fromarray(pixels(0))
    red, green, blue = torch.from_numpy(pixels(0)).permute(2, 0, 1).float()
    bgr = Preprocessing(None, (4, 4), "BGR", (104.0, 117.0, 123.0), (1.0, 0.5, 2.0)).apply(image)
    expected = torch.stack([blue - 104, (green - 117) * 0.5, (red - 123) * 2])
    assert bgr.dtype == torch.float32
    assert bgr.is_contiguous()
    torch.testing.assert_close(bgr, expected)
    rgb = Preprocessing(None, (4, 4), "RGB", (1.0, 2.0, 3.0), (1.0, 1.0, 1.0)).apply(image)
    torch.testing.assert_close(rgb, torch.stack([red - 1, green - 2, blue - 3]))


def test_grey_and_palette_images_become_three_channels() -> None:
    grey = Image.fromarray(pixels(0)[:, :, 0])
    x = RAW.apply(grey)
    assert torch.equal(x[0], x[2])
    assert list(RAW.apply(Image.fromarray(pixels(0)).convert("P")).shape) == [3, 4, 4]
    one = Preprocessing(None, (4, 4), "L", (0.0,), (1.0,)).apply(grey)
    assert torch.equal(one[0], x[0])


def test_centre_crop_is_central() -> None:
    array = np.zeros((8, 12, 3), np.uint8)
    array[2:6, 4:8] = 255
    assert bool((RAW.apply(Image.fromarray(array)) == 255).all())


def test_imagenet_statistics() -> None:
    mean_pixel = np.broadcast_to(np.array([124, 116, 104], np.uint8), (300, 400, 3)).copy()
    x = IMAGENET.apply(Image.fromarray(mean_pixel))
    assert list(x.shape) == [3, 224, 224]
    expected = torch.tensor([(124 / 255 - 0.485) / 0.229, (116 / 255 - 0.456) / 0.224, (104 / 255 - 0.406) / 0.225])
    torch.testing.assert_close(x[:, 100, 100], expected, atol=1e-5, rtol=0)


def test_resize_averages_instead_of_dropping_pixels() -> None:
    """Halving a checkerboard gives grey (antialiased), not black or white."""
    board = ((np.indices((16, 24)).sum(0) % 2) * 255).astype(np.uint8)
    image = Image.fromarray(np.stack([board] * 3, axis=2))
    x = Preprocessing(8, (8, 12), "RGB", (0.0,) * 3, (1.0,) * 3).apply(image)
    assert list(x.shape) == [3, 8, 12]
    assert float((x - 127.5).abs().max()) < 3


def test_short_side_is_resized_and_ratio_kept() -> None:
    ramp = np.repeat(np.arange(0, 250, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)  # 100 x 250
    x = Preprocessing(50, (50, 125), "RGB", (0.0,) * 3, (1.0,) * 3).apply(Image.fromarray(ramp))
    assert float((x[0, 25] - torch.arange(0.5, 250, 2)).abs().max()) <= 1.0
    assert [resize_for(side) for side in (32, 64, 224, 227, 256, 299)] == [32, 64, 256, 256, 256, 342]


def test_image_smaller_than_the_crop_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a/x\.png: image is 4x4, expected at least 5x5"):
        open_images(folder).load(0, Preprocessing(None, (5, 5), "RGB", (0.0,) * 3, (1.0,) * 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, (4, 4), "GBR", (0.0,) * 3, (1.0,) * 3), "channel_order is 'GBR'"),
        ((None, (4, 4), "RGB", (0.0,), (1.0,) * 3), "1 means and 3 scales, expected 3 of each for RGB"),
        ((3, (4, 4), "RGB", (0.0,) * 3, (1.0,) * 3), "cannot cut"),
        ((None, (0, 4), "RGB", (0.0,) * 3, (1.0,) * 3), "cannot cut"),
    ],
)
def test_impossible_preprocessing(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocessing(*arguments)


# --- batches ---


def test_batches_can_be_iterated_twice_and_keep_the_order(folder: Path, tmp_path: Path) -> None:
    rows = "".join(f"{name}\t{i}\n" for i, name in enumerate(NAMES))
    images = open_images(folder, labels_file(tmp_path, rows))
    data = batches(images, RAW, 2, indices=[3, 0, 2])
    first, second = list(data), list(data)
    assert [list(x.shape) for x in first] == [[2, 3, 4, 4], [1, 3, 4, 4]]
    assert len(data) == 2
    assert data.labels is not None
    assert data.labels.tolist() == [3, 0, 2]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.cat(first)[1], images.load(0, RAW))
    assert len(batches(images, RAW, 100)) == 1
    assert batches(open_images(folder), RAW, 1).labels is None
    with pytest.raises(InputError, match="batch size is 0"):
        batches(images, RAW, 0)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the images in {SHARED}")
def test_real_images() -> None:
    images = open_images(SHARED / "imagenet_sample_1000_256.tar", SHARED / "imagenet_sample_1000_labels.tsv")
    assert len(images) == 1000
    assert images.labels is not None
    assert images.labels.tolist() == list(range(1000))
    images.check_labels(1000)
    assert list(images.load(999, IMAGENET).shape) == [3, 224, 224]
    jpeg = open_images(SHARED / "cifar10_test_jpeg.npz")
    assert len(jpeg) == 5000
    assert jpeg.labels is not None
    assert np.bincount(jpeg.labels).tolist() == [500] * 10
