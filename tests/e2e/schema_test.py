"""The schema checker itself: what fits passes, and every keyword refuses what breaks it."""

import unittest

from e2e.schema import Schemas

DOCUMENT = {"components": {"schemas": {
    "Name": {"type": "string", "minLength": 1, "maxLength": 3},
    "Tree": {"type": "object", "properties": {"name": {"$ref": "#/components/schemas/Name"},
                                              "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
             "required": ["name"], "additionalProperties": False},
    "A": {"type": "object", "properties": {"op": {"const": "a"}, "x": {"type": "integer"}}, "required": ["op", "x"]},
    "B": {"type": "object", "properties": {"op": {"const": "b"}}, "required": ["op"]},
}}}
CASES = [
    ({"type": ["string", "null"]}, ["a", None], [1, True, {}]),
    ({"type": "integer"}, [1, 1.0], [1.5, True, "1"]),
    ({"type": "number"}, [1, 1.5], [True, "1"]),
    ({"type": "boolean"}, [True], [1, None]),
    ({"enum": ["a", 1]}, ["a", 1], ["b", True]),
    ({"const": 0}, [0], [False, 1]),
    ({"minimum": 1, "maximum": 3}, [1, 3], [0, 4]),
    ({"type": "integer", "format": "int64"}, [2**63 - 1], [2**63]),
    ({"type": "string", "format": "date-time"}, ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z"],
     ["2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+01:00"]),
    ({"type": "string", "format": "uri"}, ["http://a/b"], ["a/b"]),
    ({"type": "string", "pattern": "^[0-9]+s$"}, ["10s"], ["s", "10"]),
    ({"$ref": "#/components/schemas/Name"}, ["abc"], ["", "abcd"]),
    ({"$ref": "#/components/schemas/Tree"}, [{"name": "a", "children": [{"name": "b"}]}],
     [{}, {"name": "a", "other": 1}, {"name": "a", "children": [{"name": "toolong"}]}]),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}, [{"a": 1}], [{}, {"a": "b"}]),
    ({"type": "array", "minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, [1.5], [1, "a"]),
    ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, [1, 1.5], ["a"]),
    ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
]


class SchemaTest(unittest.TestCase):
    def test_every_keyword(self):
        schemas = Schemas(DOCUMENT)
        for schema, good, bad in CASES:
            for value in good:
                self.assertEqual(schemas.faults(value, schema), [], (schema, value))
            for value in bad:
                self.assertTrue(schemas.faults(value, schema), (schema, value))

    def test_a_fault_says_where(self):
        faults = Schemas(DOCUMENT).faults({"name": "a", "children": [{"name": "b"}, {"name": 7}]}, {"$ref": "#/components/schemas/Tree"})
        self.assertEqual(len(faults), 1)
        self.assertIn("$.children[1].name", faults[0])

    def test_the_branch_that_was_meant_is_the_one_shown(self):
        schema = {"oneOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}],
                  "discriminator": {"propertyName": "op", "mapping": {"a": "#/components/schemas/A", "b": "#/components/schemas/B"}}}
        self.assertIn("lacks 'x'", Schemas(DOCUMENT).faults({"op": "a"}, schema)[0])

    def test_an_unknown_keyword_is_not_skipped(self):
        with self.assertRaises(ValueError):
            Schemas(DOCUMENT).faults(1, {"multipleOf": 2})


if __name__ == "__main__":
    unittest.main()
