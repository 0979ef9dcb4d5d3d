import errno
import hashlib
import io
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.progress import Progress

from octopix.errors import DataError
from train.data import download as module
from train.data.download import check_pixels, download, known_pixels, pixel_digest
from train.data.homes import HOMES, Archive, Home
from train.data.progress import DownloadBar
from train.data.sources import committed_list

NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing answers there."""


def png(value: int = 7) -> bytes:
    return cv2.imencode(".png", np.full((4, 4, 3), value, np.uint8))[1].tobytes()


def zipped(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            packed.writestr(name, png())
    return path


def taped(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as tape:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(png())
            tape.addfile(entry, io.BytesIO(png()))
        link = tarfile.TarInfo("inside/train/c.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tape.addfile(link)
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def home_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address on this machine under which its files can be fetched."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "page"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def a_home(url: str, checksum: str | None = None) -> Home:
    archive = Archive(url, checksum, "a test", None, {"inside": "Some"})
    return Home("some", "Some", "", "", (archive,), {"Some/train": 2, "Some/val": 1})


WHOLE = ["inside/train/a.png", "inside/train/b.PNG", "inside/val/c.png", "inside/train/note.txt", "other/d.png"]


def fetch(home: Home, to: Path) -> list[str]:
    told: list[str] = []
    with Progress(disable=True) as screen:
        download(home, to, tell=told.append, bar=partial(DownloadBar, screen))
    return told


def stands(to: Path) -> list[str]:
    return sorted(path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file())


@pytest.mark.parametrize(("pack", "name"), [(zipped, "set.zip"), (taped, "set.tar.gz")])
def test_a_set_arrives_in_the_folders_of_the_collection(home_page, tmp_path, pack, name):
    page, url = home_page
    digest = hashlib.sha256(pack(page / name, WHOLE).read_bytes()).hexdigest()
    told = fetch(a_home(f"{url}/{name}", f"sha256:{digest}"), tmp_path / "data")
    assert stands(tmp_path / "data") == ["Some/train/a.png", "Some/train/b.PNG", "Some/val/c.png"]
    assert told == [f"some: Some/train, Some/val in {tmp_path / 'data'}"]


def test_what_is_there_is_not_fetched_again(tmp_path):
    for name in ("train/a.png", "train/b.png", "val/c.png"):
        (tmp_path / "Some" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Some" / name).write_bytes(png())
    assert fetch(a_home(f"{NOBODY}/set.zip"), tmp_path) == [
        f"some: Some/train, Some/val in {tmp_path} already; nothing downloaded"
    ]


def test_an_unknown_checksum_is_kept_and_holds_the_next_time(home_page, tmp_path):
    page, url = home_page
    zipped(page / "set.zip", WHOLE)
    told = fetch(a_home(f"{url}/set.zip"), tmp_path / "data")
    note = tmp_path / "data" / ".downloads" / "set.zip.checksum"
    assert note.read_text(encoding="utf-8").split()[0] in told[0]
    shutil.rmtree(tmp_path / "data" / "Some")
    zipped(page / "set.zip", [*WHOLE, "inside/more.txt"])
    with pytest.raises(DataError, match="got another checksum"):
        fetch(a_home(f"{url}/set.zip"), tmp_path / "data")
    assert stands(tmp_path / "data") == [".downloads/set.zip.checksum"]


def test_another_checksum_than_the_published_leaves_nothing(home_page, tmp_path):
    page, url = home_page
    zipped(page / "set.zip", WHOLE)
    with pytest.raises(DataError, match=r"got another checksum, [0-9a-f]{64};"):
        fetch(a_home(f"{url}/set.zip", f"sha256:{'0' * 64}"), tmp_path / "data")
    assert stands(tmp_path / "data") == []


def test_offline_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DataError, match=r"got no connection; .*put it at .*\.downloads/set\.zip and run this again"):
        fetch(a_home(f"{NOBODY}/set.zip"), tmp_path)


def test_a_file_gone_from_its_home_is_told(home_page, tmp_path):
    with pytest.raises(DataError, match="404"):
        fetch(a_home(f"{home_page[1]}/set.zip"), tmp_path)


def test_an_archive_put_there_by_hand_is_taken(tmp_path):
    (tmp_path / ".downloads").mkdir()
    zipped(tmp_path / ".downloads" / "set.zip", WHOLE)
    fetch(a_home(f"{NOBODY}/set.zip"), tmp_path)
    assert "Some/val/c.png" in stands(tmp_path)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "inside/../../evil.png", "inside\\..\\evil.png"])
@pytest.mark.parametrize("pack", [zipped, taped])
def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path, pack, name):
    (tmp_path / "data" / ".downloads").mkdir(parents=True)
    kind = "set.zip" if pack is zipped else "set.tar.gz"
    pack(tmp_path / "data" / ".downloads" / kind, [*WHOLE, name])
    with pytest.raises(DataError, match="paths inside the archive"):
        fetch(a_home(f"{NOBODY}/{kind}"), tmp_path / "data")
    assert not [file for file in stands(tmp_path) if "downloads" not in file]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "a whole archive"),
        (lambda path: path.write_bytes(b"<html>moved</html>"), "a whole archive"),
        (lambda path: zipped(path, WHOLE[:2]), "1 images for Some/val in set.zip, got none"),
        (lambda path: zipped(path, WHOLE[1:]), "2 images for Some/train in set.zip, got 1"),
    ],
)
def test_a_damaged_archive_leaves_no_images(tmp_path, spoil, complaint):
    (tmp_path / ".downloads").mkdir()
    spoil(zipped(tmp_path / ".downloads" / "set.zip", WHOLE))
    with pytest.raises(DataError, match=complaint):
        fetch(a_home(f"{NOBODY}/set.zip"), tmp_path)
    assert stands(tmp_path) == [".downloads/set.zip"]


def test_a_set_that_is_there_in_part_is_not_touched(tmp_path):
    (tmp_path / "Some" / "train").mkdir(parents=True)
    (tmp_path / "Some" / "train" / "mine.png").write_bytes(png())
    with pytest.raises(DataError, match=r"2 images in .*Some/train, or no such folder, got 1"):
        fetch(a_home(f"{NOBODY}/set.zip"), tmp_path)


def test_a_full_disk_is_told_and_leaves_no_images(tmp_path, monkeypatch):
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / ".downloads").mkdir()
    zipped(tmp_path / ".downloads" / "set.zip", WHOLE)
    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match="No space left"):
        fetch(a_home(f"{NOBODY}/set.zip"), tmp_path)
    assert [file for file in stands(tmp_path) if not file.startswith(".downloads")] == []


def test_pixels_of_test_sets_are_held_against_ours(tmp_path):
    assert set(known_pixels()) == {name for name in committed_list("collection", "test") if name.startswith("Set")}
    (tmp_path / "Set5").mkdir()
    (tmp_path / "Set5" / "baby.png").write_bytes(png())
    with pytest.raises(DataError, match=r"pixels of Set5/baby\.png"):
        check_pixels(tmp_path)


def test_a_grey_copy_has_the_digest_of_its_rgb_twin(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 4), 7, np.uint8))
    (tmp_path / "rgb.png").write_bytes(png(7))
    assert pixel_digest(tmp_path / "grey.png") == pixel_digest(tmp_path / "rgb.png")


def test_every_set_fills_the_folders_the_lists_name():
    filled = {folder for home in HOMES.values() for folder in home.images}
    named = {
        name.rpartition("/")[0]
        for lists, purpose in (
            ("bsds500", "train"),
            ("bsds500", "validate"),
            ("div2k", "train"),
            ("collection", "test"),
        )
        for name in committed_list(lists, purpose)
    }
    assert named <= filled
    for home in HOMES.values():
        tops = [folder for archive in home.archives for folder in archive.folders.values()]
        assert all(folder in tops or folder.rpartition("/")[0] in tops for folder in home.images)
        for archive in home.archives:
            assert archive.checksum or home.images.keys() <= {name.partition("/")[0] for name in known_pixels()}
