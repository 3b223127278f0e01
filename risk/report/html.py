"""The report as one HTML file: its own style, charts as SVG, no script, nothing from elsewhere.

It is opened from disk and printed. Its size has a bound whatever the rows: texts are cut, the list
ends where people stop reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from risk.calllist.types import ListedClient
from risk.data.quarantine import fault_words
from risk.report import charts
from risk.report.card import (
    PROVISIONAL,
    about_words,
    change_words,
    day,
    off_word,
    quiet,
    range_words,
    signed,
    signs,
)
from risk.report.figures import MUTED, RED, style, svg
from risk.report.typeset import fitted

MOST_CLIENTS, MOST_CHANGES, MOST_FILES, MOST_COLUMNS, MOST_CHARTS = 200, 10, 20, 60, 8
MOST_LETTERS, MOST_NAME = 160, 80
MM = 1 / 25.4
STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:2rem 1.25rem 3rem;color:#1b1f23;background:#fff;
font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.9rem;line-height:1.2;margin:.4rem 0 .3rem}
h2{font-size:1.25rem;margin:2.2rem 0 .3rem}h3{font-size:1rem;margin:1.1rem 0 .3rem}
p{margin:.3rem 0}.muted{color:#57606a}.small{font-size:.82rem}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));
border-block:1px solid #d0d3d6;margin:1rem 0}
.facts div{padding:.6rem .9rem .6rem 0}.facts b{display:block;font-size:1.5rem;line-height:1.25}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th{text-align:left;font-size:.82rem;color:#57606a;border-bottom:1px solid #57606a;
padding:.3rem .6rem .3rem 0;vertical-align:bottom}
td{border-bottom:1px solid #e5e7eb;padding:.4rem .6rem .4rem 0;vertical-align:top}
td.n,th.n{text-align:right}
tbody th{color:inherit;font-size:inherit;border-bottom:1px solid #e5e7eb;vertical-align:top;
padding:.4rem .6rem .4rem 0}
td,th,p,dd{overflow-wrap:anywhere}.list td.risk{min-width:8.5rem}
thead th{overflow-wrap:normal}
.list .why{font-size:.85rem;width:48%}
.list .since{white-space:nowrap}tbody th .small{font-weight:400}
.list th[scope=row]{min-width:7rem;max-width:16rem}
.band{font-size:.75rem;font-weight:600;padding:0 .4rem;border-radius:2px;
border:1px solid transparent}
.high{background:#9a3412;color:#fff}.raised{background:#ffd9a8;color:#4a2f00}
.low{border-color:#6b7280}.not{border:1px dashed #6b7280}
.up{color:#9a3412}
.cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1.6rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(12.2rem,1fr));gap:.6rem 1rem}
.charts figure{margin:0}svg{display:block;max-width:100%;height:auto}.wide{width:100%}
.waffles{display:flex;gap:1.5rem;flex-wrap:wrap;margin:.6rem 0}.waffles figure{margin:0;width:8rem}
dl{display:grid;grid-template-columns:5rem 1fr;gap:.2rem .6rem;margin:.3rem 0}
dt{color:#57606a}dd{margin:0}ul{padding-left:1.1rem;margin:.3rem 0}
footer{margin-top:2.5rem;border-top:1px solid #d0d3d6;padding-top:.5rem}
.scroll{overflow-x:auto}.spark{display:inline-block;vertical-align:middle}
@media print{@page{size:A4;margin:14mm}html{font-size:10.5px}
body{padding:0;max-width:none;font-size:10.5px}
.charts{grid-template-columns:repeat(4,1fr)}.cols{grid-template-columns:repeat(3,1fr)}
tr,figure,.facts{break-inside:avoid}h2,h3{break-after:avoid}thead{display:table-header-group}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def html_of(card: dict[str, Any]) -> str:
    """The report as HTML; the same card gives the same text."""
    with style():
        parts = [
            _today(card),
            _calls(card),
            _changes(card),
            _trust(card),
            _learned(card),
            _cards(card),
        ]
    title = _text(f"Clients at risk: {card['headline']}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + f'\n</main>\n<footer class="muted small">{_text(card["stamp"])}</footer>\n'
        "</body>\n</html>\n"
    )


def _text(value: Any, most: int = MOST_LETTERS) -> str:
    """Escaped and cut; what cannot be printed is left out."""
    plain = str(value)
    plain = plain if len(plain) <= most else f"{plain[: most - 1]}…"
    return escape("".join(c for c in plain if c.isprintable() or c == " "))


def _prose(value: str) -> str:
    """A sentence of ours, which may be long."""
    return escape("".join(c for c in value[:1000] if c.isprintable()))


def _name(value: Any, most: int = MOST_LETTERS) -> str:
    """A name in its own direction of writing."""
    return f"<bdi>{_text(value, most)}</bdi>"


# ---------------------------------------------------------------- today


def _today(card: dict[str, Any]) -> str:
    facts = "".join(
        f'<div><span class="muted small">{_text(fact["name"])}</span><b>{_text(fact["value"])}</b>'
        f'<span class="muted small">{_text(fact["note"])}</span></div>'
        for fact in card["facts"]
    )
    return (
        f'<p class="small"><b>Clients at risk</b></p>\n<h1>{_text(card["headline"])}</h1>\n'
        f'<p class="muted">{_text(card["stamp"])}</p>\n'
        f'<p class="muted small">{_prose(card["basis"])}</p>\n<div class="facts">{facts}</div>\n'
        f'<p><b>{_text(card["trust"]["headline"])}.</b> <a href="#trust">The details</a></p>'
    )


def _calls(card: dict[str, Any]) -> str:
    """The call list with its reasons; of a longer one the first 200."""
    found = card["calls"]
    since, shown = found["since"], found["clients"][:MOST_CLIENTS]
    average = f"{100 * found['average']:.0f} %"
    note = (
        f"{_prose(found['how'])} Risk is the chance to leave; the mark on each bar is the average "
        f"client, {average}. Why: what goes together with the risk, ↑ signs that raise it, ↓ the "
        "strongest that lowers it, with the usual values."
    )
    heads = ["#", "Client", "Risk", *([f"Since {day(since)}"] if since else []), "Why"]
    rows = "\n".join(_client_row(client, found) for client in shown)
    table = (
        f'<div class="scroll"><table class="list"><thead><tr>{_head_cells(heads)}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )
    more = len(found["clients"]) - len(shown)
    return (
        f'<h2>{_text(found["title"])}</h2>\n<p class="muted small">{note}</p>\n'
        + (table if shown else "<p>There is no current client.</p>")
        + (f"\n<p>and {more:,} more, in clients_at_risk.csv</p>" if more else "")
    )


def _head_cells(heads: list[str]) -> str:
    return "".join(f'<th scope="col">{_text(head)}</th>' for head in heads)


def _client_row(client: ListedClient, found: dict[str, Any]) -> str:
    risk, band = client.risk, client.band
    about = about_words(client)
    about = f'<br><span class="muted small">{_text(about, MOST_NAME)}</span>' if about else ""
    cells = [
        f'<td class="muted">{client.rank}</td>',
        f'<th scope="row">{_name(client.client, MOST_NAME)}{about}</th>',
        f'<td class="risk"><b>{100 * risk:.0f} %</b> <span class="band {band.split()[0]}">{band}'
        f"</span>{_bar(risk, found['average'], band)}</td>",
    ]
    if found["since"]:
        word, split = change_words(client, found["since"])
        cells.append(
            f'<td class="since">{_text(word)} {_spark(client.history)}<br>'
            f'<span class="muted small">{_text(split)}</span></td>'
        )
    return f'<tr>{"".join(cells)}<td class="why">{_why(client)}</td></tr>'


def _why(client: ListedClient) -> str:
    lines = []
    for up, arrow, look in ((True, "↑", "up"), (False, "↓", "muted")):
        told = "; ".join(_name(sign) for sign in signs(client, up=up))
        if told:
            lines.append(f'<span class="{look}">{arrow}</span> {told}')
    return "<br>".join(lines)


def _bar(risk: float, average: float, band: str) -> str:
    """The risk as a bar with the average client's mark."""
    colour = RED if band == "high" else MUTED
    return (
        '<svg viewBox="0 0 100 8" width="130" height="10" aria-hidden="true">'
        '<rect y="2" width="100" height="4" fill="#d9d6d0"/>'
        f'<rect y="2" width="{100 * risk:.1f}" height="4" fill="{colour}"/>'
        f'<rect x="{100 * average:.1f}" width="1" height="8" fill="#1b1f23"/></svg>'
    )


