"""The cache of decoded folders: its limit, and what others may have put there."""

import logging
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ganctl.data import cache as cache_room
from ganctl.data.folder import Folder
from ganctl.errors import UserError


def fill(folder, side=16):
    folder.mkdir()
    for number in range(4):
        Image.new("L", (side, side), number).save(folder / f"{number}.png")
    return str(folder)


def kept(cache):
    return sorted(path.name for path in (cache / "folders").iterdir() if path.is_dir())


def test_beyond_the_limit_what_was_used_longest_ago_goes(tmp_path, cache, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "ganctl")
    for number, name in enumerate("abc"):
        Folder(root=fill(tmp_path / name))
        (new,) = (
            set(kept(cache))
            - {f.name for f in tmp_path.iterdir() if (tmp_path / f"{f.name}.is").exists()}
            - seen(tmp_path)
        )
        (tmp_path / f"{new}.seen").touch()
        os.utime(cache / "folders" / new, (number, number))
    first = Folder(root=str(tmp_path / "a"))  # used again, and held
    os.utime(cache / "folders" / kept(cache)[0])
    monkeypatch.setenv("GANCTL_CACHE_GB", "1e-9")
    Folder(root=fill(tmp_path / "d"))
    assert len(kept(cache)) == 2  # what is in use, and the newest
    assert levels(first) == levels(Folder(root=str(tmp_path / "a")))
    assert "over 1e-09 GB (GANCTL_CACHE_GB): deleted 2 used longest ago" in caplog.text


def seen(folder):
    return {path.stem for path in folder.glob("*.seen")}


def levels(data):
    return data.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("told", ["abc", "-1", "nan"])
def test_a_limit_that_is_no_number_is_refused(tmp_path, monkeypatch, told):
    monkeypatch.setenv("GANCTL_CACHE_GB", told)
    with pytest.raises(
        UserError, match=rf"GANCTL_CACHE_GB={told}: not a number of gigabytes\n  try: GANCTL_CACHE_GB=20"
    ):
        Folder(root=fill(tmp_path / "a"))


def test_no_home_and_an_unknown_user_are_a_sentence(monkeypatch):
    for name in ("GANCTL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache_room.Path, "expanduser", nobody)
    with pytest.raises(UserError, match=r"no home folder .*\n  try: export GANCTL_CACHE=/"):
        cache_room.cache_dir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link(path):
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to("../elsewhere")


def folder(path):
    path.unlink()
    path.mkdir()


def array(values):
    def write(path):
        with path.open("wb") as file:
            np.save(file, values, allow_pickle=True)

    return write


HOSTILE = {
    "a pipe": pipe,
    "a link": link,
    "a folder": folder,
    "empty": lambda path: path.write_bytes(b""),
    "a pickle": array(np.array([{}], dtype=object)),
    "fractions": array(np.zeros((4, 16, 16, 1), np.float32)),
    "another size": array(np.zeros((4, 16, 16), np.uint8)),
    "too few": array(np.zeros((3, 16, 16, 1), np.uint8)),
    "columns first": array(np.asfortranarray(np.zeros((4, 16, 16, 1), np.uint8))),
    "brackets": lambda path: path.write_text("[" * 100_000),
    "wrong types": lambda path: path.write_text('{"content": 1, "left_out": [1]}'),
    "a list": lambda path: path.write_text("[1]"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("victim", ["pixels.npy", "facts.json"])
def test_what_others_put_into_the_cache_is_decoded_anew(tmp_path, cache, caplog, victim, kind):
    expected = levels(Folder(root=fill(tmp_path / "a")))  # before its map is cut short under it
    (path,) = (cache / "folders").glob(f"*/{victim}")
    HOSTILE[kind](path)
    assert levels(Folder(root=str(tmp_path / "a"))) == expected
    assert "are damaged (" in caplog.text


@pytest.mark.parametrize("kind", ["kept link", "kept pipe", "lock link", "lock pipe", "draft link"])
def test_links_and_pipes_in_place_of_a_folder_lead_nowhere(tmp_path, cache, kind):
    Folder(root=fill(tmp_path / "a"))
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    place = cache / "folders" / kept(cache)[0]
    shutil.rmtree(place)
    name, _, how = kind.partition(" ")
    target = {"kept": place, "lock": place.with_suffix(".lock"), "draft": place.with_suffix(".partial")}[name]
    target.unlink(missing_ok=True)
    if how == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to(victim / "new" if name == "lock" else victim)
    assert len(Folder(root=str(tmp_path / "a"))) == 3
    assert [path.name for path in victim.iterdir()] == ["file"]
