"""Tables that are generated into a Markdown file, between two marks."""

from pathlib import Path

from octopix.errors import ResultError
from octopix.files import write_text


def put_between(readme: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the two marks in ``readme``; everything else stays.

    Raises:
        ResultError: the marks are not there.
    """
    whole = readme.read_text(encoding="utf-8")
    before, found, rest = whole.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ResultError(expected=f"the marks {begin} and {end} in {readme}", got="none", do="put them back")
    write_text(readme, f"{before}{begin}\n\n{text}\n{end}{after}")