def _spark(past: Sequence[int | None]) -> str:
    """The risk at the last snapshots as a line, 0 to 100 %; a gap is a gap."""
    runs: list[list[str]] = [[]]
    for at, risk in enumerate(past, 12 - len(past)):
        if risk is None:
            runs.append([])
        else:
            runs[-1].append(f"{5 * at},{20 - risk / 5:.1f}")
    if sum(map(len, runs)) < 2:
        return ""
    lines = "".join(
        f'<polyline points="{" ".join(run)}" fill="none" stroke="#1b1f23" stroke-width="1.5"/>'
        for run in runs
        if len(run) > 1
    )
    x, _, y = runs[-1][-1].partition(",")
    return (
        '<svg viewBox="-2 -2 62 24" width="62" height="20" class="spark" aria-hidden="true">'
        f'{lines}<circle cx="{x}" cy="{y}" r="2" fill="{RED}"/></svg>'
    )


def _changes(card: dict[str, Any]) -> str:
    """Who is new, who is off, who moved most."""
    found = card["changed"]
    if not found["since"]:
        return (
            "<h2>What changed</h2>\n<p>This is the first list: from the next one on this says who "
            "is new and who moved.</p>"
        )
    new = [[_name(one.client), _percent(one.risk)] for one in found["new"]]
    off = [[_name(one.client), _percent(one.risk), off_word(one)] for one in found["off"]]
    moves = [
        [_name(one.client), _percent(one.risk), signed(one.points),
         *("–" if part is None else signed(part) for part in (one.data, one.model))]
        for one in found["moves"]
    ]  # fmt: skip
    tables = [
        _short_table(f"{len(new):,} new on the list", ["Client", "Risk"], new),
        _short_table(f"{len(off):,} off the list", ["Client", "Risk then", "Now"], off),
        _short_table("Biggest moves", ["Client", "To", "Points", "Data", "Model"], moves),
    ]
    return f'<h2>What changed since {_text(found["since"])}</h2>\n<div class="cols">' + (
        "\n".join(tables) + "</div>"
    )


