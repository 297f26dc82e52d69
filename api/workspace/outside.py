"""The pages outside the frame: sign-in, an address that leads nowhere, a page that failed."""

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from nicegui import ui

from api.workspace.context import HOME_PATH, PAGE_SECONDS, SignedOut, open_visit
from api.workspace.elements import box, draw_brand, text
from api.workspace.visitors import find_visitor


@ui.page("/sign-in", title="Sign in · dealbook", response_timeout=PAGE_SECONDS)
async def show_sign_in(request: Request) -> Response | None:
    """Explain how to get in; whoever is signed in already goes on to the pages."""
    try:
        await find_visitor(open_visit(request))
    except SignedOut:
        pass
    else:
        return RedirectResponse(HOME_PATH, status_code=303)
    with box("div", "sign-in"), box("section", "sign-in-box"):
        draw_brand()
        text("h1", "Sign in")
        text("p", "You sign in with a one-time link; there is no password.")
        with box("ol"):
            with box("li"):
                text("span", "Whoever runs the server makes your link:")
                text("code", "dealbook login-link --email you@example.com", "command")
            with box("li"):
                text("span", "Open it in this browser within 15 minutes. You stay signed in for 12 hours.")
        with box("p", "muted"):
            text("span", "Programs use the REST API with a token instead:")
            text("code", "dealbook token create --role viewer --email you@example.com", "command")
    return None


def show_not_found() -> None:
    """Say that the address leads nowhere."""
    ui.context.client.status_code = 404
    ui.page_title("Not found · dealbook")
    with box("div", "sign-in"), box("section", "sign-in-box"):
        draw_brand()
        text("h1", "Nothing here")
        text("p", "This address leads nowhere in the workspace. It may have been mistyped or moved.")
        text("a", "Go to your first page", "button button-primary", href=HOME_PATH)


def show_failure() -> None:
    """Say that the page failed; what happened stands in the server's log, not here."""
    ui.page_title("Failed · dealbook")
    with box("div", "sign-in"), box("section", "sign-in-box"):
        draw_brand()
        text("h1", "This page failed")
        text("p", "Nothing was changed. Load it again; if that does not help, the server's log says what went wrong.")
        text("a", "Go to your first page", "button button-primary", href=HOME_PATH)
