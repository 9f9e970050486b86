"""A mistake ends with status 1 or 2 and one sentence that names the value and the remedy; nothing is lost by it."""

import pytest
from PIL import Image

from ganctl import checkpoint


def some(cases):
    """A quarter of the cases whenever the fast tests run, all of them in the whole set."""
    return [pytest.param(case, marks=() if n % 4 == 0 else pytest.mark.slow) for n, case in enumerate(cases)]


SAID = {
    "loss=nsgann": ["loss=nsgann", "did you mean 'nsgan'?"],
    "dataset=minst": ["dataset=minst", "did you mean 'mnist'?"],
    "regularizer=[r1,nope]": ["regularizer=nope"],
    "los=nsgan": ["'los'", "did you mean 'loss'?"],
    "stepss=3": ["'stepss'", "did you mean 'steps'?"],
    "model.generator.wdith=3": ["'model.generator.wdith'", "did you mean 'model.generator.width'?"],
    "+model.generator.wdith=3": ["model.generator.wdith", "did you mean 'width'?"],
    "+stepss=3": ["stepss", "did you mean 'steps'?"],
    "precision=bf16": ["'precision'", "did you mean 'device.precision'?"],
    "steps=abc": ["steps='abc'", "int expected"],
    "steps=1.5": ["steps=1.5", "int expected"],
    "steps=null": ["steps=None", "int expected"],
    "optimizer.lr=fast": ["lr='fast'", "float expected"],
    "optimizer.d.betas=[0.5]": ["optimizer.d.betas=[0.5]", "try: optimizer.d.betas=[0.5,0.5]"],
    "optimizer.lr=-1": ["optimizer.d", "-1.0"],
    "device.compile=maybe": ["device.compile='maybe'", "bool expected"],
    "model.generator.norm=btach": ["norm='btach'", "batch"],
    "model.generator.width=???": ["model.generator.width has no default"],
    "name=???": ["name has no default"],
    "steps=0": ["steps=0"],
    "steps=-3": ["steps=-3"],
    "epochs=0": ["epochs=0"],
    "batch_size=0": ["batch_size=0"],
    "batch_size=-8": ["batch_size=-8"],
    "batch_size=65": ["batch_size=65", "64 images", "try: batch_size=64"],
    "accumulate=3": ["batch_size=8", "3 equal parts"],
    "every.log=0": ["every.log=0"],
    "keep=-1": ["keep=-1"],
    "ema=1.5": ["ema=1.5"],
    "n_critic=0": ["n_critic=0"],
    "name=..": ["name=.."],
    "name=a/b": ["name=a/b"],
    "dataset.limit=0": ["dataset.limit=0"],
    "dataset.shape=[1,32,32]": ["dataset.shape=[1,32,32]", "[1,28,28]"],
    "dataset=ring": ["2", "try: model=mlp"],
    "device.threads=0": ["device.threads=0"],
    "loss.real_label=2.0": ["loss.real_label=2.0"],
    "loss=null": ["Config group override"],
    "~loss": ["system.loss"],
    "steps": ["steps"],
    "steps=[1": ["[1"],
    "lr=1e-4": ["'lr'", "did you mean 'optimizer.lr'?"],
    "best.metric=fid": ["best.metric=fid is never measured", "try: every.eval=500"],
    "loss=nsgan,lsgan": ["loss=nsgan,lsgan", "--multirun"],
    "loss=[hinge,wgan]": ["loss takes one option", "try: loss=hinge, or a sweep: -m loss=hinge,wgan"],
}


@pytest.mark.parametrize("word", some(SAID))
def test_a_wrong_word(refused, ganctl, workplace, tiny, word):
    refused(ganctl("train", *tiny(word)), *SAID[word])
    assert not (workplace / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], ["'trian'", "did you mean 'train'?"]),
        (["train", "-m", "--cfg", "job"], ["-m and --cfg"]),
        (["train", "--cfg", "job", "-m", "seed=0,1"], ["-m and --cfg"]),
        (["sample", "--resolve"], ["--resolve"]),
        (["train", "--config-dir", "nowhere"], ["nowhere"]),
        (["train", "loss=wgan_gp", "critic_norm=batch"], ["batch norm in the critic", "try: critic_norm=layer"]),
        (["train", "loss=wgan_lp", "model=mlp", "critic_norm=batch"], ["batch norm in the critic"]),
        (["train", "model=mlp", "dataset=ring", "model.conditioning=concat"], ["needs labels"]),
        (["train", "loss=ebgan", "system.pretrain_d=9", "steps=9"], ["first moves at step 10", "try: steps=18"]),
        (["train", "loss=r3gan", "regularizer=[r1]", "regularizer.r2.weight=3"], ["no regularizer r2", "[r1,r2]"]),
        (["train", "regularizer=[r1]", "regularizer.r1.weight=-1", "critic_norm=none"], ["weight=-1"]),
        (["train", "loss=lsgan", "loss.a=1", "loss.b=-1"], ["reals must have the higher target"]),
        (["train", "model=mlp", "batch_size=1"], ["batch norm of dense layers", "a larger batch_size"]),
        (["train", "model=mlp", "model.pack=8", "batch_size=8", "critic_norm=batch"], ["batch norm of dense layers"]),
        (["train", "model.generator.conditioning=none"], ["the generator is not told", "try: model.conditioning=none"]),
        (["train", "system.mismatch=true", "model.discriminator.conditioning=none"], ["wrong labels look like right"]),
        (["train", "system.d_weight=0", "system.g_weight=0"], ["no player minimises anything"]),
        (["train", "schedule=linear", "schedule.over=0"], ["over=0"]),
        (["train", "model=mlp", "dataset=ring", "model.discriminator.norm=instance"], ["norm=instance"]),
    ],
    ids=" ".join,
)
def test_words_that_do_not_go_together(refused, ganctl, workplace, words, said):
    refused(ganctl(*words), *said)
    assert not (workplace / "runs").exists()


