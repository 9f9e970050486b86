from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganctl.artifacts.classes import Classes
from ganctl.artifacts.grid import Grid
from ganctl.artifacts.images import Images
from ganctl.artifacts.interpolation import Interpolation, linear, spherical
from ganctl.artifacts.npz import Npz
from ganctl.artifacts.progress import Progress
from ganctl.errors import UserError
from ganctl.systems.prior import Choice, Joint, Normal, Uniform


def levels(path: Path, down: list[int], across: list[int]) -> list[list[int]]:
    """Grey levels at the crossings of rows and columns."""
    with Image.open(path) as picture:
        return np.asarray(picture)[np.ix_(down, across)].tolist()


def test_a_grid_shows_each_seed_at_its_place(a_sampler, tmp_path):
    paths = Grid(columns=2, padding=1, min_size=1)(a_sampler(batch_size=2), [5, 9, 200, 7], None, tmp_path / "out")
    assert paths == [tmp_path / "out" / "grid.png"]
    assert levels(paths[0], [1, 4], [1, 5]) == [[5, 9], [200, 7]]


def test_points_become_a_scatter_plot_over_the_modes(a_sampler, points, frames_of, tmp_path):
    sampler = a_sampler(points(), conditional=True, centres=[[0.0, 0.0], [4.0, 1.0]])
    (path,) = Grid()(sampler, [0, 1, 2], [0, 1, 0], tmp_path)
    assert frames_of(path)[0].size == (600, 600)


def test_images_are_named_by_seed_and_class_and_not_enlarged(a_sampler, flat, frames_of, tmp_path):
    paths = Images()(a_sampler(batch_size=2), [5, 9, 7], None, tmp_path)
    assert [path.name for path in paths] == ["seed_000005.png", "seed_000009.png", "seed_000007.png"]
    assert [frames_of(path)[0].getpixel((0, 0)) for path in paths] == [5, 9, 7]
    assert frames_of(paths[0])[0].size == (3, 2)
    (path,) = Images()(a_sampler(flat(3), conditional=True), [5], [1], tmp_path)
    assert path.name == "seed_000005_class_1.png"
    assert frames_of(path)[0].getpixel((0, 0)) == (105, 115, 125)


def test_a_point_has_no_image(a_sampler, points, tmp_path):
    with pytest.raises(UserError, match="artifact=npz"):
        Images()(a_sampler(points()), [0], None, tmp_path)


