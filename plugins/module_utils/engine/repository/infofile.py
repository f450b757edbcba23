# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialect of archive.info, backup.info and manifests (repository reference, section 2).

Sections of ``key=value`` lines; every value is JSON; a SHA-1 over all of it stands at the end. Text
that is not UTF-8 (file names can be any bytes) travels as surrogate escapes, so that what is read
is written again byte for byte.

Files can have a million lines. Reading and writing therefore work line by line, and a line costs
one JSON decoding.
"""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
import typing as t

from ..errors import ChecksumError, FormatError, JsonFormatError
from ..version import REPOSITORY_FORMAT, REPOSITORY_VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_HEADER = "backrest"
_FORMAT_KEY = "backrest-format"
_VERSION_KEY = "backrest-version"
_CHECKSUM_KEY = "backrest-checksum"

# The dialect escapes nothing but these; every other character stands for itself, control characters
# included, which json.dumps would write as \uXXXX and the real reader might refuse.
_ESCAPES = str.maketrans(
    {
        '"': '\\"',
        "\\": "\\\\",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
    }
)

# Control characters inside strings are read as they are written.
_SCAN = json.JSONDecoder(strict=False).raw_decode

_SPACE = " \t\r"


class Line(t.NamedTuple):
    """One ``key=value`` line."""

    section: str
    key: str
    value: t.Any


@dataclasses.dataclass(frozen=True)
class Document:
    """A whole small info file: section -> key -> value, in the order of the file."""

    sections: Mapping[str, Mapping[str, t.Any]]
    version: str
    """The text of who wrote it."""


# --- bytes and text --------------------------------------------------------------------------


def to_text(data: bytes) -> str:
    """Decode stored bytes (decrypted, decompressed); never fails."""
    return data.decode("utf-8", "surrogateescape")


def text_pieces(chunks: Iterable[bytes]) -> Iterator[str]:
    """``to_text`` of a stream."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def to_bytes(text: str) -> bytes:
    """The inverse of ``to_text``."""
    return text.encode("utf-8", "surrogateescape")


# --- values ----------------------------------------------------------------------------------


def quote(text: str) -> str:
    """A JSON string in the dialect; JsonFormatError for what would not be read again."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        # Nearly always, and much faster than a look at each character.
        return f'"{text}"'
    if "\0" in text:
        raise JsonFormatError(f"{text!r} holds a zero byte and cannot be stored")
    return f'"{text.translate(_ESCAPES)}"'


def dump(value: object) -> str:
    """Compact JSON in the dialect: object keys ascending by bytes, no floats."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(dump, value))}]"
    if isinstance(value, dict):
        rows = (f"{quote(key)}:{dump(value[key])}" for key in sorted(value, key=to_bytes))
        return f"{{{','.join(rows)}}}"
    raise JsonFormatError(f"a value of type {type(value).__name__} cannot be stored")


# --- reading ---------------------------------------------------------------------------------


def split_line(line: str) -> tuple[str, t.Any]:
    """Key and value: the first ``=`` counts after which the rest of the line is valid JSON."""
    position = line.find("=")
    while position != -1:
        try:
            value, end = _SCAN(line, position + 1 + _spaces(line, position + 1))
        except ValueError:
            pass
        except RecursionError:
            raise FormatError(f"invalid line '{_shorten(line)}': it is nested too deeply") from None
        else:
            if end == len(line) or not line[end:].strip(_SPACE):
                if "\\" in line and not all(map(_is_text, _texts(value))):
                    raise FormatError(f"invalid line '{_shorten(line)}': a string of it is no text")
                return line[:position], value
        position = line.find("=", position + 1)
    raise FormatError(f"invalid line '{_shorten(line)}': no '=' followed by a JSON value")


