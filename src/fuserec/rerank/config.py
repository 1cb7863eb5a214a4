"""The table ``[rerank]``: which rerankers act, in which order, on how many candidates."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from fuserec.errors import ConfigError
from fuserec.rerank import create, reranker_class
from fuserec.rerank.chain import DEPTH, Chain
from fuserec.settings import Settings


class RerankConfig(Settings):
    """What puts scored candidates into the list that is shown; without any table, the order of scores is shown.

    ``[rerank.NAME]`` tables hold a reranker's settings; ``reranker`` names it where NAME is not one itself, so that
    one can stand in the chain several times.
    """

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)

    depth: int = Field(
        default=DEPTH,
        ge=1,
        le=1000,
        description="How many of the best candidates rerankers choose from; what is below keeps its place.",
        json_schema_extra={"tune": False},
    )
    order: tuple[str, ...] = Field(
        default=(),
        description="Names of the tables in the order in which they act; left out, the order in which they stand.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what is not a reranker, so that it fails when it is read."""
        self.chain()
        return self

    @property
    def tables(self) -> dict[str, Any]:
        """The rerankers' tables by name, as they were written."""
        return dict(self.__pydantic_extra__ or {})

    def chain(self) -> Chain:
        """Return the unfitted rerankers in their order.

        Raises
        ------
        ConfigError
            For an unknown reranker or setting, a value that is not allowed, or an order that names another table.
        """
        made = {}
        for name, table in self.tables.items():
            if not isinstance(table, dict):
                reranker_class(name, f"[rerank] {name}")  # an unknown key names the nearest reranker
                raise ConfigError(f"[rerank] {name} = {table!r}: write a table, [rerank.{name}]")
            values = dict(table)
            kind = values.pop("reranker", name)
            made[name] = create(str(kind), values, f"[rerank.{name}]")
        if self.order and sorted(self.order) != sorted(made):
            raise ConfigError(
                f"[rerank] order = {list(self.order)}: name each table of [rerank] once "
                f"(there are: {', '.join(made) or 'none'})"
            )
        return Chain({name: made[name] for name in self.order or made}, self.depth)

    def with_table(self, name: str, table: dict[str, Any]) -> RerankConfig:
        """Return the configuration with one table written anew, at the end where it is not there."""
        tables = {**self.tables, name: table}
        order = (*self.order, name) if self.order and name not in self.order else self.order
        return type(self).parse({"depth": self.depth, "order": order, **tables}, "[rerank]")
