"""Puts data, style and script together into one file."""

import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from simulator.report.page.data import page_data
from simulator.report.report import Report
from simulator.whole_file import whole_file

_ASSETS = Path(__file__).parent / "assets"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z_]+\.js)";\n', re.M)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const) (\w+))", re.M)


def save_page(reports: Mapping[str, Report], path: str | Path, accelerator_file: str | None = None) -> Path:
    """Writes the page of one report, or of a baseline and a report, whole or not at all; returns its path.

    accelerator_file: the YAML of the last report's accelerator, shown so that the run can be made again. Raises
    InputError without reports, with more than two, or when the file cannot be written.
    """
    path = Path(path)
    text = page_html(reports, accelerator_file)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def page_html(reports: Mapping[str, Report], accelerator_file: str | None = None) -> str:
    """The page as text: it names no other file and no address, so it works wherever it lies."""
    data = page_data(reports, accelerator_file)
    parts = {
        "TITLE": escape(str(data["title"])),
        "STYLE": (_ASSETS / "page.css").read_text(encoding="utf-8"),
        "DATA": _json_for_html(data),
        "SCRIPT": page_script(),
    }
    template = (_ASSETS / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: parts[match[1]], template)


def page_script() -> str:
    """The modules of the page in one: each in a scope of its own, behind those that it imports from."""
    written: dict[str, str] = {}

    def write(name: str) -> None:
        if name in written:
            return
        source = (_ASSETS / name).read_text(encoding="utf-8")
        for _, imported in _IMPORT.findall(source):
            write(imported)
        body = _EXPORT.sub(r"\1", _IMPORT.sub(lambda found: f"const {{{found[1]}}} = {_scope(found[2])};\n", source))
        exported = ", ".join(name for _, name in _EXPORT.findall(source))
        written[name] = f"const {_scope(name)} = (() => {{\n{body}return {{ {exported} }};\n}})();"

    write("main.js")
    return "\n".join(written.values())


def _scope(name: str) -> str:
    return f"${Path(name).stem}"


def _json_for_html(data: object) -> str:
    """JSON that no name in it can end: a script element ends at `</script`, whatever language it holds."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
