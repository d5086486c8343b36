"""How a DCI message is refused: over HTTP, as a whole, or one request of a batch."""


class Refused(Exception):
    """The message is not read at all: 401, 403 and 5xx answer ``errors``, other statuses an acknowledgement ERR."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


class Rejected(Exception):
    """A whole message, or one request of it, is rejected with a ``rjct.`` code; messages repeat no input."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