def test_npz_holds_images_first(a_sampler, flat, tmp_path):
    (path,) = Npz()(a_sampler(flat(2), conditional=True, batch_size=2), [5, 9, 7], [1, 0, 0], tmp_path)
    with np.load(path) as archive:
        assert archive.files == ["images", "seeds", "labels"]
        assert archive["images"].dtype == np.uint8
        assert archive["images"].shape == (3, 2, 3, 2)
        assert archive["images"][:, 1, 2].tolist() == [[105, 115], [9, 19], [7, 17]]
        assert archive["seeds"].tolist() == [5, 9, 7]
        assert archive["labels"].tolist() == [1, 0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["samples.npz"]


def test_npz_holds_points_in_true_units(a_sampler, points, tmp_path):
    (path,) = Npz()(a_sampler(points(), batch_size=2), [5, 9, 7], None, tmp_path)
    with np.load(path) as archive:
        assert archive.files == ["points", "seeds"]
        assert archive["points"].dtype == np.float32
        assert archive["points"].tolist() == [[5, 0], [9, 0], [7, 0]]


def test_the_spherical_way_keeps_the_norm():
    a, b = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([0.0, 5.0, 0.0])
    assert_close(spherical(a, b, 0.5), (a + b) / 2**0.5)
    for t in (0.0, 0.2, 0.7, 1.0):
        assert_close(spherical(a, b, t).norm(), torch.tensor(5.0))
    assert_close(spherical(a, b, 0.0), a)
    assert_close(spherical(a, b, 1.0), b)
    assert_close(linear(a, b, 0.5).norm(), torch.tensor(12.5).sqrt())


def test_a_third_of_the_arc_is_a_third_of_the_angle():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert_close(spherical(a, b, 1 / 3), torch.tensor([3**0.5 / 2, 0.5]))


@pytest.mark.parametrize("scale", [1.0, 2.0, -1.0])
def test_parallel_latents_are_joined_by_a_line(scale):
    a = torch.tensor([1.0, 2.0, -3.0])
    assert_close(spherical(a, scale * a, 0.25), a * (0.75 + 0.25 * scale))


def test_the_path_passes_through_every_seed():
    keys = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    way = Interpolation(frames=4).path(keys, Normal(5))
    assert way.shape == (9, 5)
    assert_close(way[::4], keys)


def test_a_choice_is_that_of_the_nearer_seed():
    keys = torch.tensor([[1.0, 0.0, 4.0], [0.0, 1.0, 2.0]])
    way = Interpolation(frames=4).path(keys, Joint(Normal(2), Choice(5)))
    assert way[:, 2].tolist() == [4.0, 4.0, 2.0, 2.0, 2.0]
    assert_close(way[:, :2].norm(dim=1), torch.ones(5))  # the arc knows nothing of it


def test_no_way_between_uniform_latents_leaves_their_range():
    keys = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    way = Interpolation(mode="spherical", frames=4).path(keys, Uniform(2))
    assert way.abs().max() == 1.0
    assert_close(
        way, torch.tensor([[1, -1], [1, -0.5], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [-0.5, 1], [-1, 1]])
    )


def test_interpolation_refuses_a_system_without_latents(a_sampler, tmp_path):
    sampler = a_sampler()
    sampler.system.latents = Normal(0)
    with pytest.raises(UserError, match=r"draws from something given(.|\n)*try: artifact=grid"):
        Interpolation()(sampler, [0, 1], None, tmp_path)


def test_interpolation_writes_a_strip_and_a_film(a_sampler, frames_of, tmp_path):
    paths = Interpolation(mode="linear", frames=4)(a_sampler(), [0, 40, 200], None, tmp_path)
    assert [path.name for path in paths] == ["interpolation.png", "interpolation.gif"]
    # 2 x 3 pixels are enlarged by 22 to 44 x 66; with the padding a tile takes 46 x 68.
    assert levels(paths[0], [2, 48], [2 + 68 * i for i in range(5)]) == [[0, 10, 20, 30, 40], [40, 80, 120, 160, 200]]
    film = frames_of(paths[1])
    assert (film[0].info["loop"], film[0].info["duration"]) == (0, 80)
    assert [frame.convert("L").getpixel((0, 0)) for frame in film] == [0, 10, 20, 30, 40, 80, 120, 160, 200]


def test_interpolation_holds_the_first_label_or_takes_the_nearest(a_sampler, tmp_path):
    sampler, across = a_sampler(conditional=True), [2 + 68 * i for i in range(5)]
    held = Interpolation(mode="linear", frames=4)(sampler, [0, 40], [0, 1], tmp_path)
    assert levels(held[0], [2], across) == [[0, 10, 20, 30, 40]]
    free = Interpolation(mode="linear", frames=4, hold_label=False)(sampler, [0, 40], [0, 1], tmp_path)
    assert levels(free[0], [2], across) == [[0, 10, 120, 130, 140]]


@pytest.mark.parametrize(("held", "numbers"), [(True, [1.0] * 5), (False, [1.0, 1.0, 2.0, 2.0, 2.0])])
def test_interpolation_holds_the_generator_of_a_mixture_as_it_holds_a_label(a_sampler, tmp_path, held, numbers):
    sampler, seen = a_sampler(), []
    sampler.system.latents = Joint(Normal(1), Choice(3))
    sampler.latents = lambda seeds: torch.tensor([[0.0, 1.0], [40.0, 2.0]])
    sampler.render = lambda z, labels: [seen.append(z), np.zeros((len(z), 2, 3, 1), np.uint8)][1:]
    Interpolation(mode="linear", frames=4, hold_label=held)(sampler, [0, 1], None, tmp_path)
    assert seen[0].tolist() == [[10.0 * i, number] for i, number in enumerate(numbers)]


def test_points_draw_a_growing_path(a_sampler, points, frames_of, tmp_path):
    paths = Interpolation(mode="linear", frames=2)(a_sampler(points()), [0, 4], None, tmp_path)
    assert frames_of(paths[0])[0].size == (600, 600)
    assert len(frames_of(paths[1])) == 3


def test_interpolation_refuses_one_seed_and_unknown_ways(a_sampler, tmp_path):
    with pytest.raises(UserError, match="try: seeds=0-4"):
        Interpolation()(a_sampler(), [3], None, tmp_path)
    with pytest.raises(UserError, match=r"artifact.mode=cubic"):
        Interpolation(mode="cubic")
    with pytest.raises(UserError, match="frames=0"):
        Interpolation(frames=0)


def test_classes_show_a_class_a_row_and_a_latent_a_column(a_sampler, frames_of, tmp_path):
    (path,) = Classes(columns=3)(a_sampler(conditional=True, batch_size=4), [5, 9, 7, 1], [1, 1, 1, 1], tmp_path)
    assert levels(path, [2, 48], [2, 70, 138]) == [[5, 9, 7], [105, 109, 107]]
    assert frames_of(path)[0].size == (3 * 68 + 2, 2 * 46 + 2)


def test_classes_of_points_are_one_plot(a_sampler, points, frames_of, tmp_path):
    (path,) = Classes()(a_sampler(points(), conditional=True), [5, 9], [1, 1], tmp_path)
    assert frames_of(path)[0].size == (600, 600)


def test_classes_need_a_conditional_generator(a_sampler, tmp_path):
    with pytest.raises(UserError, match=r"without labels.*\n.*artifact=grid.*conditioning"):
        Classes()(a_sampler(), [0], None, tmp_path)


def grids_of_training(run: Path, sizes: list[int]) -> None:
    (run / "samples").mkdir(parents=True)
    for i, size in enumerate(sizes):
        Image.new("L", (size, size), 20 * i).save(run / "samples" / f"step_{100 * i:08d}.png")


@pytest.mark.parametrize(("frames", "shown"), [(100, [0, 20, 40, 60, 80]), (3, [0, 40, 80]), (1, [80])])
def test_progress_films_the_grids_of_training(a_sampler, frames_of, tmp_path, frames, shown):
    grids_of_training(tmp_path / "run", [8, 8, 16, 16, 16])
    (path,) = Progress(frames=frames)(a_sampler(), [0], None, tmp_path)
    film = frames_of(path)
    assert [frame.convert("L").getpixel((0, 0)) for frame in film] == shown
    assert [frame.info["duration"] for frame in film] == [200] * (len(shown) - 1) + [2000]
    assert {frame.size for frame in film} == {(16, 16)}


def test_progress_without_grids_and_with_a_broken_one(a_sampler, tmp_path):
    with pytest.raises(UserError, match=r"no grids of training\n.*every.sample"):
        Progress()(a_sampler(), [0], None, tmp_path)
    grids_of_training(tmp_path / "run", [8])
    (tmp_path / "run" / "samples" / "step_00000000.png").write_text("no picture")
    with pytest.raises(UserError, match="not a readable picture"):
        Progress()(a_sampler(), [0], None, tmp_path)
