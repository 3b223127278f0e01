"""Exports as programs write them come out as the values they mean, by the forms that are found."""

from __future__ import annotations

from typing import Any

import pytest

from risk.data.reader import rows_of
from risk.data.schema import DATE, NUMBER, TARGET, TEXT, Column, Schema
from risk.data.tables import ANY, Table, read_table
from risk.data.values import date_form, number_form

N = 12
DAYS = [f"2026-01-{at + 10:02d}" for at in range(N)]
AMOUNTS = [1234.5 * at for at in range(N)]
ENGLISH = [f"{amount:,.2f}" for amount in AMOUNTS]
GERMAN = [text.translate(str.maketrans(",.", ".,")) for text in ENGLISH]
FRENCH = [text.translate(str.maketrans(",.", "\u202f,")) for text in ENGLISH]
SWISS = [text.replace(",", "’") for text in ENGLISH]


def table(head: str, rows: list[str], end: str = "\n", tail: str = "") -> str:
    return end.join([head, *rows, ""]) + tail


def dotted(day: str, mark: str = ".") -> str:
    return mark.join(reversed(day.split("-")))


EXPORTS: dict[str, tuple[bytes, list[float | None], list[str]]] = {}


def export(name: str, text: str, encoding: str = "utf-8", **other: Any) -> None:
    EXPORTS[name] = (text.encode(encoding), other.get("amounts", AMOUNTS), other.get("days", DAYS))


