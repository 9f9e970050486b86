"""The standard game, played with networks small enough to know every number in advance."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.augment.augment import Augment
from ganctl.errors import UserError
from ganctl.losses.energy import EnergyMargin
from ganctl.losses.hinge import Hinge
from ganctl.losses.least_squares import LeastSquares
from ganctl.losses.minimax import Minimax, NonSaturating
from ganctl.losses.relativistic import RelativisticAverage, RelativisticPaired
from ganctl.losses.wasserstein import Wasserstein
from ganctl.networks.mlp import MlpDiscriminator
from ganctl.networks.packing import Pack
from ganctl.regularizers.clip import WeightClip
from ganctl.regularizers.gradient import R1, R2, GradientPenalty
from ganctl.regularizers.regularizer import Regularizer
from ganctl.systems.standard import Standard
from ganctl.types import Critique, Schedule


class Shift(nn.Module):
    """G(z, y) = z + theta; remembers its labels."""

    latent = 2

    def __init__(self, num_classes=0):
        super().__init__()
        self.theta, self.num_classes = nn.Parameter(torch.zeros(2)), num_classes

    def forward(self, z, y=None):
        self.label = y
        return z + self.theta


class Line(nn.Module):
    """D(x, y) = w . x with w = (3, 4), of slope 5; remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, 4.0]))
        self.seen = []

    def forward(self, x, y=None):
        self.seen.append((x.detach(), y))
        return Critique(x @ self.w, (x,))


class Pull(Regularizer):
    """A term of the generator's: |theta + 1|^2, which is 2 at the start."""

    def g_term(self, play):
        return (play.generator.theta + 1).square().sum()


def a_game(loss=None, num_classes=0, **more):
    return Standard(Shift(num_classes), Line(), loss or Wasserstein(), **more)


BATCH = {"points": torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]), "label": torch.tensor([2, 0, 1])}
"""The line's logits on it: 3, 4, 14, of mean 7."""


def terms_of(system, player, step=0, batch=BATCH):
    """The terms of a player's phase, its draws seeded as the trainer does."""
    system.begin(step)
    torch.manual_seed(step)
    (phase,) = (phase for phase in system.phases() if phase.player == player)
    return phase.terms(batch)


def latents(step=0):
    torch.manual_seed(step)
    return torch.randn(3, 2)


# -- players and phases -----------------------------------------------------------------------------------------------


def test_d_moves_n_critic_times_then_g_once():
    system = a_game(n_critic=5)
    assert [(phase.player, phase.repeat) for phase in system.phases()] == [("d", 5), ("g", 1)]
    assert list(system.players()) == ["d", "g"]
    assert system.averaged() == [system.generator]


def test_a_phase_gives_gradients_to_its_own_player_alone():
    system = a_game(NonSaturating(), regularizers={"r1": R1(), "r2": R2(), "gradient_penalty": GradientPenalty()})
    sum(terms_of(system, "d").values()).backward()
    assert system.generator.theta.grad is None
    assert system.discriminator.w.grad is not None
    system.discriminator.w.grad = None
    sum(terms_of(system, "g").values()).backward(inputs=[system.generator.theta])
    assert system.discriminator.w.grad is None
    assert system.generator.theta.grad is not None


def test_both_sides_are_judged_with_the_labels_of_the_batch():
    system = a_game(num_classes=3)
    for player in ("d", "g"):
        system.discriminator.seen.clear()
        terms_of(system, player)
        assert system.generator.label is BATCH["label"]
        assert all(label is BATCH["label"] for _, label in system.discriminator.seen)


def test_an_unconditional_game_shows_no_labels():
    system = a_game()
    terms_of(system, "d")
    assert system.generator.label is None
    assert [label for _, label in system.discriminator.seen] == [None, None]


