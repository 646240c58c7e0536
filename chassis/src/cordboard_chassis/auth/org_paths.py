"""Places in the organisation: ``/`` contains ``/cn``, which contains ``/cn/east/shanghai``."""

from typing import Any

from cordboard_contracts import OrgPath
from sqlalchemy import ColumnElement, and_, or_, true

from cordboard_chassis.refusals import Forbidden

__all__ = ["ROOT", "OrgPath", "is_within", "require_within", "within"]

ROOT = "/"
"""The whole organisation."""


def is_within(path: str, scope: str) -> bool:
    """Whether ``path`` is ``scope`` itself or below it; ``/cn/eastern`` is not below ``/cn/east``."""
    return scope in (ROOT, path) or path.startswith(scope + "/")


def require_within(path: str, scope: str, field: str = "org_path") -> None:
    """Let nobody write outside of the own part of the organisation.

    Raises:
        Forbidden: ``path`` is not within ``scope``.
    """
    if not is_within(path, scope):
        raise Forbidden(f"{path} is outside of {scope}, to which this token is limited", field)


def within(column: ColumnElement[Any], scope: str) -> ColumnElement[bool]:
    """The filter of each query of rows with an ``org_path``; row-level security is the second lock.

    A range, not LIKE: under row-level security an index serves only operators that cannot leak, and LIKE can. "0" is
    what follows "/" when text is sorted by bytes; an index serves a column that is declared so (``COLLATE "C"``).
    """
    if scope == ROOT:
        return true()
    by_bytes = column.collate("C")
    return or_(column == scope, and_(by_bytes >= scope + "/", by_bytes < scope + "0"))
