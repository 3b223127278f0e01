"""The report as one HTML file: the pages' templates and stylesheet, no script, nothing fetched.

It is opened from disk, forwarded and printed. Its size has a bound whatever the rows: the list ends
where people stop reading, and names are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from risk.config import HOME
from risk.report import charts
from risk.report.contents import NOT_FOR, Report
from risk.report.figures import style, svg
from risk.report.typeset import fitted

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_CHARTS, MOST_COLUMNS = 8, 60
MM, WIDE = 1 / 25.4, 56


def html_of(report: Report) -> str:
    """The report as HTML; the same report gives the same text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=FileSystemLoader(HOME / "templates"),
        autoescape=True,  # Flask turns it on by itself, Jinja alone does not
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,  # a misspelt name is an error and no empty place
    )

    def part(template: str, **values: Any) -> Markup:
        """A page's main part, its heading below the report's own."""
        page = pages.get_template(template)
        # Without a root there is no server: links, forms and ages are left out.
        return Markup(page.render(values, shell="part.html", root=None))

    # Banners of the run are left out: while the report is made its run has not ended.
    today = {**vars(report.today), "banners": report.banners, "about": report.about, "empty": None}
    with style():
        return pages.get_template("report.html").render(
            report=report,
            root=None,
            # As it is: escaped, no > or quote in it would be CSS any more.
            sheet=Markup((HOME / "static" / "page.css").read_text()),
            today=part("today.html", **today),
            trust=part("trust.html", **vars(report.trust), banners=[], level=2),
            decision=part("decisions.html", **vars(report.decision), level=2),
            curves=_curves(report),
            effects=_effects(report),
            most_columns=MOST_COLUMNS,
            not_for=NOT_FOR,
            **vars(report.data),
        )


def _curves(report: Report) -> list[Markup]:
    """ROC, and precision and recall."""
    charted = (
        (charts.roc, "ROC with its band"),
        (charts.precision_recall, "Precision and recall with their band"),
    )
    frame = (8.5, 8.0, 45.0, 42.0)
    return [_figure(partial(draw, report=report), says, 60, frame) for draw, says in charted]


def _effects(report: Report) -> list[Markup]:
    """The columns with the widest range, on one scale."""
    shown = report.learned[:MOST_CHARTS]
    top = charts.ceiling(shown, report.average)
    left, bottom, across, up = 7.5, 5.0, 45.0, 26.0

    def fit(words: str, share: float, size: float, bold: bool) -> str:
        return fitted(words, share * across, size, bold)

    return [
        _figure(
            partial(charts.effect, column=column, average=report.average, top=top, fit=fit),
            f"{column.name}: {column.range}", 40, (left, bottom, across, up),
        )
        for column in shown
    ]  # fmt: skip


def _figure(
    draw: Callable[[Any], None], says: str, high: float, frame: tuple[float, ...]
) -> Markup:
    """One chart as SVG; frame: left, bottom, width and height of the axes in millimetres."""
    from markupsafe import Markup, escape
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE * MM, high * MM))
    left, bottom, across, up = frame
    draw(figure.add_axes((left / WIDE, bottom / high, across / WIDE, up / high)))
    label = f'<svg role="img" aria-label="{escape(says[:160])}" '
    return Markup(svg(figure).replace("<svg ", label, 1))
