"""JSON Schema as contracts/openapi.json uses it: says where a value and its schema part ways.

    Schemas(document).faults(value, {"$ref": "#/components/schemas/Device"})   # [] when it fits

A keyword that is not known here is an error rather than ignored: a check that silently does nothing would hide exactly
the disagreements it is there to find.
"""

import datetime
import json
import re
import urllib.parse

ANNOTATIONS = {"description", "default", "examples", "example", "title", "discriminator", "deprecated"}
KNOWN = ANNOTATIONS | {
    "$ref", "type", "properties", "required", "additionalProperties", "minProperties", "items", "minItems", "maxItems", "enum", "const",
    "oneOf", "anyOf", "allOf", "minimum", "maximum", "pattern", "minLength", "maxLength", "format"}
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z")


def is_type(value, name: str) -> bool:
    if name == "null":
        return value is None
    if name == "boolean":
        return isinstance(value, bool)
    if name == "integer":
        return not isinstance(value, bool) and (isinstance(value, int) or isinstance(value, float) and value.is_integer())
    if name == "number":
        return not isinstance(value, bool) and isinstance(value, (int, float))
    return isinstance(value, {"string": str, "array": list, "object": dict}[name])


def is_time(text: str) -> bool:
    found = RFC_3339.fullmatch(text)
    if not found:
        return False
    try:
        datetime.datetime.fromisoformat(found[1])
    except ValueError:
        return False
    return True


def has_format(value, name: str) -> bool:
    if name == "date-time":
        return is_time(value)
    if name == "int64":
        return -(2**63) <= value < 2**63
    if name == "uri":
        parts = urllib.parse.urlsplit(value)
        return bool(parts.scheme and parts.netloc)
    raise ValueError(f"the format {name!r} is not known to tests/e2e/schema.py")


def same(a, b) -> bool:
    """JSON's equality: true is not 1."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


class Schemas:
    def __init__(self, document: dict):
        self.document = document

    def resolve(self, node: dict) -> dict:
        """What a `$ref` (into this document) points at; other nodes are themselves."""
        while "$ref" in node:
            target = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def faults(self, value, schema: dict, at: str = "$") -> list[str]:
        unknown = schema.keys() - KNOWN
        if unknown:
            raise ValueError(f"keywords that tests/e2e/schema.py does not know: {sorted(unknown)}")
        if "$ref" in schema:
            return self.faults(value, self.resolve(schema), at)
        found = []
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            if not any(is_type(value, name) for name in types):
                # Whatever else the schema says is about values of its type.
                return [f"{at} is {json.dumps(value)[:100]}, not of type {' or '.join(types)}"]
        if "enum" in schema and not any(same(value, one) for one in schema["enum"]):
            found.append(f"{at} is {json.dumps(value)[:100]}, not one of {schema['enum']}")
        if "const" in schema and not same(value, schema["const"]):
            found.append(f"{at} is {json.dumps(value)[:100]}, not {json.dumps(schema['const'])}")
        found += self._combined(value, schema, at)
        if isinstance(value, dict):
            found += self._object(value, schema, at)
        elif isinstance(value, list):
            found += self._array(value, schema, at)
        elif isinstance(value, str):
            found += self._string(value, schema, at)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found += self._number(value, schema, at)
        return found

    def _combined(self, value, schema: dict, at: str) -> list[str]:
        found = []
        for part in schema.get("allOf", []):
            found += self.faults(value, part, at)
        for keyword in ("oneOf", "anyOf"):
            if keyword not in schema:
                continue
            branches = [self.faults(value, part, at) for part in schema[keyword]]
            fitting = sum(not branch for branch in branches)
            if fitting == 0:
                # The branch of the same `op` (or the one with the fewest faults) is the one that was meant.
                meant = self._meant(value, schema, branches, at)
                found.append(f"{at} fits none of {keyword}; nearest: " + "; ".join(meant))
            elif keyword == "oneOf" and fitting > 1:
                found.append(f"{at} fits {fitting} of oneOf")
        return found

    def _meant(self, value, schema: dict, branches: list[list[str]], at: str) -> list[str]:
        told = schema.get("discriminator")
        if told and isinstance(value, dict) and value.get(told["propertyName"]) in told.get("mapping", {}):
            return self.faults(value, {"$ref": told["mapping"][value[told["propertyName"]]]}, at)
        return min(branches, key=len)

    def _object(self, value: dict, schema: dict, at: str) -> list[str]:
        found = [f"{at} lacks {name!r}" for name in schema.get("required", []) if name not in value]
        if len(value) < schema.get("minProperties", 0):
            found.append(f"{at} has {len(value)} properties, fewer than {schema['minProperties']}")
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, inner in value.items():
            if name in properties:
                found += self.faults(inner, properties[name], f"{at}.{name}")
            elif others is False:
                found.append(f"{at} has {name!r}, which is not documented")
            elif others is not True:
                found += self.faults(inner, others, f"{at}.{name}")
        return found

    def _array(self, value: list, schema: dict, at: str) -> list[str]:
        found = []
        if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
            found.append(f"{at} has {len(value)} items")
        if "items" in schema:
            for index, inner in enumerate(value):
                found += self.faults(inner, schema["items"], f"{at}[{index}]")
        return found

    def _string(self, value: str, schema: dict, at: str) -> list[str]:
        found = []
        if len(value) < schema.get("minLength", 0) or len(value) > schema.get("maxLength", len(value)):
            found.append(f"{at} has {len(value)} characters")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{at} is {value!r}, not like {schema['pattern']}")
        if schema.get("format") in ("date-time", "uri") and not has_format(value, schema["format"]):
            found.append(f"{at} is {value!r}, not a {schema['format']}")
        return found

    def _number(self, value: float, schema: dict, at: str) -> list[str]:
        found = []
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append(f"{at} is {value}, out of its range")
        if "format" in schema and not has_format(value, schema["format"]):
            found.append(f"{at} is {value}, not a {schema['format']}")
        return found
