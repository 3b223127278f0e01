"""Which column is what: headers and cells as CRMs of seven languages have them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

NUMBERS = [str(value) for value in (3, 41, 17, 8, 120, 5, 66, 29, 14, 2)]


def table(header: str, *columns: list[str], rows: int = 40) -> bytes:
    """A table of semicolons: the columns' cells again and again, # in a cell the row's number."""
    lines = [header]
    for at in range(rows):
        lines.append(";".join(c[at % len(c)].replace("#", str(1000 + at)) for c in columns))
    return "\n".join([*lines, ""]).encode()


def guess(tmp_path: Path, data: bytes, *flags: str, name: str = "t_2026-10-31.csv") -> Any:
    """(exit code, the answer of --guess, what was said)."""
    path = tmp_path / name
    path.write_bytes(data)
    command = [sys.executable, str(ROOT / "ingestion.py"), "--json", *flags, "--guess", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    return done.returncode, found, done.stdout + done.stderr


def roles_of(found: dict[str, Any]) -> dict[str, str]:
    """Part -> the columns with it."""
    roles: dict[str, str] = {}
    for name, part in found["roles"].items():
        roles[part] = f"{roles[part]}, {name}" if part in roles else name
    return roles


YES_NO = ["Yes", "No", "No"]
SURE = {
    "german": (
        table(
            "Kundennummer;Firma;Betreuer;Umsatz;Plätze;Vertragsende;Gekündigt",
            ["K#"], ["Firma #"], ["Ana", "Max"], ["1.234,50", "980,00"], NUMBERS,
            ["31.01.2027", "15.06.2027"], ["Ja", "Nein", "Nein"],
        ),
        {"client": "Kundennummer", "name": "Firma", "owner": "Betreuer", "value": "Umsatz",
         "show": "Vertragsende", "target": "Gekündigt", "feature": "Plätze"},
    ),
    "french": (
        table(
            "N° client;Raison sociale;Chargé de compte;Connexions;Résilié",
            ["C#"], ["Société #"], ["Luc", "Zoé"], NUMBERS, ["Oui", "Non", "Non"],
        ),
        {"client": "N° client", "name": "Raison sociale", "owner": "Chargé de compte",
         "feature": "Connexions", "target": "Résilié"},
    ),
    "spanish": (
        table(
            "ID de cliente;Empresa;Gestor de cuenta;Accesos;Baja",
            ["#"], ["Empresa #"], ["Eva", "Raúl"], NUMBERS, ["Sí", "No", "No"],
        ),
        {"client": "ID de cliente", "name": "Empresa", "owner": "Gestor de cuenta",
         "feature": "Accesos", "target": "Baja"},
    ),
    "italian": (
        table(
            "Codice cliente;Ragione sociale;Accessi;Stato",
            ["#"], ["Ditta #"], NUMBERS, ["Attivo", "Disdetto", "Attivo"],
        ),
        {"client": "Codice cliente", "name": "Ragione sociale", "feature": "Accessi",
         "target": "Stato"},
    ),
    "dutch": (
        table("Klantnummer;Bedrijfsnaam;Omzet;Logins;Opgezegd",
              ["#"], ["Bedrijf #"], ["1200", "800"], NUMBERS, ["Ja", "Nee", "Nee"]),
        {"client": "Klantnummer", "name": "Bedrijfsnaam", "value": "Omzet", "feature": "Logins",
         "target": "Opgezegd"},
    ),
    "portuguese": (
        table("Código do cliente;Nome da empresa;Acessos;Situação",
              ["#"], ["Empresa #"], NUMBERS, ["Ativo", "Cancelado", "Ativo"]),
        {"client": "Código do cliente", "name": "Nome da empresa", "feature": "Acessos",
         "target": "Situação"},
    ),
    "what is about leaving is never learned from": (
        table(
            "CustomerID;Tenure Months;Churn Label;Churn Value;Churn Score;Churn Reason",
            ["#"], NUMBERS, YES_NO, ["1", "0", "0"], ["91", "12", "33", "95", "20", "8"],
            ["Price", "", ""],
        ),
        {"client": "CustomerID", "feature": "Tenure Months", "target": "Churn Label",
         "left out": "Churn Value, Churn Score, Churn Reason"},
    ),
    "a yes or no is no target": (
        table("Company Name;Seats;Competitor Offer;Customer Churn Status",
              ["Firm #"], NUMBERS, ["Yes", "No"], ["Churned", "At risk", "Customer"]),
        {"client": "Company Name", "feature": "Seats, Competitor Offer",
         "target": "Customer Churn Status"},
    ),
    "a count of months is no client": (
        table("months_as_customer;policy_number;premium;churned",
              NUMBERS, ["55#"], ["12.5", "80.25"], ["1", "0", "0"]),
        {"client": "policy_number", "feature": "months_as_customer, premium", "target": "churned"},
    ),
    "former customers have left": (
        table("Record ID;Company name;Sessions;Lifecycle Stage;Phone Number",
              ["#"], ["Firm #"], NUMBERS, ["Customer", "Former customer"], ["+49 30 #"]),
        {"client": "Record ID", "name": "Company name", "feature": "Sessions",
         "target": "Lifecycle Stage", "show": "Phone Number"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "wanted"), SURE.values(), ids=SURE)
def test_columns_are_known_by_their_words(
    tmp_path: Path, data: bytes, wanted: dict[str, str]
) -> None:
    code, found, text = guess(tmp_path, data)

    assert code == 0, text
    assert roles_of(found) == wanted
    assert list(tmp_path.iterdir()) == [tmp_path / "t_2026-10-31.csv"]


UNSURE = {
    "only a yes or no": (
        table("customer_id;seats;Newsletter", ["#"], NUMBERS, YES_NO), "--target COLUMN",
    ),
    "a voicemail that was left": (
        table("customer_id;seats;Left voicemail", ["#"], NUMBERS, YES_NO), "--target COLUMN",
    ),
    "two columns that differ": (
        table("customer_id;seats;churned;cancelled", ["#"], NUMBERS, ["1", "0", "0"], ["0", "1"]),
        "'churned' (1, 0); 'cancelled' (0, 1); type --target COLUMN",
    ),
    "words that nobody knows": (
        table("customer_id;seats;churned", ["#"], NUMBERS, ["rot", "grün", "rot"]),
        "what 'grün', 'rot' means is not known; type --left WORD",
    ),
    "two clients": (
        table("client_id;account_id;seats;churned", ["#"], ["A#"], NUMBERS, ["1", "0", "0"]),
        "two columns could name the client: 'client_id'",
    ),
    "a client that repeats": (
        table("customer;seats;churned", ["a", "b", "c", "d", "e"], NUMBERS, ["1", "0", "0"]),
        "'customer' names the client but repeats: 40 rows",
    ),
    "no client": (
        table("seats;size;churned", NUMBERS, NUMBERS[::-1], ["1", "0", "0"]),
        "add a column customer_id",
    ),
    "dates that can be read in two ways": (
        table("customer_id;date;seats;churned", ["#"], ["03/04/2026", "05/06/2026"], NUMBERS,
              ["1", "0", "0"]),
        '--format "date"=dd/mm/yyyy or --format "date"=mm/dd/yyyy',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), UNSURE.values(), ids=UNSURE)
def test_what_is_not_sure_is_asked_for(tmp_path: Path, data: bytes, message: str) -> None:
    code, _, text = guess(tmp_path, data)

    assert code == 2
    assert message in text
    assert "nothing was made" in text


@pytest.mark.parametrize(
    ("case", "flags", "wanted"),
    [
        ("only a yes or no", ["--target", "Newsletter"], {"target": "Newsletter"}),
        ("two columns that differ", ["--target", "cancelled"], {"target": "cancelled"}),
        (
            "words that nobody knows",
            ["--left", "rot", "--stayed", "grün"],
            {"target": "churned"},
        ),
        ("two clients", ["--id", "account_id"], {"client": "account_id"}),
        (
            "dates that can be read in two ways",
            ["--format", "date=dd/mm/yyyy"],
            {"date": "date"},
        ),
        (
            "dates that can be read in two ways",
            ["--ignore", "date"],
            {"left out": "date", "client": "customer_id"},
        ),
    ],
)
def test_a_flag_decides(
    tmp_path: Path, case: str, flags: list[str], wanted: dict[str, str]
) -> None:
    code, found, text = guess(tmp_path, UNSURE[case][0], *flags)

    assert code == 0, text
    assert wanted.items() <= roles_of(found).items()


def test_a_flag_that_names_no_column_says_what_is_near(tmp_path: Path) -> None:
    code, _, text = guess(tmp_path, SURE["dutch"][0], "--id", "Klant nummer")

    assert code == 2
    assert "no column is called 'Klant nummer'; is 'Klantnummer' meant?" in text


def months(tmp_path: Path, statuses: dict[str, str], header: str = "id;seats;Status") -> Path:
    """Three month ends of 30 clients; statuses: client number -> a letter a month (h, L, -)."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for at, day in enumerate(("2026-08-31", "2026-09-30", "2026-10-31")):
        lines = [header]
        for client in range(30):
            letter = statuses.get(str(client), "hhh")[at]
            status = "Churned" if letter == "L" else "Active"
            last = status if header.endswith("Status") else f"plan {client % 3}"
            lines += [] if letter == "-" else [f"C{client};{client % 7 + 1};{last}"]
        (folder / f"clients {day}.csv").write_text("\n".join([*lines, ""]))
    return folder


