import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.artifacts.picture import to_uint8
from ganctl.artifacts.sampler import parse_seeds
from ganctl.errors import UserError


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (7, [7]),
        ("7", [7]),
        ("0,4-6", [0, 4, 5, 6]),
        (" 3 , 1 - 2", [3, 1, 2]),
        ([0, "4-6"], [0, 4, 5, 6]),
        (["0", 2], [0, 2]),
        ("5-5", [5]),
        ("2,2", [2, 2]),
    ],
)
def test_seeds_as_people_write_them(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "6-4", "-1", -1, "1,,2", "0..5", "1-2-3", [], [1.5], [[1, 2]], True, "1e3"])
def test_seeds_that_are_none(text):
    with pytest.raises(UserError, match="try: seeds=0,4-6"):
        parse_seeds(text)


def test_a_picture_is_a_function_of_its_seed(a_sampler):
    together = a_sampler(batch_size=3).draw([5, 9, 200, 7, 9])
    assert together.shape == (5, 1, 2, 3)
    assert to_uint8(together)[:, 0, 0, 0].tolist() == [5, 9, 200, 7, 9]
    assert_close(a_sampler(batch_size=64).draw([200])[0], together[2])


def test_drawing_goes_in_batches(a_sampler, flat):
    system = flat()
    shapes = [batch.shape for batch in a_sampler(system, batch_size=4).render(range(10))]
    assert shapes == [(4, 2, 3, 1), (4, 2, 3, 1), (2, 2, 3, 1)]
    assert system.batches == [4, 4, 2]


class Convolutional(nn.Module):
    """A generator of the usual kind, whose arithmetic may depend on the batch it runs in."""

    def __init__(self) -> None:
        super().__init__()
        torch.default_generator.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(16, 64 * 49), nn.Unflatten(1, (64, 7, 7)),
            nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.BatchNorm2d(32), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
        ).eval()  # fmt: skip

    def prior(self, seeds, *, truncation=None):
        return torch.stack([torch.randn(16, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    @torch.no_grad()
    def draw(self, z, *, label=None):
        return self.net(z)


def test_company_changes_a_picture_by_one_level_at_most(a_sampler):
    system = Convolutional()
    seeds = list(range(33))
    alone = torch.cat([a_sampler(system).draw([seed]) for seed in seeds])
    for batch_size in (1, 7, 64):
        together = a_sampler(system, batch_size=batch_size).draw(seeds)
        levels = torch.from_numpy(to_uint8(together)).int() - torch.from_numpy(to_uint8(alone)).int()
        assert levels.abs().max() <= 1


def test_latents_are_drawn_as_they_are(a_sampler):
    sampler = a_sampler()
    assert_close(sampler.draw(sampler.latents([3, 4])), sampler.draw([3, 4]))


def test_a_conditional_seed_has_its_own_class(a_sampler):
    sampler = a_sampler(conditional=True)
    assert to_uint8(sampler.draw([5, 8]))[:, 0, 0, 0].tolist() == [105, 8]
    assert to_uint8(sampler.draw([5, 8], [0, 1]))[:, 0, 0, 0].tolist() == [5, 108]


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        (None, [0, 1, 2, 0]),
        ("cat", [1] * 4),
        (True, [2] * 4),
        (2, [0] * 4),
        ("2", [0] * 4),
        (1, [1] * 4),
        (["cat", "2"], [1, 0, 1, 0]),
        ("cat,true", [1, 2, 1, 2]),
        ([0, 1], [0, 1, 0, 1]),
    ],
)
def test_labels_by_name_then_by_number(a_sampler, label, classes):
    sampler = a_sampler(conditional=True, num_classes=3, class_names=["2", "cat", "true"])
    assert sampler.labels_for([0, 1, 2, 3], label) == classes


def test_the_classes_of_a_list_go_by_seed_and_not_by_place(a_sampler):
    sampler = a_sampler(conditional=True, num_classes=10)
    assert sampler.labels_for([4, 5, 6], [3, 7]) == [3, 7, 3]
    assert sampler.labels_for([5], [3, 7]) == [7]


@pytest.mark.parametrize("label", [2, -1, "dog", 1.0, True, "", [], [0, 9]])
def test_labels_that_are_no_class(a_sampler, label):
    with pytest.raises(UserError, match=r"label=.*\n  try: "):
        a_sampler(conditional=True).labels_for([0, 1], label)


def test_a_misspelt_class_is_recognised(a_sampler):
    with pytest.raises(UserError, match="did you mean 'cat'"):
        a_sampler(conditional=True, class_names=["cat", "dog"]).labels_for([0], "catt")


def test_an_unconditional_generator_takes_no_label(a_sampler):
    assert a_sampler().labels_for([0, 1]) is None
    with pytest.raises(UserError, match=r"without labels.*\n.*conditioning"):
        a_sampler().labels_for([0], 1)
    with pytest.raises(UserError, match="without labels"):
        a_sampler().draw([0], [1])


@pytest.mark.parametrize("labels", [[0], [0, 2], [0, -1]])
def test_labels_must_fit_the_seeds(a_sampler, labels):
    with pytest.raises(UserError, match="do not fit 2 pictures of 2 classes"):
        a_sampler(conditional=True).draw([0, 1], labels)


def test_latents_do_not_say_their_class(a_sampler):
    with pytest.raises(UserError, match="do not fit"):
        a_sampler(conditional=True).draw(torch.zeros(1, 2))


def test_no_seeds_and_no_numbers_are_refused(a_sampler):
    with pytest.raises(UserError, match="no seeds"):
        a_sampler().draw([])
    with pytest.raises(UserError, match="not finite"):
        a_sampler().draw(torch.full((1, 2), torch.nan))
    with pytest.raises(UserError, match="truncation=-1"):
        a_sampler(truncation=-1)
