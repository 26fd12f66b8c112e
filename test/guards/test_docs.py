#!/usr/bin/env python3
"""The pages: each link leads to a file, and to a heading, that is there; the book lists every page once;
no sentence stands twice on a page."""
import collections
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What is written by programs repeats itself.
GENERATED = {"docs/benchmarks.md", "docs/errors.md", "docs/study.md", "docs/reference/functions.md", "docs/reference/tables.md", "docs/reference/settings.md"}


def pages():
    """Returns the Markdown files of the repository."""
    try:
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "*.md"], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        listed = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*.md") if not {"build", ".demo"} & set(p.relative_to(ROOT).parts)]
    return sorted(page for page in set(listed) if (ROOT / page).exists())


def without_code(text):
    """A page without what is shown as code."""
    text = re.sub(r"(?ms)^ *(```+).*?^ *\1 *$", "", text)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)


def anchors(text):
    """The anchors of a page's headings, as forges make them."""
    text = re.sub(r"(?ms)^ *(```+).*?^ *\1 *$", "", text)
    seen, found = collections.Counter(), set()
    for heading in re.findall(r"(?m)^#{1,6} +(.*?) *#*$", text):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(slug + (f"-{seen[slug]}" if seen[slug] else ""))
        seen[slug] += 1
    return found | set(re.findall(r'<a (?:name|id)="([^"]+)"', text))


def faults_of(page, texts):
    """Returns what is wrong with a page's links; `texts` has the text of each page."""
    faults = []
    for target in re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", without_code(texts[page])):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.exists():
            faults.append(f"{page}: {target} is not there")
        elif anchor and path.suffix == ".md":
            other = str(path.resolve().relative_to(ROOT))
            if anchor not in anchors(texts.get(other) or path.read_text()):
                faults.append(f"{page}: {target}: there is no such heading")
    return faults


def doubled(text):
    """Returns sentences of a page that stand there twice."""
    text = re.sub(r"(?ms)^ *(```+).*?^ *\1 *$", "", text)
    sentences = (" ".join(s.split()) for s in re.split(r"(?<=[.!?:;])\s+|\n\n|\n(?=[-|#])", text))
    # Short rows of tables may be alike.
    return [s for s, n in collections.Counter(s for s in sentences if len(s) > (200 if s.startswith("|") else 60)).items() if n > 1]


def noted_acts(text):
    """Returns the (kind, action) of a source's calls that write fraud.audit_log, where both stand there; else the kind alone."""
    whole = re.findall(r"""(?:\b_audit|_note_of_cards)\(\s*'(\w+)',\s*'([\w ]+)'|\bnote_act\(\s*"(\w+)",\s*"([\w ]+)\"""", text)
    part = re.findall(r"""(?:\b_audit|_note_of_cards)\((?!\s*')[^;]*?,\s*'([\w ]+)',|\bnote_act\((?!\s*")[^;]*?,\s*"([\w ]+)",""", text)
    return {(b or d, a or c) for a, b, c, d in whole} | {(a or b, None) for a, b in part}


def documented_acts(page):
    """Returns the (kind, action) pairs of the table of docs/security.md."""
    section = page.split("## What is noted")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {(kind, action) for row in rows for kind in re.findall(r"`([^`]+)`", row[1]) for action in re.findall(r"`(\w+)`", row[2])}


class Docs(unittest.TestCase):
    texts = {page: (ROOT / page).read_text() for page in pages()}

    def test_links(self):
        self.assertGreater(len(self.texts), 30)
        self.assertEqual([fault for page in self.texts for fault in faults_of(page, self.texts)], [])

    def test_broken_links_are_found(self):
        text = "# A b\n[x](#a-b) [y](#c) [z](none.md) [w](docs/index.md#start) [v](docs/index.md#nowhere)\n```\n[code](none)\n```\n"
        self.assertEqual(faults_of("README.md", {**self.texts, "README.md": text}), [
            "README.md: #c: there is no such heading", "README.md: none.md is not there", "README.md: docs/index.md#nowhere: there is no such heading"])

    def test_book_has_every_page(self):
        listed = re.findall(r"(?m)^- \[[^\]]+\]\(([^)#]+)\)", self.texts["docs/index.md"])
        self.assertEqual([page for page, n in collections.Counter(listed).items() if n > 1], [])
        listed = {str(((ROOT / "docs") / page).resolve().relative_to(ROOT)) for page in listed}
        self.assertEqual({page for page in self.texts if page.startswith("docs/")} - listed, {"docs/index.md"})

    def test_no_sentence_twice(self):
        self.assertEqual({page: doubled(text) for page, text in self.texts.items() if page not in GENERATED and doubled(text)}, {})
        self.assertEqual(len(doubled("It is a long sentence, long enough to be no accident, and it ends here. " * 2)), 1)

    def test_every_act_is_documented(self):
        """Each act that the sources note in fraud.audit_log stands in docs/security.md's table."""
        sources = [path for folder in ("pg", "worker", "sql") for path in (ROOT / "src" / folder).rglob("*") if path.suffix in (".cpp", ".sql", ".in")]
        noted = set().union(*(noted_acts(path.read_text()) for path in sources))
        documented = documented_acts(self.texts["docs/security.md"])
        self.assertGreater(len(noted), 50)
        kinds = {kind for kind, _ in documented}
        self.assertEqual({act for act in noted if (act not in documented if act[1] else act[0] not in kinds)}, set())
        self.assertEqual(kinds - {kind for kind, _ in noted}, set())
        self.assertEqual(noted_acts("PERFORM fraud._audit('x', 'a b', 1); fraud._audit(verb, 'c', n); note_act(\n \"y\", \"d\", m)"), {("a b", "x"), ("c", None), ("d", "y")})


if __name__ == "__main__":
    unittest.main()
