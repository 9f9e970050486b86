"""Every option of every group in conf/ composes, checks, builds and takes two steps, or says in a sentence why not."""

import urllib.request
from urllib.error import URLError

import pytest
import torch

from ganctl import config
from ganctl.confdir import conf_dir
from ganctl.errors import UserError
from ganctl.help import GROUPS, options_of

DOWNLOADED = {"mnist", "fashion_mnist", "kmnist", "cifar10", "svhn", "stacked_mnist"}
PAPERS = {
    "dcgan_paper": (["dataset.shape=[3,64,64]"], 18_855_043),
    "sngan_paper": (["critic_norm=none"], 4_304_387),
    "sagan_paper": (["dataset.shape=[3,128,128]", "critic_norm=none", "model.generator.spectral=false"], 32_321_412),
    "biggan_paper": (["dataset.shape=[3,128,128]", "critic_norm=none", "model.generator.spectral=false"], 70_307_268),
    "r3gan_paper": ([], 20_781_952),
}
"""Models of the paper's size, and their generators' weights; spectral norm, which has none, is slow to build."""

ELSEWHERE = {"dataset=folder", "device=cuda", "device=mps", *(f"model={name}" for name in PAPERS)}
ELSEWHERE |= {f"dataset={name}" for name in DOWNLOADED}
NEEDS = {
    "dataset=ring": ["model=mlp"],
    "dataset=grid": ["model=mlp"],
    "regularizer=gradient_penalty": ["critic_norm=layer"],
    "regularizer=auxiliary": ["model.conditioning=auxiliary"],
}
"""What an option does not go without."""
OF_IMAGES = {"consistency", "auxiliary"}
"""Regularizers that move pixels or name classes."""
AUTOENCODERS = ["autoencoder", "mlp_autoencoder"]
"""Models without a head that a label could enter."""
HEADED = {name for name in options_of("model") if f"model={name}" not in ELSEWHERE} - set(AUTOENCODERS)
CHOICES = [f"{group}={option}" for group in GROUPS["train"] for option in options_of(group)]
HERE = [choice for choice in CHOICES if choice not in ELSEWHERE]
SLOW = [pytest.param(choice, marks=pytest.mark.slow) for choice in HERE if choice.startswith("experiment=")]
FAST = [choice for choice in HERE if not choice.startswith("experiment=")]


def steps_of(trainer):
    trainer.steps = 2
    before = {name: value.clone() for name, value in trainer.system.named_parameters()}
    assert trainer.fit() == 0
    trainer.require_finite()
    return {name for name, value in trainer.system.named_parameters() if not torch.equal(value, before[name])}


def test_every_folder_of_conf_is_offered():
    folders = {path.relative_to(conf_dir()).parts[0] for path in conf_dir().rglob("*/*.yaml")}
    assert folders == {group for groups in GROUPS.values() for group in groups}
    for group in folders:
        assert options_of(group), group
        assert all(options_of(group).values()), f"an option of {group} lacks its first line"


@pytest.mark.parametrize("choice", [*FAST, *SLOW])
def test_an_option_takes_two_steps(recipe, choice):
    moved = steps_of(recipe(choice, *NEEDS.get(choice, [])).trainer())
    assert any(name.startswith("generator") for name in moved)
    assert any(name.startswith("discriminator") for name in moved)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [*options_of("loss")])
def test_every_loss_trains_points(recipe, loss):
    model = "mlp_autoencoder" if loss == "ebgan" else "mlp"
    assert steps_of(recipe(f"loss={loss}", "dataset=ring", f"model={model}").trainer())


@pytest.mark.parametrize("model", ["dcgan", "mlp"])
def test_a_loss_of_energies_refuses_other_models_with_its_own(recipe, model):
    with pytest.raises(UserError, match=r"EnergyMargin needs .* an energy(.|\n)*try: model=autoencoder"):
        recipe("loss=ebgan", f"model={model}").trainer()


def test_a_loss_may_bring_its_model_and_the_command_line_wins(checked):
    assert "ConvolutionalAutoencoder" in checked("loss=ebgan")["model"]["discriminator"]["_target_"]
    assert "MlpAutoencoder" in checked("loss=ebgan", "model=mlp_autoencoder")["model"]["discriminator"]["_target_"]


@pytest.mark.parametrize(
    "name", ["mnist", *(pytest.param(n, marks=pytest.mark.slow) for n in sorted(DOWNLOADED - {"mnist"}))]
)
def test_data_without_a_network_name_the_files_and_a_way_out(recipe, monkeypatch, name):
    def no_network(*args, **kwargs):
        raise URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(UserError, match=r"download failed(.|\n)*try: put .* into .*, or dataset=digits"):
        recipe(f"dataset={name}")
    with pytest.raises(UserError, match=r"not found in(.|\n)*try: dataset.download=true"):
        recipe(f"dataset={name}", "dataset.download=false")


def test_a_folder_has_to_be_named(recipe):
    with pytest.raises(UserError, match=r"which folder(.|\n)*try: dataset.root=PATH"):
        recipe("dataset=folder")


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(recipe, kind):
    if (torch.cuda if kind == "cuda" else torch.backends.mps).is_available():
        pytest.skip(f"this machine has {kind}")
    with pytest.raises(UserError, match=rf"device={kind}: no such device(.|\n)*try: device=auto"):
        recipe(f"device={kind}")


