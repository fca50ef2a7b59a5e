"""How Sphinx makes a site of the pages of this repository, which read as well without it."""

project = "Tidings"
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "build", "src", "tests", "benchmarks", "store"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "Tidings"
html_extra_path = ["root"]
html_show_copyright = False
html_copy_source = False
