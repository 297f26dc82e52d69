"""Names the state of the dbt project: two refreshes with the same version compute numbers by the same rules."""

import hashlib
from pathlib import Path

# What dbt reads. Tests count: a new test must be asked before "nothing new" may be said.
_SUFFIXES = frozenset({".sql", ".yml", ".yaml", ".csv", ".md", ".py"})
_WRITTEN_BY_DBT = frozenset({"target", "logs", "dbt_packages"})


def definition_version(project_dir: Path) -> str:
    """Return the sha256 (hex) over the names and bytes of the dbt project's files, in the order of their names."""
    files = {
        path.relative_to(project_dir).as_posix(): path
        for path in project_dir.rglob("*")
        if path.suffix in _SUFFIXES and not _WRITTEN_BY_DBT.intersection(path.relative_to(project_dir).parts)
    }
    digest = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