HOLES = [None if at % 3 == 0 else amount for at, amount in enumerate(AMOUNTS)]
export(
    "excel, german",
    table(
        "Kunde;Umsatz;Stichtag;Gekündigt",
        [f"Müller {at};{GERMAN[at]} €;{dotted(DAYS[at])};{at % 2}" for at in range(N)],
        "\r\n",
        "Summe;81.477,00 €;;\r\n",
    ),
    "cp1252",
)
export(
    "excel, french",
    table(
        "Société;Chiffre;Date;Résilié",
        [f"Élan {at};{FRENCH[at]} €;{dotted(DAYS[at], '/')};{at % 2}" for at in range(N)],
        "\r\n",
        "Total général;81 477,00 €;;\r\n",
    ),
)
export(
    "excel, swiss",
    table(
        "Kunde;Umsatz;Stichtag;Weg",
        [f"Zürich {at};CHF {SWISS[at]};{dotted(DAYS[at])};{at % 2}" for at in range(N)],
    ),
)
export(
    "excel, american",
    table(
        "Account,ARR,As of,Churned",
        [f'A{at},"${ENGLISH[at]}",1/{at + 10}/2026,{at % 2}' for at in range(N)],
        "\r\n",
    ),
)
export(
    "excel, unicode text",
    table(
        "Kunde\tUmsatz\tStichtag\tWeg",
        [f"Łódź {at}\t{GERMAN[at]}\t{dotted(DAYS[at])}\t{at % 2}" for at in range(N)],
        "\r\n",
    ),
    "utf-16",
)
export(
    "r, write.csv",
    table(
        '"","client","use","day","left"',
        [
            f'"{at + 1}","c{at}",{HOLES[at] if HOLES[at] is not None else "NA"},"{DAYS[at]}",'
            f"{at % 2}"
            for at in range(N)
        ],
    ),
    amounts=HOLES,
)
export(
    "r, write.csv2",
    table(
        '"";"client";"use";"day";"left"',
        [
            f'"{at + 1}";"c{at}";{str(AMOUNTS[at]).replace(".", ",")};"{DAYS[at]}";{at % 2}'
            for at in range(N)
        ],
    ),
)
export(
    "pandas",
    table(
        ",client,use,day,left",
        [
            f"{at},c{at},{'' if HOLES[at] is None else HOLES[at]},{DAYS[at]} 00:00:00,{at % 2}.0"
            for at in range(N)
        ],
    ),
    amounts=HOLES,
)
export(
    "mysql -B",
    table(
        "client\tuse\tday\tleft",
        [
            f"c{at}\t{'NULL' if HOLES[at] is None else HOLES[at]}\t{DAYS[at]} 10:00:00\t{at % 2}"
            for at in range(N)
        ],
    ),
    amounts=HOLES,
)
export(
    "mysql, outfile",
    table(
        "client,use,day,left",
        [
            f'"the \\"c{at}\\", Ltd",{HOLES[at] if HOLES[at] is not None else chr(92) + "N"},'
            f'"{DAYS[at]}",{at % 2}'
            for at in range(N)
        ],
    ),
    amounts=HOLES,
)
export(
    "psql",
    " client | use | day | left\n--------+-----+-----+------\n"
    + "".join(f" c{at:4} | {AMOUNTS[at]:10} | {DAYS[at]} | {at % 2}\n" for at in range(N))
    + f"({N} rows)\n",
)
export(
    "sqlcmd",
    table(
        "client,use,day,left",
        ["------,---,---,----", *(f"c{at},{AMOUNTS[at]},{DAYS[at]},{at % 2}" for at in range(N))],
        tail=f"\n({N} rows affected)\n",
    ),
)
export(
    "dbeaver",
    table(
        '"client","use","day","left"',
        [
            f'"c, {at}",{HOLES[at] if HOLES[at] is not None else "[NULL]"},{DAYS[at]},{at % 2}'
            for at in range(N)
        ],
    ),
    amounts=HOLES,
)
export(
    "salesforce, german locale",
    table(
        '"Account Name","Annual Revenue","Close Date","Churned"',
        [f'"A{at}","EUR {GERMAN[at]}","{dotted(DAYS[at])}","{at % 2}"' for at in range(N)],
        tail='\n\n"Churn report"\n"Copyright (c) 2000-2026 salesforce.com, inc."\n'
        '"Confidential Information - Do Not Distribute"\n',
    ),
)
export(
    "salesforce, by its api",
    table(
        '"Name","AnnualRevenue","SnapshotDate","Churned__c"',
        [f'"A{at}","{AMOUNTS[at]}","{DAYS[at]}T00:00:00.000+0000","{at % 2}"' for at in range(N)],
    ),
)
export(
    "hubspot",
    table(
        '"Company name","Annual Revenue","Create Date","Notes","Churned"',
        [
            f'"C{at}","{AMOUNTS[at]}","{DAYS[at]} 14:05","called, no\nanswer ""yet""","{at % 2}"'
            for at in range(N)
        ],
    ),
)
export(
    "google sheets",
    table(
        "Customer,MRR,Month,Left",
        [f'C{at},"{ENGLISH[at]}","Jan {at + 10}, 2026",{at % 2}' for at in range(N)],
    ),
)
export(
    "sap, a list with its frame",
    "31.01.2026                 Listenausgabe               1\n"
    + "-" * 60
    + "\n|Kunde   |Umsatz       |Datum     |Weg|\n"
    + "-" * 60
    + "\n"
    + "".join(f"|{at:8}|{GERMAN[at]:>12}-|{dotted(DAYS[at])}|{at % 2:3}|\n" for at in range(N))
    + "-" * 60
    + "\n|*       |  81.477,00- |          |   |\n"
    + "-" * 60
    + "\n",
    amounts=[-amount for amount in AMOUNTS],
)
export(
    "sap, a spreadsheet of it",
    table(
        "Kunde\tUmsatz\tDatum\tWeg",
        [f"{1000 + at}\t{GERMAN[at]}-\t{dotted(DAYS[at])}\t{at % 2}" for at in range(N)],
    ),
    amounts=[-amount for amount in AMOUNTS],
)
export(
    "access",
    table(
        '"Kunde";"Umsatz";"Stichtag";"Weg"',
        [f'"M{at}";{GERMAN[at]};{dotted(DAYS[at])} 00:00:00;{at % 2}' for at in range(N)],
        "\r\n",
    ),
)
export(
    "oracle",
    table(
        '"CLIENT","USE","DAY","LEFT"',
        [f'"c{at}","{AMOUNTS[at]}","{at + 10}-JAN-26","{at % 2}"' for at in range(N)],
    ),
)


def schema_for(table: Table) -> Schema:
    """The first four named columns but notes: client, amount, day and label."""
    client, amount, day, label = (n for n in table.names if n and n not in ("Notes",))
    return Schema(
        (
            Column(client, "id", TEXT),
            Column(day, "date", DATE, form=date_form(table.column(day)).form),
            Column(amount, "feature", NUMBER, form=number_form(table.column(amount)).form),
            Column(label, "target", TARGET),
        )
    )


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_comes_out_as_the_values_it_means(name: str) -> None:
    data, amounts, days = EXPORTS[name]
    found = read_table(data, "export.csv", ANY)
    schema = schema_for(found)
    reading = rows_of(found, schema)
    assert (reading.refused, reading.errors) == ("", [])
    values = reading.values
    assert values[schema.named("feature")] == pytest.approx(amounts)
    assert values[schema.named("date")] == days
    assert values[schema.named("target")] == [at % 2 for at in range(N)]
    assert not date_form(found.column(schema.named("date"))).others
