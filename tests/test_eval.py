"""`ganctl eval` from run folders to numbers: what is measured, beside what, of which protocol, and what is refused."""

import csv
import json
import logging
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganctl import evaluate, features
from ganctl.errors import UserError
from ganctl.evaluate import Judge
from ganctl.features import Recipe
from ganctl.metrics.critic_gap import CriticGap
from ganctl.metrics.fid import FID
from ganctl.metrics.kid import KID
from ganctl.metrics.modes import Modes
from ganctl.metrics.nearest import Nearest

DIGITS = {"_target_": "ganctl.data.digits.Digits", "split": "train", "holdout": 0, "limit": None, "num_classes": 10}
RING = {"_target_": "ganctl.data.points.Ring", "split": "train", "limit": None, "num_classes": 0}


@pytest.fixture(autouse=True)
def tiny_classifier(monkeypatch):
    monkeypatch.setattr(features, "RECIPE", Recipe(least=2, most=2, batch_size=8))
    monkeypatch.setattr(evaluate, "COUNTS", {"points": 300, "stacked": 60})


@pytest.fixture
def trained(train, workplace):
    """Train a tiny run with changes; its folder."""

    def run(*changes):
        before = set((workplace / "runs").glob("*"))
        train(*changes)
        (folder,) = set((workplace / "runs").glob("*")) - before
        return folder

    return run


def judge(ganctl, *args, status=0):
    outcome = ganctl("eval", "device=cpu", "device.threads=1", *args)
    assert outcome.status == status, outcome.err
    return outcome


def written(folder):
    return json.loads((folder / "metrics.json").read_text())


def bases(names):
    return {name.partition("/")[0] for name in names}


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_labelled_images_by_the_customary_metrics(ganctl, trained):
    folder = trained()
    outcome = judge(ganctl, "n=150", "metric.kid.subset_size=50")
    found = written(folder)
    values, protocol = found["metrics"], found["protocol"]
    read = {"inception_score", "inception_score_std", "fid", "kid", "kid_se", "precision", "recall", "density"}
    read |= {"coverage", "class_accuracy"}
    (reader,) = {name.partition("/")[2] for name in values} - {""}
    assert {name for name in values if "/" in name} == {f"{name}/{reader}" for name in read}
    pixels = {"nearest_train", "nearest_test", "nearer_train", "critic_gap"}
    assert {name for name in values if "/" not in name} == pixels
    few = {f"{name}/{reader}" for name in ("fid", "kid", "kid_se")}
    assert values.keys() - found["control"].keys() == few | {"critic_gap"}
    with Image.open(folder / "neighbours.png") as picture:
        assert picture.size == (6 * (84 + 2) + 2, 8 * (84 + 2) + 2)
    assert protocol["read_by"][0].startswith(reader)
    assert protocol["real"] == {"train": 32, "test": 150, "valid": 0}  # it learned from 64 images
    assert (protocol["n"], protocol["seeds"], protocol["step"]) == (150, "0 to 149", 4)
    assert (protocol["kid.subset_size"], protocol["split"], protocol["weights"]) == (50, "test", "ema")
    assert "real data" in outcome.out
    assert folder.name in outcome.out
    assert "fid" in outcome.out
    assert reader in outcome.out


@pytest.mark.slow
def test_unlabelled_images_by_pixels_and_a_folder_that_moved(ganctl, trained, workplace, refused):
    (workplace / "photos").mkdir()
    for number in range(60):
        noise = torch.randint(256, (16, 16), dtype=torch.uint8).numpy()
        Image.fromarray(noise).save(workplace / "photos" / f"{number}.png")
    folder = trained("dataset=folder", "dataset.root=photos")
    outcome = judge(ganctl)
    assert "kid is left out: n=6: kid needs at least 500 samples" in outcome.err
    found = written(folder)
    manifold = {"precision", "recall", "density", "coverage"}
    memory = {"nearest_train", "nearest_test", "nearer_train", "critic_gap"}
    assert bases(found["metrics"]) == manifold | memory
    assert "precision/pixels" in found["metrics"]
    assert found["protocol"]["source"] == "pixels"
    refused(judge(ganctl, "source=classifier", status=1), "no labels", "source=pixels")
    (workplace / "photos").rename(workplace / "moved")
    refused(judge(ganctl, status=1), "the data are needed", "root=FOLDER")
    judge(ganctl, "root=moved")
    assert written(folder)["metrics"] == found["metrics"]
    (workplace / "moved" / "0.png").unlink()
    refused(judge(ganctl, "root=moved", status=1), "the data have changed")


