"""The append-only, tamper-evident record of everything that happened. Everything else is a fold of it.

    entry.py    the canonical bytes of an entry, and its leaf hash
    chain.py    appending: leaf index, sequence, link to the entry before, head moved by compare-and-set
    texts.py    salted commitments to free text, and erasing it
    tree.py     the Merkle tree over the leaf hashes, inclusion and consistency proofs
    keys.py     Ed25519 keys that sign the log, named as C2SP signed-note has it
    key_history.py, key_changes.py   which key counted up to which size; rotation and revocation
    notes.py    a checkpoint as a signed note
    checkpoint.py, signer_state.py   signing size and root; what the signer remembers outside the database
    heads.py    the heads of all chains under one root, so that a chain's end can be proved
    verify.py   recomputing all of that from the stored bytes, chain by chain
    witnesses.py, audit.py, audit_report.py   comparing it with every checkpoint that can be found, and saying so

Evidence that an outsider can check is made from it by `ledger.dossier`.
"""
