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

    @staticmethod
    def date_trunc(datepart: str, moment: str) -> str:
        """The beginning of the period in which a moment lies."""
        return f"date_trunc('{datepart}', {moment})"

    @staticmethod
    def datediff(first: str, second: str, datepart: str) -> str:
        """How many periods lie between two moments."""
        return f"date_diff('{datepart}', {first}, {second})"