def test_reused_fakes_are_those_of_ds_last_turn_in_their_order():
    """Two turns of D of two shards each, of the trainer's seeds 0 to 3: G is shown the fakes of seeds 2 and 3."""
    system = a_game(reuse_fakes=True, n_critic=2)
    system.begin(0)
    d, g = system.phases()
    for turn in (0, 2):
        for shard in (0, 1):
            torch.manual_seed(turn + shard)
            loss = sum(d.terms(BATCH).values())
            assert not torch.autograd.grad(loss, system.generator.theta, allow_unused=True)[0]
        d.after()
    system.generator.forward = None  # is not asked again
    system.discriminator.seen.clear()
    for seed in (2, 3):
        loss = sum(g.terms(BATCH).values())
        assert_close(torch.autograd.grad(loss, system.generator.theta)[0], torch.tensor([-3.0, -4.0]))
        assert_close(system.discriminator.seen[-1][0], latents(seed))


def test_reused_fakes_are_drawn_anew_where_d_saw_none():
    """An interrupted turn of D leaves nothing for the next step, nor does a D without terms for its G."""
    system = a_game(reuse_fakes=True, d_weight=0.0)
    terms_of(system, "d", step=0)
    terms_of(system, "g", step=1)
    assert_close(system.discriminator.seen[-1][0], latents(1))


# -- what each player minimises ---------------------------------------------------------------------------------------


def test_terms_by_hand():
    """D: E f - E r + 10 (5 - 1)^2 + 1/2 25. G: -E f."""
    system = a_game(regularizers={"gradient_penalty": GradientPenalty(), "r1": R1(1.0)})
    fake = (latents() @ torch.tensor([3.0, 4.0])).mean()
    found = terms_of(system, "d")
    expected = {"adversarial": fake - 7, "gradient_penalty": torch.tensor(160.0), "r1": torch.tensor(12.5)}
    assert_close(found, expected)
    assert_close(terms_of(system, "g"), {"adversarial": -fake})


def test_loss_and_penalty_are_one_objective():
    """d/dw of E f - E r + 10 (|w| - 1)^2 is E z - E x + 20 (|w| - 1) w / |w|: with |w| = 5, plus 80 (0.6, 0.8)."""
    system = a_game(regularizers={"gradient_penalty": GradientPenalty()})
    sum(terms_of(system, "d").values()).backward()
    expected = latents().mean(0) - torch.tensor([1.0, 1.0]) + torch.tensor([48.0, 64.0])
    assert_close(system.discriminator.w.grad, expected)


def test_a_generators_term_is_added_in_its_own_phase():
    system = a_game(regularizers={"pull": Pull(0.5)})
    assert list(terms_of(system, "d")) == ["adversarial"]
    assert_close(terms_of(system, "g")["pull"], torch.tensor(1.0))


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.5, 2.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_adversarial_term_of_each_player_can_be_weighed_or_left_out(weights):
    regularizers = {"r1": R1(1.0), "pull": Pull()}
    system, whole = a_game(regularizers=regularizers, d_weight=weights[0], g_weight=weights[1]), a_game()
    for player, weight, own, value in zip("dg", weights, ("r1", "pull"), (12.5, 2.0), strict=True):
        terms = terms_of(system, player)
        assert_close(terms[own], torch.tensor(value))
        assert ("adversarial" in terms) == bool(weight)
        if weight:
            assert_close(terms["adversarial"], weight * terms_of(whole, player)["adversarial"])


def test_a_lazy_term_is_there_when_due_and_then_counts_as_often_as_it_rested():
    system = a_game(regularizers={"r1": R1(2.0, every=4), "r2": R2(Schedule(start=4.0, over=4))})
    r1 = [terms_of(system, "d", step).get("r1") for step in range(5)]
    assert r1[1:4] == [None, None, None]
    assert_close(torch.stack([r1[0], r1[4]]), torch.tensor([100.0, 100.0]))  # 2/2 * 25 * 4
    r2 = [terms_of(system, "d", step).get("r2", torch.zeros(())) for step in range(5)]
    assert_close(torch.stack(r2), torch.tensor([50.0, 37.5, 25.0, 12.5, 0.0]))  # weights 4, 3, 2, 1, 0


