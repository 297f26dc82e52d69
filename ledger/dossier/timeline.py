"""`timeline.html`: the deal's entries as a page for people, self-contained, made for paper as much as for a screen.

The same entries and texts give the same bytes. Every word of a person is escaped; the page runs no script and asks for
nothing. Texts that entries only commit to stand in it with their salts, so that `verify.py` can check what it shows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from ledger.dossier.narrative import Names, say, say_day, say_money, tell
from ledger.log.entry import Entry


@dataclass(frozen=True, slots=True)
class OpenedText:
    """A text that the page shows, and what opens its commitment (64 hex digits); text and salt None where erased."""

    commitment: str
    salt: bytes | None
    text: str | None


_STYLE = """
:root { color-scheme: light; --ink: #1d2433; --quiet: #5b6475; --line: #d9dde5; --paper: #ffffff; --accent: #1f3a5f; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef0f4; color: var(--ink);
  font: 15px/1.55 Georgia, "Times New Roman", "Liberation Serif", serif; }
main { max-width: 60rem; margin: 2rem auto; padding: 3.5rem 4rem 3rem; background: var(--paper);
  border-top: 6px solid var(--accent); box-shadow: 0 1px 4px rgb(20 30 50 / 0.18); }
header p.kind { margin: 0; color: var(--accent); font-variant: small-caps; letter-spacing: 0.08em; font-size: 1rem; }
h1 { margin: 0.2rem 0 0.6rem; font-size: 1.9rem; line-height: 1.2; font-weight: normal; overflow-wrap: anywhere; }
h2 { margin: 2.4rem 0 0.8rem; padding-bottom: 0.3rem; border-bottom: 1px solid var(--line); font-size: 1.15rem;
  font-weight: normal; color: var(--accent); }
