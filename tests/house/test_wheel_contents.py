"""What reaches other people's site-packages: octopix, and nothing that could overwrite theirs."""

import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_all_of_octopix_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    inside = {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    assert inside == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "octopix").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
