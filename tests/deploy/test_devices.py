"""devices.yaml, and models that say one size."""

from pathlib import Path

import numpy as np
import pytest

from deploy.artifacts import ModelFile, choose_files
from deploy.benchmark_tool import find_tool
from deploy.devices import Android, Local, RaspberryPi, read_devices
from deploy.target import StableTargetError
from octopix.errors import ConfigError
from octopix.fixed_size import with_input_shape
from octopix.graph import read_graph
from octopix.runtime import open_session

ROOT = Path(__file__).parents[2]


def test_the_example_is_right() -> None:
    devices = read_devices(ROOT / "devices.example.yaml")

    assert {name: type(device) for name, device in devices.items()} == {
        "this-machine": Local,
        "desk-pi": RaspberryPi,
        "pixel": Android,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("devices: {pi: {target: raspberry_pi, host: a, hots: b}}", r"devices\.pi\.raspberry_pi\.hots: Extra inputs"),
        ("devices: {pi: {target: raspberry_pi}}", "host: Field required"),
        ("devices: {pi: {target: commodore}}", "kinds are local, raspberry_pi, android"),
        ("devices: {pi: {target: raspberry_pi, host: a, port: 70000}}", "port"),
        ("devices: {../up: {target: local}}", "rename the device"),
        ("devices: {all: {target: local}}", "rename the device"),
        ("devices: [", "YAML"),
        ("", "devices in"),
        ("\0", "YAML"),
    ],
)
def test_a_wrong_file_is_said(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=says):
        read_devices(path)


def test_a_model_of_any_size_is_made_to_say_one(files: tuple[ModelFile, ...]) -> None:
    for file in files:
        content = file.path.read_bytes()

        fixed = with_input_shape(content, (1, 16, 24, 1))

        assert len(fixed) == len(content)
        before, after = read_graph(content), read_graph(fixed)
        changed = [
            place for place, pair in enumerate(zip(before.tensors, after.tensors, strict=True)) if pair[0] != pair[1]
        ]
        assert changed == [before.inputs[0]]
        assert after.tensors[after.inputs[0]].shape_signature == (1, 16, 24, 1)
        value = np.arange(16 * 24).reshape(1, 16, 24, 1) % 256
        sessions = open_session(content), open_session(fixed)
        assert sessions[1].input_shape == (1, 16, 24, 1)
        outputs = [session.invoke(value.astype(session.input_dtype)) for session in sessions]
        assert np.array_equal(*outputs)


def test_files_go_by_default_or_by_name(artifacts: Path) -> None:
    def schemes(*asked: str) -> list[str]:
        chosen = choose_files(artifacts, "espcn_x4", size=(16, 16), **({"schemes": asked} if asked else {}))
        return [file.card.scheme for file in chosen]

    assert schemes() == ["float32", "int8-ptq-minmax"]  # there is no float16
    assert schemes("int8-ptq-minmax", "float32") == ["int8-ptq-minmax", "float32"]
    with pytest.raises(ConfigError, match=r"float16 as \.tflite"):
        schemes("float32", "float16")


def test_a_tool_is_downloaded_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetched: list[str] = []

    def retrieve(url: str, *, known_hash: None, fname: str, path: Path, progressbar: bool) -> None:
        fetched.append(url)
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(b"the tool")

    monkeypatch.setattr("deploy.benchmark_tool.pooch.retrieve", retrieve)
    builds = {"arm64-v8a": "https://example.org/tool"}

    path = find_tool(None, "arm64-v8a", builds=builds)
    assert find_tool(None, "arm64-v8a", builds=builds) == path
    assert fetched == ["https://example.org/tool"]

    path.write_bytes(b"damaged")
    assert find_tool(None, "arm64-v8a", builds=builds).read_bytes() == b"the tool"
    assert len(fetched) == 2

    with pytest.raises(StableTargetError, match="a phone of arm64-v8a, got mips"):
        find_tool(None, "mips", builds=builds)
    with pytest.raises(ConfigError, match="which is no file"):
        find_tool(tmp_path / "missing", "arm64-v8a")


def test_a_download_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(ConfigError, match="fetch it by other means"):
        find_tool(None, "arm64-v8a", builds={"arm64-v8a": "http://127.0.0.1:1/tool"})
