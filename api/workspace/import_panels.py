"""The parts of the imports page that show what was given to it: files, mapping, first rows."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial

from nicegui import ui

from api.workspace import wording
from api.workspace.elements import box, text
from api.workspace.import_files import OWN, FilesAtHand, Findings
from ingestion.crm_files import FIELDS, FilePreview, Kind, load_mapping

_FIGURES = (Kind.MONEY, Kind.CONFIDENCE, Kind.RATE)
_SECTIONS = {"stage_events": "stage history"}
_LABELS = {
    "id": "Deal",
    "deal_id": "Deal",
    "opened_on": "Opened",
    "closed_on": "Closed",
    "moved_on": "Moved",
    "expected_close": "Expected close",
    "contact_name": "Contact",
    "lead_source": "Lead source",
    "asset_type": "Asset",
    "deal_type": "Type",
    "commission_type": "Kind",
}


def size_words(size: int) -> str:
    """Write a file's size in the unit that suits it."""
    if size < 1024:
        return f"{size} bytes"
    return f"{size / 1024:,.0f} KiB" if size < 2**20 else f"{size / 2**20:,.1f} MiB"


def draw_files(at_hand: FilesAtHand, found: Findings, remove: Callable[[str], Awaitable[None]]) -> None:
    """Draw the files with what each is taken for."""
    sections = {preview.name: preview.section for preview in found.previews}
    with box("ul", "file-list", aria_label="Files"):
        for path in at_hand.files:
            with box("li", data_file=path.name):
                text("strong", path.name)
                text("span", size_words(path.stat().st_size), "muted num")
                kind = found.figures.get(path.name) or _section_words(str(sections.get(path.name, "")))
                if kind:
                    text("span", kind, "status")
                away = text("button", "×", "icon-button", type="button", aria_label=f"Put {path.name} away")
                away.on("click", partial(remove, path.name))


def _section_words(section: str) -> str:
    return _SECTIONS.get(section, section)


def draw_mapping(
    at_hand: FilesAtHand,
    found: Findings,
    choose: Callable[[str], Awaitable[None]],
    edit: Callable[[str], Awaitable[None]],
) -> None:
    """Draw the choice of a mapping, and the text of one's own."""
    options = {name: f"{name}: {load_mapping(name).description}" for name in found.fitting}
    options |= {"": "Choose a mapping"} if not at_hand.mapping else {}
    options |= {OWN: "Your own"} if at_hand.own_text else {}
    options |= {"propose": "Propose one from these files"}
    with box("div", "import-mapping"):
        with box("label", "question"):
            text("span", "What the columns mean", "question-label")
            select = box("select", "input", name="mapping", data_initial=at_hand.mapping)
            with select:
                for value, words in options.items():
                    text("option", words, value=value)
        select.on("vnodeMounted", js_handler="(event) => dealbook.fillFields(event.el.parentElement)")
        select.on(
            "change", lambda event: choose(str(event.args)[:200]), js_handler="(event) => emit(event.target.value)"
        )
        if at_hand.mapping != OWN:
            return
        for title, lines in (("Fill in before it can be used", found.missing), ("Assumed; look at it", found.doubts)):
            if lines:
                with box("div", "mapping-notes"):
                    text("strong", title)
                    with box("ul"):
                        for line in lines[:12]:
                            text("li", line)
        with box("label", "question"):
            text("span", "Your mapping", "question-label")
            area = box("textarea", "input mapping-text", rows="16", spellcheck="false", data_initial=at_hand.own_text)
        area.on("vnodeMounted", js_handler="(event) => dealbook.fillFields(event.el.parentElement)")
        area.on(
            "change",
            lambda event: edit(str(event.args)[: 256 * 1024]),
            js_handler="(event) => emit(event.target.value)",
        )
        text("p", "It is tried again as you leave the field. Copy it to a file of your own to keep it.", "muted")


def draw_previews(found: Findings) -> None:
    """Draw the first rows of each file as an import would understand them."""
    for preview in found.previews:
        with box("section", "preview", aria_label=f"First rows of {preview.name}"):
            with box("div", "drawer-section"):
                text("h3", preview.name)
                text("span", f"first rows, as {_section_words(str(preview.section))}", "muted")
            _draw_preview(preview)


def _draw_preview(preview: FilePreview) -> None:
    if not preview.rows:
        text("p", "It has no rows.", "muted")
        return
    # It has nothing in it that takes the focus, and must be scrolled by keyboard all the same.
    scroll = box("div", "table-scroll", tabindex="0", role="group", aria_label=f"Rows of {preview.name}")
    with scroll, box("table", "table preview-table"):
        with box("thead"), box("tr"):
            text("th", "Line", scope="col")
            for name in preview.fields:
                is_figure = FIELDS[preview.section][name].kind in _FIGURES
                text("th", _LABELS.get(name, wording.say(name)), "" if is_figure else "text", scope="col")
        with box("tbody"):
            for row in preview.rows:
                with box("tr", data_line=str(row.line), data_rejected="1" if row.reason else "0"):
                    text("td", f"{row.line:,}", "num")
                    if row.reason:
                        words = text("td", f"would be rejected: {row.reason}", "text rejected")
                        words.props["colspan"] = str(max(len(preview.fields), 1))
                    for name in preview.fields if not row.reason else ():
                        kind = FIELDS[preview.section][name].kind
                        classes = "num" if kind in _FIGURES else "text"
                        text("td", _say_value(kind, row.values.get(name, "")), classes)


def _say_value(kind: Kind, value: str) -> str:
    if not value:
        return ""
    match kind:
        case Kind.WORD:
            return wording.say(value)
        case Kind.MONEY:
            return f"{Decimal(value):,.2f}"
        case Kind.CONFIDENCE | Kind.RATE:
            return f"{Decimal(value) * 100:.2f} %".replace(".00 %", " %")
        case _:
            return value


def draw_bar(words: str, done: int, total: int | None) -> ui.element:
    """Draw how far something is; without a total the bar only moves."""
    with box("div", "progress") as place:
        bar = box("progress", aria_label=words)
        if total:
            bar.props["value"] = str(done)
            bar.props["max"] = str(total)
        count = f"{done:,} of {total:,}" if total else f"{done:,} so far" if done else ""
        text("span", f"{wording.say(words)} {count}".strip(), "num")
    return place
