"""A pack of m is one image of m times the channels to a critic made for it: logits, labels, penalties, class logits."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.networks.dcgan import DcganDiscriminator
from ganctl.networks.mlp import MlpDiscriminator
from ganctl.networks.packing import Pack
from ganctl.regularizers.auxiliary import Auxiliary
from ganctl.regularizers.gradient import R1, R2, GradientPenalty
from ganctl.types import Critique, Play

NETWORKS = {"dcgan": (DcganDiscriminator, {"width": 4}), "mlp": (MlpDiscriminator, {"widths": [6, 5]})}


def packed(model, shape, pack, kind="none", num_classes=0):
    """A packed critic in float64, and the critic inside."""
    torch.manual_seed(0)
    network, settings = NETWORKS[model]
    wide = [pack * shape[0], *shape[1:]]
    inner = network(wide, num_classes=pack * num_classes, conditioning=kind, norm="layer", **settings)
    inner = inner.double()
    return Pack(inner, pack, num_classes), inner


def samples(count, *shape):
    torch.manual_seed(1)
    return torch.randn(count, *shape, dtype=torch.float64)


@pytest.mark.parametrize("pack", [2, 3])
@pytest.mark.parametrize(("model", "shape"), [("dcgan", (3, 16, 16)), ("mlp", (2, 8, 8)), ("mlp", (2,))])
def test_it_equals_a_critic_on_m_times_the_channels(model, shape, pack):
    critic, inner = packed(model, shape, pack)
    x = samples(6, *shape)
    found = critic(x)
    one_by_one = [inner(torch.cat(list(x[i : i + pack]))[None]).logits for i in range(0, 6, pack)]
    assert found.logits.shape == (6 // pack,)
    assert_close(found.logits, torch.cat(one_by_one))
    assert found.features[-1].shape[0] == 6 // pack


@pytest.mark.parametrize("model", NETWORKS)
def test_labels_beside_the_input_stand_side_by_side(model):
    """Planes 0 to 2 hold the first image's label, 3 to 5 the second's."""
    critic, inner = packed(model, (1, 16, 16), 2, "concat", 3)
    seen = []
    first = inner.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    critic(samples(4, 1, 16, 16), torch.tensor([2, 0, 1, 1]))
    first.remove()
    planes = seen[0].reshape(2, -1, 1) if model == "mlp" else seen[0].flatten(2)
    expected = torch.tensor([[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0]], dtype=torch.float64)
    assert_close(planes[:, -6:, 0], expected)


def test_projection_adds_a_row_for_each_label_of_the_pack():
    critic, inner = packed("mlp", (2,), 2, "projection", 3)
    x, y = samples(4, 2), torch.tensor([2, 0, 1, 1])
    phi = critic(x, y).features[-1]
    rows = inner.head.projection.weight
    v = torch.stack([rows[2] + rows[3 + 0], rows[1] + rows[3 + 1]])
    assert_close(critic(x, y).logits, inner.head.dense(phi).squeeze(1) + (v * phi).sum(1))


def test_an_auxiliary_head_names_each_image_of_the_pack():
    critic, inner = packed("mlp", (2,), 2, "auxiliary", 3)
    x, y = samples(4, 2), torch.tensor([2, 0, 1, 1])
    critique = critic(x, y)
    both = inner.head.classes(critique.features[-1])  # (2, 6)
    assert_close(critique.classes, torch.stack([both[0, :3], both[0, 3:], both[1, :3], both[1, 3:]]))
    play = Play(0, "g", nn.Identity(), critic, x, x, y)
    assert_close(Auxiliary().g_term(play).double(), nn.functional.cross_entropy(critique.classes, y), rtol=1e-5, atol=0)


# -- penalties --------------------------------------------------------------------------------------------------------


class Bowl(nn.Module):
    """D of a pack is |pack|^2 / 2: its slope is the pack itself."""

    couples_batch = False

    def forward(self, x, y=None):
        return Critique(x.flatten(1).square().sum(1) / 2)


def a_play(real, fake=None, critic=None):
    return Play(0, "d", nn.Identity(), critic or Pack(Bowl(), 2), real, real if fake is None else fake)


PACKS = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0], [2.0, 0.0]])
"""Two packs of two points, of length 5 and 2; four points of length 3, 4, 0 and 2."""


def test_the_slope_of_a_pack_is_one_norm():
    """((5-1)^2 + (2-1)^2) / 2 = 8.5; a norm a sample gives (4 + 9 + 1 + 1) / 4."""
    assert_close(GradientPenalty().d_term(a_play(PACKS)), torch.tensor(8.5))
    assert_close(R1().d_term(a_play(PACKS)), torch.tensor((25 + 4) / 4))
    assert_close(R2().d_term(a_play(PACKS * 0, PACKS)), torch.tensor((25 + 4) / 4))


def test_a_pack_is_mixed_by_one_weight():
    torch.manual_seed(0)
    real, fake = torch.randn(2, 1000, 3).unbind()
    weight = (GradientPenalty().points(a_play(real, fake)) - fake) / (real - fake)
    weights = weight.nanmedian(1).values.view(500, 2)
    assert_close(weights[:, 0], weights[:, 1], rtol=0.0, atol=1e-3)
    assert len(weights[:, 0].round(decimals=4).unique()) > 400


def test_the_penalty_of_a_packed_critic_is_that_of_the_wide_one():
    critic, inner = packed("mlp", (2,), 3)
    real, fake = samples(6, 2).float(), samples(6, 2).float() + 1
    torch.manual_seed(2)
    found = GradientPenalty().d_term(a_play(real, fake, critic.float()))
    torch.manual_seed(2)
    wide = a_play(real.reshape(2, 6), fake.reshape(2, 6), inner.float())
    assert_close(found, GradientPenalty().d_term(wide))


def test_reals_and_fakes_are_judged_in_one_pass_and_come_apart_again():
    critic, _ = packed("mlp", (2,), 2, "auxiliary", 3)
    real, fake, label = samples(6, 2), samples(6, 2) + 1, torch.tensor([0, 1, 2, 2, 1, 0])
    play = Play(0, "d", nn.Identity(), critic, real, fake, label)
    for judged, alone in ((play.on_real, critic(real, label)), (play.on_fake, critic(fake, label))):
        assert_close(judged.logits, alone.logits)
        assert_close(judged.classes, alone.classes)
        assert_close(judged.features, alone.features)


# -- by configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        ["model.pack=4"],
        ["model.pack=2", "loss=wgan_gp", "model.conditioning=projection"],
        ["model.pack=2", "model.conditioning=auxiliary", "regularizer=[auxiliary]"],
        ["model.pack=2", "dataset=ring", "model=mlp", "loss=r3gan"],
    ],
    ids=" ".join,
)
def test_any_model_is_packed_by_one_key(recipe, changes):
    trainer = recipe(*changes).trainer()
    trainer.steps = 2
    assert trainer.fit() == 0
    trainer.require_finite()
    assert trainer.system.facts["logits/real"].shape == (8 // trainer.system.pack,)


def test_a_batch_that_does_not_divide_into_packs_is_refused(train, refused):
    refused(train("model.pack=3", status=1), "batch_size=8", "3 equal parts", "try: batch_size=9")
    refused(train("model.pack=4", "accumulate=4", status=1), "batch_size=8", "try: batch_size=16")
    refused(train("model.pack=0", status=1), "model.pack=0: must be greater than 0")
    refused(train("model.pack=two", status=1), "model.pack='two': int expected")
