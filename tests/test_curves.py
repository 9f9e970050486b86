import numpy as np
import pytest

from ganctl.curves import curves, panels

EVENTS = [
    {"step": step, "seconds": step / 10, "loss/d/adversarial": 1 / step, "loss/d/r1": 0.1, "loss/g/adversarial": step}
    | {"logits/real": 1.0, "logits/fake": -1.0, "gradient_norm/g": 3.0}
    for step in (1, 2, 3)
] + [{"step": step, "seconds": 1.0, "metric/fid/digits-cnn": 30.0 / step} for step in (1, 3)]


def test_a_player_has_a_panel_and_so_has_a_metric():
    names = ["metric/fid/x", "logits/real", "loss/g/adversarial", "loss/d/r1", "logits/fake", "loss/d/adversarial"]
    assert panels(names, together=True) == {
        "loss of g": ["loss/g/adversarial"],
        "loss of d": ["loss/d/r1", "loss/d/adversarial"],
        "logits": ["logits/real", "logits/fake"],
        "metric/fid/x": ["metric/fid/x"],
    }
    assert list(panels(["loss/d/r1", "loss/d/adversarial"], together=False)) == ["loss/d/r1", "loss/d/adversarial"]


def colours(image):
    """How many pixels have a colour: lines are drawn in colour, axes and words in grey."""
    pixels = np.asarray(image).astype(int)
    return int((pixels.max(-1) - pixels.min(-1) > 60).sum())


def test_one_run():
    image = curves({"one": EVENTS})
    assert image.width == 1350
    assert image.height == 650  # four panels in two rows of three
    assert colours(image) > 1000
    assert colours(curves({"one": [*EVENTS[:2], *EVENTS[3:]]})) != colours(image)


def test_several_runs_have_a_line_each():
    one, two = curves({"a": EVENTS}), curves({"a": EVENTS, "b": EVENTS[:2]})
    assert two.size == (1350, 650)  # d adversarial, d r1, g adversarial, fid: no logits
    assert one.size == two.size
    assert colours(two) != colours(one)


@pytest.mark.parametrize("events", [[], EVENTS[:1], [{"step": 1, "loss/d/x": float("nan")}] * 2])
def test_no_line_no_picture(events):
    assert curves({"one": events}) is None


def test_other_values_are_left_in_the_log():
    assert curves({"one": [{"step": step, "gradient_norm/g": 1.0} for step in (1, 2)]}) is None