def test_points_are_judged_by_their_modes(ganctl, trained):
    folder = trained("dataset=ring", "model=mlp")
    judge(ganctl)
    found = written(folder)
    assert found["metrics"].keys() == {"modes", "high_quality", "reverse_kl"}
    assert found["control"]["modes"] == 8
    assert found["control"]["high_quality"] > 0.9


@pytest.mark.slow
def test_stacked_digits_are_judged_by_their_modes(ganctl, trained):
    folder = trained("dataset=stacked_digits")
    judge(ganctl)
    assert bases(written(folder)["metrics"]) == {"modes", "kl"}


@pytest.mark.slow
def test_seeds_of_one_setting_are_one_row(ganctl, train, workplace):
    train("-m", "seed=0,1", "loss=nsgan,lsgan", "dataset=ring", "model=mlp")
    (sweep,) = (workplace / "runs" / "sweeps").iterdir()
    with (sweep / "results.csv").open() as file:
        folders = [workplace / row["run"] for row in csv.DictReader(file) if row["loss"] == "nsgan"]
    outcome = judge(ganctl, f"run={sweep.relative_to(workplace)}")
    assert len([line for line in outcome.out.splitlines() if " and seeds 1 " in line]) == 2  # rows
    one, other = (written(folder)["metrics"]["reverse_kl"] for folder in folders)
    assert one != other
    assert f"{(one + other) / 2:.4g} ± {abs(one - other) / 2:.2g}" in outcome.out


@pytest.mark.slow
def test_runs_by_a_pattern(ganctl, trained, workplace):
    folders = {trained("loss=nsgan"), trained("loss=hinge", "model.discriminator.norm=none")}
    for pattern in ("digits-dcgan-*", "runs/*-s0-*", f"{workplace}/runs/*"):
        judge(ganctl, f"run='{pattern}'", "metric=[nearest]", "n=8")
        for folder in folders:
            (folder / "metrics.json").unlink()


@pytest.mark.slow
def test_the_same_command_gives_the_same_numbers(ganctl, trained):
    folder = trained()
    judge(ganctl, "metric=[nearest,precision_recall]", "n=20")
    first = (folder / "metrics.json").read_bytes()
    judge(ganctl, "metric=[nearest,precision_recall]", "n=20", "batch_size=7")
    assert_close(json.loads(first)["metrics"], written(folder)["metrics"], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_what_cannot_be_judged_is_refused(ganctl, trained, refused, workplace):
    folder = trained("name=one", "model.conditioning=none")
    trained("name=ring", "dataset=ring", "model=mlp")
    for args, words in {
        ("run=nothing-*",): ["run=nothing-*: no trained run matches"],
        ("run=[one,ring]",): ["learned from different data", "Digits and Ring"],
        ("run=one", "metric=[fid]", "n=50"): ["n=50: fid needs at least 129", "n=129"],
        ("run=one", "metric=[class_accuracy]"): ["class_accuracy needs asked", "conditional"],
        ("run=one", "metric=[parzen]"): ["parzen needs valid", "dataset.holdout"],
        ("run=one", "split=valid"): ["held nothing out"],
        ("run=one", "metric=[]"): ["no metric is left"],
        ("run=one", "source=inception", f"inception={workplace}/none.pth"): ["95.7 MB", "none.pth"],
        ("run=ring", "source=classifier", "metric=[kid]"): ["these are points", "source=pixels"],
        ("run=one", "n=0"): ["n=0"],
        ("run=one", "source=vgg"): ["source='vgg'", "classifier"],
    }.items():
        refused(judge(ganctl, *args, status=1), *words)
    assert not (folder / "metrics.json").exists()


@pytest.mark.slow
def test_a_folder_of_a_stranger_builds_nothing_of_its_own(ganctl, trained, refused, workplace):
    folder = trained()
    (workplace / "mine.py").write_text("raise SystemExit('executed')")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("ganctl.data.digits.Digits", "mine.Digits"))
    refused(judge(ganctl, status=1), "mine.Digits", "trust=true")


# -- the judge -----------------------------------------------------------------------------------------------------


class Copies:
    """A generator that hands out the test images, each where it is asked for."""

    conditional = False

    def __init__(self, judged):
        self.images = judged.test.values

    def draw(self, seeds, labels):
        return self.images[list(seeds)]

    def opinion(self, samples, labels):
        """It calls bright images real."""
        return samples.flatten(1).mean(1)


def test_perfect_fakes_score_as_the_definitions_say(workplace):
    judged = Judge(DIGITS, {"fid": FID(), "nearest": Nearest()}, n=140, source="classifier")
    found = judged(Copies(judged))
    fid = next(value for name, value in found.items() if name.startswith("fid/digits-cnn-"))
    assert_close(fid, 0.0, atol=1e-6, rtol=0)
    assert_close(found["nearest_test"], 0.0, atol=1e-5, rtol=0)
    assert found["nearer_train"] == 0.0


