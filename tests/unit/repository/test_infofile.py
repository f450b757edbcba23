# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialect of info files: what is read, what is written, and the checksum."""

from __future__ import annotations

import hashlib
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ChecksumError,
    EngineError,
    FormatError,
    JsonFormatError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import infofile

EXAMPLE = """\
[backrest]
backrest-format=5
backrest-version="2.60.0dev"

[db]
db-id=1
db-system-id=7710950800232444755
db-version="15"

[db:history]
1={"db-id":7710950800232444755,"db-version":"15"}

[backrest]
backrest-checksum="a4006a3bbf9ec155405e4e2c9fcebaaf6cf878b7"
"""

SECTIONS = {
    "db:history": {"1": {"db-version": "15", "db-id": 7710950800232444755}},
    "db": {"db-id": 1, "db-system-id": 7710950800232444755, "db-version": "15"},
}


def sealed(body: str) -> str:
    """A file of these lines with the right checksum, computed in another way than ours."""
    canonical, last = "{", ""
    for line in body.split("\n"):
        if line.startswith("["):
            section = line[1:-1]
        elif line:
            key, value = _split(line)
            if section != last:
                canonical += ("}," if last else "") + f'"{section}":{{'
            else:
                canonical += ","
            canonical += json.dumps(key, ensure_ascii=False) + ":" + value
            last = section
    digest = hashlib.sha1((canonical + "}}").encode()).hexdigest()
    return f'{body}\n[backrest]\nbackrest-checksum="{digest}"\n'


def _split(line: str) -> tuple[str, str]:
    start = 0
    while True:
        start = line.index("=", start) + 1
        try:
            json.loads(line[start:])
        except ValueError:
            continue
        return line[: start - 1], line[start:]


def test_the_worked_example() -> None:
    document = infofile.parse(EXAMPLE)
    assert document.version == "2.60.0dev"
    assert document.sections == SECTIONS
    assert infofile.render(SECTIONS, "2.60.0dev") == EXAMPLE


def test_keys_may_hold_equal_signs_and_quotes() -> None:
    key = 'pg_data/we=ird "name"={}x'
    text = infofile.render({"target:file": {key: {"size": 12}}})
    assert f'\n{key}={{"size":12}}\n' in text
    assert infofile.parse(text).sections["target:file"] == {key: {"size": 12}}


def test_names_that_are_not_utf8_are_kept() -> None:
    key = infofile.to_text(b"pg_data/\xff\xe9")
    data = infofile.to_bytes(infofile.render({"target:file": {key: {"size": 1}}}))
    assert b"pg_data/\xff\xe9=" in data
    assert infofile.to_text(data) == infofile.render(
        infofile.parse(infofile.to_text(data)).sections
    )


def test_only_the_escapes_of_the_dialect_are_written() -> None:
    assert infofile.dump('"\\\b\f\n\r\t/é\x01\x7f') == '"\\"\\\\\\b\\f\\n\\r\\t/é\x01\x7f"'


def test_values_are_compact_and_sorted_by_bytes() -> None:
    value = {"b": [1, None, True], "a-b": False, "a": {}}
    assert infofile.dump(value) == '{"a":{},"a-b":false,"b":[1,null,true]}'
    with pytest.raises(JsonFormatError, match="type float"):
        infofile.dump(1.5)


def test_white_space_and_unknown_sections_are_read() -> None:
    text = sealed('[backrest]\nbackrest-format=5\nbackrest-version="x"\n\n[new]\na= {"b" : 1 } \n')
    assert infofile.parse(text).sections == {"new": {"a": {"b": 1}}}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (EXAMPLE.replace("db-id=1", "db-id=2"), ChecksumError, "but expected 'a4006a3b"),
        (
            EXAMPLE[: EXAMPLE.index("\n[backrest]\nbackrest-check")],
            ChecksumError,
            "no checksum found",
        ),
        (EXAMPLE.replace("format=5", "format=6"), FormatError, "expected format 5 but found 6"),
        ("a=1\n" + EXAMPLE, FormatError, "outside of section at line: a=1"),
        (EXAMPLE.replace("db-id=1\n", "db-id\n"), FormatError, "invalid line 'db-id'"),
        (EXAMPLE.replace("db-id=1\n", "db-id=x\n"), FormatError, "invalid line 'db-id=x'"),
        ("", ChecksumError, "no checksum found"),
        (EXAMPLE.replace("db-id=1\n", "db\0-id=1\n"), FormatError, "zero byte"),
        (EXAMPLE.replace("db-id=1\n", """a="\\u0000"\n"""), FormatError, "a string .* is no text"),
        (
            EXAMPLE.replace("db-id=1\n", """a=["\\ud800"]\n"""),
            FormatError,
            "a string .* is no text",
        ),
        (EXAMPLE.replace("db-id=1\n", """a={"\\udfff":1}\n"""), FormatError, "is no text"),
        (EXAMPLE.replace("db-id=1\n", f"a={'[' * 100000}\n"), FormatError, "invalid line 'a=\\["),
        (sealed("[db]\ndb-id=1\n"), FormatError, "expected format 5 but found none"),
    ],
)
def test_what_is_refused(text: str, error: type[EngineError], message: str) -> None:
    with pytest.raises(error, match=message):
        infofile.parse(text)


