"""The signature is the schema: for a class of one's own it is the only one."""

import sys

import pytest

from ganctl.errors import UserError
from ganctl.schema import conform

OWN = """
from collections.abc import Mapping, Sequence
from typing import Literal

from ganctl.losses.adversarial import AdversarialLoss


class Mine(AdversarialLoss):
    '''A Wasserstein loss with more keywords than it needs.'''

    def __init__(
        self,
        margin: float,
        mode: Literal["hard", "soft"] = "hard",
        pair: tuple[int, int] = (1, 2),
        names: Sequence[str] = (),
        limit: int | None = None,
        table: Mapping[str, float] | None = None,
        untyped=3,
    ) -> None:
        assert type(margin) is float and (limit is None or type(limit) is int)
        self.margin = margin

    def d_loss(self, real, fake):
        return (fake - real).mean() * self.margin

    def g_loss(self, fake, real=None):
        return -fake.mean()
"""


@pytest.fixture
def own(ganctl, tiny, workplace):
    """Train with a loss of one's own from the working folder, with changes."""
    (workplace / "myconf/loss").mkdir(parents=True)
    (workplace / "myconf/loss/mine.yaml").write_text("_target_: my_own_loss.Mine\nmargin: 1\n")
    (workplace / "my_own_loss.py").write_text(OWN)
    yield lambda *changes: ganctl("train", *tiny("loss=mine", *changes), "--config-dir", "myconf")
    sys.modules.pop("my_own_loss", None)


@pytest.mark.slow
def test_a_class_of_ones_own_trains_and_the_next_command_finds_it(own, ganctl, the_run):
    told = own("+loss.limit=3e0", "+loss.pair=[3,4]", "+loss.names=[a,b]", "+loss.table={a: 1}", "+loss.untyped=[x]")
    assert told.status == 0, told.err
    assert "minimises Mine" in told.err
    assert "train on   ganctl train --config-dir" in told.err
    refused = ganctl("sample")
    assert refused.status == 1
    assert "my_own_loss.Mine is not part of ganctl" in refused.err
    assert ganctl("sample", "trust=true").status == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("+loss.margn=1", "loss.margn: Mine takes no 'margn'; did you mean 'margin'?"),
        ("loss.margin=wide", "loss.margin='wide': float expected\n  try: loss.margin=0.5"),
        ("loss.margin=true", "loss.margin=True: float expected"),
        ("~loss.margin", "loss: Mine needs 'margin'\n  try: loss.margin=VALUE"),
        ("+loss.mode=medium", "loss.mode='medium': hard | soft expected\n  try: loss.mode=hard"),
        ("+loss.pair=[1]", "loss.pair=[1]: tuple of int expected\n  try: loss.pair=[1,1]"),
        ("+loss.limit=2.5", "loss.limit=2.5: int or null expected"),
    ],
)
def test_a_mistake_is_told_from_the_signature(own, workplace, change, said):
    told = own(change)
    assert told.status == 1
    assert said in told.err
    assert not (workplace / "runs").exists()


def test_an_error_in_a_class_of_ones_own_is_named_with_its_class(own, workplace):
    (workplace / "my_own_loss.py").write_text(OWN.replace("assert ", "raise TypeError('no such thing')  # "))
    told = own()
    assert told.status == 1
    assert "my_own_loss.Mine" in told.err
    assert "no such thing" in told.err
    assert "try: HYDRA_FULL_ERROR=1" in told.err


@pytest.mark.parametrize(
    ("value", "hint", "kept"),
    [
        (1e5, int, 100_000),
        (3, float, 3.0),
        (3, str, "3"),
        (None, int | None, None),
        (2, float | str, 2.0),
        ("2", float | str, "2"),
        (2, str | int, 2),
        ([1, 2], tuple[float, float], [1.0, 2.0]),
        ({"_target_": "x"}, int, {"_target_": "x"}),
    ],
)
def test_a_value_is_brought_to_its_type_where_nothing_is_lost(value, hint, kept):
    found = conform("key", value, hint)
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1.5, int),
        (float("inf"), int),
        (True, int),
        (True, float),
        (1, bool),
        ("1", int),
        ([1], int),
        (None, str),
        ("a", list[str]),
    ],
)
def test_a_value_that_would_lose_is_refused(value, hint):
    with pytest.raises(UserError, match=r"^key=.* expected\n  try: key="):
        conform("key", value, hint)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        (["loss=r3gan", "regularizer=[r1]"], {"r1": 1.0}),
        (["loss=dragan", "regularizer=[]", "critic_norm=none"], {}),
        (["experiment=r3gan", "loss=hinge", "critic_norm=none"], {}),
        (["experiment=ring8", "loss=wgan_gp"], {"gradient_penalty": 10.0}),
    ],
    ids=lambda part: " ".join(part),
)
def test_a_replaced_regularizer_takes_its_settings_along(recipe, changes, left):
    system = recipe(*changes).trainer().system
    assert {name: part.weight for name, part in system.regularizers.items()} == left


def test_a_companion_that_is_left_out_is_missed(train):
    assert "loss=r3gan is trained without its customary r2" in train("loss=r3gan", "regularizer=[r1]").err


def test_an_autoencoder_under_a_loss_of_logits_is_doubted(train):
    assert "loss=ebgan suits it" in train("model=autoencoder", "loss=nsgan").err
    assert "suits it" not in train("model=autoencoder", "loss=ebgan").err


def test_labels_that_only_the_generator_knows_are_doubted(train):
    assert "nothing teaches the generator" in train("model.discriminator.conditioning=none").err


def test_a_class_head_with_batch_norm_in_the_critic_is_doubted(train):
    changes = ["model.conditioning=auxiliary", "regularizer=[auxiliary]"]
    assert "a class head with batch norm in the critic often fails" in train(*changes).err
    assert "often fails" not in train(*changes, "critic_norm=none").err


def test_a_recipe_names_its_run(train, the_run):
    train("experiment=acgan")
    assert the_run().name.startswith("digits-acgan-nsgan-s0-")


def test_a_recipe_that_bears_its_losses_name_is_named_once(train, the_run):
    train("experiment=wgan")
    assert the_run().name.startswith("digits-wgan-s0-")
