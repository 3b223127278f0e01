"""The words by which columns and cells say what they are, in the main European languages."""

from __future__ import annotations

import re

from risk.data.values import bare_word


def _words(text: str) -> frozenset[str]:
    return frozenset(bare_word(word) for word in text.split())


# A header that is one of these, all of it, is about who left.
TARGETS = _words(
    "gone isgone exited exit hasexited churn churned haschurned ischurned ischurn churnflag "
    "churnlabel churnvalue churnstatus left hasleft clientleft customerleft attrition "
    "attritionflag attrited cancelled canceled iscancelled iscanceled lost islost terminated "
    "departed quit leaver unsubscribed defected target label outcome customerlost gekundigt "
    "gekuendigt kundigung kuendigung hatgekundigt abgewandert abgang verloren kundenverlust "
    "resilie resiliee aresilie desabonne desabonnement depart parti perdu attritionclient baja "
    "dadodebaja bajacliente cancelado cancelo abandono abandonado perdido fuga disdetto "
    "disdetta recesso receduto abbandono abbandonato perso cessato opgezegd opzegging "
    "vertrokken weg verlorenklant beeindigd desistente desistiu cancelou evasao churnou "
    "encerrado"
)
# A header with one of these in it is about leaving; _ABOUT says what else it is then.
LEAVING = (
    "churn attrit exited cancell canceled kundig kuendig abwander resili desabonn opgezegd opzegg "
    "disdett disdic recess dimission evasao cancelad"
).split()
ABOUT = _words(
    "reason reasons category score risk probability prob prediction predicted date day days "
    "month time offer survey type comment comments note notes voicemail cause count number "
    "calls fee policy competitor segment model estimate grund datum wahrscheinlichkeit "
    "kategorie termin frist raison motif probabilite categorie motivo fecha causa probabilidad "
    "data motivazione punteggio reden kans propensity likelihood value cltv am on at kommentar "
    "pontuacao razao risco"
)
# A header that says the contrary: yes means that the client is there.
STAYING = _words(
    "active isactive retained isretained stayed current iscurrent aktiv istaktiv bestandskunde "
    "actif estactif activo esactivo vigente attivo eattivo actief isactief ativo eativo renewed"
)
# A header of a status in words, whose cells have to say who left.
STATUSES = _words(
    "status state stage lifecycle lifecyclestage customerstatus accountstatus clientstatus "
    "contractstatus subscriptionstatus customerchurnstatus membershipstatus statut etat "
    "situation stato situazione estado situacion situacao toestand klantstatus kundenstatus "
    "vertragsstatus stadium standing relationship"
)
GENERIC = _words("target label outcome")

PLAIN_YES = _words("1 yes y true t ja j wahr oui o vrai si s sim verdadero vero waar verdadeiro x")
PLAIN_NO = _words("0 no n false f nein non falsch faux falso nee onwaar nao")
# Words that say it whatever the column is called.
LEFT = _words(
    "churned churn left exited gone lost cancelled canceled closed attrited departed terminated "
    "quit leaver inactive former ended expired deactivated unsubscribed defected gekundigt "
    "gekuendigt abgewandert verloren inaktiv beendet ehemalig ehemaliger ehemals ausgetreten "
    "gesperrt storniert resilie resiliee perdu perdue parti partie inactif ancien ancienne "
    "desabonne desabonnee ferme clos cloture baja perdido perdida inactivo cancelado cancelada "
    "cerrado disdetto disdetta perso persa inattivo cessato cessata chiuso opgezegd vertrokken "
    "inactief beeindigd voormalig gesloten inativo inativa encerrado encerrada desistente"
)
STAYED = _words(
    "risk risque riesgo rischio risico risco gefahrdet active stayed stay current existing "
    "retained open loyal joined renewed live ongoing customer subscribed aktiv bestehend "
    "bestand bestandskunde treu laufend offen neu neukunde actif client fidele ouvert encours "
    "nouveau activo activa vigente abierto fiel nuevo attivo attiva cliente aperto fedele nuovo "
    "actief blijver lopend klant nieuw ativo ativa aberto novo new"
)
NEGATIONS = _words("not non nicht kein pas no nao niet geen never nie")

