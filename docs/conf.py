"""How Sphinx makes the site: `make docs`, or scripts/docs.sh.

The source folder is that of the repository, so that its documents are pages where they are and their links lead to each
other, here and on a code-hosting site.
"""

import json
import os
import re
from pathlib import Path

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx import addnodes

ROOT = Path(__file__).parent.parent

# The navigation, here rather than in the documents, which are plain Markdown: (title or None, pages) of each page that
# leads to others; patterns catch what is new. Sphinx warns of a page that is in none.
CONTENTS = {
    "README": [
        ("Learn", ["Tutorials <docs/tutorials/index>", "How to <docs/how-to/index>", "Concepts <docs/concepts/index>"]),
        ("Look up", ["Algorithms <docs/algorithms/index>", "Reference <docs/reference/index>",
                     "Troubleshooting <docs/troubleshooting>"]),
        ("Judge", ["Results <docs/results/index>", "Other software <docs/comparison>", "Cite <docs/cite>"]),
        ("Project", ["Changelog <CHANGELOG>", "Contributing <CONTRIBUTING>", "Security <SECURITY>",
                     "Third-party notices <THIRD_PARTY_NOTICES>"]),
    ],
    "docs/tutorials/index": [(None, [
        "Swing-up in five minutes <docs/tutorials/five_minutes>", "Your own robot <docs/tutorials/own_robot>",
        "A network that walks <docs/tutorials/walk>", "A recording, improved <examples/throw_bin/README>",
        "From Python <docs/tutorials/swing_up>"])],
    "docs/how-to/index": [(None, [
        "Start from another policy <docs/how-to/start_from>", "Tune <docs/how-to/tune>", "Compare runs <docs/how-to/compare>",
        "On a cluster <docs/how-to/cluster>", "Export a controller <docs/export>", "A ROS 2 node <docs/how-to/ros2>",
        "A program in C <examples/c_controller/README>", "Another MuJoCo <docs/mujoco>",
        "End episodes early <docs/how-to/end_early>", "Hold beyond the horizon <docs/how-to/hold>", "Several goals <docs/how-to/goals>",
        "Without an observation <docs/how-to/without>", "Watch in the browser <docs/viewer>",
        "A robot, line by line <examples/own_robot/README>", "Ten robots <examples/robots/README>",
        "A moving target <examples/goals/README>", "Tasks of Gymnasium <examples/gymnasium/README>"])],
    "docs/concepts/index": [(None, [
        "docs/concepts/data_flow", "docs/concepts/trust_regions", "docs/concepts/determinism", "docs/concepts/failures",
        "docs/reliability"])],
    "docs/algorithms/index": [(None, [
        "MOTO <docs/algorithms/moto>", "GPS <docs/algorithms/gps>", "iLQR <docs/algorithms/ilqr>",
        "reckon <docs/algorithms/reckon>", "VGPS <docs/algorithms/vgps>", "GPS by importance sampling <docs/algorithms/gps_is>",
        "DAGGER <docs/algorithms/dagger>", "Cost-weighted search <docs/algorithms/cost_weighted>",
        "TRPO <docs/algorithms/trpo>", "REPS <docs/algorithms/reps>", "MORE <docs/algorithms/more>",
        "Random search <docs/algorithms/random_search>", "Movement primitives <docs/algorithms/dmp>"])],
    "docs/reference/index": [(None, [
        "docs/reference/cli", "docs/program", "docs/reference/run_directory", "Task file <docs/tasks>",
        "Task: swimmer <docs/tasks/swimmer>", "Task: walker <docs/tasks/walker>", "Task: table tennis <docs/tasks/table_tennis>",
        "Figures and sweeps <docs/reproduce>", "Python <docs/python>", "C++ <docs/api>", "Notation <docs/notation>"])],
    "docs/results/index": [(None, [
        "Claims and verdicts <docs/results/claims>", "The papers, item by item <docs/papers>",
        "Swing-ups <docs/results/moto>", "Table tennis <docs/results/moto-fig3>", "VGPS <docs/results/vgps>",
        "TRPO and its references <docs/results/trpo-reference>", "One algorithm at a time <docs/results/single>",
        "reckon beside GPS and MOTO <docs/results/reckon>", "reckon on the quad link <docs/results/reckon-quad>",
        "Speed <docs/results/speed>"])],
    "docs/results/moto": [(None, [
        "Figure 1b <docs/results/moto-fig1b>", "Figure 1c <docs/results/moto-fig1c>", "Figure 2b <docs/results/moto-fig2b>",
        "Figure 2b, searched <docs/results/moto-fig2b-searched>", "Figure 2c <docs/results/moto-fig2c>",
        "Figure 5 <docs/results/moto-fig5>", "Figure 5, searched <docs/results/moto-fig5-searched>",
        "docs/results/moto-fig[125]*"])],
    "docs/results/moto-fig3": [(None, [
        "Figure 3a <docs/results/moto-fig3a>", "Figure 3a, searched <docs/results/moto-fig3a-searched>",
        "Figure 3a, another ball, searched <docs/results/moto-fig3a-far-searched>", "Figure 3b <docs/results/moto-fig3b>",
        "Figure 3b, searched <docs/results/moto-fig3b-searched>", "Figure 3c <docs/results/moto-fig3c>",
        "Figure 3c, searched <docs/results/moto-fig3c-searched>", "docs/results/moto-fig3?*"])],
    "docs/results/vgps": [(None, [
        "Figure 1 <docs/results/vgps-fig1>", "Figure 1, as printed: swimmer <docs/results/vgps-fig1-printed-swimmer>",
        "Figure 1, as printed: walker <docs/results/vgps-fig1-printed-walker>", "Options <docs/results/vgps-options>", "DAGGER <docs/results/vgps-dagger>",
        "docs/results/vgps-*"])],
}

