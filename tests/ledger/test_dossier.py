"""A dossier proves what the log holds about a deal, to anybody, and refuses every alteration of any of its files."""

import io
import json
import random
import subprocess
import sys
import zipfile
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import select, text

from ledger import deals
from ledger.actors import SYSTEM
from ledger.dossier import making, verify
from ledger.dossier.making import make_dossier, write_proof
from ledger.errors import DealNotFound, LedgerNotAnswering, LogNotContinued, NotPermitted
from ledger.imported import ImportedStage
from ledger.log.checkpoint import make_checkpoint, read_leaves
from ledger.log.key_changes import revoke_key, rotate_key
from ledger.log.keys import trusted_keys
from ledger.log.notes import Checkpoint
from ledger.log.tree import HashTree
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.tables import AgentDeal
from ledger.vocabulary import PipelineStage
from tests.support.ledger import LONG_AGO, Staff, import_items, imported_deal, open_some_deal, run
from tests.support.living_ledger import Life, append_deals, live, tamper

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u202egnp"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, Life]:
    """A log in which everything has happened to one deal, and others beside it."""
    ledger = initialise(Settings(home=tmp_path_factory.mktemp("world") / "home"))
    append_deals(ledger, 5)
    life = live(ledger)
    make_checkpoint(ledger)
    append_deals(ledger, 4)
    return ledger, life


@pytest.fixture(scope="module")
def files(world: tuple[Ledger, Life]) -> Files:
    """The files of that deal's dossier."""
    return unpack(make_dossier(world[0], SYSTEM, world[1].won_deal_id).content)


