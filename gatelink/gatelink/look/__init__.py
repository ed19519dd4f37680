"""The look that all pages have in common: one style sheet of variables, which each of the three products serves."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

LOOK_CSS: Final[Traversable] = files(__name__).joinpath("look.css")