CLIENTS = _words(
    "client clients customer customers corporation company account accounts member subscriber "
    "user employee firm organisation organization business policy contract kunde kunden firma "
    "unternehmen mandant mitglied vertrag konto abonne societe compte adherent entreprise "
    "cliente clientes empresa cuenta socio abonado azienda societa conto utente klant klanten "
    "bedrijf rekening conta empresas"
)
IDS = _words(
    "n id ids no nr num number code key uuid guid ref reference nummer kennung schluessel "
    "schlussel numero n° nº codigo clave codice chiave kenmerk identifier identificador crmid "
    "record"
)
NAMES = _words(
    "name names nom nombre nome naam bezeichnung denominacion denominazione razonsocial sociale "
    "social raison"
)
NAME_HEADERS = _words(
    "fullname nomcomplet accountname companyname customername clientname company customer "
    "client corporation kunde kundenname firma firmenname unternehmen kundenbezeichnung "
    "raisonsociale nomduclient societe nomdelasociete entreprise nombredelaempresa "
    "nombredelcliente razonsocial empresa cliente ragionesociale nomecliente azienda "
    "bedrijfsnaam klantnaam klant bedrijf nomedaempresa nomedocliente razaosocial organisation "
    "organization organizationname businessname"
)
OWNERS = _words(
    "owner accountowner accountmanager companyowner customersuccessmanager csm am salesrep "
    "salesperson rep accountexecutive relationshipmanager manager responsible assignedto "
    "kundenbetreuer betreuer kundenbetreuung vertriebler ansprechpartner verantwortlich "
    "vertrieb chargedecompte chargeclientele commercial responsable responsablecompte gestor "
    "gestordecuenta ejecutivo ejecutivodecuenta comercial responsabile gestore commerciale "
    "klantmanager relatiebeheerder gerente gerentedeconta gestordeconta consultor contactowner "
    "opportunityowner dealowner"
)
VALUES = _words(
    "arr mrr acv tcv revenue annualrevenue annualrecurringrevenue monthlyrecurringrevenue "
    "annualcontractvalue contractvalue customervalue accountvalue turnover umsatz jahresumsatz "
    "vertragswert kundenwert chiffredaffaires ca caannuel revenu revenus ingresos facturacion "
    "ventas valorcontrato fatturato ricavi valorecontratto omzet jaaromzet contractwaarde "
    "receita faturamento receitaanual valordocontrato"
)
# A header that says of when the row is.
SNAPSHOTS = _words(
    "date day month period snapshot snapshotdate snapshotday snapshotmonth asof asofdate "
    "observationdate reportdate reportingdate reportmonth statusdate exportdate extractdate "
    "monthend yearmonth datum stichtag monat monatsende berichtsmonat auswertungsdatum mois "
    "datedexport dateextraction periode fecha mes periodo fechadecorte data mese "
    "datarilevazione maand peildatum datadecorte mesref"
)
# A date of something else: of the contract, of the client's first day.
OTHER_DATES = _words(
    "renewal renew contract signup start end created birth expiry expiration expires closed "
    "exit cancel churn last first next registered joined vertragsende vertragsbeginn "
    "verlangerung kundigung anlage renouvellement echeance debut fin renovacion vencimiento "
    "alta baja inizio scadenza rinnovo fine einddatum startdatum verlenging renovacao inicio "
    "fim termino geburtstag"
)
COUNTED = _words(
    "activity age calls clients count days employees logins months num number orders products "
    "purchases quantity size tenure tickets users visits weeks years seats sessions licenses "
    "licences anzahl mitarbeiter monate tage jahre anmeldungen besuche plaetze platze lizenzen "
    "nutzer sieges connexions employes utilisateurs mois jours usuarios accesos empleados meses "
    "utenti accessi dipendenti mesi gebruikers medewerkers maanden acessos funcionarios"
)


def header_words(name: str) -> list[str]:
    """The words in a column's name: customerID, customer_id and Customer Id are two each."""
    parts = re.sub(r"([^\W_])([A-Z][a-z])|([a-z0-9])([A-Z])", r"\1\3 \2\4", name)
    return [bare_word(part) for part in re.split(r"[\W_]+", parts) if part]


def folded(name: str) -> str:
    """The name's letters and digits alone, small and without accents."""
    return "".join(letter for letter in bare_word(name) if letter.isalnum())