def test_a_refused_line_does_not_show_a_pass() -> None:
    text = EXAMPLE.replace("db-id=1\n", 'cipher-pass="this-is-very-secret\n')
    with pytest.raises(FormatError) as caught:
        infofile.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("a\nb", "1"), ("\n", "1"), ('a\nx={"db-id":1', "1"), ("a", "[1,\n2]")]
)
def test_what_would_be_another_line_is_not_written(key: str, value: str) -> None:
    rows = [("db", [("good", "1"), (key, value)])]
    with pytest.raises(FormatError, match="of section 'db' or its value contains a line feed"):
        "".join(infofile.render_lines(rows))


def test_what_would_not_be_read_is_not_written() -> None:
    for row in ({"a\0": 1}, {"a": "\0"}):
        with pytest.raises(JsonFormatError, match="zero byte"):
            infofile.render({"db": row})


def test_an_escape_that_is_a_character_is_read() -> None:
    text = EXAMPLE.replace("db-id=1\n", """a="\\\\u0000 \\u00e9 \\ud83d\\ude00"\n""", 1)
    (line,) = [line for line in text.split("\n") if line.startswith("a=")]
    assert infofile.split_line(line) == ("a", "\\u0000 é 😀")


def test_an_empty_section_is_left_out() -> None:
    assert "[backup:current]" not in infofile.render({"backup:current": {}, **SECTIONS})


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), min_size=1, max_size=12
).filter(lambda key: not key.startswith("["))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def _reads_back(key: str, value: object) -> bool:
    # 'a=1' as a key before '={}' is fine; a key that makes an earlier '=' valid is not ours to fix:
    # the dialect cannot express it.
    return infofile.split_line(f"{key}={infofile.dump(value)}") == (key, value)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_what_is_written_is_read(rows: dict[str, t.Any]) -> None:
    rows = {key: value for key, value in rows.items() if _reads_back(key, value)}
    text = infofile.render({"some:section": rows})
    assert infofile.parse(text).sections.get("some:section", {}) == rows


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), st.data())
def test_a_changed_character_is_noticed(rows: dict[str, t.Any], data: st.DataObject) -> None:
    text = infofile.render({"s": rows})
    position = data.draw(st.integers(0, len(text) - 1))
    changed = text[:position] + ("x" if text[position] != "x" else "y") + text[position + 1 :]
    with pytest.raises((FormatError, ChecksumError)):
        infofile.parse(changed)


def _reference_checksum(text: str) -> str:
    """SHA-1 as the description of the format has it, over one line of JSON for all sections."""
    sections: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and not line.startswith("backrest-checksum="):
            at = line.index("=")
            while not _is_json(line[at + 1 :]):
                at = line.index("=", at + 1)
            key = json.dumps(line[:at], ensure_ascii=False)
            sections.setdefault(section, []).append(f"{key}:{line[at + 1 :]}")
    rows = ",".join(f'"{name}":{{{",".join(pairs)}}}' for name, pairs in sections.items())
    return hashlib.sha1(f"{{{rows}}}".encode()).hexdigest()


def _is_json(text: str) -> bool:
    try:
        # As the peer, which lets control characters stand as they are.
        json.loads(text, strict=False)
    except ValueError:
        return False
    return True


PLAIN = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="["),
    min_size=1,
    max_size=12,
)


@given(st.dictionaries(PLAIN, VALUES, max_size=4))
def test_the_checksum_is_the_one_of_the_format(rows: dict[str, t.Any]) -> None:
    rows = {key: value for key, value in rows.items() if _reads_back(key, value)}
    text = infofile.render({"a": rows, "b:c": {"x": 1}})
    assert f'backrest-checksum="{_reference_checksum(text)}"\n' in text


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_it_does_not_matter_in_which_pieces_a_file_comes(
    rows: dict[str, t.Any], cuts: list[int]
) -> None:
    """Cut anywhere, even in the midst of a character."""
    rows = {key: value for key, value in rows.items() if _reads_back(key, value)}
    data = infofile.to_bytes(infofile.render({"s": rows}))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:stop] for start, stop in zip(edges, edges[1:])]
    whole = list(infofile.lines([infofile.to_text(data)]))
    assert list(infofile.lines(infofile.text_pieces(pieces))) == whole


@given(
    st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "ignore"))
)
def test_any_bytes_are_an_info_file_or_refused(data: bytes) -> None:
    """Nothing but the errors that let the twin be asked comes out."""
    for text in (data, EXAMPLE.encode()[: len(data)] + data):
        with pytest.raises((FormatError, ChecksumError)):
            infofile.parse(infofile.to_text(text))


@pytest.mark.parametrize(
    "text",
    [
        '[cipher]\ncipher-pass="kzS3cret\n',
        'cipher-pass="kzS3cret"\n',
        '[cipher]\ncipher-pass="kz\\u0000S3cret"\n',
    ],
)
def test_a_damaged_line_shows_nothing_of_a_pass(text):
    with pytest.raises(FormatError, match=r"cipher-pass=\.\.\.") as refused:
        list(infofile.lines([text]))
    assert "kz" not in refused.value.message