def test_a_whole_number_may_be_written_as_a_float(train, the_run):
    train("steps=4e0")
    assert checkpoint.load(the_run() / "checkpoints/last.pt")["step"] == 4


def test_a_wrong_word_when_sampling(refused, train, ganctl):
    train("model.conditioning=none")
    for word in ("n=0", "n=-4", "batch_size=0", "weights=best", "truncation=-1", "seeds=x", "label=3"):
        refused(ganctl("sample", word), word.partition("=")[0])


# -- data -----------------------------------------------------------------------------------------------------------


def pictures(folder, sizes=((20, 20),) * 3):
    folder.mkdir()
    for number, size in enumerate(sizes):
        Image.linear_gradient("L").resize(size).save(folder / f"{number}.png")
    return folder


def folder_run(ganctl, tiny, root):
    return ganctl("train", *tiny("dataset=folder", f"dataset.root={root}", "batch_size=2"))


def test_a_folder_of_images_that_is_not_there_or_empty(refused, ganctl, tiny, workplace):
    (workplace / "empty").mkdir()
    refused(folder_run(ganctl, tiny, "nowhere"), "dataset.root=nowhere", "no such folder")
    refused(folder_run(ganctl, tiny, "empty"), "no images under empty", "try: dataset.root=PATH")


def test_damaged_images_are_listed(refused, ganctl, tiny, workplace):
    folder = pictures(workplace / "mine")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no image")
    refused(folder_run(ganctl, tiny, "mine"), "2 of 5 images", "cut.png", "text.jpg", "dataset.skip_bad=true")


def test_images_of_several_sizes(refused, ganctl, tiny, workplace):
    pictures(workplace / "mine", [(20, 20), (20, 20), (24, 20)])
    refused(folder_run(ganctl, tiny, "mine"), "20x20", "20x24", "try: dataset.size=")


def test_images_that_a_model_cannot_make(refused, ganctl, tiny, workplace):
    pictures(workplace / "mine", [(8, 8)] * 4)
    refused(folder_run(ganctl, tiny, "mine"), "16 to 128 pixels", "8x8")


# -- options of one's own -------------------------------------------------------------------------------------------


def test_an_option_that_hides_a_built_in(refused, ganctl, tiny, workplace):
    (workplace / "mine/loss").mkdir(parents=True)
    (workplace / "mine/loss/nsgan.yaml").write_text("_target_: ganctl.losses.hinge.Hinge\n")
    refused(ganctl("train", "--config-dir", "mine", *tiny()), "mine/loss/nsgan.yaml", "try: rename the file")


OWN = {
    "broken": ("loss", "_target_: [", ["broken.yaml"]),
    "nothing": ("loss", "", ["loss", "names nothing to build"]),
    "misspelt": ("loss", "_target_: ganctl.losses.hinge.Hinge\nmargn: 1", ["loss.margn", "Hinge takes no 'margn'"]),
    "unknown_module": ("loss", "_target_: nowhere.Mine", ["nowhere.Mine", "No module named 'nowhere'"]),
    "unknown_class": ("loss", "_target_: ganctl.losses.hinge.Hing", ["ganctl.losses.hinge.Hing"]),
    "top": ("experiment", "# @package _global_\nstepss: 3", ["stepss", "did you mean 'steps'?"]),
    "inside": (
        "experiment",
        "# @package _global_\nmodel: {latnet: 3}",
        ["model.latnet", "did you mean 'model.latent'?"],
    ),
    "dangling": ("experiment", "# @package _global_\nseed: ${nowhere.seed}", ["seed", "nowhere"]),
}


@pytest.mark.parametrize("name", some(OWN))
def test_an_option_of_ones_own_with_a_mistake(refused, ganctl, tiny, workplace, name):
    group, text, said = OWN[name]
    (workplace / "mine" / group).mkdir(parents=True)
    (workplace / "mine" / group / f"{name}.yaml").write_text(text + "\n")
    told = ganctl("train", "--config-dir", "mine", "debug=fast", "device.threads=1", f"{group}={name}")
    refused(told, *said)
    assert not (workplace / "runs").exists()