p { margin: 0.5rem 0; }
dl.facts { display: grid; grid-template-columns: 11rem 1fr; gap: 0.25rem 1rem; margin: 1.2rem 0 0; }
dl.facts dt { color: var(--quiet); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th { text-align: left; font-weight: normal; color: var(--quiet); font-size: 0.85rem; padding: 0 0.8rem 0.4rem 0;
  border-bottom: 1px solid var(--ink); }
td { vertical-align: top; padding: 0.9rem 0.8rem 0.9rem 0; border-bottom: 1px solid var(--line); }
th:nth-child(1), td.number { width: 2.6rem; } th:nth-child(2) { width: 10.5rem; } th:nth-child(3) { width: 9rem; }
td.number { color: var(--quiet); font-variant-numeric: tabular-nums; }
td.when { font-variant-numeric: tabular-nums; } td.when small, td.who small { display: block; color: var(--quiet); }
td.what strong { font-weight: bold; }
td.what dl { display: grid; grid-template-columns: 9.5rem 1fr; gap: 0.15rem 0.8rem; margin: 0.45rem 0 0;
  font-size: 0.93rem; }
td.what dt { color: var(--quiet); } td.what dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
td.what q { quotes: "“" "”"; font-style: italic; }
code { font: 0.66rem/1.5 "DejaVu Sans Mono", Menlo, Consolas, monospace; color: var(--quiet); overflow-wrap: anywhere; }
td.what code { display: block; margin-top: 0.5rem; }
ul { margin: 0.4rem 0; padding-left: 1.2rem; } li { margin: 0.25rem 0; }
footer { margin-top: 2.5rem; color: var(--quiet); font-size: 0.85rem; }
@media (max-width: 46rem) { main { margin: 0; padding: 1.5rem 1.1rem; } th:nth-child(2) { width: 6.5rem; }
  th:nth-child(3) { width: 6rem; } td.what dl, dl.facts { grid-template-columns: 1fr; } }
@page { size: A4; margin: 18mm 16mm 20mm; }
@media print { body { background: none; font-size: 10.5pt; } main { max-width: none; margin: 0; padding: 0;
  border-top: 0; box-shadow: none; } thead { display: table-header-group; } tr, dl, li { break-inside: avoid; }
  h2 { break-after: avoid; } a { color: inherit; text-decoration: none; } }
"""


def render_timeline(
    entries: Sequence[Entry],
    texts: Sequence[OpenedText],
    names: Names,
    roles: Mapping[str, str],
    zone: ZoneInfo,
    origin: str,
) -> str:
    """Return the page about the entries of one deal.

    `names` are those of people by id, `roles` the words for the roles they have, `zone` that of the agency's clocks.
    """
    opened = {each.commitment: each.text for each in texts}
    currencies = _currencies_of(entries)
    labels = dict(names) | _label_commissions(entries, names)
    facts = _sum_up(entries, opened, labels, zone)
    title = _title_of(entries, opened)
    rows = []
    for entry in entries:
        told = tell(entry, labels, opened, currencies)
        details = "".join(
            f"<dt>{escape(label)}</dt><dd>{f'<q>{escape(words)}</q>' if is_own else escape(words)}</dd>"
            for label, words, is_own in told.details
        )
        who = escape(labels.get(entry.actor_id, entry.actor_id))
        rows.append(
            f'<tr><td class="number">{entry.seq}</td>'
            f'<td class="when">{_say_when(entry, zone)}</td>'
            f'<td class="who">{who}<small>{escape(roles.get(entry.actor_id, ""))}</small></td>'
            f'<td class="what"><strong>{escape(told.headline)}</strong>'
            f"{f'<dl>{details}</dl>' if details else ''}<code>{entry.hash.hex()}</code></td></tr>"
        )
    facts_html = "".join(f"<dt>{escape(label)}</dt><dd>{escape(words)}</dd>" for label, words in facts)
    shown = [
        {"commitment": each.commitment, "salt": each.salt.hex(), "text": each.text}
        for each in sorted(texts, key=lambda each: each.commitment)
        if each.salt is not None and each.text is not None
    ]
    data = json.dumps(shown, sort_keys=True, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Record of the deal: {escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<header><p class="kind">Evidence dossier · record of a deal</p><h1>{escape(title)}</h1>'
        f'<dl class="facts">{facts_html}</dl></header>\n'
        f"<h2>What was recorded</h2>\n<p>{_intro(len(entries), zone)}</p>\n"
        "<table><thead><tr><th>No.</th><th>Recorded</th><th>By</th><th>What</th></tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table>\n"
        + _closing(entries, origin)
        + f'<script type="application/json" id="texts">{data}</script>\n</main>\n</body>\n</html>\n'
    )


def _intro(count: int, zone: ZoneInfo) -> str:
    entries = "One entry" if count == 1 else f"All {count:,} entries"
    return (
        f"{entries} of this deal's record, in the order in which they were written. “Recorded” is the moment at which "
        "the server wrote the entry; no user can choose it. Where something is said to have happened earlier, a person "
        f"stated that. Times are those of {escape(zone.key)}, with UTC below. The figure under each entry is its "
        "SHA-256 fingerprint: it changes with every letter of the entry, and contains that of the entry before. "
        "Words in quotation marks are those of the people named."
    )


def _closing(entries: Sequence[Entry], origin: str) -> str:
    last = entries[-1]
    return f"""<h2>How this can be checked</h2>
<p>This page is a reading aid. The evidence is in the other files of the dossier, and any computer with Python can check
it without access to the agency's system:</p>
<p><code>python3 verify.py --key "the agency's public key"</code></p>
<p>Get the public key by another way than this dossier, for example from the agency's own site or from an auditor.</p>
<dl class="facts"><dt>Log</dt><dd><code>{escape(origin)}</code></dd>
<dt>Last entry</dt><dd><code>{escape(last.chain)};{last.seq};{last.hash.hex()}</code></dd></dl>
<h2>What a successful check proves, and what it does not</h2>
<ul><li>It proves that each entry is, byte for byte, what the agency's log held when it was signed; that none was left
out, added or moved; and that the deal had no later entry when the dossier was made.</li>
<li>It proves that the texts shown here are those that were written at the time.</li>
<li>It does not prove that what was recorded is true: it shows who recorded it and when.</li>
<li>It says nothing about anything recorded afterwards.</li>
<li>Personal data of contacts is kept back. In its place stands a commitment: whoever holds the text can show that it is
the one that was recorded, and nobody else can read it.</li></ul>
<footer>Dossier of deal {escape(last.chain.removeprefix("deal:"))}.</footer>
"""


def _say_time(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{say_day(local.date())}, {local:%H:%M:%S}"


def _say_when(entry: Entry, zone: ZoneInfo) -> str:
    words = f"{_say_time(entry.at, zone)}<small>{entry.at:%Y-%m-%d %H:%M:%S} UTC</small>"
    if abs((entry.effective_at - entry.at).total_seconds()) >= 1:
        words += f"<small>said to have happened on {_say_time(entry.effective_at, zone)}</small>"
    return words


def _title_of(entries: Sequence[Entry], opened: Mapping[str, str | None]) -> str:
    title = None
    for entry in entries:
        if entry.subject_kind == "deal" and "title" in entry.data.get("set", {}):
            title = opened.get(str(entry.data["set"]["title"]))
    return title or "A deal without a title"


def _currencies_of(entries: Sequence[Entry]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        values = entry.data.get("set", {})
        for column in ("basis_currency", "estimated_value_currency"):
            if values.get(column):
                found[entry.subject_id] = values[column]
    return found


def _label_commissions(entries: Sequence[Entry], names: Names) -> dict[str, str]:
    labels = {}
    for entry in entries:
        if entry.type == "commission.recorded":
            values = entry.data["set"]
            agent = names.get(values["agent_id"], values["agent_id"])
            labels[entry.subject_id] = f"commission of {agent} ({say(values['commission_type'])})"
    return labels


def _sum_up(
    entries: Sequence[Entry], opened: Mapping[str, str | None], names: Names, zone: ZoneInfo
) -> list[tuple[str, str]]:
    """Return the deal as the entries leave it, label by label."""
    deal: dict[str, object] = {}
    for entry in entries:
        if entry.subject_kind == "deal":
            deal |= entry.data.get("set", {})
    rows = [("Deal", entries[0].subject_id)]
    if deal.get("external_ref"):
        rows.append(("Reference in the CRM", str(deal["external_ref"])))
    rows.append(("Agent", names.get(str(deal.get("agent_id")), str(deal.get("agent_id")))))
    rows.append(("Kind", f"{say(deal.get('deal_type'))}, {say(deal.get('asset_type'))}"))
    if deal.get("estimated_value_amount"):
        value = say_money(deal["estimated_value_amount"], deal.get("estimated_value_currency"))
        rows.append(("Estimated value", value))
    stage, status = say(deal.get("pipeline_stage")), say(deal.get("status"))
    rows.append(("Stands at", stage if stage == status else f"{stage} ({status})"))
    description = opened.get(str(deal.get("description")))
    if description:
        rows.append(("Description", description))
    rows.append(("Entries", f"{len(entries):,}"))
    rows.append(("Recorded from", f"{_say_time(entries[0].at, zone)} ({zone.key})"))
    rows.append(("Last recorded", f"{_say_time(entries[-1].at, zone)} ({zone.key})"))
    return rows
