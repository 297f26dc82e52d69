"""What keeps a whole import from starting; single bad rows are rejected instead.

DealbookError > Invalid > MappingInvalid   the mapping has mistakes
                        > FileInvalid      a file cannot be read at all, or fits no section of the mapping
"""

from ledger.errors import Invalid


class MappingInvalid(Invalid):
    """The mapping has mistakes; `detail` lists them all."""


class FileInvalid(Invalid):
    """A file cannot be read, or its header fits no section of the mapping."""
