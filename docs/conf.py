"""Sphinx's settings; `nox -s docs` builds the site."""

import robloss

project = "robloss"
author = "The robloss developers"
project_copyright = author
version = release = robloss.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "templates"]
nitpicky = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections say shape and legal set, which a type cannot
numpydoc_show_class_members = False  # autodoc lists them
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"robloss {release}"
