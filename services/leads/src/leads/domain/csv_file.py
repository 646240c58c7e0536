"""An uploaded file: bytes to lines with named fields. Tolerates what spreadsheets make of Chinese text."""

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leads.domain.rules import Wrong

FIELDS = ("name", "company", "phone", "email", "language", "territory", "interest", "priority")
ATTRIBUTE = "attributes."
"""A column mapped to ``attributes.campaign`` becomes the attribute ``campaign``."""
MAX_COLUMNS = 100
MAX_CELL_LENGTH = 10_000
ENCODINGS = frozenset(
    {"utf-8", "utf-16", "gb18030", "gbk", "gb2312", "big5", "windows-1252", "iso-8859-1", "shift_jis", "euc-kr"}
)

_HEADERS = {
    "name": "name|full name|contact|contact name|姓名|客户姓名|联系人|聯絡人|名字",
    "company": "company|company name|organisation|organization|公司|公司名称|公司名稱|单位|企业名称",
    "phone": "phone|phone number|mobile|mobile phone|tel|telephone|电话|電話|手机|手機|手机号|联系电话|聯絡電話",
    "email": "email|e-mail|mail|email address|邮箱|郵箱|电子邮箱|电子邮件|電子郵件",
    "language": "language|lang|语言|語言",
    "territory": "territory|region code|区域|地区|地區",
    "interest": "interest|interested in|message|note|notes|意向|需求|咨询内容|备注|備註",
    "priority": "priority|优先级|優先級",
}
_KNOWN = {header: field for field, headers in _HEADERS.items() for header in headers.split("|")}


@dataclass(frozen=True)
class Line:
    """One record: where it begins in the file, and its cells by field; empty cells are missing."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class CsvFile:
    """A file that could be read."""

    encoding: str
    columns: Mapping[str, str]
    """Which header became which field."""
    ignored: tuple[str, ...]
    """Headers that mean nothing to us."""
    lines: tuple[Line, ...]
    broken: Mapping[int, str]
    """Lines that do not fit the header, and why."""


def read(content: bytes, charset: str | None, mapping: Mapping[str, str], max_lines: int) -> CsvFile:
    """Read a file. ``mapping`` says which field a header is (by header), beside those that are known anyway.

    Raises:
        Wrong: it is no CSV file with a header that we understand, or too long.
    """
    text, encoding = _decode(content, charset)
    if "\0" in text:
        raise Wrong("contains NUL characters: this is no text file", "file")
    rows = _rows(text, max_lines)
    if not rows:
        raise Wrong("is empty: the first line names the columns", "file")
    header = [cell.strip() for cell in rows[0][1]]
    columns = _columns(header, mapping)
    lines: list[Line] = []
    broken: dict[int, str] = {}
    for number, row in rows[1:]:
        if any(cell.strip() for cell in row[len(header) :]):
            broken[number] = "has more cells than the header: is a comma not in quotes?"
        elif any(len(cell) > MAX_CELL_LENGTH for cell in row):
            broken[number] = f"has a cell of more than {MAX_CELL_LENGTH} characters"
        else:
            cells = {field: row[index].strip() for index, field in columns.items() if index < len(row)}
            lines.append(Line(number, {field: cell for field, cell in cells.items() if cell}))
    ignored = tuple(word for index, word in enumerate(header) if index not in columns and word)
    used = {header[index]: field for index, field in columns.items()}
    return CsvFile(encoding, used, ignored, tuple(lines), broken)


def _rows(text: str, max_lines: int) -> list[tuple[int, list[str]]]:
    """Records that are not blank, each with the line of the file that it begins in; the header counts none."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    end = 0
    try:
        for row in reader:
            number, end = end + 1, reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            if len(rows) > max_lines:
                raise Wrong(f"has more than {max_lines} lines; send it in parts", "file")
            rows.append((number, row))
    except csv.Error as error:
        raise Wrong(f"line {reader.line_num}: {error}", "file") from error
    return rows


def _decode(content: bytes, charset: str | None) -> tuple[str, str]:
    if charset is not None:
        name = charset.strip().strip('"').lower()
        if name not in ENCODINGS:
            raise Wrong(f"charset {name[:40]} is not one of {', '.join(sorted(ENCODINGS))}", "Content-Type")
        candidates = ["utf-8-sig" if name == "utf-8" else "gb18030" if name in {"gbk", "gb2312"} else name]
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    else:
        # GB18030 contains GBK, which contains GB 2312: what Excel writes on a Chinese Windows.
        candidates = ["utf-8-sig", "gb18030"]
    for candidate in candidates:
        try:
            return content.decode(candidate), candidate.removesuffix("-sig")
        except UnicodeError:
            continue
    tried = " nor ".join(candidate.removesuffix("-sig") for candidate in candidates)
    raise Wrong(f"is not {tried}; say another charset in Content-Type", "file")


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=first.count)


def _columns(header: Sequence[str], mapping: Mapping[str, str]) -> dict[int, str]:
    if len(header) > MAX_COLUMNS:
        raise Wrong(f"has more than {MAX_COLUMNS} columns", "file")
    if missing := sorted(set(mapping) - set(header)):
        raise Wrong(f"the file has no column {missing[0][:100]}", "column")
    said = set(mapping.values())
    columns: dict[int, str] = {}
    for index, word in enumerate(header):
        guess = _KNOWN.get(word.lower())
        field = mapping.get(word) or (guess if guess not in said else None)
        if field is None:
            continue
        if field in columns.values():
            raise Wrong(f"two columns are the {field}; say with column= which one", "file")
        columns[index] = field
    if not {"phone", "email"} & set(columns.values()):
        raise Wrong("no column is a phone number or an e-mail address; say with column= which one", "file")
    return columns
