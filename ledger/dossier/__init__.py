"""Evidence of what the log holds about a deal, to be checked by an outsider without access to the system.

making.py      the files of a dossier, as one .zip of the same bytes for the same log
timeline.py, narrative.py   the entries as a page for people, in plain words
verify.py      the program that checks it all; it travels in every dossier and imports nothing of ours
"""