@pytest.mark.parametrize(("loss", "judged"), [(Hinge(), 1), (RelativisticPaired(), 2)])
def test_g_has_reals_judged_only_where_its_loss_compares_them(loss, judged):
    system = a_game(loss)
    terms = terms_of(system, "g")
    assert len(system.discriminator.seen) == judged
    real, fake = BATCH["points"] @ torch.tensor([3.0, 4.0]), latents() @ torch.tensor([3.0, 4.0])
    expected = torch.log1p(torch.exp(real - fake)).mean() if judged == 2 else -fake.mean()
    assert_close(terms["adversarial"], expected)


# -- label flipping ---------------------------------------------------------------------------------------------------


def test_flipping_touches_ds_loss_alone():
    """D's loss differs from the plain one, what is logged and observed does not, nor does G's loss."""
    plain, noisy = (a_game(NonSaturating(), augment=Diary(), label_flip=rate) for rate in (0.0, 0.49))
    batch = {"points": BATCH["points"].repeat(30, 1)}
    truth, told = (terms_of(system, "d", batch=batch)["adversarial"] for system in (plain, noisy))
    assert (told - truth).abs() > 0.1
    assert_close(noisy.facts, plain.facts)
    noisy.phases()[0].after()
    assert noisy.augment.told[-1][1] == 14.0
    assert_close(terms_of(noisy, "g", batch=batch), terms_of(plain, "g", batch=batch))


def test_the_logits_of_both_sides_are_kept_for_the_log():
    system = a_game()
    terms_of(system, "d")
    assert_close(system.facts["logits/real"], torch.tensor([3.0, 4.0, 14.0]))
    assert_close(system.facts["logits/fake"], latents() @ torch.tensor([3.0, 4.0]))
    assert not any(fact.requires_grad for fact in system.facts.values())


# -- the discriminator alone ------------------------------------------------------------------------------------------


class Distance(Line):
    """Its energy is |x - w|^2."""

    gives_energy = True

    def forward(self, x, y=None):
        self.seen.append((x.detach(), y))
        return Critique(-(x - self.w).square().sum(1))


def a_game_of_energies(**more):
    return Standard(Shift(), Distance(), EnergyMargin(100.0), **more)


def test_before_the_game_d_learns_of_reals_alone_and_g_rests():
    """Squared distances of the batch from (3, 4): 20, 18 and 5. With the game fakes are judged, and cost as well."""
    system = a_game_of_energies(pretrain_d=2, regularizers={"r1": R1(), "pull": Pull()})
    for step in range(2):
        system.discriminator.seen.clear()
        assert_close(terms_of(system, "d", step), {"adversarial": torch.tensor(43 / 3)})
        ((shown, _),) = system.discriminator.seen
        assert_close(shown, BATCH["points"])
        assert set(system.facts) == {"logits/real"}
        assert [phase.player for phase in system.phases()] == ["d"]
        assert not hasattr(system.generator, "label")  # it was not even run
    assert set(terms_of(system, "d", 2)) == {"adversarial", "r1"}
    assert set(terms_of(system, "g", 2)) == {"adversarial", "pull"}
    assert set(system.facts) == {"logits/real", "logits/fake"}


def test_before_the_game_reals_are_augmented_but_nothing_is_observed():
    system = a_game_of_energies(augment=Diary(), pretrain_d=1)
    diary = system.augment
    (d,) = system.phases()
    system.begin(0)
    d.terms(BATCH)
    d.after()
    assert_close(system.discriminator.seen[0][0], 2 * BATCH["points"])
    assert diary.told == [("begin", 0)]


