"""Bytes of a text file as UTF-8, whatever they were; what had to be mended is counted."""

from __future__ import annotations

import codecs

from fuserec.data.check import Findings
from fuserec.errors import DataError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def to_utf8(data: bytes, where: str, findings: Findings) -> bytes:
    """Return the bytes of a text file as UTF-8, its lines ended by a line feed alone.

    Lines that are not UTF-8 are read as Windows-1252, which holds all printable letters of latin-1.

    Raises
    ------
    DataError
        Where the file is not text.
    """
    data = _without_mark(data, where, findings)
    zero = data.find(b"\0")
    if zero >= 0:
        raise DataError(f"{where}: not a text file (a zero byte at position {zero:,}); expected UTF-8 text")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _mended_lines(data, where, findings)
    return data


def _without_mark(data: bytes, where: str, findings: Findings) -> bytes:
    """Return the bytes without a byte-order mark, UTF-16 and UTF-32 turned into UTF-8."""
    for mark, name in _BOMS:
        if not data.startswith(mark):
            continue
        body = data[len(mark) :]
        findings.add("mended", f"byte-order mark of {name}", 1, where, "at the beginning of the file")
        if name == "utf-8":
            return body
        try:
            return body.decode(name).encode("utf-8")
        except UnicodeError:
            raise DataError(f"{where}: begins as {name} but is not; save it as UTF-8") from None
    return data


def _mended_lines(data: bytes, where: str, findings: Findings) -> bytes:
    """Return UTF-8; a line that is not is read as Windows-1252, or latin-1 where that has a gap."""
    lines = data.split(b"\n")
    mended, strange, example = 0, 0, ""
    for number, line in enumerate(lines):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            try:
                text = line.decode("cp1252")
            except UnicodeDecodeError:
                text = line.decode("latin-1")
            strange += sum(character < " " and character != "\t" for character in text)
            lines[number] = text.encode("utf-8")
            mended += 1
            example = example or f"line {number + 1}: {text}"
    if strange > len(data) // 100:
        raise DataError(f"{where}: not a text file (control characters everywhere); expected UTF-8 text")
    findings.add("mended", "not UTF-8, read as latin-1 (Windows-1252)", mended, where, example)
    return b"\n".join(lines)
