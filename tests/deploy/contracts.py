"""What every target promises, as tests: a class of tests per target only says how to make it."""

from pathlib import Path

import pytest

from deploy.target import StableTargetError, Target, TargetTimeoutError

ODD_NAMES = (
    "with spaces.bin",
    'it\'s "quoted".bin',
    "$(touch injected).bin",
    "`touch injected`;touch injected.bin",
    "-rf",
    "--help",
    "grün – 緑.bin",
    "back\\slash & | > < * ? ~ #.bin",
    "new\nline.bin",
)


class TargetContract:
    """Subclasses give the fixture ``target``: a device with an empty working folder."""

    def test_files_go_there_and_come_back(self, target: Target, tmp_path: Path) -> None:
        content = bytes(range(256)) * 1000
        (tmp_path / "here").write_bytes(content)

        target.push(tmp_path / "here", "there.bin")
        listed = target.run(["ls", "-A"], timeout=30)
        target.pull("there.bin", tmp_path / "new folder/back")

        assert listed.stdout.split() == ["there.bin"]
        assert (tmp_path / "new folder/back").read_bytes() == content
        assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["back"]

    def test_a_file_is_replaced_and_may_be_empty(self, target: Target, tmp_path: Path) -> None:
        for content in (b"old and long", b"new", b""):
            (tmp_path / "here").write_bytes(content)
            target.push(tmp_path / "here", "there")
            target.pull("there", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == content

    def test_no_name_is_read_by_a_shell(self, target: Target, tmp_path: Path) -> None:
        here = tmp_path / "local side"
        here.mkdir()
        for name in ODD_NAMES:
            (here / name).write_text(name)
            target.push(here / name, name)
            target.pull(name, tmp_path / "back" / name)
            assert (tmp_path / "back" / name).read_text() == name

        listed = target.run(["find", ".", "-type", "f", "-print0"], timeout=30).stdout
        assert {name.removeprefix("./") for name in listed.split("\0") if name} == set(ODD_NAMES)

    def test_no_word_of_a_command_is_read_by_a_shell(self, target: Target) -> None:
        done = target.run(["printf", "<%s>", *ODD_NAMES], timeout=30)

        assert done.stdout == "".join(f"<{name}>" for name in ODD_NAMES)
        assert not target.run(["ls", "-A"], timeout=30).stdout

    @pytest.mark.parametrize("name", ["../outside", "/absolute", "", "a/../../b", "nul\0"])
    def test_a_name_stays_inside_the_folder(self, target: Target, tmp_path: Path, name: str) -> None:
        (tmp_path / "here").write_bytes(b"")

        with pytest.raises(StableTargetError, match="inside the working folder"):
            target.push(tmp_path / "here", name)
        with pytest.raises(StableTargetError, match="inside the working folder"):
            target.pull(name, tmp_path / "back")

    def test_a_missing_file_is_a_stable_error(self, target: Target, tmp_path: Path) -> None:
        with pytest.raises(StableTargetError, match="not there"):
            target.push(tmp_path / "missing", "there")
        with pytest.raises(StableTargetError, match="not there"):
            target.pull("missing", tmp_path / "back")

        assert not (tmp_path / "back").exists()

    @pytest.mark.parametrize("code", [0, 1, 3, 42, 255])
    def test_a_command_tells_how_it_ended(self, target: Target, code: int) -> None:
        done = target.run(["sh", "-c", f"echo out; echo err >&2; exit {code}"], timeout=30)

        assert (done.exit_code, done.command[0]) == (code, "sh")
        assert {*done.stdout.split(), *done.stderr.split()} == {"out", "err"}

    def test_a_command_that_crashes_is_no_lost_connection(self, target: Target) -> None:
        done = target.run(["sh", "-c", "kill -SEGV $$"], timeout=30)

        assert done.exit_code in (-11, 139)

    def test_an_unknown_program_is_a_stable_error(self, target: Target) -> None:
        with pytest.raises(StableTargetError, match="no-such-program"):
            target.run(["no-such-program"], timeout=30)

    def test_a_command_that_does_not_end_is_ended_and_may_be_tried_again(self, target: Target) -> None:
        with pytest.raises(TargetTimeoutError, match=r"within 0\.3 s") as caught:
            target.run(["sh", "-c", "echo begun; sleep 61.7"], timeout=0.3)

        assert caught.value.finished is not None
        assert caught.value.finished.stdout == "begun\n"
        running = target.run(["sh", "-c", "ps -A -o args 2>/dev/null || ps"], timeout=30).stdout
        assert "sleep 61.7\n" not in running
