"""Why a use case says no. The HTTP edge answers with it, a consumer records it and goes on."""


class Refused(Exception):
    """The domain refuses what was asked; nothing was changed and asking again the same way will not help.

    ``code`` is a stable word for programs (``lead-already-converted``), ``detail`` a sentence for people,
    ``field`` the part of the request that is wrong (``phones.0.number``), ``status`` what HTTP answers.
    """

    def __init__(self, code: str, detail: str, field: str | None = None, status: int = 409) -> None:
        super().__init__(code, detail, field, status)
        self.code = code
        self.detail = detail
        self.field = field
        self.status = status

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" + (f" ({self.field})" if self.field else "")


class NotFound(Refused):
    """There is no such thing, or the caller may not know that there is."""

    def __init__(self, detail: str, field: str | None = None, code: str = "not-found") -> None:
        super().__init__(code, detail, field, 404)


class Conflict(Refused):
    """The thing is in a state in which this cannot be done."""

    def __init__(self, detail: str, field: str | None = None, code: str = "conflict") -> None:
        super().__init__(code, detail, field, 409)


class Forbidden(Refused):
    """The caller is known but may not do this."""

    def __init__(self, detail: str, field: str | None = None, code: str = "forbidden") -> None:
        super().__init__(code, detail, field, 403)


class Invalid(Refused):
    """A value that is well-formed but makes no sense here: an unknown skill, an end before its start."""

    def __init__(self, detail: str, field: str, code: str = "invalid") -> None:
        super().__init__(code, detail, field, 422)
