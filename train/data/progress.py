"""A bar of rich in the form that pooch drives."""

from pathlib import PurePosixPath

from rich.progress import Progress

from train.data.homes import Archive


class DownloadBar:
    """Progress of one archive; pooch sets ``total`` in bytes and calls the rest."""

    def __init__(self, screen: Progress, archive: Archive) -> None:
        self._screen = screen
        self._task = screen.add_task(PurePosixPath(archive.url).name, total=archive.bytes, visible=False)

    @property
    def total(self) -> float | None:
        """Bytes to come; None where neither the table nor the server says."""
        return self._screen.tasks[self._task].total

    @total.setter
    def total(self, size: int) -> None:
        if size:
            self._screen.update(self._task, total=size)
        self._screen.update(self._task, visible=True)

    def update(self, size: int) -> None:
        """``size`` more bytes are here."""
        self._screen.update(self._task, advance=size)

    def reset(self) -> None:
        """Count from the start; pooch does so before it fills the bar."""
        self._screen.reset(self._task, total=self.total)

    def close(self) -> None:
        """Nothing: rich closes its screen itself."""
