"""Where the public image sets live, what is known of their files, and how they lie in a data collection.

A checksum is listed only where somebody published it; None says that nobody did. The first good download then leaves
its own, and later ones are held against that. The images of Set5 and Set14 are held against the pixels that our figures
come from (``lists/pixels.sha256``), wherever they were downloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from octopix.errors import ConfigError


@dataclass(frozen=True)
class Archive:
    """One file to download."""

    url: str
    checksum: str | None
    """As pooch takes it, ``algorithm:hexadecimal``; None where nobody published one."""
    known_from: str
    """Who says so; or, without a checksum, what is known instead."""
    bytes: int | None
    folders: Mapping[str, str]
    """Folder in the archive -> folder of the collection; what lies elsewhere is not unpacked."""


@dataclass(frozen=True)
class Home:
    """A public image set."""

    name: str
    title: str
    page: str
    terms: str
    """As its source states them."""
    archives: tuple[Archive, ...]
    images: Mapping[str, int]
    """Folder of the collection -> how many images it must hold."""


_BERKELEY = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision"
_ZURICH = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
_HUB = "https://huggingface.co/datasets/eugenesiow"
_TFDS = "TensorFlow Datasets' list of checksums, div2k"


def _div2k(part: str, size: int, digest: str) -> Archive:
    folder = f"DIV2K_{part}_HR"
    return Archive(f"{_ZURICH}/{folder}.zip", f"sha256:{digest}", _TFDS, size, {folder: folder})


def _test_set(name: str) -> Archive:
    return Archive(
        f"{_HUB}/{name}/resolve/main/data/{name}_HR.tar.gz",
        None,
        "a public copy, not the authors' own; its pixels are checked",
        None,
        {f"{name}_HR": name},
    )


HOMES: Mapping[str, Home] = {
    listed.name: listed
    for listed in (
        Home(
            "div2k",
            "DIV2K, ground truth",
            f"{_ZURICH}/",
            "academic research only",
            (
                _div2k("train", 3_530_603_713, "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335"),
                _div2k("valid", 448_993_893, "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"),
            ),
            {"DIV2K_train_HR": 800, "DIV2K_valid_HR": 100},
        ),
        Home(
            "bsds500",
            "Berkeley Segmentation Data Set 500",
            f"{_BERKELEY}/grouping/resources.html",
            "non-commercial research and education",
            (
                Archive(
                    f"{_BERKELEY}/grouping/BSR/BSR_bsds500.tgz",
                    "md5:0b17383ff0b21fe43d2f28e624203169",
                    "a public project that downloads and checks it; its home publishes none",
                    70_763_455,
                    {"BSR/BSDS500/data/images": "BSDS500"},
                ),
            ),
            {"BSDS500/train": 200, "BSDS500/val": 100, "BSDS500/test": 200},
        ),
        Home(
            "set5",
            "Set5 (Bevilacqua 2012)",
            "http://people.rennes.inria.fr/Aline.Roumy/results/SR_BMVC12.html",
            "not stated",
            (_test_set("Set5"),),
            {"Set5": 5},
        ),
        Home(
            "set14",
            "Set14 (Zeyde 2010)",
            "https://sites.google.com/site/romanzeyde/research-interests",
            "not stated",
            (_test_set("Set14"),),
            {"Set14": 14},
        ),
    )
}


def find_home(name: str) -> Home:
    """The set of that name.

    Raises:
        ConfigError: unknown; the message lists what is known.
    """
    if name not in HOMES:
        raise ConfigError(expected=f"a set ({', '.join(HOMES)})", got=repr(name), do="correct its name")
    return HOMES[name]
