"""What the parts of a report are made of: the base of their models, and numbers with their bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from typing_extensions import Self


class Part(BaseModel):
    """An object of report.json. It takes no other keys than its own; a key that may be left out has a default."""

    # Strict: "5" is no number and true is no count. Deferred: only what is used is built, at its first use.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    def as_dict(self) -> dict[str, Any]:
        """The object as JSON has it, with the keys that were given."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def leaving_out(self, *keys: str) -> Self:
        """The same object; its JSON lacks those of the keys that hold nothing."""
        copy = self.model_copy()
        copy.model_fields_set.difference_update(key for key in keys if not getattr(self, key))
        return copy


def _say_why(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Adds to a JSON schema that `why` is a text where a value is null."""
    keys = cast("type[Measured]", model).VALUES
    schema["if"] = {"anyOf": [{"properties": {key: {"type": "null"}}, "required": [key]} for key in keys]}
    schema["then"] = {"required": ["why"], "properties": {"why": {"type": "string", "minLength": 1}}}


class Measured(Part):
    """An object with values that were measured; where one is null, its `why` says why."""

    model_config = ConfigDict(json_schema_extra=_say_why)

    VALUES: ClassVar[tuple[str, ...]] = ()
    """Keys of the values that need a `why` where they are null."""

    @model_validator(mode="after")
    def _says_why(self) -> Measured:
        missing = [key for key in self.VALUES if key in self.model_fields_set and getattr(self, key) is None]
        if missing and not getattr(self, "why", None):
            raise ValueError(f"{missing[0]} is null, and no why says why")
        return self


def _whole(value: object) -> object:
    """JSON has one kind of number: 5.0 is a whole one; true is none, though Python takes it for 1."""
    if isinstance(value, bool):
        raise ValueError("Input should be a valid integer")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"{ends[0]} is above {ends[1]}")
    return ends


WHOLE = BeforeValidator(_whole)
Whole = Annotated[int, WHOLE]
Count = Annotated[int, Field(ge=0), WHOLE]
Positive = Annotated[int, Field(ge=1), WHOLE]
Amount = Annotated[float, Field(ge=0)]
"""A number that is not negative: milliseconds, seconds, joules."""
Percent = Annotated[float, Field(ge=0, le=100)]
Points = Annotated[float, Field(ge=-100, le=100)]
"""Percentage points."""
Share = Annotated[float, Field(ge=0, le=1)]
Cosine = Annotated[float, Field(ge=-1.000001, le=1.000001)]
"""With room for rounding."""
Name = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Interval = Annotated[
    tuple[float, float], AfterValidator(_in_order), Field(description="Ends of a 95 % interval, low first.")
]
Precision = Literal["fp32", "bf16", "fp16", "int8", "mixed"]
Scalar = str | int | float | bool | None
"""A value of the environment."""
