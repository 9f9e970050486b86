"""The built wheel, installed into an empty folder, works from another one."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*words, cwd, **environment):
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_works_from_an_empty_folder(tmp_path, tiny):
    for tool in ("hatchling", "pip"):
        pytest.importorskip(tool)
    dist, site, here = (tmp_path / name for name in ("dist", "site", "here"))
    here.mkdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist), cwd=ROOT)
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "ganctl/conf/train.yaml" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ganctl"}
    assert {Path(name).suffix for name in names if ".dist-info/" not in name} == {".py", ".yaml"}
    assert len([name for name in names if name.endswith(".yaml")]) == len(list((ROOT / "conf").rglob("*.yaml")))
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=here)

    (here / "mine/loss").mkdir(parents=True)
    (here / "mine/loss/own.yaml").write_text("_target_: own.Own\n")
    (here / "own.py").write_text("from ganctl.losses.hinge import Hinge\nclass Own(Hinge):\n    pass\n")
    ganctl = [sys.executable, str(site / "bin/ganctl")]
    path = {"PYTHONPATH": str(site), "GANCTL_CACHE": str(tmp_path / "cache")}
    where = "import ganctl, ganctl.confdir as c; print(ganctl.__file__, c.conf_dir())"
    assert run(sys.executable, "-c", where, cwd=here, **path).split() == [
        str(site / "ganctl/__init__.py"),
        str(site / "ganctl/conf"),
    ]
    told = run(*ganctl, "train", *tiny("loss=own"), "--config-dir", "mine", cwd=here, **path)
    assert "minimises Own" in told
    run(*ganctl, "sample", "trust=true", "n=4", cwd=here, **path)
    assert list(here.rglob("grid.png"))
    assert sorted(entry.name for entry in here.iterdir() if entry.name != "__pycache__") == ["mine", "own.py", "runs"]
