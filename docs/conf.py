"""How Sphinx builds this site: ``make docs``, offline, and every warning is an error."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ["MPLBACKEND"] = "Agg"
# The site shows the tables of every install, not those that the author of a page has imported.
os.environ["NASBENCH_LAB_DATA"] = str(HERE.parent / "build" / "docs-data")

import site_checks  # noqa: E402 (found only now)
import site_pages  # noqa: E402 (it reads the data folder's name)

project = "nasbench-lab"
author = "The nasbench-lab developers"
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
add_module_names = False

html_theme = "furo"
html_title = "nasbench-lab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def is_left_out(app, what, name, member, skip, options):
    """Leaves out what only repeats the parameters of a named tuple."""
    return skip or str(getattr(member, "__doc__", "")).startswith("Alias for field number")


def setup(app):
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("builder-inited", lambda app: site_pages.write(HERE))
    app.connect("build-finished", site_checks.check_build)
