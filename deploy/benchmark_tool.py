"""Where ``benchmark_model`` comes from when the user has none: its makers' builds, downloaded once and kept."""

import os
from collections.abc import Mapping
from pathlib import Path

import pooch

from deploy.remote import sha256
from deploy.target import StableTargetError
from octopix.errors import ConfigError

BUILDS: Mapping[str, str] = {
    "arm64-v8a": "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly"
    "/latest/android_aarch64_benchmark_model",
    "armeabi-v7a": "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly"
    "/latest/android_arm_benchmark_model",
}
"""``ro.product.cpu.abi`` -> the classic tool, the one of the two that can write its outputs."""


def find_tool(given: Path | None, abi: str | None, *, builds: Mapping[str, str] = BUILDS) -> Path:
    """The program for a phone: ``given``, else the build for its processor, from the cache or downloaded.

    Raises:
        ConfigError: ``given`` is no file, or the download failed.
        StableTargetError: there is no build for this processor.
    """
    if given is not None:
        if not given.is_file():
            raise ConfigError(
                expected="a benchmark_model", got=f"{given}, which is no file", do="correct benchmark_model"
            )
        return given
    if abi is None or abi not in builds:
        raise StableTargetError(
            expected=f"a phone of {' or '.join(builds)}", got=abi or "an unknown processor", do="give benchmark_model"
        )
    return _downloaded(builds[abi], f"benchmark_model-{abi}")


def _downloaded(url: str, name: str) -> Path:
    """The file in the user's cache, with its SHA-256 beside it: the next use makes sure that it is still the same."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octopix" / "tools"
    path, record = folder / name, folder / f"{name}.sha256"
    if path.is_file() and record.is_file() and sha256(path) == record.read_text().strip():
        return path
    path.unlink(missing_ok=True)
    try:
        pooch.retrieve(url, known_hash=None, fname=name, path=folder, progressbar=True)
    except Exception as error:  # requests' errors have no common name that pooch promises
        raise ConfigError(
            expected=f"to download {url}",
            got=f"{type(error).__name__}: {error}",
            do="fetch it by other means and name it with benchmark_model",
        ) from error
    record.write_text(f"{sha256(path)}\n")
    return path