def _texts(value: object) -> Iterator[str]:
    """All strings of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)


def _is_text(text: str) -> bool:
    """Half a character and a zero byte, which an escape can write, make none."""
    try:
        to_bytes(text)
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _split(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        if "\0" in piece:
            raise FormatError("a zero byte is in no info file", hint="is it encrypted?")
        start = 0
        end = piece.find("\n")
        if end == -1:
            rest += piece
            continue
        if rest:
            yield rest + piece[:end]
            start = end + 1
            end = piece.find("\n", start)
        while end != -1:
            yield piece[start:end]
            start = end + 1
            end = piece.find("\n", start)
        rest = piece[start:]
    if rest:
        yield rest


def _spaces(line: str, start: int) -> int:
    count = 0
    while line[start + count : start + count + 1] in (" ", "\t"):
        count += 1
    return count


def _shorten(line: str) -> str:
    # A string can be a pass: show what tells where it is, and nothing of it.
    shown = line.partition('"')[0][:20]
    return shown if shown == line else shown + "..."


def lines(pieces: Iterable[str]) -> Iterator[Line]:
    """Every line of a file but the checksum, in order; its text comes in any pieces.

    The checksum stands at the end of the file: it is verified when the iterator is exhausted, and
    nothing that came out of it is good before. Raises FormatError and ChecksumError.
    """
    digest = hashlib.sha1(b"{")
    section: str | None = None
    hashed: str | None = None
    stored: object = None
    pending: list[str] = []

    for line in _split(pieces):
        if not line:
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1]
            continue
        if section is None:
            raise FormatError(f"key/value found outside of section at line: {_shorten(line)}")
        key, value = split_line(line)
        if section == _HEADER:
            if key == _CHECKSUM_KEY:
                stored = value
                continue
            if key == _FORMAT_KEY and value != REPOSITORY_FORMAT:
                raise FormatError(f"expected format {REPOSITORY_FORMAT} but found {value}")
        # The value is hashed as it stands in the file.
        raw = line[len(key) + 1 :]
        if section == hashed:
            pending.append(f",{quote(key)}:{raw}")
        else:
            opening = f'"{section}":{{' if hashed is None else f'}},"{section}":{{'
            pending.append(f"{opening}{quote(key)}:{raw}")
            hashed = section
        if len(pending) >= 1000:
            digest.update(to_bytes("".join(pending)))
            pending.clear()
        yield Line(section, key, value)

    digest.update(to_bytes("".join(pending)) + b"}}")
    actual = digest.hexdigest()
    if stored is None:
        raise ChecksumError(f"invalid checksum, actual '{actual}' but no checksum found")
    if stored != actual:
        raise ChecksumError(f"invalid checksum, actual '{actual}' but expected '{stored}'")


def parse(text: str) -> Document:
    """A small info file as a whole; raises FormatError and ChecksumError."""
    sections: dict[str, dict[str, t.Any]] = {}
    for line in lines((text,)):
        sections.setdefault(line.section, {})[line.key] = line.value
    header = sections.pop(_HEADER, {})
    if _FORMAT_KEY not in header:
        raise FormatError(f"expected format {REPOSITORY_FORMAT} but found none")
    version = header.get(_VERSION_KEY)
    return Document(sections, version if isinstance(version, str) else "")


# --- writing ---------------------------------------------------------------------------------


def render_lines(
    sections: Iterable[tuple[str, Iterable[tuple[str, str]]]], version: str = REPOSITORY_VERSION
) -> Iterator[str]:
    """The text of a file in pieces, checksum included.

    ``sections`` come in the order of the file, each with its lines as key and value in JSON text;
    a section without lines is left out. FormatError for what would not be read as it was meant.
    """
    digest = hashlib.sha1()
    header = ((_FORMAT_KEY, str(REPOSITORY_FORMAT)), (_VERSION_KEY, quote(version)))
    opening = "{"
    for name, rows in ((_HEADER, header), *sections):
        text: list[str] = []
        canonical: list[str] = []
        started = False
        for key, value in rows:
            if not started:
                text.append(f"[{name}]\n" if name == _HEADER else f"\n[{name}]\n")
                canonical.append(f'{opening}"{name}":{{{quote(key)}:{value}')
                opening = "},"
                started = True
            else:
                canonical.append(f",{quote(key)}:{value}")
            if "\n" in key or "\n" in value:
                raise FormatError(
                    f"key {quote(_shorten(key))} of section '{name}' or its value contains a line"
                    " feed",
                    hint="rename what it names; the format of the repository cannot hold it.",
                )
            text.append(f"{key}={value}\n")
            if len(text) >= 1000:
                digest.update(to_bytes("".join(canonical)))
                yield "".join(text)
                text.clear()
                canonical.clear()
        digest.update(to_bytes("".join(canonical)))
        yield "".join(text)
    digest.update(b"}}")
    yield f'\n[{_HEADER}]\n{_CHECKSUM_KEY}="{digest.hexdigest()}"\n'


def render(sections: Mapping[str, Mapping[str, object]], version: str = REPOSITORY_VERSION) -> str:
    """The text of a small info file; sections are put in the order that the dialect asks for."""
    ordered = (
        (name, ((key, dump(value)) for key, value in sections[name].items()))
        for name in sorted(sections, key=to_bytes)
    )
    return "".join(render_lines(ordered, version))
