"""The imports page: files in, a mapping for them, their first rows as understood, a dry run, the import, rejects."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request, Response
from nicegui import events, ui

from api.import_orders import digest_files, note_import
from api.problems import Problem
from api.workspace.context import IMPORTS_PATH, PAGE_SECONDS, SIGN_IN_PATH, SignedOut, Visit, open_visit, read_clock
from api.workspace.dialogs import explain
from api.workspace.elements import box, empty, panel, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.import_files import FilesAtHand, Findings
from api.workspace.import_list import draw_imports
from api.workspace.import_panels import draw_files, draw_mapping, draw_previews
from api.workspace.import_progress import RunView
from api.workspace.visitors import find_visitor
from api.workspace.writing import Messages, read, write
from ledger.access import Action, authorize, is_permitted, list_users
from ledger.imports import page_imports
from ledger.tables import Import

ROWS_PER_PAGE = 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Earlier:
    rows: list[Import]
    names: dict[str, str]
    has_more: bool


@ui.page("/performance/imports", response_timeout=PAGE_SECONDS)
async def show_imports(request: Request) -> Response | None:
    """Show the imports page, or ask to sign in."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    with frame(visit, visitor, "Imports", IMPORTS_PATH):
        if is_permitted(visitor.actor, Action.IMPORT):
            await _Page(visit).build()
        else:
            text("h1", "Imports")
            empty("Managers import files", "Ask one of them to bring your file in; every row of it is accounted for.")
    return None


