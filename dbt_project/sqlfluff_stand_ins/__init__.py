"""What dbt gives to macros, stood in for so that sqlfluff can render the models without dbt.

The text only has to read like SQL of the same shape; dbt itself renders the real thing.
"""

from collections.abc import Callable


class adapter:  # noqa: N801 (the name that macros use)
    """Stands in for dbt's adapter: a dispatched macro reads like a call of a function."""

    @staticmethod
    def dispatch(macro_name: str) -> Callable[..., str]:
        """Return something that renders as `macro_name(arguments)`."""
        return lambda *arguments: f"{macro_name}({', '.join(str(argument) for argument in arguments)})"


class dbt:  # noqa: N801 (the name that macros use)
    """Stands in for dbt's cross-database macros."""

    @staticmethod
    def type_string() -> str:
        """Text type."""
        return "varchar"

    @staticmethod
    def type_bigint() -> str:
        """64-bit integer type."""
        return "bigint"

    @staticmethod
    def dateadd(datepart: str, interval: int, moment: str) -> str:
        """A moment some days later."""
        return f"date_add({moment}, {interval}, '{datepart}')"