def _percent(risk: float) -> str:
    return f"{100 * risk:.0f} %"


def _short_table(
    title: str, heads: list[str], rows: list[list[str]], most: int = MOST_CHANGES
) -> str:
    """A table of cells that are HTML already, the first of a row being its head."""
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f'<td class="n">{cell}</td>' for cell in rest)
        + "</tr>"
        for first, *rest in rows[:most]
    )
    head = f'<th scope="col">{_text(heads[0])}</th>' + "".join(
        f'<th scope="col" class="n">{_text(one)}</th>' for one in heads[1:]
    )
    more = len(rows) - most
    foot = f'<p class="muted small">and {more:,} more</p>' if more > 0 else ""
    foot = foot if rows else '<p class="muted small">none</p>'
    return (
        f"<div><table><caption>{_text(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{foot}</div>"
    )


# ---------------------------------------------------------------- how far to trust it


def _figure_of(
    draw: Callable[[Any], None], said: str, wide: float, high: float, frame: tuple[float, ...]
) -> str:
    """One chart as SVG; frame: left, bottom, width and height of the axes in millimetres."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide * MM, high * MM))
    left, bottom, across, up = frame
    draw(figure.add_axes((left / wide, bottom / high, across / wide, up / high)))
    drawn = svg(figure).replace("<svg ", f'<svg role="img" aria-label="{_text(said)}" ', 1)
    return f"<figure>{drawn}</figure>"


def _trust(card: dict[str, Any]) -> str:
    """What came true, and four charts of how good the risks are."""
    found = card["trust"]
    shown = ""
    if found["listed"] is not None:
        shown = _waffle("listed", found["listed"], RED) + _waffle(
            "picked at random", found["at_random"], MUTED
        )
    frame = (8.5, 8.0, 45.0, 42.0)
    drawn: list[tuple[str, Callable[[Any], None]]] = [
        ("Risks said and shares that left", lambda axes: charts.calibration(axes, card["judged"])),
        ("Leavers reached by longer lists", lambda axes: charts.reach(axes, card["reached"])),
        ("ROC with its band",
         lambda axes: charts.roc(axes, card["curves"], card["no_curves"], card["area"])),
        ("Precision and recall with their band",
         lambda axes: charts.precision_recall(axes, card["curves"], card["no_curves"])),
    ]  # fmt: skip
    pictures = "\n".join(_figure_of(draw, said, 56, 60, frame) for said, draw in drawn)
    return (
        f'<h2 id="trust">Can I trust it?</h2>\n<p><b>{_text(found["headline"])}.</b> '
        f"{_prose(found['text'])}</p>"
        f'\n<p class="muted">{_prose(found["why"])}</p>\n<div class="waffles">{shown}</div>\n'
        f'<div class="charts">{pictures}</div>\n<p class="muted small">Bands and lines are 95 % '
        "intervals, each for its own point.</p>\n" + _reach_table(card["reached"])
    )


def _waffle(word: str, share: float, colour: str) -> str:
    """A hundred squares, those who left filled."""
    filled = round(100 * share)
    squares = "".join(
        f'<rect x="{at % 10 * 10}" y="{at // 10 * 10}" width="8.5" height="8.5" '
        f'fill="{colour if at < filled else "#d9d6d0"}"/>'
        for at in range(100)
    )
    return (
        f'<figure><svg viewBox="0 0 100 100" class="wide" role="img" '
        f'aria-label="{filled} of 100">{squares}</svg>'
        f'<figcaption class="small">{word}: {filled} of 100 left</figcaption></figure>'
    )


def _reach_table(found: dict[str, Any] | None) -> str:
    """What longer lists reach, in numbers."""
    if found is None:
        return ""
    rows = [
        [
            f"{100 * step['share']:.0f} % ({step['called']:,})",
            _with_interval(step["precision"], step["precision_interval"]),
            _with_interval(step["recall"], step["recall_interval"]),
            f"{100 * step['at_random']['recall']:.0f}",
        ]
        for step in found["steps"]
    ]
    heads = ["Calling", "Of 100 called, left", "Of 100 who left, called", "At random"]
    return _short_table(f"What a longer list reaches ({found['basis']})", heads, rows)


def _with_interval(share: float, interval: list[float]) -> str:
    low, high = interval
    return f"{100 * share:.0f} ({100 * low:.0f} to {100 * high:.0f})"


def _learned(card: dict[str, Any]) -> str:
    """Eight columns as charts, all of them as a table."""
    found, average = card["effects"]["columns"], card["effects"]["average"]
    shown = found[:MOST_CHARTS]
    top = charts.ceiling(shown, average)

    def fit(words: str, share: float, size: float, bold: bool) -> str:
        return fitted(words, share * 45.0, size, bold)

    def draw(column: dict[str, Any]) -> str:
        return _figure_of(
            lambda axes: charts.effect(axes, column, average, top, fit),
            f"{column['name']}: {range_words(column)}", 56, 40, (7.5, 5.0, 45.0, 26.0),
        )  # fmt: skip

    rows = [[_name(one["name"]), range_words(one), _ends(one)] for one in found]
    return (
        "<h2>What the model has learned</h2>\n"
        f'<p class="muted small">Risk by value of a client that is average in all else '
        f"({_percent(average)}, the line); grey: the usual half. Signs, not causes.</p>\n"
        f'<div class="charts">{"".join(draw(column) for column in shown)}</div>\n'
        + _short_table("Every column, the widest range first",
                      ["Column", "Risk from to", "Lowest and highest at"], rows, MOST_COLUMNS)
    )  # fmt: skip


def _ends(column: dict[str, Any]) -> str:
    """The values of the lowest and of the highest risk."""
    by_risk = sorted(column["effects"], key=lambda one: one["risk"])
    return f"{_name(by_risk[0]['text'])} … {_name(by_risk[-1]['text'])}"


# ---------------------------------------------------------------- the cards


def _cards(card: dict[str, Any]) -> str:
    return (
        f'<div class="cols"><section>{_model_card(card)}</section>'
        f"<section>{_decision_card(card)}</section><section>{_data_card(card)}</section></div>"
    )


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{_text(k)}</dt><dd>{_prose(v)}</dd>' for k, v in rows)}</dl>"


def _bullets(lines: Iterable[str]) -> str:
    return f'<ul class="small">{"".join(f"<li>{_prose(line)}</li>" for line in lines)}</ul>'


def _model_card(card: dict[str, Any]) -> str:
    return f"<h2>Model card</h2>{_pairs(card['model'])}<h3>Not to be used</h3>" + _bullets(
        card["not_for"]
    )


def _decision_card(card: dict[str, Any]) -> str:
    found, watch = card["decision"], card["alerts"]
    told = f"<p>{_prose(card['undecided'])}</p>"
    if found:
        rows = [("When", found["at"]), ("What", found["what"]), ("Judged", found["judged"])]
        told = _pairs([*rows, ("Why", found["reason"])])
        if found["evidence"]:
            shown = [
                [_name(one["name"]), _text(one["E"]), _text(one["limit"])]
                for one in found["evidence"]
            ]
            told += _short_table("Evidence", ["Challenger", "Evidence", "Limit"], shown)
        told += f"<p><b>{PROVISIONAL}</b></p>" if found["provisional"] else ""
    lines = watch["lines"][:MOST_FILES]
    moved = _bullets(lines) if lines else f"<p>{_prose(quiet(watch))}</p>"
    return f"<h2>Last decision</h2>{told}<h3>The watch</h3>{moved}"


def _data_card(card: dict[str, Any]) -> str:
    data = card["data"]
    files = [
        [
            _name(one["file"] + ("" if one["verdict"] == "accepted" else f" ({one['verdict']})")),
            f"{one['rows']:,}", f"{one['duplicates']:,}", f"{one['quarantined']:,}",
        ]
        for one in data["files"]
    ]  # fmt: skip
    reasons = [fault_words(one) for one in data["reasons"]]
    return (
        f"<h2>Data card</h2><p>{_prose(data['sentence'])}</p>"
        + _short_table("Files, the newest first", ["File", "Rows", "Duplicates", "Set aside"],
                      files, MOST_FILES)
        + "<h3>Why rows were set aside</h3>"
        + (_bullets(reasons) if reasons else "<p>No row was.</p>")
    )  # fmt: skip
