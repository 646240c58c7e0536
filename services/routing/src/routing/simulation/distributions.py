"""How long something takes, as a scenario says it: one name and its parameters, all in seconds."""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, model_validator

Sampler = Callable[[Random], float]
"""Draws one value."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a scenario. Names that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Exponential(Part):
    """Memoryless."""

    mean: Positive

    def sampler(self) -> Sampler:
        rate = 1 / self.mean
        return lambda chance: chance.expovariate(rate)


class Uniform(Part):
    """Any value between two is as likely as any other."""

    low: NotNegative = Field(alias="from")
    high: Positive = Field(alias="to")

    @model_validator(mode="after")
    def _is_ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError("from is not above to")
        return self

    def sampler(self) -> Sampler:
        low, width = self.low, self.high - self.low
        return lambda chance: low + width * chance.random()


class Lognormal(Part):
    """Its logarithm is normal; given by the mean and the standard deviation of the time itself."""

    mean: Positive
    sd: Positive

    def sampler(self) -> Sampler:
        variance = math.log1p((self.sd / self.mean) ** 2)
        mu, sigma = math.log(self.mean) - variance / 2, math.sqrt(variance)
        return lambda chance: chance.lognormvariate(mu, sigma)


class Gamma(Part):
    """Given by its mean and standard deviation; Erlang's distribution of k phases has sd = mean / sqrt(k)."""

    mean: Positive
    sd: Positive

    def sampler(self) -> Sampler:
        shape, scale = (self.mean / self.sd) ** 2, self.sd**2 / self.mean
        return lambda chance: chance.gammavariate(shape, scale)


class Empirical(Part):
    """One of the values that were observed, each as likely: listed here, or a column of a file."""

    values: list[NotNegative] | None = Field(default=None, min_length=1)
    file: str | None = None
    column: str | None = None
    _values: list[float] = PrivateAttr(default=[])

    @model_validator(mode="after")
    def _has_values(self, info: ValidationInfo) -> "Empirical":
        if (self.values is None) is (self.file is None):
            raise ValueError("either values or a file")
        if self.values is not None:
            self._values = self.values
        elif self.column is None:
            raise ValueError("which column of the file?")
        else:
            self._values = [at_least_0(row, self.column) for row in rows(info, self.file or "", [self.column])]
            if not self._values:
                raise ValueError(f"{self.file}: there are no values in it")
        return self

    @property
    def mean(self) -> float:
        return sum(self._values) / len(self._values)

    def sampler(self) -> Sampler:
        values = self._values
        return lambda chance: values[int(chance.random() * len(values))]


class Distribution(Part):
    """Exactly one of these."""

    constant: NotNegative | None = None
    exponential: Exponential | None = None
    uniform: Uniform | None = None
    lognormal: Lognormal | None = None
    gamma: Gamma | None = None
    empirical: Empirical | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Distribution":
        if len(self.model_fields_set) != 1 or self._chosen is None:
            raise ValueError(f"exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def _chosen(self) -> Any:
        (name,) = self.model_fields_set
        return getattr(self, name)

    @property
    def mean(self) -> float:
        """In seconds."""
        chosen = self._chosen
        if isinstance(chosen, float):
            return chosen
        return (chosen.low + chosen.high) / 2 if isinstance(chosen, Uniform) else float(chosen.mean)

    def sampler(self) -> Sampler:
        """Draws from it."""
        chosen = self._chosen
        if isinstance(chosen, float):
            return lambda _: chosen
        sampler: Sampler = chosen.sampler()
        return sampler


def rows(info: ValidationInfo, file: str, columns: list[str]) -> Iterator[dict[str, str]]:
    """The rows of a file with a header, beside the document that is read: commas, or tabs if it ends in .tsv.

    Raises:
        ValueError: it cannot be read, or has no such column; says why.
    """
    path = Path((info.context or {}).get("folder", "."), file)
    try:
        with path.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened, delimiter="\t" if path.suffix == ".tsv" else ",")
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{file}: there is no column {missing[0]}")
            for row in reader:
                yield {**row, "": f"{file}, line {reader.line_num}"}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file}: {error}") from error


def at_least_0(row: dict[str, str], column: str) -> float:
    """The number in a row's column. Raises: ValueError, with the line."""
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{row['']}: {column} is a number of 0 or more, not {row[column]!r}")
    return value
