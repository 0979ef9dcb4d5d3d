"""This machine as a target."""

from pathlib import Path

import pytest

from deploy.local import LocalTarget
from tests.deploy.contracts import TargetContract


class TestLocal(TargetContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> LocalTarget:
        folder = tmp_path / "on the device"
        folder.mkdir()
        return LocalTarget(folder)
