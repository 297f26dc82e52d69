"""What the log proves about a deal: a badge at each entry of the timeline, and the dossier for outsiders.

An entry is recorded when it stands in the log, checkpointed when a signed checkpoint covers it, and verified when its
stored bytes have just been hashed again and led to the root that was signed.
"""

import asyncio
import logging
from dataclasses import dataclass

from nicegui import ui

from api.workspace import wording
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit
from api.workspace.dialogs import explain
from api.workspace.elements import box, text
from api.workspace.writing import Messages
from ledger.deal_audit import list_entries
from ledger.dossier.making import Dossier, make_dossier
from ledger.errors import DealbookError
from ledger.log.entry import hash_leaf
from ledger.log.tree import check_inclusion
from ledger.timeline import TimelineItem

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry's bytes lead to a signed root: the entry is number `n` of the `size` entries under `root`."""

    n: int
    size: int
    root: bytes
    path: list[bytes]
    note: str


class Evidence:
    """Draws badges and the dossier's button for one visit."""

    def __init__(self, visit: Visit, messages: Messages) -> None:
        self._visit = visit
        self._messages = messages

    def read_signed_size(self) -> int:
        """Return how many entries the newest checkpoint covers; 0 when there is none."""
        try:
            return self._visit.workspace.proofs.newest().size
        except DealbookError:
            return 0

    def draw_badge(self, item: TimelineItem, deal_id: str, signed_size: int) -> None:
        """Draw the badge of an entry; opening it proves the entry anew, with what the log holds at that moment."""
        state = "checkpointed" if item.n is not None and item.n < signed_size else "recorded"
        number = "not given yet" if item.n is None else f"{item.n:,}"
        with box("details", "record", data_state=state) as badge:
            summary = text("summary", state, aria_label=f"{state.capitalize()} as entry {number} of the log")
            with box("div", "record-box"):
                with box("dl", "facts"):
                    text("dt", "Leaf index")
                    text("dd", number, "num")
                    text("dt", "Entry of the deal")
                    text("dd", f"{item.seq:,}", "num")
                    text("dt", "Recorded")
                    text("dd", f"{item.at:%Y-%m-%d %H:%M:%S} UTC", "num")
                    text("dt", "Entry hash")
                    with box("dd"):
                        text("code", item.hash, "hash")
                place = box("div", "record-proof", aria_live="polite")

        async def prove() -> None:
            place.clear()
            try:
                proof = await asyncio.to_thread(self._prove, deal_id, item)
            except SignedOut:
                ui.navigate.to(SIGN_IN_PATH)
                return
            except DealbookError as fact:
                with place:
                    text("p", fact.detail, "record-refusal")
                return
            with place:
                if proof is None:
                    text("p", "Not signed yet. The next checkpoint follows within seconds; open this again then.")
                    return
                _draw_proof(proof)
            badge.props["data-state"] = "verified"
            summary.set_text("verified")
            summary.props["aria-label"] = f"Verified as entry {item.n or 0:,} of the log"

        badge.on("toggle", prove, js_handler="(event) => { if (event.target.open) emit(); }")

    def draw_download(self, deal_id: str) -> None:
        """Draw the button that makes the deal's dossier and hands it over."""
        text("p", "Entries, proofs and a program that checks them, for someone without access here.", "muted")
        button = text("button", "Download the dossier", "button", type="button")

        async def download() -> None:
            button.props["disabled"] = True
            button.update()
            try:
                dossier = await asyncio.to_thread(self._make, deal_id)
            except SignedOut:
                ui.navigate.to(SIGN_IN_PATH)
                return
            except Exception as error:
                self._messages.say(explain(error), is_refusal=True)
                return
            finally:
                button.props["disabled"] = False
                button.update()
            ui.download.content(dossier.content, dossier.file_name, "application/zip")
            entries = wording.count(dossier.entries, "entry", "entries")
            self._messages.say(f"The dossier holds {entries}; its verify.py checks it anywhere.")

        button.on("click", download)

    def _make(self, deal_id: str) -> Dossier:
        actor = self._visit.require_actor()
        return make_dossier(self._visit.workspace.ledger, actor, deal_id)

    def _prove(self, deal_id: str, item: TimelineItem) -> Proof | None:
        """Return the proof of an entry, None while no checkpoint covers it; raise when it does not lead to the root."""
        actor = self._visit.require_actor()
        workspace = self._visit.workspace
        workspace.ledger.settle()
        with workspace.ledger.read() as session:
            rows, _ = list_entries(session, actor, deal_id, cursor=str(item.seq - 1), limit=1)
            leaf = hash_leaf(rows[0].body)
        tree, size, newest = workspace.proofs.tree_of()
        if item.n is None or item.n >= size:
            return None
        path = tree.prove_inclusion(item.n, size)
        check_inclusion(leaf, item.n, size, newest.root, path)
        return Proof(item.n, size, newest.root, path, newest.note)


def _draw_proof(proof: Proof) -> None:
    text("p", f"Its bytes were hashed again just now and lead to the root signed over {proof.size:,} entries.")
    with box("dl", "facts"):
        text("dt", "Signed root")
        with box("dd"):
            text("code", proof.root.hex(), "hash")
    with box("details", "record-path"):
        text("summary", f"Inclusion proof, {wording.count(len(proof.path), 'hash', 'hashes')}")
        with box("ol"):
            for node in proof.path:
                with box("li"):
                    text("code", node.hex(), "hash")
        text("pre", proof.note, "record-note", tabindex="0", aria_label="Checkpoint")
