"""scripts/compare reads what runs had reached at equal steps and at equal time."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "compare"


def a_log(folder, *events):
    folder.mkdir()
    named = [{"step": step, "seconds": seconds, "metric/fid/pixels": fid} for step, seconds, fid in events]
    lines = [*named, {"step": 2, "seconds": 1.5, "loss/d/adversarial": 9.0, "metric/fid_of_something/pixels": 9.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def compared(*args):
    return subprocess.run([sys.executable, SCRIPT, *args], capture_output=True, text=True)


def test_the_value_at_the_step_and_the_last_within_the_time(tmp_path):
    slow = a_log(tmp_path / "slow", (5, 10.0, 4.0), (10, 20.0, 2.0), (15, 30.0, 1.0))
    fast = a_log(tmp_path / "fast", (5, 1.0, 6.0), (10, 2.0, 5.0), (15, 3.0, 0.0))
    rows = compared(fast, slow, "--steps", "10", "--seconds", "10").stdout.splitlines()
    assert rows[2:] == ["| `slow` | 2.00 | 20 | 4.00 | 5 |", "| `fast` | 5.00 | 2 | 0.00 | 15 |"]


def test_a_run_without_an_evaluation_there_is_named(tmp_path):
    runs = a_log(tmp_path / "short", (5, 1.0, 6.0)), a_log(tmp_path / "long", (10, 2.0, 5.0))
    told = compared(*runs, "--steps", "10")
    assert told.returncode == 1
    assert told.stdout.splitlines()[2:] == ["| `long` | 5.00 | 2 | 5.00 | 10 |"]
    assert f"no fid at step 10 and before 120 s: {runs[0]}\n" in told.stderr
    assert "try: ganctl train ... every.eval=N" in told.stderr