def test_only_a_loss_of_energies_can_do_without_fakes():
    with pytest.raises(UserError, match=r"system.pretrain_d=5 needs a loss(.|\n)*try: system.pretrain_d=0"):
        a_game(pretrain_d=5)
    with pytest.raises(UserError, match=r"system.pretrain_d=-1(.|\n)*try: "):
        a_game_of_energies(pretrain_d=-1)


def test_a_loss_sees_its_discriminator_before_the_game():
    with pytest.raises(UserError, match="EnergyMargin needs a discriminator whose output is an energy"):
        a_game(EnergyMargin())


# -- before, after, beside --------------------------------------------------------------------------------------------


def test_weights_are_clipped_after_each_move_of_d():
    system = a_game(regularizers={"weight_clip": WeightClip(0.5)})
    d, g = system.phases()
    d.terms(BATCH)
    d.after()
    assert_close(system.discriminator.w.detach(), torch.tensor([0.5, 0.5]))
    with torch.no_grad():
        system.discriminator.w.fill_(2.0)
        system.generator.theta.fill_(2.0)
    g.terms(BATCH)
    g.after()
    assert_close(system.discriminator.w.detach(), torch.tensor([2.0, 2.0]))
    d.terms(BATCH)
    d.after()
    assert_close(system.generator.theta.detach(), torch.tensor([2.0, 2.0]))


class Diary(Augment):
    """Doubles what it is shown; remembers when it was told what."""

    def __init__(self):
        super().__init__()
        self.told = []

    def attach(self, boundary):
        self.boundary = boundary

    def begin(self, step):
        self.told.append(("begin", step))

    def forward(self, x):
        return 2 * x

    def observe(self, real, fake):
        assert not real.requires_grad
        self.told.append(("observe", real.mean().item(), fake.shape))

    def facts(self):
        return {"moves": torch.tensor(float(len(self.told)))}


def test_the_augmentation_lies_before_the_discriminator_on_both_sides_and_observes_its_moves():
    system = a_game(augment=Diary())
    diary = system.augment
    d, g = system.phases()
    system.begin(6)
    d.terms(BATCH)
    assert diary.told == [("begin", 6)]
    d.after()
    assert diary.told == [("begin", 6), ("observe", 14.0, (3,))]
    g.terms(BATCH)
    g.after()
    assert len(diary.told) == 2
    assert system.facts["augment/moves"] == 2
    torch.manual_seed(0)
    assert_close(g.terms(BATCH)["adversarial"], -2 * (latents() @ torch.tensor([3.0, 4.0])).mean())


def test_the_augmentation_observes_all_parts_of_a_move_at_once():
    """The halves' logits are 2 (3, 4) and 2 (14): their mean is 14."""
    system = a_game(augment=Diary())
    diary = system.augment
    d, _ = system.phases()
    d.terms({"points": BATCH["points"][:2]})
    d.terms({"points": BATCH["points"][2:]})
    d.after()
    d.terms(BATCH)
    d.after()
    assert diary.told == [("observe", 14.0, (3,))] * 2


@pytest.mark.parametrize(
    ("loss", "boundary"),
    [
        (NonSaturating(), "zero"),
        (Minimax(), "zero"),
        (Hinge(), "zero"),
        (LeastSquares(-1.0, 1.0, 0.0), "zero"),
        (RelativisticPaired(), "mean_fake"),
        (RelativisticAverage(), "mean_fake"),
        (LeastSquares(), "none"),
        (Wasserstein(), "none"),
    ],
)
def test_the_augmentation_is_told_above_what_a_logit_means_real(loss, boundary):
    diary = a_game(loss, augment=Diary()).augment
    assert diary.boundary == boundary


class Guest(Regularizer):
    """Remembers what it was attached to and when a step began."""

    def attach(self, generator, discriminator):
        self.hosts = (type(generator), type(discriminator))

    def begin(self, step):
        self.step = step


