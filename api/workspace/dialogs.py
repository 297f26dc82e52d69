"""Dialogs that ask for something and say, where they stand, why it was refused.

A dialog is the browser's own: it keeps the focus inside, closes on Escape and gives the focus back.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from api.workspace.context import SIGN_IN_PATH, SignedOut
from api.workspace.elements import box, text
from ledger.errors import DealbookError, LedgerUnavailable

log = logging.getLogger(__name__)
Form = Mapping[str, Any]
FAILED = "This could not be done; nothing was changed. If it stays so, the server's log says why."


@dataclass(frozen=True, slots=True)
class Field:
    """A question of a dialog. `kind` is an input's type, `textarea` or `select` (which needs `options`)."""

    name: str
    label: str
    kind: str = "text"
    initial: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    is_required: bool = False
    is_half: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


def explain(error: Exception) -> str:
    """Return what people are told of an error: the ledger's own words, or that something failed."""
    if isinstance(error, DealbookError) and not isinstance(error, LedgerUnavailable):
        return error.detail
    log.error("a change failed", exc_info=error)
    return FAILED


def ask(
    layer: ui.element,
    title: str,
    fields: Sequence[Field],
    submit: str,
    on_submit: Callable[[Form], Awaitable[None]],
    *,
    explanation: str = "",
    draw: Callable[[], None] | None = None,
    on_cancel: Callable[[], object] | None = None,
    dismiss: str = "Cancel",
) -> None:
    """Open a dialog in `layer`. It closes when `on_submit` is done, and shows the error when that raises one.

    `draw` puts something to look at between explanation and questions; `dismiss` is on the button that does nothing.
    """
    is_busy = False
    is_done = False

    def leave() -> None:
        if not is_done and on_cancel is not None:
            on_cancel()
        dialog.delete()

    async def take(event: GenericEventArguments) -> None:
        nonlocal is_busy, is_done
        if is_busy or not isinstance(event.args, dict):
            return
        is_busy = True
        try:
            await on_submit(event.args)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
        except Exception as error:
            trouble.set_text(explain(error))
            trouble.set_visibility(True)
        else:
            is_done = True
            close()
        finally:
            is_busy = False

    def close() -> None:
        ui.run_javascript(f"getHtmlElement({dialog.id})?.close()")

    with layer, box("dialog", "dialog", aria_label=title) as dialog:
        dialog.on("vnodeMounted", js_handler="(event) => dealbook.showDialog(event.el)")
        dialog.on("close", leave)
        with box("form", "dialog-form", novalidate="novalidate") as form:
            text("h2", title)
            if explanation:
                text("p", explanation, "muted")
            if draw:
                draw()
            with box("div", "dialog-fields"):
                for question in fields:
                    draw_field(question)
            trouble = text("p", "", "dialog-trouble", role="alert")
            trouble.set_visibility(False)
            with box("div", "dialog-buttons"):
                text("button", dismiss, "button", type="button").on(
                    "click", js_handler="(event) => event.target.closest('dialog').close()"
                )
                text("button", submit, "button button-primary", type="submit")
        form.on("submit", take, js_handler="(event) => emit(dealbook.readForm(event))")


def draw_field(question: Field) -> ui.element:
    """Draw a question with its label above; return the element that holds the answer."""
    with box("label", f"question {'question-half' if question.is_half else ''}"):
        with box("span", "question-label"):
            text("span", question.label)
            if not question.is_required and question.kind != "select":
                text("span", "optional", "muted")
        attributes = {"name": question.name, "data-initial": question.initial} | dict(question.attributes)
        if question.is_required:
            attributes["aria-required"] = "true"
        if question.kind == "select":
            with box("select", "input", **attributes) as element:
                for value, words in question.options.items():
                    text("option", words, value=value)
        elif question.kind == "textarea":
            element = box("textarea", "input", rows="3", **attributes)
        else:
            element = box("input", "input", type=question.kind, autocomplete="off", **attributes)
        if question.hint:
            text("span", question.hint, "question-hint")
    return element
