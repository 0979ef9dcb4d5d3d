"""The errors octopix shows to people: what was expected, what came instead, what to do now."""


class OctopixError(Exception):
    """A problem the user can mend.

    Every message has the same three parts, so that nobody has to read a traceback:
    ``expected <expected>, got <got>; <do>``. The command line prints it and exits with 2.
    """

    def __init__(self, *, expected: str, got: str, do: str) -> None:
        super().__init__(f"expected {expected}, got {got}; {do}")
        self.expected = expected
        self.got = got
        self.do = do


class ImageError(OctopixError):
    """An image file or array that cannot be used."""


class ModelFileError(OctopixError):
    """A ``.tflite`` file that is damaged, foreign, or lacks what the caller needs."""


class RuntimeMissingError(OctopixError):
    """No TFLite runtime is installed, or not the one that was asked for."""


class DelegateError(OctopixError):
    """A delegate that is not to be had, or does not run this network.

    ``refused`` is what it says of operators that it does not take, one line each.
    """

    def __init__(self, *, expected: str, got: str, do: str, refused: tuple[str, ...] = ()) -> None:
        super().__init__(expected=expected, got=got, do=do)
        self.refused = refused


class ResultError(OctopixError):
    """A result JSON of another version or shape."""


class ConfigError(OctopixError):
    """A name, a recipe or an option that is not known."""


class DataError(OctopixError):
    """A folder or a list of images that cannot serve."""
