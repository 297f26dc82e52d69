"""CRM exports -> ledger events, through a TOML mapping. The guide is docs/import-your-crm.md.

fields     what a mapping may fill            reading      CSV and Parquet to text, line by line
mapping    the TOML file, checked             cleaning     text to typed columns, then the contract
agents     who is meant                       staging      where the rows of all files meet
importing  the whole way, with its report     assembling   rows to facts, contradictions named; claims: commissions
previewing the first rows as they are understood
proposing  a mapping for unknown files, by        sampling (how they are written), recognising (what the columns are)
                                                  and guessing (what dates, numbers and words mean)
"""

from ingestion.crm_files.errors import FileInvalid, MappingInvalid
from ingestion.crm_files.fields import FIELDS, Kind
from ingestion.crm_files.importing import import_files, sections_of
from ingestion.crm_files.mapping import load_mapping, shipped_mappings
from ingestion.crm_files.previewing import FilePreview, PreviewRow, preview_files
from ingestion.crm_files.proposing import Proposal, propose
from ingestion.crm_files.reading import digest_of_files
from ingestion.crm_files.report import FileReport, ImportReport

__all__ = [
    "FIELDS",
    "FileInvalid",
    "FilePreview",
    "FileReport",
    "ImportReport",
    "Kind",
    "MappingInvalid",
    "PreviewRow",
    "Proposal",
    "digest_of_files",
    "import_files",
    "load_mapping",
    "preview_files",
    "propose",
    "sections_of",
    "shipped_mappings",
]
