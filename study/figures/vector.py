"""Figures as SVG inside a page: text stays text, and colours are variables of the page's light or dark theme."""

import io
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from study.figures.style import BLUE, GREEN, GREY, PALETTE, VERMILLION, literal, own_style, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 9  # points, of all text; on the narrowest phone, a figure of WIDTH has about as many pixels as points
WIDTH = 4.5  # inches

# The page defines each variable. matplotlib leaves out black fills, so the page sets them on the whole SVG.
VARIABLES = {
    BLUE: "--blue",
    VERMILLION: "--accent",
    GREEN: "--green",
    GREY: "--faint",
    **dict(zip(PALETTE[3:6], ("--pink", "--orange", "--sky"), strict=True)),
    "#EEEEEE": "--grid",
    "#666666": "--muted",
    "#000000": "--ink",
    "#FFFFFF": "--page",
}
_COLOUR = re.compile("|".join(VARIABLES), re.IGNORECASE)
_DROPPED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_BETWEEN = re.compile(r">\s+<")
_TAG = re.compile(r"<[^>]*>")
_GEOMETRY = re.compile(r' (d|x|y|x1|x2|y1|y2|transform)="[^"]*"')
_LONG_NUMBER = re.compile(r"(\.\d\d)\d+")


@own_style
def svg(figure: "Figure", name: str, description: str, size: tuple[float, float]) -> str:
    """Return a figure as an <svg> element that is as wide as its place, for a page that defines VARIABLES.

    The same figure gives the same text each time. Text of users stays plain, neither mathematics nor markup.

    Args:
        figure: The figure; its size and text properties are changed.
        name: The prefix of the ids in the element, unique in the page.
        description: The alternative text.
        size: Width and height in inches.
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": SIZE, "text.parse_math": False}
    out = io.StringIO()
    literal(figure)
    with mpl.rc_context(settings):
        figure.set_size_inches(*size)
        for axes in figure.axes:
            axes.tick_params(labelsize=SIZE)
        for text in figure.findobj(Text):
            text.set_fontsize(SIZE)
            text.set_parse_math(False)
        write(figure, out, format="svg", transparent=True)  # text is drawn in the page's fonts
    drawn = _DROPPED.sub("", out.getvalue())
    drawn = _TAG.sub(lambda tag: _tag(tag[0], name), drawn)
    box, body = re.search(r'viewBox="[^"]*"', drawn), drawn.partition("<svg")[2].partition(">")[2]
    start = f'<svg role="img" aria-label={quoteattr(description)} {box[0] if box else ""}>'
    return f"{start}<title>{escape(description)}</title>{_BETWEEN.sub('><', body).rstrip()}"


def _tag(tag: str, name: str) -> str:
    """Return a tag with short numbers, variables for colours, and ids unique in the page; <g> loses its id."""
    if tag.startswith("<g id="):
        return "" if tag.endswith("/>") else "<g>"
    tag = re.sub(r' id="', f' id="{name}-', tag)
    tag = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', tag).replace("url(#", f"url(#{name}-")
    tag = _GEOMETRY.sub(lambda found: _LONG_NUMBER.sub(r"\1", found[0]), tag).replace("\n", "")
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    return _COLOUR.sub(lambda found: f"var({_variable(found[0])})", tag)


def _variable(colour: str) -> str:
    return next(variable for known, variable in VARIABLES.items() if known.lower() == colour.lower())