def unpack(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def keys_of(ledger: Ledger) -> list[verify.Key]:
    return [verify.parse_key(key.vkey) for key in trusted_keys(ledger.settings.keys_dir).values()]


def check(files: Files, keys: list[verify.Key]) -> verify.Report:
    return verify.verify(files, keys, verify.check_with_cryptography, [])


def run_program(folder: Path, *words: str, bare: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the dossier's own program as an outsider does: isolated, and when `bare` without any installed package."""
    flags = ["-I", "-S"] if bare else ["-I"]
    command = [sys.executable, *flags, "-B", "verify.py", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin"}
    )


def lay_out(files: Files, folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_it_holds_exactly_the_files_that_it_should(files: Files, world: tuple[Ledger, Life]) -> None:
    """The entries are the very bytes of the log, one a line."""
    assert tuple(files) == verify.FILES
    with world[0].read() as session:
        chain = {"chain": f"deal:{world[1].won_deal_id}"}
        bodies = session.scalars(text("SELECT body FROM audit_logs WHERE chain = :chain ORDER BY seq"), chain).all()
    assert files["entries.jsonl"].splitlines() == list(bodies)
    assert files["verify.py"] == Path(str(verify.__file__)).read_bytes()


@pytest.mark.parametrize("way", ["openssl", "cryptography"])
def test_an_outsider_checks_it_in_an_empty_folder(
    way: str, files: Files, world: tuple[Ledger, Life], tmp_path: Path
) -> None:
    """Plain Python, isolated: with the standard library and `openssl`, or with the package `cryptography`."""
    folder = lay_out(files, tmp_path / "d")
    key = tmp_path / "key.txt"
    key.write_text("".join(each.vkey + "\n" for each in keys_of(world[0])))
    done = run_program(folder, "--key", str(key), "--signatures", way, bare=way == "openssl")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("EVERYTHING HOLDS")
    assert "What it does not prove" in done.stdout
    assert {path.name for path in folder.iterdir()} == set(verify.FILES), "it leaves nothing behind"
    signed = (folder / "checkpoint").read_text()
    (folder / "checkpoint").write_text(signed[:-10] + ("A" if signed[-10] != "A" else "B") + signed[-9:])
    refused = run_program(folder, "--key", str(key), "--signatures", way, bare=way == "openssl")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "ALTERED" in refused.stdout


def test_what_cannot_be_decided_is_said_with_exit_code_2(
    files: Files, world: tuple[Ledger, Life], tmp_path: Path
) -> None:
    """No key from elsewhere; no way to check signatures; no dossier."""
    folder = lay_out(files, tmp_path / "d")
    unkeyed = run_program(folder)
    assert (unkeyed.returncode, "--key" in unkeyed.stdout) == (2, True), unkeyed.stdout
    assert run_program(folder, "--key", keys_of(world[0])[0].vkey, "--signatures", "cryptography").returncode == 2
    assert run_program(folder, str(tmp_path / "nothing.zip")).returncode == 2
    assert run_program(folder, "--key", str(tmp_path / "nothing.txt")).returncode == 2


def test_a_zip_is_checked_as_it_came_and_with_a_checkpoint_kept_elsewhere(
    files: Files, world: tuple[Ledger, Life], tmp_path: Path
) -> None:
    """Equal size and another root: history was rewritten. Another size: nothing can be said."""
    ledger, life = world
    packed = tmp_path / "d.zip"
    packed.write_bytes(make_dossier(ledger, SYSTEM, life.won_deal_id).content)
    folder = lay_out({"verify.py": files["verify.py"]}, tmp_path / "own")
    older = Checkpoint.parse(files["checkpoint"].decode())
    forged = older.note.replace(older.note.split("\n")[2], verify.base64.b64encode(bytes(32)).decode())
    for note, code in ((older.note, 0), (forged, 1), (older.note.replace(f"\n{older.size}\n", "\n3\n"), 2)):
        (tmp_path / "kept").write_text(note)
        key = keys_of(ledger)[0].vkey
        done = run_program(folder, str(packed), "--key", key, "--checkpoint", str(tmp_path / "kept"))
        assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.parametrize("name", verify.FILES)
def test_no_file_can_be_altered_in_any_way(name: str, files: Files, world: tuple[Ledger, Life]) -> None:
    """Bits flipped, lines removed, doubled and swapped, the end cut off, emptied, taken away."""
    keys, rng = keys_of(world[0]), random.Random(name)
    assert check(files, keys).exit_code == 0
    content = files[name]
    lines = content.splitlines(keepends=True)
    altered = [content[:-1], content[: len(content) // 2], b"", content + b"\n", content + b" ", b" " + content]
    for _ in range(60):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        altered.append(bytes(flipped))
    for at in rng.sample(range(len(lines)), min(12, len(lines))):
        altered += [
            b"".join(lines[:at] + lines[at + 1 :]),
            b"".join(lines[: at + 1] + lines[at:]),
            b"".join(lines[:at]),
        ]
        if at:
            altered.append(b"".join([*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]]))
    for each in altered:
        if each != content:
            report = check({**files, name: each}, keys)
            assert report.exit_code == 1, f"{name}: {each!r:.2000}"
    missing = check({key: value for key, value in files.items() if key != name}, keys)
    assert missing.exit_code == 1


def test_files_of_another_dossier_do_not_fit(files: Files, world: tuple[Ledger, Life]) -> None:
    """Neither those of another deal nor those of another moment, one by one."""
    ledger, life = world
    keys = keys_of(ledger)
    other = unpack(make_dossier(ledger, SYSTEM, life.cancelled_deal_id).content)
    assert check(other, keys).exit_code == 0
    for name in verify.FILES:
        if other[name] != files[name]:
            assert check({**files, name: other[name]}, keys).exit_code == 1, name
    swapped = {**files, "head.tlog-proof": files["heads.tlog-proof"], "heads.tlog-proof": files["head.tlog-proof"]}
    assert check(swapped, keys).exit_code == 1


def test_the_end_cannot_be_cut_off_even_with_a_true_proof_for_what_is_left(
    files: Files, world: tuple[Ledger, Life]
) -> None:
    """Every earlier entry is in the log, too, and the API proves it; that it was the last one, nothing proves."""
    ledger, life = world
    newest = verify.parse_proof(files["head.tlog-proof"].decode()).checkpoint
    note = newest.note.text + "\n" + files["head.tlog-proof"].decode().rpartition("\n\n")[2]
    checkpoint = Checkpoint.parse(note)
    with ledger.read() as session:
        tree = HashTree(read_leaves(session, 0))
        chain = {"chain": f"deal:{life.won_deal_id}"}
        places = session.scalars(text("SELECT n FROM audit_logs WHERE chain = :chain ORDER BY seq"), chain).all()
    lines = files["entries.jsonl"].splitlines(keepends=True)
    cut = {
        **files,
        "entries.jsonl": b"".join(lines[:-1]),
        "head.tlog-proof": write_proof(tree, places[-2], checkpoint),
    }
    report = check(cut, keys_of(ledger))
    assert ("ok", "the last entry is in the log") in report.lines
    assert report.exit_code == 1


def test_a_dossier_under_another_key_is_refused(files: Files, world: tuple[Ledger, Life], tmp_path: Path) -> None:
    """Whoever makes a whole log of their own still lacks the key that the verifier got elsewhere."""
    other = initialise(Settings(home=tmp_path / "other"))
    forged = unpack(make_dossier(other, SYSTEM, live(other).won_deal_id).content)
    assert check(forged, keys_of(other)).exit_code == 0
    assert check(forged, keys_of(world[0])).exit_code == 1
    assert check(files, keys_of(other)).exit_code == 1
    other.close()


def test_the_same_log_gives_the_same_bytes(ledger: Ledger) -> None:
    """Asked twice, nothing is written twice; once the log has grown, the dossier says so of that moment."""
    life = live(ledger)
    first = make_dossier(ledger, SYSTEM, life.won_deal_id)
    assert make_dossier(ledger, SYSTEM, life.won_deal_id).content == first.content
    append_deals(ledger, 1)
    later = make_dossier(ledger, SYSTEM, life.won_deal_id)
    assert later.content != first.content
    assert unpack(later.content)["entries.jsonl"] == unpack(first.content)["entries.jsonl"]
    assert check(unpack(later.content), keys_of(ledger)).exit_code == 0


class _Page(HTMLParser):
    """Counts the elements of a page and gathers its text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_shows_a_person_s_words_as_words(ledger: Ledger, staff: Staff) -> None:
    """Whatever is written into titles and notes stays text; the page loads and runs nothing."""
    deal = open_some_deal(ledger, staff.agent, title=HOSTILE, description=HOSTILE)
    run(ledger, deals.cancel_deal, staff.agent, deal.id, reason=HOSTILE)
    found = unpack(make_dossier(ledger, staff.agent, deal.id).content)
    page = _Page()
    page.feed(found["timeline.html"].decode())
    assert page.elements.count("script") == 1
    assert not {"img", "iframe", "link", "object", "a"} & set(page.elements)
    assert page.words.count(HOSTILE) >= 3, "title, description and reason, each as it was written"
    assert "Anna Lim" in page.words
    assert check(found, keys_of(ledger)).exit_code == 0


def test_a_confidence_that_came_with_a_move_is_told_with_it(ledger: Ledger, staff: Staff) -> None:
    """A CRM's history says what was stated when: the page says it of that move, and of no other."""
    path = [
        ImportedStage(PipelineStage.LEAD_CAPTURED, LONG_AGO),
        ImportedStage(PipelineStage.PROPOSAL, LONG_AGO + timedelta(days=1), confidence=Decimal("0.45")),
    ]
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=path)])
    with ledger.read() as session:
        [deal_id] = session.scalars(select(AgentDeal.id))
    found = unpack(make_dossier(ledger, staff.agent, deal_id).content)
    page = _Page()
    page.feed(found["timeline.html"].decode())
    assert page.words.count("45 %") == 1
    assert page.words.index("moved to stage “proposal”") < page.words.index("45 %")
    assert check(found, keys_of(ledger)).exit_code == 0


def test_contacts_stay_commitments_and_erased_texts_are_gone(ledger: Ledger, staff: Staff) -> None:
    """Nobody's name, number or address leaves with the dossier; what was erased is said to be."""
    deal = open_some_deal(ledger, staff.agent)
    run(
        ledger, deals.add_contact, staff.agent, deal.id, name="Unmistakable Person", phone="+65 8123", notes="likes tea"
    )
    gone = run(ledger, deals.add_document, staff.agent, deal.id, document_type="lease", title="Vanishing", uri="x:y")
    run(ledger, deals.erase_document, staff.agent, deal.id, gone.id)
    found = unpack(make_dossier(ledger, staff.agent, deal.id).content)
    everything = b"".join(found.values())
    for word in (b"Unmistakable", b"+65 8123", b"likes tea", b"Vanishing"):  # four digits alone stand in some hash
        assert word not in everything
    assert b"kept back as personal data" in found["timeline.html"]
    assert b"erased; commitment" in found["timeline.html"]
    assert check(found, keys_of(ledger)).exit_code == 0


def test_a_text_on_the_page_that_was_not_written_is_found(files: Files, world: tuple[Ledger, Life]) -> None:
    """Even for who could have the page's own hash recorded anew: the entry committed to another text."""
    page = files["timeline.html"].decode()
    entries = verify.check_chain(files["entries.jsonl"])
    assert verify.check_texts(page, entries) >= 4
    with pytest.raises(verify.Wrong):
        verify.check_texts(page.replace('"text": "Ana is away"', '"text": "Ana agreed"'), entries)


def test_who_may_not_take_it_gets_nothing(ledger: Ledger, staff: Staff) -> None:
    """An agent takes their own deals', a manager all, a viewer none; nothing is written for a refusal."""
    deal = open_some_deal(ledger, staff.agent)
    size = make_checkpoint(ledger).size
    with pytest.raises(DealNotFound):
        make_dossier(ledger, staff.other_agent, deal.id)
    with pytest.raises(NotPermitted):
        make_dossier(ledger, staff.viewer, deal.id)
    assert make_checkpoint(ledger).size == size
    assert make_dossier(ledger, staff.manager, deal.id).entries == 1


def test_no_dossier_leaves_a_log_that_was_tampered_with(ledger: Ledger, staff: Staff) -> None:
    """Its maker is told to verify the log instead."""
    deal = open_some_deal(ledger, staff.agent)
    make_checkpoint(ledger)
    with ledger.read() as session:
        body = session.scalar(text("SELECT body FROM audit_logs WHERE n = 0"))
    document = json.loads(body)
    document["at"] = "2020-01-01T00:00:00.000000Z"
    new = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    tamper(
        ledger,
        "UPDATE audit_logs SET body = :body, hash = :hash WHERE n = 0",
        body=new,
        hash=sha256(b"\0" + new).digest(),
    )
    with pytest.raises(LogNotContinued):
        make_dossier(ledger, staff.manager, deal.id)


def test_an_entry_that_got_its_place_after_the_signing_is_no_fault_of_the_log(
    ledger: Ledger, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that refused to number the newest entries while the log was signed, and did so a moment later."""
    deal = open_some_deal(ledger, staff.agent)
    signed = make_checkpoint(ledger)
    monkeypatch.setattr(making, "make_checkpoint", lambda _ledger: signed)
    with pytest.raises(LedgerNotAnswering, match="Try again"):
        make_dossier(ledger, staff.manager, deal.id)
    monkeypatch.undo()
    assert make_dossier(ledger, staff.manager, deal.id).entries == 1


def test_a_deal_that_changes_meanwhile_is_told_as_it_then_stands(
    ledger: Ledger, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document erased between the entry and the page: the dossier is made again, without what is gone."""
    deal = open_some_deal(ledger, staff.agent)
    gone = run(ledger, deals.add_document, staff.agent, deal.id, document_type="lease", title="Vanishing", uri="x:y")
    sign, erased = making.make_checkpoint, []

    def erase_first(ledger: Ledger) -> Checkpoint:
        if not erased:
            erased.append(run(ledger, deals.erase_document, staff.agent, deal.id, gone.id))
        return sign(ledger)

    monkeypatch.setattr(making, "make_checkpoint", erase_first)
    made = make_dossier(ledger, staff.agent, deal.id)
    assert made.entries == 3
    assert b"Vanishing" not in made.content
    assert check(unpack(made.content), keys_of(ledger)).exit_code == 0


def test_keys_that_changed_are_understood(ledger: Ledger, staff: Staff) -> None:
    """Trust in the first key leads to the newest through a change that both signed, and back; not past a revocation."""
    deal = open_some_deal(ledger, staff.agent)
    [first] = keys_of(ledger)
    rotated_at = make_checkpoint(ledger).size
    second = verify.parse_key(rotate_key(ledger, SYSTEM)[0].vkey)
    found = unpack(make_dossier(ledger, SYSTEM, deal.id).content)
    assert [check(found, [key]).exit_code for key in (first, second)] == [0, 0]
    third = verify.parse_key(rotate_key(ledger, SYSTEM)[0].vkey)
    found = unpack(make_dossier(ledger, SYSTEM, deal.id).content)
    assert [check(found, [key]).exit_code for key in (first, second, third)] == [0, 0, 0]
    revoke_key(ledger, SYSTEM, first.key_id.hex(), rotated_at - 1, "the laptop was stolen")
    found = unpack(make_dossier(ledger, SYSTEM, deal.id).content)
    assert [check(found, [key]).exit_code for key in (first, second, third)] == [1, 0, 0]
    statements = found["vkeys.txt"].split(b"\n\n")
    without = b"\n\n".join(statements[:-2]) + b"\n"
    assert check({**found, "vkeys.txt": without}, [third]).exit_code == 1, "a revocation cannot be left out"
