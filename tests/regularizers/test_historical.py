"""Historical averaging against a running mean worked out by hand."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.regularizers.historical import HistoricalAveraging
from ganctl.types import Play


class Pair(nn.Module):
    """Two parameters, of shapes (1,) and (1,2)."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor([a])), nn.Parameter(torch.tensor([[b, 0.0]]))

    def put(self, a, b):
        with torch.no_grad():
            self.a.fill_(a)
            self.b[0, 0] = b


def a_game():
    generator, discriminator = Pair(1.0, 0.0), Pair(0.0, 8.0)
    averaging = HistoricalAveraging()
    averaging.attach(generator, discriminator)
    play = Play(0, "d", generator, discriminator, torch.zeros(1), torch.zeros(1))
    return averaging, play


def test_the_distance_from_the_mean_of_all_past_weights_by_hand():
    """G's weights (1,0), (3,0), (8,6) have the means (1,0), (2,0), (4,2): squared distances 0, 1, 16 + 16."""
    averaging, play = a_game()
    for step, (weights, value) in enumerate([((1.0, 0.0), 0.0), ((3.0, 0.0), 1.0), ((8.0, 6.0), 32.0)]):
        play.generator.put(*weights)
        averaging.begin(step)
        assert_close(averaging.g_term(play), torch.tensor(value))
        assert_close(averaging.d_term(play), torch.tensor(0.0))


def test_each_player_has_a_history_of_its_own():
    """D moves from (0,8) to (4,8): mean (2,8), distance 2; G stays."""
    averaging, play = a_game()
    averaging.begin(0)
    play.discriminator.put(4.0, 8.0)
    averaging.begin(1)
    assert_close(averaging.d_term(play), torch.tensor(4.0))
    assert_close(averaging.g_term(play), torch.tensor(0.0))


def test_weights_move_within_a_step_while_their_history_stands():
    averaging, play = a_game()
    averaging.begin(0)
    for a, value in ((2.0, 4.0), (3.0, 9.0)):  # as with n_critic=2
        play.discriminator.put(a, 8.0)
        assert_close(averaging.d_term(play), torch.tensor(value))


def test_the_gradient_is_twice_the_way_to_the_mean():
    averaging, play = a_game()
    averaging.begin(0)
    play.generator.put(4.0, -1.0)
    gradient = torch.autograd.grad(averaging.g_term(play), list(play.generator.parameters()))
    assert_close(gradient, (torch.tensor([6.0]), torch.tensor([[-2.0, 0.0]])))


def test_it_goes_on_from_its_buffers():
    whole, play = a_game()
    path = [(float(a), float(-a)) for a in (1, 5, -2, 7)]
    resumed, other = a_game()
    for step, weights in enumerate(path):
        play.generator.put(*weights)
        whole.begin(step)
        if step == 1:
            resumed.load_state_dict(whole.state_dict())
        if step > 1:
            other.generator.put(*weights)
            resumed.begin(step)
    assert torch.equal(resumed.g_term(other), whole.g_term(play))
    assert whole.g_term(play) > 1


def test_a_run_that_starts_from_anothers_weights_has_no_history_of_it():
    averaging, play = a_game()
    for step in range(3):
        averaging.begin(step)
    play.generator.put(9.0, 9.0)
    averaging.begin(0)
    assert averaging.g_term(play) == 0


def test_it_owns_nothing_but_its_buffers():
    averaging, _ = a_game()
    assert list(averaging.parameters()) == []
    assert {name: len(value) for name, value in averaging.state_dict().items()} == {"mean_g": 3, "mean_d": 3}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_of_weights_in_memory_does_not_matter(layout):
    generator, discriminator = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 2, 3)
    averaging = HistoricalAveraging()
    averaging.attach(generator, discriminator)
    generator.to(memory_format=layout)
    play = Play(0, "g", generator, discriminator, torch.zeros(1), torch.zeros(1))
    assert averaging.g_term(play) == 0
