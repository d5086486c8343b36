"""How a DCI message is refused: over HTTP, as a whole, or one request of a batch.

DCI has a list of codes for each place: ``err.`` in acknowledgements and over HTTP, ``rjct.`` in the header of an answer
and beside each of its requests. Clients made from the specification read no others.
"""

from collections.abc import Mapping


class Refused(Exception):
    """The message is not read at all, with an ``err.`` code.

    401, 403 and 5xx answer ``errors``, other statuses an acknowledgement ERR.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class Rejected(Exception):
    """A whole message, or one request of it, is rejected with a ``rjct.`` code; messages repeat no input."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
