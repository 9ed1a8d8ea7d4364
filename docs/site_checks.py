"""Checks of the built site: every link leads somewhere, and nothing comes from another host."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SOURCES = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed"), "src")
LOADED = {"link": "href", "object": "data", **SOURCES}
"""What a browser loads without a click, and the attribute that says from where."""
NOT_LOADED = {"next", "prev", "index", "search", "canonical", "author", "copyright"}
"""Relations of ``link`` that only name another page."""
IN_STYLES = re.compile(r"""(?:url\(|@import)\s*['"]?((?:https?:)?//[^'")\s;]+)""")
"""What a style loads from another host."""


class Page(HTMLParser):
    """The links, loaded files, styles and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors, self.styles = [], [], set(), []
        self._in_style = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = {key: value or "" for key, value in attributes}
        self._in_style = tag == "style"
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if (address := given.get(LOADED.get(tag, ""))) and given.get("rel") not in NOT_LOADED:
            self.loaded.append(address)
        for choice in filter(None, given.get("srcset", "").split(",")):
            self.loaded.append(choice.split()[0])
        self.styles.append(given.get("style", ""))

    def handle_data(self, data):
        if self._in_style:
            self.styles.append(data)

    def handle_endtag(self, tag):
        self._in_style = False


def problems(folder):
    """What is wrong with the pages under a folder, one sentence each."""
    folder = Path(folder).resolve()
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    styles = {path: page.styles for path, page in pages.items()}
    styles |= {path: [path.read_text("utf-8")] for path in sorted(folder.rglob("*.css"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder)
        outside = [address for address in page.loaded if urlsplit(address).netloc]
        found += [f"{name} loads {address} from another host." for address in outside]
        for address in dict.fromkeys([*page.links, *page.loaded]):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            if not target.is_file():
                found.append(f"{name} leads to {address}, which is not there.")
            elif parts.fragment and unquote(parts.fragment) not in anchors:
                found.append(f"{name} leads to {address}, where no such heading is.")
    for path, texts in styles.items():
        name = path.relative_to(folder)
        for address in IN_STYLES.findall("\n".join(texts)):
            found.append(f"{name} loads {address} from another host.")
    return found


def check_build(app, error):
    """Refuses a site with problems; Sphinx calls it when all pages are written."""
    from sphinx.errors import ExtensionError

    if error is None and app.builder.name == "html" and (found := problems(app.outdir)):
        raise ExtensionError("\n".join(["The site is not whole:", *found]))
