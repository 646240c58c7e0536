"""How the domain says no."""


class RuleBroken(Exception):
    """What was asked may not be. ``code`` for programs, ``detail`` for people, ``field`` where it is wrong."""

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(code, detail, field)
        self.code = code
        self.detail = detail
        self.field = field


class Wrong(RuleBroken):
    """A value that makes no sense; ``field`` is never missing."""

    def __init__(self, detail: str, field: str) -> None:
        super().__init__("invalid", detail, field)


class NotYours(RuleBroken):
    """The thing belongs to somebody else."""

    def __init__(self, detail: str) -> None:
        super().__init__("not-yours", detail)
