"""Why a whole file is refused: a code, whose meaning is in ``services.registry.imports.refusals``.

This package imports nothing heavy: a reading process has to start fast and to stay small.
"""


class RefusedFileError(Exception):
    """A whole file is refused; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
