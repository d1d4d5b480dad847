"""The JSON schema of a recipe, which editors complete and check recipes with. It is made of the recipe itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from edgekit.json_files import json_file
from edgekit.recipe import Recipe

FILE: Final = "recipe.schema.json"
LINE: Final = f"# yaml-language-server: $schema=./{FILE}"
"""The first line of a recipe: where editors find the schema, beside the recipe."""

TITLE: Final = "edgekit recipe"


class _Generator(GenerateJsonSchema):
    """As pydantic makes it, without a title for every key, which says what the key says already."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_text() -> str:
    """The schema as its file has it: in draft 7, which every editor knows; nothing newer is used."""
    made = Recipe.model_json_schema(schema_generator=_Generator)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": TITLE}
    return json.dumps(head | {key: value for key, value in made.items() if key not in head}, indent=2) + "\n"


def is_schema(path: Path) -> bool:
    """Whether a file is such a schema, of this version or another."""
    try:
        told = json_file(path)
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("title") == TITLE
