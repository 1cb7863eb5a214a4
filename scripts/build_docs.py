"""Build the documentation: pages in build/docs, after checking that they are current and true.

``make docs`` runs it. It writes the pages that are read off the code, renders all Markdown, checks every link
within the repository and every anchor, and runs the code blocks of the README that are marked ``python run``.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import reference
from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).resolve().parents[1]
OUT = REPOSITORY / "build" / "docs"
RUN = "python run"
ABROAD = re.compile(r"^(https://|mailto:)")

PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; }}
nav {{ font-size: .9rem; margin-bottom: 2rem; }} nav a {{ margin-right: .8rem; }}
pre {{ overflow-x: auto; padding: .8rem; background: #8881; border-radius: 6px; }}
code {{ font: .9em ui-monospace, monospace; }} img {{ max-width: 100%; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ border: 1px solid #8884; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
</style></head><body><nav>{nav}</nav>
{body}</body></html>
"""


@dataclass(frozen=True)
class Page:
    """A Markdown file.

    Parameters
    ----------
    path : Path
    tokens : list of Token
        As the parser made them; headings carry their anchors.
    anchors : frozenset of str
    title : str
    """

    path: Path
    tokens: list[Token]
    anchors: frozenset[str]
    title: str


def parser() -> MarkdownIt:
    """Return the Markdown that the pages are written in: CommonMark with tables, HTML comments and images."""
    return MarkdownIt("commonmark", {"html": True}).enable("table")


def sources(repository: Path) -> list[Path]:
    """Return every page, the README first."""
    top = [repository / "README.md", repository / "README.zh-CN.md"]
    rest = sorted(path for path in repository.glob("*.md") if path not in top)
    return [*top, *rest, *sorted((repository / "docs").rglob("*.md"))]


def read_page(path: Path) -> Page:
    """Parse a file and give its headings anchors, as code hosts do."""
    tokens = parser().parse(path.read_text(encoding="utf-8"))
    anchors: list[str] = []
    title = path.stem
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            if opening.tag == "h1":
                title = plain(inline)
            anchor = slug(plain(inline))
            twins = anchors.count(anchor)
            anchors.append(anchor)
            opening.attrSet("id", f"{anchor}-{twins}" if twins else anchor)
    ids = {str(token.attrGet("id")) for token in tokens if token.type == "heading_open"}
    return Page(path, tokens, frozenset(ids), title)


def plain(inline: Token) -> str:
    """Return the text of a heading without its marks."""
    return "".join(child.content for child in inline.children or [])


def slug(heading: str) -> str:
    """Return the anchor of a heading: lower case, spaces to hyphens, punctuation left out."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def links(page: Page) -> Iterator[tuple[Token, str, str]]:
    """Yield (token, attribute, target) of every link and image of a page."""
    for token in page.tokens:
        for child in token.children or []:
            for attribute in ("href", "src"):
                target = child.attrGet(attribute)
                if isinstance(target, str):
                    yield child, attribute, target


def broken_links(pages: list[Page]) -> list[str]:
    """Return a line for every link that leads nowhere; addresses outside of the repository are not opened."""
    by_path = {page.path: page for page in pages}
    found = []
    for page in pages:
        for _, _, target in links(page):
            if ABROAD.match(target):
                continue
            file, _, anchor = unquote(target).partition("#")
            path = (page.path.parent / file).resolve() if file else page.path
            where = f"{page.path.name}: the link {target!r}"
            if not path.exists():
                found.append(f"{where} leads to no file")
            elif anchor and path in by_path and anchor not in by_path[path].anchors:
                found.append(f"{where} leads to no heading of {path.name}")
    return found


def code_blocks(page: Page, info: str) -> list[str]:
    """Return the fenced blocks of a page that bear an info string."""
    return [token.content for token in page.tokens if token.type == "fence" and token.info.strip() == info]


def run_blocks(blocks: list[str]) -> str:
    """Run blocks as one program in an empty folder; return its standard error where it failed, else nothing."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "\n".join(blocks)]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr or f"exit status {done.returncode}"


def output_of(path: Path) -> Path:
    """Return where a page is written, relative to the folder of the site."""
    relative = path.relative_to(REPOSITORY)
    return Path("index.html") if relative.name == "README.md" else relative.with_suffix(".html")


def render(page: Page, pages: list[Page]) -> str:
    """Return a page as HTML, its links to Markdown files turned to pages."""
    here = output_of(page.path)
    up = "../" * (len(here.parts) - 1)
    for token, attribute, target in links(page):
        file, mark, anchor = target.partition("#")
        path = (page.path.parent / unquote(file)).resolve()
        if file and not ABROAD.match(target) and path.suffix == ".md":
            token.attrSet(attribute, f"{up}{output_of(path).as_posix()}{mark}{anchor}")
    markdown = parser()
    body = markdown.renderer.render(page.tokens, markdown.options, {})
    nav = "".join(f'<a href="{up}{output_of(p.path).as_posix()}">{html.escape(label(p))}</a>' for p in pages)
    language = "zh-CN" if ".zh-CN" in page.path.name else "en"
    return PAGE.format(language=language, title=html.escape(page.title), nav=nav, body=body)


def label(page: Page) -> str:
    """Return how other pages call this one."""
    return f"{page.title} (中文)" if ".zh-CN" in page.path.name else page.title


def write_site(pages: list[Page], out: Path) -> None:
    """Write all pages and what they show: everything linked to that is no page."""
    shutil.rmtree(out, ignore_errors=True)
    for page in pages:
        for _, _, target in links(page):
            path = (page.path.parent / unquote(target.partition("#")[0])).resolve()
            if not ABROAD.match(target) and path.is_file() and path.suffix != ".md":
                copy = out / path.relative_to(REPOSITORY)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    for page in pages:
        path = out / output_of(page.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(page, pages), encoding="utf-8")


def main() -> int:
    """Build and check; return the exit status."""
    reference.main()
    pages = [read_page(path) for path in sources(REPOSITORY)]
    wrong = broken_links(pages)
    blocks, started = code_blocks(pages[0], RUN), time.perf_counter()
    fault = run_blocks(blocks)
    if fault:
        wrong.append(f"README.md: the blocks marked {RUN!r} fail:\n{fault}")
    else:
        print(f"README.md: {len(blocks)} blocks run in {time.perf_counter() - started:.0f} s")
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    write_site(pages, OUT)
    print(f"{len(pages)} pages in {OUT.relative_to(REPOSITORY)}, every link leads somewhere")
    return 0


if __name__ == "__main__":
    sys.exit(main())
