"""The key of a measurement."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One measurement: a model by one scheme at one size on so many threads by one delegate."""

    model: str
    scheme: str
    height: int
    width: int
    threads: int
    delegate: str

    @property
    def group(self) -> tuple[str, int, int, int, str]:
        """Cells of one group differ in their scheme only."""
        return self.model, self.height, self.width, self.threads, self.delegate

    @property
    def conditions(self) -> str:
        """For people, without the scheme."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.model} {self.height}x{self.width} {threads} {self.delegate}"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.conditions} {self.scheme}"

    @property
    def slug(self) -> str:
        """For file names."""
        return plain_name(f"{self.model}-{self.scheme}-{self.height}x{self.width}-{self.threads}-{self.delegate}")


def plain_name(text: str) -> str:
    """Every letter that a delegate's path may hold and a file name may not becomes a dash."""
    return "".join(letter if letter.isalnum() or letter in "+-_." else "-" for letter in text)
