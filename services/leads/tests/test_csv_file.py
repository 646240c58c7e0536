"""Files as spreadsheets write them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leads.domain.csv_file import read
from leads.domain.rules import Wrong

CHINESE = "姓名,手机,公司\n王芳,13800138000,云帆科技\n"


def cells(content: bytes, charset: str | None = None, **mapping: str) -> list[dict[str, str]]:
    return [dict(line.cells) for line in read(content, charset, mapping, 100).lines]


@pytest.mark.parametrize(
    ("content", "charset", "encoding"),
    [
        (CHINESE.encode(), None, "utf-8"),
        (CHINESE.encode("utf-8-sig"), None, "utf-8"),
        (CHINESE.encode("gbk"), None, "gb18030"),
        (CHINESE.encode("utf-16"), None, "utf-16"),
        (CHINESE.encode("gbk"), "GB2312", "gb18030"),
        ("聯絡人,電話,公司\n王芳,13800138000,云帆科技\n".encode("utf-8-sig"), "utf-8", "utf-8"),
        (CHINESE.replace(",", "\t").encode("utf-16"), None, "utf-16"),
        (CHINESE.replace(",", ";").replace("\n", "\r\n").encode(), None, "utf-8"),
        (("\n \n" + CHINESE + ",,\n\n").encode(), None, "utf-8"),
    ],
)
def test_encodings_and_separators(content: bytes, charset: str | None, encoding: str) -> None:
    assert read(content, charset, {}, 100).encoding == encoding
    assert cells(content, charset) == [{"name": "王芳", "phone": "13800138000", "company": "云帆科技"}]


def test_a_charset_that_cannot_be_guessed_is_said() -> None:
    assert cells("name,phone\nJürgen,1\n".encode("cp1252"), "windows-1252") == [{"name": "Jürgen", "phone": "1"}]


def test_lines_are_numbered_as_an_editor_does() -> None:
    content = 'name,phone\n\n"two\nlines",1\nc,2\n"a,b",3,surplus\nd,4,,\n'
    file = read(content.encode(), None, {}, 100)
    assert [(line.number, line.cells["phone"]) for line in file.lines] == [(3, "1"), (5, "2"), (7, "4")]
    assert list(file.broken) == [6]
    assert "more cells" in file.broken[6]


def test_columns_are_mapped_and_the_rest_is_named() -> None:
    content = "Wer,Handy,Festnetz,Aktion,Laune\nJürgen,1,2,Herbst,gut\n".encode()
    mapping = {"Wer": "name", "Handy": "phone", "Aktion": "attributes.campaign"}
    file = read(content, None, mapping, 100)
    assert dict(file.lines[0].cells) == {"name": "Jürgen", "phone": "1", "attributes.campaign": "Herbst"}
    assert file.ignored == ("Festnetz", "Laune")
    assert file.columns == mapping


def test_what_is_said_wins_over_what_is_guessed() -> None:
    assert cells(b"phone,mobile\n1,2\n", mobile="phone") == [{"phone": "2"}]


@pytest.mark.parametrize(
    ("content", "charset", "mapping", "words"),
    [
        (b"", None, {}, "is empty"),
        (b"\n ,\n", None, {}, "is empty"),
        (b"name,company\na,b\n", None, {}, "no column is a phone number"),
        (b"phone,mobile\n1,2\n", None, {}, "two columns are the phone"),
        (b"phone\n1\n", None, {"Handy": "phone"}, "has no column Handy"),
        (b"phone\n\0\n", None, {}, "NUL"),
        (b"\xff\xff\xff", None, {}, "is not utf-8 nor gb18030"),
        (b"phone\n1\n", "ebcdic", {}, "charset ebcdic"),
        (CHINESE.encode("gbk"), "utf-8", {}, "is not utf-8;"),
        (b'phone\n"1\n', None, {}, "line 2: unexpected end of data"),
        (b"phone" + b"," * 200, None, {}, "more than 100 columns"),
        (b"phone\n" + b"1\n" * 101, None, {}, "more than 100 lines"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    content: bytes, charset: str | None, mapping: dict[str, str], words: str
) -> None:
    with pytest.raises(Wrong, match=words):
        read(content, charset, mapping, 100)


words = st.text(st.characters(codec="gb18030", exclude_characters="\0"), max_size=8)


@given(
    st.lists(st.tuples(words, words), max_size=5),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
)
def test_what_was_written_is_read(rows: list[tuple[str, str]], delimiter: str, encoding: str) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("姓名", "手机"), *rows])
    # Said, because random words in one encoding may be other words in another one.
    file = read(out.getvalue().encode(encoding), encoding.removesuffix("-sig"), {}, 100)
    expected = [
        {field: cell.strip() for field, cell in zip(("name", "phone"), row, strict=True) if cell.strip()}
        for row in rows
    ]
    assert [dict(line.cells) for line in file.lines] == [row for row in expected if row]