@pytest.mark.parametrize(
    ("statuses", "header", "wanted", "why"),
    [
        (
            {"1": "LLL", "2": "hLL"},
            "id;seats;Status",
            ("status", "unknown"),
            "1 of 30 have left by",
        ),
        ({"1": "h--", "2": "hh-"}, "id;seats;Status", ("status", "left"), "2 clients of one"),
        ({"1": "h--"}, "id;seats;plan", ("status", "left"), "1 client of one date not"),
        ({}, "id;seats;Status", ("status", "unknown"), "no client has left yet in 3 dates"),
        ({"1": "L--", "2": "hL-"}, "id;seats;Status", ("given", "unknown"), "each row says who"),
    ],
)
def test_months_say_what_the_target_means(
    tmp_path: Path, statuses: dict[str, str], header: str, wanted: tuple[str, str], why: str
) -> None:
    folder = months(tmp_path, statuses, header)
    command = [sys.executable, str(ROOT / "ingestion.py"), "--init", str(tmp_path / "p")]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "p" / "config.json").read_text())
    assert (settings.get("labels", "given"), settings.get("vanished", "unknown")) == wanted
    assert why in done.stdout
    ingested = subprocess.run(
        [sys.executable, str(ROOT / "ingestion.py"), "--config", str(tmp_path / "p/config.json")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ingested.returncode == 0, ingested.stderr
    assert " 0 set aside" in ingested.stdout


def test_an_existing_project_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    command = [sys.executable, str(ROOT / "ingestion.py"), "--init", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 2
    assert "is a project already, and is left as it is" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_an_undated_file_gets_its_date(tmp_path: Path) -> None:
    (tmp_path / "clients.csv").write_bytes(SURE["dutch"][0])
    command = [sys.executable, str(ROOT / "ingestion.py"), "--init", str(tmp_path / "p")]
    done = subprocess.run(
        [*command, str(tmp_path / "clients.csv"), "--as-of", "2026-10-31"],
        capture_output=True,
        text=True,
    )

    assert "clients.csv: rows of 2026-10-31 (by --as-of)" in done.stdout, done.stderr
    made = [path.name for path in (tmp_path / "p" / "sourcedata").iterdir()]
    assert made == ["clients_2026-10-31.csv"]


def test_what_was_measured_after_leaving_is_said(tmp_path: Path) -> None:
    cells = [str(at % 9 + 1) for at in range(30)]
    data = table(
        "customer_id;seats;logins;churned", ["#"], cells,
        ["0" if at % 3 == 0 else str(at) for at in range(30)],
        ["1" if at % 3 == 0 else "0" for at in range(30)], rows=30,
    )  # fmt: skip
    _, found, _ = guess(tmp_path, data)

    assert found["warning"].startswith("logins is 0 for 10 of 10 who left and for 0 of 20 others")
