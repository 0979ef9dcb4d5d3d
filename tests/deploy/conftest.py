"""A model's files and real pictures, small enough for every test."""

from pathlib import Path

import pytest

from deploy.artifacts import ModelFile, choose_files
from deploy.bench import Job
from deploy.pictures import SampleSet, choose_samples

SIZE = (24, 32)


@pytest.fixture
def job() -> Job:
    """One short process."""
    return Job(size=SIZE, processes=1, warmup=1, runs=3, cooldown_s=0, tries=2, timeout_s=120)


@pytest.fixture(scope="session")
def files(artifacts: Path) -> tuple[ModelFile, ...]:
    """ESPCN ×4 as float32 and int8."""
    return choose_files(artifacts, "espcn_x4", size=SIZE)


@pytest.fixture(scope="session")
def samples(files: tuple[ModelFile, ...]) -> SampleSet:
    """Three parts of photographs that every installation has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OCTOPIX_DATA", raising=False)
        return choose_samples(files[0].card, None, size=SIZE)
