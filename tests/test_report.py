"""What a run says: TensorBoard, metrics.jsonl, train.log, pictures, lines."""

import json
import time

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganctl.report import Report


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def test_tensorboard_holds_losses_logits_norms_rates_speed_and_pictures(train, the_run):
    train("loss=wgan_gp")
    found = events(the_run())
    assert set(found.Tags()["scalars"]) >= {
        "loss/d/adversarial",
        "loss/d/gradient_penalty",
        "loss/g/adversarial",
        "logits/real",
        "logits/fake",
        "gradient_norm/d",
        "gradient_norm/g",
        "learning_rate/d",
        "learning_rate/g",
        "speed/images_per_second",
    }
    assert [event.step for event in found.Scalars("loss/d/adversarial")] == [2, 4]
    assert [event.step for event in found.Images("samples")] == [0, 4]
    assert [event.step for event in found.Scalars("final/loss")] == [0]


def test_metrics_jsonl_says_what_tensorboard_says(train, the_run):
    train()
    lines = [json.loads(line) for line in (the_run() / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    shown = events(the_run()).Scalars("loss/g/adversarial")[-1].value
    assert abs(lines[-1]["loss/g/adversarial"] - shown) < 1e-6


def test_seconds_count_training_alone_and_go_on_in_the_next_sitting(tmp_path):
    began = time.monotonic()
    with Report(tmp_path, steps=4) as first:
        time.sleep(0.1)
        with first.off_the_clock():
            time.sleep(0.5)
        first.metrics(2, {"fid": 1.0})
    assert 0.1 <= seconds(tmp_path)[-1] <= time.monotonic() - began - 0.5
    with Report(tmp_path, steps=4, start=2) as second:
        time.sleep(0.1)
        second.metrics(4, {"fid": 1.0})
    earlier, later = seconds(tmp_path)
    assert later >= earlier + 0.1


def seconds(folder):
    return [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_resuming_forgets_what_came_after_the_checkpoint(train, the_run):
    train()
    with (the_run() / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 5, "loss/g/adversarial": 99.0}) + "\n" + '{"step": 6, "cut sho')
    train("steps=8")
    lines = [json.loads(line) for line in (the_run() / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert [event.step for event in events(the_run()).Scalars("loss/g/adversarial")] == [2, 4, 6, 8]


def test_the_plan_and_the_end_are_said_and_kept(train, the_run):
    said = train().err
    for words in (
        "data     digits: 64 of 1x28x28, 10 classes",
        "minimises NonSaturating",
        "1 update a step",
        "takes 4 steps",
    ):
        assert words in said
    assert f"ganctl sample run=runs/{the_run().name}" in said
    assert "steps=8" in said
    assert "takes 4 steps" in (the_run() / "train.log").read_text()


def test_pictures_are_drawn_from_the_same_noise_and_labels(train, the_run):
    train("every.sample=2", "optimizer.lr=1e-30", "ema=0.0", "model.generator.norm=none")
    paths = sorted((the_run() / "samples").glob("*.png"))
    assert [path.name for path in paths] == ["step_00000000.png", "step_00000002.png", "step_00000004.png"]
    first, *rest = (Image.open(path).tobytes() for path in paths)
    assert all(other == first for other in rest)