def test_every_paper_size_is_walked():
    assert {name for name in options_of("model") if name.endswith("_paper")} == set(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_size_is_built_without_memory(checked, name):
    changes, count = PAPERS[name]
    plain = checked(f"model={name}", "dataset=cifar10", *changes)
    with torch.device("meta"):
        system = config.build(plain["system"])
    assert {parameter.device.type for parameter in system.parameters()} == {"meta"}
    assert sum(parameter.numel() for parameter in system.generator.parameters()) == count


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "concat", "projection", "auxiliary"])
@pytest.mark.parametrize("model", sorted(HEADED))
def test_every_model_takes_labels_in_every_way(recipe, model, kind):
    changes = ["regularizer=[auxiliary]"] if kind == "auxiliary" else []
    trainer = recipe(f"model={model}", f"model.conditioning={kind}", *changes).trainer()
    assert trainer.system.conditional == (kind != "none")
    moved = steps_of(trainer)
    learned = {"projection": "head.projection", "auxiliary": "head.classes"}.get(kind, "head.dense")
    assert any(learned in name for name in moved if name.startswith("discriminator"))


@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in options_of("model") if f"model={name}" not in ELSEWHERE])
def test_every_model_is_packed_and_mixed(recipe, model):
    trainer = recipe(f"model={model}", "model.pack=2", "model.mixture=2").trainer()
    moved = steps_of(trainer)
    assert trainer.system.facts["logits/real"].shape[0] == 8 // 2
    assert {name.split(".")[2] for name in moved if name.startswith("generator.generators")} == {"0", "1"}


@pytest.mark.parametrize("model", AUTOENCODERS)
def test_an_autoencoder_takes_labels_beside_its_input(recipe, model):
    changes = ["loss=ebgan", f"model={model}"]
    assert recipe(*changes, "model.conditioning=concat").trainer().system.conditional
    for kind in ("projection", "auxiliary"):
        with pytest.raises(UserError, match=rf"conditioning={kind} lies in a discriminator's head(.|\n)*try: "):
            recipe(*changes, f"model.conditioning={kind}").trainer()


@pytest.mark.parametrize("loss", ["nsgan", "wgan_gp", "r3gan", "fgan_jeffrey", "ebgan"])
def test_bfloat16(recipe, loss):
    assert steps_of(recipe(f"loss={loss}", "device.precision=bf16").trainer())


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sngan", "sagan", "biggan", "r3gan"])
def test_image_networks_in_bfloat16_as_a_mixture_that_is_judged_in_packs(recipe, model):
    loss = "r3gan" if model == "r3gan" else "hinge"
    changes = ["device.precision=bf16", "model.pack=2", "model.mixture=2"]
    moved = steps_of(recipe(f"model={model}", f"loss={loss}", *changes).trainer())
    assert any(name.startswith("generator") for name in moved)
    assert any(name.startswith("discriminator") for name in moved)


def test_regularizers_add_up(recipe):
    names = list(options_of("regularizer"))
    trainer = recipe(f"regularizer=[{','.join(names)}]", "critic_norm=none", "model.conditioning=auxiliary").trainer()
    assert set(trainer.system.regularizers) == set(names)
    assert steps_of(trainer)


def test_regularizers_add_up_on_points(recipe):
    names = [name for name in options_of("regularizer") if name not in OF_IMAGES]
    trainer = recipe(f"regularizer=[{','.join(names)}]", "dataset=ring", "model=mlp").trainer()
    assert set(trainer.system.regularizers) == set(names)
    assert steps_of(trainer)


@pytest.mark.parametrize("option", ["regularizer=[consistency]", "augment=ada", "augment=diffaugment"])
def test_what_moves_pixels_is_refused_on_points(recipe, option):
    with pytest.raises(UserError, match=r"moves the pixels of images, and the data are points\n  try: "):
        recipe(option, "dataset=ring", "model=mlp").trainer()


@pytest.mark.parametrize("augment", [name for name in options_of("augment") if name != "none"])
def test_every_augmentation_goes_with_every_regularizer(recipe, augment):
    """With penalties on D's slope, the gradient is taken twice through what is done to the images."""
    names = ",".join(options_of("regularizer"))
    changes = ["critic_norm=none", "model.conditioning=auxiliary", "accumulate=2"]
    trainer = recipe(f"regularizer=[{names}]", f"augment={augment}", *changes).trainer()
    if augment == "ada":
        trainer.system.augment.p.fill_(0.5)
    assert steps_of(trainer)


@pytest.mark.slow
def test_features_are_matched_instead_of_fooling_d(recipe):
    moved = steps_of(recipe("regularizer=[feature_matching]", "system.g_weight=0").trainer())
    assert {name.split(".")[0] for name in moved} == {"generator", "discriminator"}


@pytest.mark.slow
def test_every_artifact_is_drawn_from_a_run(train, ganctl, the_run):
    train("model.conditioning=concat", "every.sample=2")
    for name in options_of("artifact"):
        drawn = ganctl("sample", f"artifact={name}", "n=4", "device=cpu", f"out={name}")
        assert drawn.status == 0, drawn.err
        assert any(file.stat().st_size for file in (the_run().parent.parent / name).iterdir())
