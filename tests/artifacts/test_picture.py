from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image

from ganctl.artifacts.picture import limits_of, replacing, save, save_film, scatter, tile, to_uint8
from ganctl.errors import UserError


def flat(*levels: int, height: int = 2, width: int = 3, channels: int = 1) -> np.ndarray:
    return np.stack([np.full((height, width, channels), level, np.uint8) for level in levels])


def test_levels_are_clipped_and_rounded_never_rescaled():
    images = torch.tensor([-1.0, 0.0, 1.0, 7.0, -0.5, 1 / 255]).view(6, 1, 1, 1)
    assert to_uint8(images).ravel().tolist() == [0, 128, 255, 255, 64, 128]
    assert to_uint8(torch.full((1, 1, 2, 2), 0.5)).ravel().tolist() == [191] * 4


def test_every_level_survives_the_way_to_floats_and_back():
    levels = torch.arange(256)
    assert to_uint8((levels / 127.5 - 1).view(-1, 1, 1, 1)).ravel().tolist() == levels.tolist()


def test_channels_come_last():
    images = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    pixels = to_uint8(images)
    assert pixels.shape == (1, 4, 5, 3)
    assert pixels.flags.c_contiguous
    assert pixels[0, 3, 4].tolist() == [0, 128, 255]


def test_tiles_lie_in_reading_order_on_white():
    picture = np.asarray(tile(flat(10, 20, 30, 40, 50), padding=1, min_size=1))
    assert picture.shape == (2 * 3 + 1, 3 * 4 + 1)
    assert picture[0].tolist() == [255] * 13
    assert picture[1].tolist() == [255, 10, 10, 10, 255, 20, 20, 20, 255, 30, 30, 30, 255]
    assert picture[5].tolist() == [255, 40, 40, 40, 255, 50, 50, 50, 255, 255, 255, 255, 255]


@pytest.mark.parametrize(("columns", "size"), [(1, (3, 10)), (5, (15, 2)), (50, (15, 2)), (None, (9, 4))])
def test_columns_and_near_square(columns, size):
    assert tile(flat(1, 2, 3, 4, 5), columns, padding=0, min_size=1).size == size


@pytest.mark.parametrize(("side", "factor"), [(28, 3), (32, 2), (64, 1), (96, 1)])
def test_small_images_are_enlarged_by_whole_factors(side, factor):
    assert tile(flat(1, height=side, width=side), padding=0).size == (side * factor, side * factor)


def test_enlarging_repeats_pixels():
    image = np.array([[1, 2], [3, 4]], np.uint8)[None, :, :, None]
    picture = np.asarray(tile(image, padding=0, min_size=4))
    assert picture.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_a_grid_of_very_many_is_enlarged_less():
    assert tile(flat(*[0] * 100, height=32, width=32), columns=100, padding=0).size == (3200, 32)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_modes_of_one_to_four_channels(channels, mode):
    assert tile(flat(9, channels=channels)).mode == mode


def test_five_channels_are_refused():
    with pytest.raises(UserError, match=r"5 channels.*\n.*npz"):
        tile(flat(9, channels=5))


def test_limits_leave_a_fifth_on_either_side_and_serve_both_axes():
    assert limits_of([[0.0, 5.0], [10.0, 5.0]]) == (-2.0, 12.0)
    assert limits_of([[3.0, 3.0]]) == (2.0, 4.0)


def test_a_scatter_marks_the_points_where_they_are():
    picture = np.array(scatter([[0.5, -0.5]] * 500, limits=(-1, 1)))
    assert picture.shape == (600, 600, 3)
    picture[:100] = 255  # the legend's dot
    blue = np.argwhere((picture == (31, 119, 180)).all(2))
    assert len(blue) > 4
    # Three quarters of the way right and down, in axes that fill all but the margin of the ticks.
    assert_allclose(blue.mean(0), (440, 450), atol=25)


def test_the_frame_of_a_scatter_follows_the_modes_and_not_the_points():
    centres = [[-1.0, 0.0], [1.0, 0.0]]
    one, other = (np.asarray(scatter([[x, 0.0]], centres)) for x in (0.1, 0.9))
    differing = (one != other).any(2)
    assert 0 < differing.sum() < 500


def test_points_outside_are_counted(monkeypatch):
    from matplotlib.axes import Axes

    notes: list[str] = []
    monkeypatch.setattr(Axes, "set_xlabel", lambda _, text: notes.append(text))
    scatter([[0.0, 0.0], [9.0, 0.0]], limits=(-1, 1))
    scatter([[0.0, 0.0]], limits=(-1, 1))
    assert notes == ["1 of 2 points lie outside", ""]


def test_saving_makes_the_folder_and_leaves_one_file(frames_of, tmp_path: Path):
    path = save(tile(flat(7)), tmp_path / "a" / "b.png")
    assert [file.name for file in path.parent.iterdir()] == ["b.png"]
    assert frames_of(path)[0].getpixel((40, 40)) == 7


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "old.png"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_a_sentence(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot write .*No space left"), replacing(tmp_path / "x.png"):
        raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save(tile(flat(7)), tmp_path / "file" / "a.png")


def test_a_film_loops_and_shows_what_is_half_transparent_on_white(frames_of, tmp_path: Path):
    shades = [Image.new("RGBA", (4, 4), (0, 0, 0, alpha)) for alpha in (255, 0)]
    film = frames_of(save_film(shades, tmp_path / "a.gif", 80, last=500))
    assert film[0].info["loop"] == 0
    assert [frame.info["duration"] for frame in film] == [80, 500]
    assert [frame.convert("RGB").getpixel((0, 0)) for frame in film] == [(0, 0, 0), (255, 255, 255)]
