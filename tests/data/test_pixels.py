import numpy as np
import pytest
from PIL import Image
from torch import from_numpy
from torch.testing import assert_close

from ganctl.data.pixels import ORIENTATION, Decoding, Look, decode, look

NATIVE = Decoding(None, "crop", 3)
GREY = Decoding(None, "crop", 1)
rng = np.random.default_rng(0)


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def near(pixels, expected, tolerance=0):
    assert_close(from_numpy(pixels.astype(int)), from_numpy(np.asarray(expected, int)), atol=tolerance, rtol=0)


@pytest.mark.parametrize("suffix", ["png", "bmp", "PNG"])
def test_lossless_rgb_is_exact(tmp_path, suffix):
    pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", pixels)
    near(decode(path, NATIVE), pixels)
    assert look(path) == Look((5, 7), grey=False)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_lossy_flat_colour_is_near(tmp_path, suffix):
    flat = np.full((16, 16, 3), [200, 100, 50], np.uint8)
    near(decode(saved(tmp_path / f"a.{suffix}", flat), NATIVE), flat, tolerance=3)


def test_grey_stays_grey_or_fills_three_channels(tmp_path):
    pixels = rng.integers(0, 256, (4, 6), dtype=np.uint8)
    path = saved(tmp_path / "a.png", pixels)
    assert look(path).grey
    near(decode(path, GREY)[..., 0], pixels)
    near(decode(path, NATIVE), np.stack([pixels] * 3, -1))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)  # 257 is one step of 255; 129 rounds up to it
    path = saved(tmp_path / "a.png", values)
    assert look(path).grey
    near(decode(path, GREY)[..., 0], [[0, 0, 1, 1, 128, 255]])


def test_transparency_is_laid_on_white(tmp_path):
    clear, half, full = [255, 0, 0, 0], [0, 0, 0, 128], [9, 8, 7, 255]
    path = saved(tmp_path / "a.png", np.array([[clear, half, full]], np.uint8))
    near(decode(path, NATIVE), [[[255] * 3, [127] * 3, [9, 8, 7]]])


def test_grey_with_transparency(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[[40, 255], [40, 0]]], np.uint8), "LA").save(path)
    assert look(path).grey
    near(decode(path, GREY)[..., 0], [[40, 255]])


def test_a_palette_with_a_transparent_entry(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=b"\xff\x00")
    near(decode(tmp_path / "a.png", NATIVE), [[[10, 20, 30], [255, 255, 255]]])


def test_one_bit(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[0, 255]], np.uint8), mode="1")
    assert look(path).grey
    near(decode(path, GREY)[..., 0], [[0, 255]])


def test_cmyk(tmp_path):
    path = saved(tmp_path / "a.jpg", np.full((16, 16, 3), [255, 0, 0], np.uint8), mode="CMYK", quality=95)
    near(decode(path, NATIVE), np.full((16, 16, 3), [255, 0, 0]), tolerance=4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_turned_photograph_is_set_upright(tmp_path, suffix):
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, 16:] = 255  # white at the right
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise for viewing: right becomes bottom
    path = saved(tmp_path / f"a.{suffix}", pixels, exif=exif)
    assert look(path).size == (32, 16)
    upright = decode(path, GREY)[..., 0]
    assert upright.shape == (32, 16)
    assert upright[:14].max() < 20
    assert upright[18:].min() > 235


def test_crop_takes_the_centre_and_resize_stretches(tmp_path):
    pixels = np.full((8, 24, 3), 255, np.uint8)
    pixels[:, 8:16] = 0  # white, black, white, a third each
    path = saved(tmp_path / "a.png", pixels)
    near(decode(path, Decoding((8, 8), "crop", 3)), np.zeros((8, 8, 3)))
    stretched = decode(path, Decoding((8, 6), "resize", 1))[..., 0]
    assert stretched.shape == (8, 6)
    assert stretched[:, 0].min() > 200
    assert stretched[:, 2].max() < 60


def test_a_small_image_is_enlarged(tmp_path):
    path = saved(tmp_path / "a.png", np.full((4, 6), 77, np.uint8))
    near(decode(path, Decoding((12, 10), "crop", 1)), np.full((12, 10, 1), 77))