project = "kedge"
author = "the kedge developers"
copyright = "the kedge developers. Apache License 2.0"
version = release = re.search(r"project\(kedge VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]

extensions = ["myst_parser", "sphinx_copybutton"]
root_doc = "README"
include_patterns = ["*.md", "docs/**", "examples/**/README.md", "bench/**/README.md"]
exclude_patterns = ["build", "dist", "runs", "viewer", ".*", "docs/_static"]
myst_heading_anchors = 4  # the anchors that a code-hosting site gives to headings
myst_enable_extensions = ["colon_fence"]
highlight_language = "none"
nitpicky = True

html_theme = "furo"
html_title = f"kedge {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None  # the same bytes every day
copybutton_prompt_text = "$ "


class NotebookParser(MystParser):
    """A notebook as a page: its texts, and its code as blocks. What it shows when it runs is not kept in it."""

    def parse(self, inputstring, document):
        cells = json.loads(inputstring)["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        blocks = [text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
                  for cell, text in zip(cells, texts)]
        super().parse("\n\n".join(blocks), document)


def link_headers(app, doctree):
    """Lets links to headers of the library lead to their pages of the C++ reference, which Doxygen puts into api/."""
    page = Path(app.env.docname)
    for node in list(doctree.findall(addnodes.download_reference)):
        target = os.path.normpath(page.parent / node["reftarget"])
        if target.startswith("kedge/") and target.endswith(".h"):
            name = Path(target).name.replace("_", "__").replace(".h", "_8h.html")
            address = f"{os.path.relpath('api', page.parent)}/{name}"
            node.replace_self(nodes.reference("", "", *node.children, refuri=address, internal=False))


def add_contents(app, docname, source):
    """Appends the contents of a page that leads to others, for the sidebar; the page itself names them in its own words."""
    for title, pages in CONTENTS.get(docname, []):
        found = [f"{path.relative_to(ROOT).with_suffix('')}" for page in pages if "*" in page
                 for path in sorted(ROOT.glob(page + ".md"))]
        new = [page for page in found if f"<{page}>" not in " ".join(pages)]
        options = [":hidden:"] + ([f":caption: {title}"] if title else [])
        entries = [page.replace("<", "</") if "<" in page else f"/{page}" for page in [*pages, *new] if "*" not in page]
        source[0] += "\n\n```{toctree}\n" + "\n".join([*options, "", *entries]) + "\n```\n"


def setup(app):
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    app.connect("source-read", add_contents)
    app.connect("doctree-read", link_headers, priority=100)  # before Sphinx collects what is downloaded


NotebookParser.supported = ("notebook",)