class _Page:
    """The page of one visit, with the files that it was given."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        settings = visit.workspace.settings
        self._at_hand = FilesAtHand(settings.uploads_dir)
        self._found = Findings()
        self._limit = ROWS_PER_PAGE
        self._is_strict = False
        with box("div", "page-head"), box("div"):
            text("h1", "Imports")
            text("p", "An export of your CRM, or reference figures. Importing a file again adds nothing.", "muted")
        with panel("Bring in files"):
            self._draw_drop_zone(settings.import_max_mib)
            self._work = box("div", "import-work")
        self._run_place = box("div", "import-run", aria_live="polite")
        with panel("Earlier imports"):
            self._list = box("div")
        self._messages = Messages()
        self._run = RunView(visit, self._run_place, self._refresh_list)
        ui.context.client.on_delete(self._at_hand.discard)

    async def build(self) -> None:
        """Draw the list of earlier imports."""
        await fill(self._list, self._read_list, self._show_list, placeholders=3)

    # ---- files

    def _draw_drop_zone(self, max_mib: int) -> None:
        upload = ui.upload(
            multiple=True,
            max_total_size=max_mib * 2**20,
            on_multi_upload=self._take_files,
            on_rejected=lambda: self._refuse(
                f"At most {max_mib:,} MiB go in at once. Import larger files on the server."
            ),
            auto_upload=True,
        ).classes("uploader")
        with box("label", "drop-zone") as zone:
            field = box("input", "visually-hidden", type="file", multiple="multiple")
            field.props["aria-label"] = "Choose files"
            text("strong", "Choose files or drop them here")
            text(
                "span",
                "CSV or Parquet, .gz too; the files of one export together. A mapping of your own (.toml) goes along.",
                "muted",
            )
        send = f"(files) => runMethod({upload.id}, 'addFiles', [files])"
        field.on("change", js_handler=f"(event) => dealbook.sendFiles(event, {send})")
        for name in ("dragover", "dragleave", "drop"):
            zone.on(name, js_handler=f"(event) => dealbook.dropFiles(event, {send})")

    async def _take_files(self, event: events.MultiUploadEventArguments) -> None:
        try:
            await read(self._visit, lambda session, actor: authorize(session, actor, Action.IMPORT))
            for file in event.files:
                place = self._at_hand.place_for(file.name)
                await file.save(place)
                self._at_hand.take(place)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        except Exception as error:
            self._refuse(explain(error))
        await self._look()

    async def _look(self) -> None:
        """Look at the files again and draw what was found."""
        if not self._run.is_running:
            self._run_place.clear()  # what was said there was about other files or another mapping
        self._work.classes("is-busy")
        try:
            self._found = await asyncio.to_thread(self._at_hand.look)
        except Exception as error:
            self._refuse(explain(error))
            return
        finally:
            self._work.classes(remove="is-busy")
        self._draw_work()

    def _draw_work(self) -> None:
        self._work.clear()
        found = self._found
        if not self._at_hand.files:
            if self._at_hand.own_text:
                with self._work:
                    text("p", "The mapping is here; now the files that it reads.", "muted")
            return
        with self._work:
            draw_files(self._at_hand, found, self._remove)
            if found.kind == "crm":
                draw_mapping(self._at_hand, found, self._choose_mapping, self._edit_mapping)
                if found.trouble:
                    text("p", found.trouble, "dialog-trouble import-trouble", role="alert")
                draw_previews(found)
            with box("div", "import-buttons"):
                if found.kind == "crm":
                    with box("label", "strict"):
                        mark = box("input", "check", type="checkbox")
                        mark.props["checked"] = self._is_strict
                        mark.on("change", self._set_strict, js_handler="(event) => emit(event.target.checked)")
                        text("span", "All or nothing: one rejected row keeps everything out")
                is_ready = not found.trouble
                self._draw_button(
                    "Try it: a dry run", "button", lambda: self._start(is_dry_run=True), is_ready=is_ready
                )
                self._draw_button(
                    "Import", "button button-primary", lambda: self._start(is_dry_run=False), is_ready=is_ready
                )

    def _draw_button(self, words: str, classes: str, do: Callable[[], object], *, is_ready: bool) -> None:
        button = text("button", words, classes, type="button").on("click", do)
        button.props["disabled"] = not is_ready

    async def _remove(self, name: str) -> None:
        self._at_hand.remove(name)
        await self._look()

    async def _choose_mapping(self, choice: str) -> None:
        try:
            if choice == "propose":
                await asyncio.to_thread(self._at_hand.propose)
            else:
                self._at_hand.mapping = choice
        except Exception as error:
            self._refuse(explain(error))
        await self._look()

    async def _edit_mapping(self, written: str) -> None:
        self._at_hand.edit(written)
        await self._look()

    def _set_strict(self, event: events.GenericEventArguments) -> None:
        self._is_strict = bool(event.args)

    def _refuse(self, words: str) -> None:
        self._messages.say(words, is_refusal=True)

    # ---- the run

    async def _start(self, *, is_dry_run: bool) -> None:
        if self._run.is_running:
            self._refuse("An import of this page is under way; wait until it has ended.")
            return
        kind, is_strict = self._found.kind, self._is_strict
        try:
            wanted = await asyncio.to_thread(
                lambda: self._at_hand.order(kind, is_dry_run=is_dry_run, is_strict=is_strict)
            )
            digest = await asyncio.to_thread(digest_files, wanted.files)
            order = await write(self._visit, lambda session, actor: note_import(session, actor, wanted, digest))
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        except Problem as error:
            self._refuse(error.detail)
            return
        except Exception as error:
            self._refuse(explain(error))
            return
        self._visit.workspace.imports.start(order)
        self._run.show(order.import_id)
        await self._refresh_list()

    # ---- earlier imports

    def _read_list(self) -> _Earlier:
        actor = self._visit.require_actor()
        with self._visit.workspace.ledger.read() as session:
            rows, cursor = page_imports(session, actor, limit=self._limit)
            names = {user.id: user.name for user in list_users(session)}
        return _Earlier(list(rows), names, cursor is not None)

    def _show_list(self, earlier: _Earlier) -> None:
        if not earlier.rows:
            text("p", "Nothing has been imported yet.", "muted")
            return
        draw_imports(earlier.rows, earlier.names, self._visit.workspace, read_clock())
        if earlier.has_more:
            text("button", "Show more", "more", type="button").on("click", self._show_more)

    async def _show_more(self) -> None:
        self._limit += ROWS_PER_PAGE
        await self._refresh_list()

    async def _refresh_list(self) -> None:
        try:
            earlier = await asyncio.to_thread(self._read_list)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        self._list.clear()
        with self._list:
            self._show_list(earlier)
