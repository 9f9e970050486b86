"""Sources of features: trained once, kept on disk, never trusted further than their bytes."""

import hashlib
import pickle

import pytest
import torch
from torch.testing import assert_close

from ganctl import checkpoint, features
from ganctl.data.digits import Digits
from ganctl.data.stacked import StackedDigits
from ganctl.errors import UserError
from ganctl.features import Pixels, Recipe, classifier_source
from ganctl.networks import inception

CPU = torch.device("cpu")


@pytest.fixture
def digits(workplace, monkeypatch):
    monkeypatch.setattr(features, "RECIPE", Recipe(least=2, most=2, batch_size=8))
    return Digits(limit=64), Digits(split="test", limit=20)


@pytest.fixture
def stored(workplace):
    """The one file that a kind of source has in the cache."""

    def find(kind):
        (path,) = (workplace / "cache" / kind).glob("*.pt")
        return path

    return find


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def hostile(path):
    path.write_bytes(pickle.dumps(Evil()))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def something_else(path):
    checkpoint.save({"network": "none", "hash": 1, "accuracy": 2, "features": 3, "probabilities": 4, "codes": 5}, path)


def other_weights(path):
    state = checkpoint.load(path, frozenset())
    for part in ("network", "features"):
        if part in state:
            values = state[part].values() if part == "network" else [state[part]]
            next(iter(values)).fill_(float("nan"))
    checkpoint.save(state, path)


DAMAGE = [hostile, truncated, pytest.param(empty, marks=pytest.mark.slow), something_else, other_weights]


def test_pixels_are_the_values():
    x = torch.rand(5, 2, 3, 3)
    assert_close(Pixels(CPU).read(x).features, x.flatten(1))


def test_a_classifier_is_trained_once(digits, monkeypatch):
    source = classifier_source(*digits, CPU)
    monkeypatch.setattr(features, "learn", lambda *data: pytest.fail("trained again"))
    again = classifier_source(*digits, CPU)
    assert again.version == source.version
    assert again.name == source.name == f"digits-cnn-{source.version[-16:-12]}"
    assert again.accuracy == source.accuracy


def test_a_classifier_comes_out_the_same_on_any_number_of_threads(digits, stored):
    first = classifier_source(*digits, CPU).version
    stored("classifiers").unlink()
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    torch.manual_seed(5)
    assert classifier_source(*digits, CPU).version == first
    assert torch.get_num_threads() == threads + 1


def test_other_data_have_another_classifier(digits):
    train, test = digits
    assert classifier_source(Digits(limit=60), test, CPU).name != classifier_source(train, test, CPU).name


def test_what_is_read_does_not_depend_on_what_is_read_with_it(digits):
    source = classifier_source(*digits, CPU)
    x = digits[1].take(torch.arange(20))["image"]
    together, alone = source.read(x), source.read(x[:1])
    assert_close(together.features[:1], alone.features)
    assert_close(together.probabilities.sum(1), torch.ones(20))
    assert together.codes is None


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_classifier_is_trained_anew_with_a_warning(digits, stored, caplog, damage):
    source = classifier_source(*digits, CPU)
    damage(stored("classifiers"))
    assert classifier_source(*digits, CPU).version == source.version
    assert "is made anew" in caplog.text


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_features_are_read_anew_with_a_warning(digits, stored, caplog, damage):
    source, x = classifier_source(*digits, CPU), digits[1].take(torch.arange(8))["image"]
    first = source.read_once(lambda: x, "facts")
    damage(stored("features"))
    assert_close(source.read_once(lambda: x, "facts").features, first.features)
    assert "is made anew" in caplog.text


def test_features_of_the_same_facts_are_not_read_again(digits):
    source, x = classifier_source(*digits, CPU), digits[1].take(torch.arange(8))["image"]
    first = source.read_once(lambda: x, "facts")
    assert_close(source.read_once(lambda: x[:0], "facts"), first)
    assert_close(source.read_once(lambda: x[:3], "other facts").features, first.features[:3])


def test_stacked_digits_are_read_colour_by_colour(digits):
    plain = classifier_source(Digits(), digits[1], CPU)
    test = StackedDigits(split="test", limit=10)
    stacked = classifier_source(StackedDigits(limit=10), test, CPU)
    assert stacked.name == plain.name
    x = test.take(torch.arange(10))["image"]
    found = stacked.read(x)
    red, green, blue = (plain.read(x[:, colour : colour + 1]) for colour in range(3))
    assert_close(found.features, torch.cat([red.features, green.features, blue.features], 1))
    names = [part.probabilities.argmax(1) for part in (red, green, blue)]
    assert torch.equal(found.codes, 100 * names[0] + 10 * names[1] + names[2])


def test_unlabelled_data_have_no_classifier(workplace):
    with pytest.raises(UserError, match=r"no labels(.|\n)*try: source=pixels"):
        classifier_source(Digits(num_classes=0), Digits(num_classes=0, split="test"), CPU)


def test_a_classifier_is_not_trained_unasked(digits):
    with pytest.raises(UserError, match=r"no classifier digits-cnn yet(.|\n)*try: ganctl eval"):
        classifier_source(*digits, CPU, may_train=False)


def test_a_cache_that_cannot_be_written_is_told(digits, workplace, monkeypatch):
    (workplace / "file").write_text("")
    monkeypatch.setenv("GANCTL_CACHE", str(workplace / "file"))
    with pytest.raises(UserError, match=r"cannot be written(.|\n)*try: GANCTL_CACHE"):
        classifier_source(*digits, CPU)


@pytest.mark.slow
def test_the_digits_that_it_has_not_seen_are_read_right(workplace):
    source = classifier_source(Digits(), Digits(split="test"), CPU)
    assert source.accuracy >= 0.97


# -- Inception -----------------------------------------------------------------------------------------------------


def test_missing_weights_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"weights-inception-2015-12-05-6726825d.pth \(95.7 MB\)") as told:
        inception.Inception()
    assert str(tmp_path / "hub" / "checkpoints") in str(told.value)


def test_another_file_is_refused_before_it_is_opened(tmp_path):
    path = tmp_path / "weights.pth"
    hostile(path)
    with pytest.raises(UserError, match=r"not the published file(.|\n)*try: fetch it again"):
        inception.Inception(str(path))


def bearing_its_hash(path, monkeypatch):
    """Let the file pass for the published one."""
    start = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(inception, "FILE", f"weights-inception-2015-12-05-{start}.pth")


def test_a_pickle_of_the_right_hash_is_not_run(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    hostile(path)
    bearing_its_hash(path, monkeypatch)
    with pytest.raises(UserError, match="holds no weights"):
        inception.Inception(str(path))


@pytest.mark.slow
def test_grey_images_are_read_as_equal_colours(tmp_path, monkeypatch):
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    weights = made_up_weights(fidelity, monkeypatch)
    torch.save(weights, tmp_path / "weights.pth")
    bearing_its_hash(tmp_path / "weights.pth", monkeypatch)
    network = inception.Inception(str(tmp_path / "weights.pth"))
    x = torch.rand(2, 1, 28, 28) * 2 - 1
    features, logits = network(x)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    levels = ((x + 1) * 127.5).round().byte()
    assert_close(network.network(levels.repeat(1, 3, 1, 1)), (features, logits))
    with pytest.raises(UserError, match="grey or RGB"):
        network(torch.zeros(1, 4, 28, 28))


def made_up_weights(fidelity, monkeypatch):
    """A state dictionary of the right shapes."""
    with monkeypatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        return fidelity.FeatureExtractorInceptionV3("made up", ["2048"]).state_dict()