def test_real_samples_are_as_many_as_fakes_and_never_the_same(workplace):
    for split in ("train", "test"):
        judged = Judge(DIGITS, {"nearest": Nearest()}, n=900, split=split)
        sides = [side.values.flatten(1) for side in (judged.real, judged.train, judged.test)]
        assert [len(side) for side in sides] == [900] * 3
        everything = {row.tobytes() for side in sides for row in side.numpy()}
        assert len(everything) == 2700
        control = judged.control()
        assert control["nearest_train"] > 0
        assert control["nearest_test"] > 0


def test_a_conditional_generator_is_asked_for_the_classes_of_the_real_ones(workplace):
    judged = Judge(DIGITS, {"nearest": Nearest()}, n=1500)
    asked = []

    def draw(seeds, labels):
        asked.extend(labels)
        return torch.zeros(len(seeds), 1, 28, 28)

    judged(SimpleNamespace(conditional=True, draw=draw, opinion=None))
    assert asked[:1000] == judged.test.classes.tolist()
    assert asked[1000:] == asked[:500]
    assert torch.bincount(judged.test.classes).tolist() == [100] * 10


def test_the_critic_says_what_it_thinks_of_seen_and_unseen_images(workplace):
    judged = Judge(DIGITS, {"critic_gap": CriticGap()}, n=200)
    seen, unseen = (side.values.flatten(1).mean(1) for side in (judged.train, judged.test))
    expected = (seen.mean() - unseen.mean()) / unseen.std()
    assert_close(judged(Copies(judged))["critic_gap"], expected.item(), atol=1e-6, rtol=0)
    assert judged.control() == {}  # real samples were made against nobody
    silent = SimpleNamespace(conditional=False, draw=Copies(judged).draw, opinion=lambda samples, labels: None)
    with pytest.raises(UserError, match="critic_gap needs critic_train"):
        judged(silent)


def test_neighbours_are_the_nearest_of_all_training_images(workplace, monkeypatch):
    judged = Judge(DIGITS, {"nearest": Nearest()}, n=50)
    learned = judged.learned.take(torch.arange(len(judged.learned)))["image"]
    order = [7, 4, 31]
    copies = SimpleNamespace(conditional=False, draw=lambda seeds, labels: learned[[order[seed] for seed in seeds]])
    shown = judged.neighbours(copies, count=3, k=2)
    assert shown.shape == (3, 3, 1, 28, 28)
    assert_close(shown[:, 0], shown[:, 1])
    apart = (learned[order].flatten(1)[:, None].double() - learned.flatten(1).double()).square().sum(2)
    second = apart.topk(2, largest=False).indices[:, 1]
    assert_close(shown[:, 2], learned[second])


def test_samples_of_another_shape_are_refused(workplace):
    judged = Judge(DIGITS, {"nearest": Nearest()}, n=5)
    with pytest.raises(UserError, match="draws 3x28x28, its data are 1x28x28"):
        judged(SimpleNamespace(conditional=False, draw=lambda seeds, labels: torch.zeros(len(seeds), 3, 28, 28)))


def test_points_come_in_true_units(workplace):
    judged = Judge(RING, {"modes": Modes()}, customary=True)
    assert judged.n == 300
    assert_close(judged.test.values.norm(dim=1), torch.ones(300), atol=0.06, rtol=0)
    assert judged.control()["modes"] == 8


def test_metrics_that_samples_are_too_few_for_are_passed_over_only_if_nobody_named_them(workplace, caplog):
    metrics = {"kid": KID(), "nearest": Nearest()}
    judged = Judge(DIGITS, metrics, n=20, customary=True)
    with caplog.at_level(logging.WARNING):
        assert bases(judged.control()) == {"nearest_train", "nearest_test", "nearer_train"}
    assert "kid is left out: n=20" in caplog.text
    named = Judge(DIGITS, metrics, n=20)
    with pytest.raises(UserError, match="n=20: kid needs at least 1000"):
        named(Copies(named))


def test_features_of_real_images_are_read_once(workplace, monkeypatch):
    first = Judge(DIGITS, {"fid": FID()}, n=140).control()
    monkeypatch.setattr(features.Source, "read", lambda *args: pytest.fail("read again"))
    assert Judge(DIGITS, {"fid": FID()}, n=140).control() == first


def test_a_judge_that_may_not_train_says_so(workplace):
    with pytest.raises(UserError, match="no classifier digits-cnn yet"):
        Judge(DIGITS, {"fid": FID()}, may_train=False).control()
