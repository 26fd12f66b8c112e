"""How Sphinx makes the book (tools/docs).

The sources are the Markdown files as they are read in the repository, README.md too, so that one link is
right in both. docs/index.md is the book's list: a heading is a part, a list of links below it its pages in
their order; Sphinx's table of contents is made of it here.
"""
import re

project = "fraud_detect"
root_doc = "docs/index"
extensions = ["myst_parser"]
include_patterns = ["docs/*.md", "docs/tutorials/*.md", "docs/reference/*.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/*.md", "dashboard/README.md"]
exclude_patterns = ["build", ".demo", ".git", "src", "test", "bench", "desk"]

html_theme = "furo"
html_title = "fraud_detect"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

# Anchors as the forges make them; a link to one that is not there is a warning.
myst_heading_anchors = 4

suppress_warnings = [
    "misc.highlighting_failure",  # psql's \commands and … are no SQL
    "myst.header",  # pages that begin below their part
]


def contents(app, name, source):
    """Puts Sphinx's table of contents into the list of pages."""
    if name != root_doc:
        return
    parts = re.split(r"(?m)^## (.+)\n", source[0])
    for title, text in zip(parts[1::2], parts[2::2]):
        pages = re.findall(r"(?m)^[-|] \[([^\]]+)\]\((?:\./)?([^)#]+)\.md\)", text)
        tree = "\n".join(f"{label} <{page if not page.startswith('../') else '/' + page[3:]}>" for label, page in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{tree}\n```\n"


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", contents)