def test_regularizers_are_attached_once_and_told_of_each_step():
    system = a_game(regularizers={"guest": Guest()})
    guest = system.regularizers["guest"]
    system.begin(4)
    assert (guest.hosts, guest.step) == ((Shift, Line), 4)


def test_it_says_what_each_player_minimises():
    system = a_game(regularizers={"r1": R1(), "pull": Pull(), "weight_clip": WeightClip()})
    assert system.describe() == {"d": "Wasserstein + r1, then weight_clip", "g": "Wasserstein + pull"}
    assert a_game_of_energies(pretrain_d=9).describe()["d"].endswith("alone on reals for the first 9 steps")
    alone = a_game(regularizers={"pull": Pull()}, g_weight=0.0)
    assert alone.describe() == {"d": "Wasserstein", "g": "pull"}
    assert a_game(d_weight=0.0).describe() == {"d": "nothing", "g": "Wasserstein"}


def test_a_discriminator_is_compiled_unless_a_term_differentiates_it():
    system = a_game(regularizers={"weight_clip": WeightClip()})
    assert system.compilable() == [system.generator, system.discriminator]
    system = a_game(regularizers={"r1": R1()})
    assert system.compilable() == [system.generator]


# -- drawing ----------------------------------------------------------------------------------------------------------


def test_samples_come_back_in_the_units_of_the_data():
    system = a_game(scale=2.5)
    with torch.no_grad():
        system.generator.theta.fill_(1.0)
    samples = system.draw(torch.tensor([[0.0, 1.0]]))
    assert_close(samples, torch.tensor([[2.5, 5.0]]))
    assert not samples.requires_grad


def test_samples_are_drawn_with_the_labels_asked_for():
    system = a_game(num_classes=3)
    label = torch.tensor([1])
    system.draw(torch.zeros(1, 2), label=label)
    assert system.conditional
    assert system.generator.label is label


def test_the_discriminator_is_asked_in_the_units_of_the_data():
    system = a_game(scale=2.5)
    said = system.opinion(torch.tensor([[2.5, 0.0], [0.0, 5.0]]), label=torch.tensor([0, 1]))
    assert_close(said, torch.tensor([3.0, 8.0]))
    assert not said.requires_grad
    assert system.discriminator.seen[-1][1] is None  # an unconditional game shows no labels
    conditional = a_game(num_classes=3)
    conditional.opinion(torch.zeros(1, 2), label=torch.tensor([1]))
    assert conditional.discriminator.seen[-1][1].tolist() == [1]


def test_a_pack_has_one_opinion_and_a_part_of_one_none():
    packed = Standard(Shift(), Pack(MlpDiscriminator([4], widths=[3]), 2), Wasserstein())
    packed.discriminator.discriminator.forward = lambda x, y: Critique(x.sum(1))
    assert packed.opinion(torch.ones(5, 2)).tolist() == [4.0, 4.0]
    assert packed.opinion(torch.ones(1, 2)).tolist() == []


def test_the_prior_has_the_generators_size_and_the_kind_asked_for():
    assert a_game().prior(range(5)).shape == (5, 2)
    uniform = a_game(prior="uniform")
    assert uniform.prior(range(100)).abs().max() <= 1
    with pytest.raises(UserError, match="needs a normal prior"):
        uniform.prior([0], truncation=0.5)
    terms_of(uniform, "d")
    assert uniform.discriminator.seen[1][0].abs().max() <= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_critic": 0}, "n_critic=0"),
        ({"prior": "cauchy"}, "prior=cauchy is unknown"),
        ({"label_flip": 0.5}, "label_flip=0.5: must lie in"),
        ({"label_flip": -0.1}, "label_flip=-0.1: must lie in"),
    ],
)
def test_silly_settings_are_refused_with_a_remedy(settings, words):
    with pytest.raises(UserError, match=words) as caught:
        a_game(**settings)
    assert "\n  try: " in str(caught.value)
