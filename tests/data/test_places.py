"""Folders as people and enemies leave them: links, pipes, damaged files, zips."""

import logging
import os
import socket
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from ganctl.artifacts.picture import save, save_film
from ganctl.data import places
from ganctl.data.folder import Folder
from ganctl.data.layout import say
from ganctl.errors import UserError

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def listening(caplog):
    caplog.set_level(logging.INFO, "ganctl")
    say.cache_clear()


def fill(folder, count=6, suffix="png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(folder / f"{number}.{suffix}", **options)
    return folder


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, bits=8, colour=2, rows=b"\0" * 100, extra=b""):
    """A PNG by hand, true or not."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bound(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n(witness) (w) file closefile\n%%EOF\n"
BAD = {
    "dead link": (lambda path: path.symlink_to("nowhere"), "a link to nowhere"),
    "link to itself": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "pipe": (os.mkfifo, "a named pipe, not a file"),
    "socket": (bound, "a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "EPS": (lambda path: path.write_bytes(EPS), "not a picture of a kind that is read"),
    "pixel bomb": (lambda path: path.write_bytes(png(50_000, 50_000)), "decompression bomb"),
    "text bomb": (
        lambda path: path.write_bytes(png(4, 4, extra=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**7))))),
        "too large",
    ),
    "empty": (lambda path: path.write_bytes(b""), "damaged from its first bytes on"),
    "fractions": (
        lambda path: Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(path, "TIFF"),
        "holds fractions, not levels",
    ),
    "32 bits": (
        lambda path: Image.fromarray(np.full((4, 4), 10**5, np.int32)).save(path, "TIFF"),
        "holds values from 100000 to 100000",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_picture_is_named_and_can_be_skipped(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(fill(tmp_path / "a"))
    make, reason = BAD[kind]
    make(tmp_path / "a" / "x.png")
    with pytest.raises(UserError, match=rf"1 of 7 images .*\n    x.png: .*{reason}.*\n  try: .*dataset.skip_bad=true"):
        Folder(root=".")
    assert len(Folder(root=".", skip_bad=True)) == 6 - 1  # one is for tests
    assert not (tmp_path / "a" / "witness").exists()


def test_a_name_never_reaches_the_screen_raw(tmp_path, caplog):
    for name in ("a\x1b[2J", "b\n\x9b"):
        fill(tmp_path / name, count=2)
    (tmp_path / "a\x1b[2J" / os.fsdecode(b"\xff\x07.png")).write_bytes(b"")
    with pytest.raises(UserError) as caught:
        Folder(root=str(tmp_path))
    data = Folder(root=str(tmp_path), skip_bad=True)
    assert data.class_names == ["a\\x1b[2J", "b\\n\\x9b"]
    for said in (str(caught.value), caplog.text):
        said.encode()
        assert not {"\x1b", "\x9b", "\x07"} & set(said)


def test_folders_that_link_to_one_another_are_read_once(tmp_path, caplog):
    for one in "abc":
        fill(tmp_path / one, count=2)
        for other in {*"abc"} - {one}:
            (tmp_path / one / f"to_{other}").symlink_to(f"../{other}")
    (tmp_path / "root").symlink_to(".")
    data = Folder(root=str(tmp_path))
    assert (len(data), data.class_names) == (5, ["a", "b", "c"])
    assert "passed over: 7 links to folders already read" in caplog.text


def test_what_is_read_and_passed_over_is_counted_by_suffix(tmp_path, caplog):
    fill(tmp_path, suffix="png", count=3)
    for suffix in ("tif", "gif", "ppm", "jfif"):
        fill(tmp_path / suffix, count=1, suffix=suffix, **({"format": "JPEG"} if suffix == "jfif" else {}))
    for name in ("a.heic", "b.HEIC", "c.cr2", "noname"):
        (tmp_path / name).write_bytes(b"x")
    assert len(Folder(root=str(tmp_path))) == 6
    assert (
        "pictures: 3 .png, 1 .gif, 1 .jfif, 1 .ppm, 1 .tif; passed over: 2 .heic, 1 .cr2, 1 files without"
        in caplog.text
    )


def test_a_folder_of_what_is_not_read_names_it(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no images .*; there are 1 \.heic\n  try: "):
        Folder(root=str(tmp_path))


def test_what_ganctl_drew_is_no_data_wherever_it_lies(tmp_path, caplog):
    picture = Image.new("RGB", (4, 4))
    save(picture, tmp_path / "grid.png")
    save_film([picture, picture], tmp_path / "film.gif", 100)
    with pytest.raises(UserError, match=r"the 2 pictures under .* were drawn by ganctl"):
        Folder(root=str(tmp_path))
    fill(tmp_path)
    fill(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "one" / "config.yaml").write_text("seed: 0")
    assert len(Folder(root=str(tmp_path))) == 6 - 1
    assert "left out 2 pictures that ganctl drew" in caplog.text
    assert "passed over: 1 folders of a run of ganctl's" in caplog.text


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return str(path)


def test_a_zip_is_read_with_its_class_folders(tmp_path):
    fill(tmp_path / "a")
    content = [path.read_bytes() for path in sorted((tmp_path / "a").iterdir())]
    files = {f"pets/{kind}/{n}.png": one for kind in ("cat", "dog") for n, one in enumerate(content)}
    junk = {"pets/.DS_Store": b"", "__MACOSX/pets/._0.png": b"x", "pets/run/config.yaml": b"", "pets/run/0.png": b"x"}
    data = Folder(root=zipped(tmp_path / "pets.zip", {**files, **junk}))
    assert (len(data), data.class_names, data.shape) == (11, ["cat", "dog"], (3, 4, 4))


def test_a_zip_writes_nothing_and_its_bombs_are_named(tmp_path, monkeypatch, caplog):
    picture = (fill(tmp_path / "in" / "side") / "0.png").read_bytes()
    monkeypatch.setattr(places, "MEMBER", 1000)
    names = ("../../slip.png", "/tmp/../slip.png", "..\\slip.png")
    root = zipped(
        tmp_path / "in" / "z.zip",
        {"a.png": picture, "b.png": picture, "bomb.png": bytes(5000), **dict.fromkeys(names, picture)},
    )
    with pytest.raises(UserError, match=r"1 of 3 images .*\n    bomb.png: unpacks to more than"):
        Folder(root=root)
    assert len(Folder(root=root, skip_bad=True)) == 1
    assert "passed over: 3 files whose names lead out of the zip" in caplog.text
    assert not list(tmp_path.rglob("*slip*"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.zip", r"a damaged zip\n  try: "),
        ("a.tar.gz", r"an archive that is not read\n  try: unpack it"),
        ("a.txt", r"neither a folder nor a zip\n  try: "),
    ],
)
def test_a_file_that_is_no_zip_says_what_to_do(tmp_path, name, sentence):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=sentence):
        Folder(root=str(tmp_path / name))


@pytest.mark.parametrize("root", ["~nobody_of_this_name/x", "a\0b", "x" * 5000])
def test_a_path_that_cannot_be_is_a_sentence(root):
    with pytest.raises(UserError, match=r"dataset.root=.*\n  try: dataset.root=PATH"):
        Folder(root=root)


@pytest.mark.parametrize("name", ["größe", "画像", "a b", "x (1)", "a#b", "100%", "it's", "a=b", "a,b;&!"])
def test_any_name_of_a_folder_and_the_home_sign(tmp_path, monkeypatch, name):
    fill(tmp_path / name, count=2)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Folder(root=f"~/{name}")) == 1


@pytest.mark.parametrize(("most", "white"), [(200, 255), (1000, 1023), (4000, 4095), (4096, 65535)])
def test_sixteen_bits_are_scaled_by_what_all_files_hold(tmp_path, caplog, most, white):
    for number, value in enumerate((0, most)):
        Image.fromarray(np.full((2, 2), value, np.uint16)).save(tmp_path / f"{number}.png")
    parts = [Folder(root=str(tmp_path), split=split).images.max().item() for split in ("train", "test")]
    assert sorted(parts) == [0, round(most * 255 / white)]
    assert f"hold values up to {most}: 0 to {white} become 0 to 255" in caplog.text


def test_sixteen_bit_colour_that_would_be_black_is_refused(tmp_path):
    rows = b"".join(b"\0" + np.full((4, 3), 4095, ">u2").tobytes() for _ in range(4))
    (tmp_path / "a.png").write_bytes(png(4, 4, bits=16, rows=rows))
    with pytest.raises(UserError, match=r"use 12 bits or fewer, .*nearly black\n  try: "):
        Folder(root=str(tmp_path))


@pytest.mark.parametrize(
    "block",
    [b"Exif\0\0garbage", b"Exif\0\0\0\x08\0\x02\x01\x12\0\x03", b"Exif\0\0Exif\0\0II*\0\x08\0\0\0\0\0", b"Exif\0\0"],
)
def test_garbage_in_the_exif_block_is_ignored(tmp_path, block):
    fill(tmp_path, count=2, suffix="jpg", exif=block)
    assert len(Folder(root=str(tmp_path))) == 1
