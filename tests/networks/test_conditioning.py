"""Labels in every place a network takes them: the formulas of the papers, worked out by hand or written out plainly."""

import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.conditioning import ClassNorm, Head, label_channels, label_norms, resolve
from ganctl.networks.dcgan import DcganDiscriminator, DcganGenerator
from ganctl.networks.layers import norm_layers
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator

NORMS = ["batch", "layer", "instance", "group", "none", "spectral"]
PLAYERS = {
    "mlp": (MlpGenerator, MlpDiscriminator, {"shape": [1, 16, 16], "widths": [6, 5]}),
    "shallow mlp": (MlpGenerator, MlpDiscriminator, {"shape": [2], "widths": [6]}),
    "dcgan": (DcganGenerator, DcganDiscriminator, {"shape": [1, 16, 16], "width": 4}),
}


def players(model, **changes):
    torch.manual_seed(0)
    generator, discriminator, settings = PLAYERS[model]
    both = {**settings, "num_classes": 3, **changes}
    return generator(**both, latent=4), discriminator(**both)


# -- which kind -------------------------------------------------------------------------------------------------------


def test_auto_is_customary_where_there_are_labels():
    assert resolve("auto", 10) == "concat"
    assert resolve("auto", 10, customary="projection") == "projection"
    assert resolve("auto", 0, customary="projection") == "none"
    for kind in ("none", "concat", "projection", "auxiliary"):
        assert resolve(kind, 10, customary="projection") == kind


def test_a_label_lies_beside_the_input_or_in_the_norms():
    kinds = ("none", "concat", "projection", "auxiliary")
    assert [label_channels(kind, 10) for kind in kinds] == [0, 10, 0, 0]
    assert [label_norms(kind, 10) for kind in kinds] == [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: resolve("projection", 0), "model.conditioning=projection: .* labelled data set"),
        (lambda: resolve("sideways", 10), "unknown\n  try: auto, none, concat, projection or auxiliary"),
        (lambda: Head(3, 2, "projection")(torch.zeros(1, 3)), "no label"),
        (lambda: ClassNorm("none", 3, 2, maps=False)(torch.zeros(1, 3), None), "no label"),
    ],
)
def test_mistakes_get_a_sentence_and_a_remedy(call, words):
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n  try: " in str(caught.value)


# -- class-conditional normalisation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_at_first_it_is_the_plain_norm(norm):
    torch.manual_seed(0)
    x, y = torch.randn(6, 32, 3, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    plain = torch.nn.Sequential(*norm_layers(norm, 32, maps=True))
    assert_close(ClassNorm(norm, 32, 3)(x, y), plain(x))


def test_scale_and_shift_by_hand():
    """The column (1, 3) is (-1, 1) normalised; then 2 x + 5 for class 0 and 10 x + 7 for class 1."""
    norm = ClassNorm("batch", 1, 2, maps=False)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([[2.0], [10.0]]))
        norm.shift.copy_(torch.tensor([[5.0], [7.0]]))
    found = norm(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]))
    assert_close(found.detach(), torch.tensor([[3.0], [17.0]]), atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("norm", NORMS)
def test_it_has_no_scale_of_its_own_and_learns_the_rows_it_was_shown(norm):
    layer = ClassNorm(norm, 32, 3)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {"scale": (3, 32), "shift": (3, 32)}
    layer(torch.randn(4, 32, 2, 2), torch.tensor([0, 2, 2, 0])).square().sum().backward()
    for table in (layer.scale, layer.shift):
        assert [bool(row.any()) for row in table.grad] == [True, False, True]


# -- the discriminator's head -----------------------------------------------------------------------------------------


def test_projection_is_its_formula():
    """psi(phi) + <V_y, phi>, a sample at a time."""
    torch.manual_seed(0)
    head, phi, y = Head(5, 3, "projection").double(), torch.randn(4, 5).double(), torch.tensor([2, 0, 1, 2])
    logits, classes = head(phi, y)
    expected = [
        sum(head.dense.weight[0, j] * phi[i, j] for j in range(5))
        + head.dense.bias[0]
        + sum(head.projection.weight[y[i], j] * phi[i, j] for j in range(5))
        for i in range(4)
    ]
    assert classes is None
    assert_close(logits, torch.stack(expected), atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("kind", ["none", "concat"])
def test_a_plain_head_is_one_dense_logit(kind):
    head, phi = Head(5, 3, kind), torch.randn(4, 5)
    logits, classes = head(phi, torch.tensor([0, 1, 2, 0]))
    assert classes is None
    assert_close(logits, phi @ head.dense.weight[0] + head.dense.bias)
    assert len(list(head.parameters())) == 2


def test_an_auxiliary_head_gives_class_logits_and_does_not_look_at_the_label():
    head, phi = Head(5, 3, "auxiliary"), 9 * torch.randn(4, 5)
    logits, classes = head(phi, torch.tensor([0, 1, 2, 0]))
    assert_close(classes, phi @ head.classes.weight.T + head.classes.bias)  # no softmax has touched them
    assert torch.equal(logits, head(phi, None)[0])


# -- in the networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["concat", "projection", "auxiliary"])
@pytest.mark.parametrize("model", PLAYERS)
def test_a_generator_draws_each_class_in_its_own_way(model, kind):
    generator = players(model, conditioning=kind)[0]
    torch.nn.init.normal_(next(generator.parameters()))  # away from an initial weight that hides the one-hot
    for table in generator.parameters():
        if table.shape[0] == 3:
            torch.nn.init.normal_(table)  # classes begin alike
    generator.eval()
    z = torch.randn(1, 4).expand(2, -1)
    one, other = generator(z, torch.tensor([0, 2]))
    assert generator.num_classes == 3
    assert (one - other).abs().max() > 1e-4


@pytest.mark.parametrize("norm", ["none", "spectral", "layer"])
@pytest.mark.parametrize("kind", ["none", "concat", "projection", "auxiliary"])
@pytest.mark.parametrize("model", PLAYERS)
def test_a_discriminator_judges_by_the_label_or_names_it(model, kind, norm):
    discriminator = players(model, conditioning=kind, norm=norm)[1].eval()
    x = torch.randn(1, *PLAYERS[model][2]["shape"]).expand(2, *[-1] * len(PLAYERS[model][2]["shape"]))
    critique = discriminator(x, torch.tensor([0, 2]))
    differ = bool((critique.logits[0] - critique.logits[1]).abs() > 1e-6)
    assert differ == (kind in ("concat", "projection"))
    if kind == "auxiliary":
        assert critique.classes.shape == (2, 3)
    else:
        assert critique.classes is None


def test_an_unconditional_model_ignores_the_classes_of_its_data():
    generator, discriminator = players("mlp", conditioning="none")
    assert generator.num_classes == 0
    assert torch.equal(generator.eval()(torch.zeros(2, 4)), generator(torch.zeros(2, 4), torch.tensor([0, 1])))
    assert discriminator(torch.zeros(2, 1, 16, 16)).logits.shape == (2,)


def test_under_spectral_norm_the_class_vectors_are_normalised_too():
    torch.manual_seed(0)
    discriminator = players("mlp", conditioning="projection", norm="spectral")[1]
    for _ in range(300):
        discriminator(torch.randn(2, 1, 16, 16), torch.tensor([0, 1]))
    largest = torch.linalg.matrix_norm(discriminator.head.projection.weight, 2)
    assert_close(largest, torch.tensor(1.0), atol=1e-3, rtol=0.0)
