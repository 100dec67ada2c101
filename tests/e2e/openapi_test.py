"""contracts/openapi.json is true: every operation is called, and what comes back is what the document says.

CALLS is the table. Its rows run in order against one server (later rows use what earlier rows made); a row of the
document without a row here is a failure, and so is a query parameter that no row sends.
"""

import json
import threading
import unittest
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from e2e.harness import Answer, Api, Fluxgate, read_events, wait_until
from e2e.schema import Schemas
from e2e.websocket import WebSocket

FILE = Path(__file__).resolve().parents[2] / "contracts" / "openapi.json"
DOCUMENT = json.loads(FILE.read_text())
SCHEMAS = Schemas(DOCUMENT)
# Times are integers where `epoch` asks for them, and text where it does not.
INTEGERS, TEXTS = (Schemas(DOCUMENT | {"components": DOCUMENT["components"] | {"schemas": DOCUMENT["components"]["schemas"] | {"TimeOrEpoch": times}}})
                   for times in ({"type": "integer", "format": "int64"}, {"type": "string", "format": "date-time"}))
VERBS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
LIVE_MESSAGE = {"$ref": "#/components/schemas/LiveMessage"}
LIVE_REQUEST = {"$ref": "#/components/schemas/LiveRequest"}
LIVE_SERIES = {"type": "array", "items": {"$ref": "#/components/schemas/LiveSeries"}, "minItems": 1}
ERROR = {"$ref": "#/components/schemas/Error"}
PASSWORD = "correct horse"
BELOW_LIMIT, ABOVE_LIMIT = 21.5, 500.0


def operations() -> dict[tuple[str, str], dict]:
    return {(verb.upper(), path): item[verb] for path, item in DOCUMENT["paths"].items() for verb in VERBS if verb in item}


OPERATIONS = operations()


def parameters_of(method: str, path: str, place: str) -> dict[str, dict]:
    listed = DOCUMENT["paths"][path].get("parameters", []) + OPERATIONS[method, path].get("parameters", [])
    resolved = [SCHEMAS.resolve(parameter) for parameter in listed]
    return {parameter["name"]: parameter for parameter in resolved if parameter["in"] == place}


def holds_time(schema, seen: tuple[str, ...] = ()) -> bool:
    if isinstance(schema, list):
        return any(holds_time(inner, seen) for inner in schema)
    if not isinstance(schema, dict):
        return False
    target = schema.get("$ref")
    if target is None:
        return any(holds_time(inner, seen) for inner in schema.values())
    return target.rsplit("/", 1)[1] in ("Time", "TimeOrEpoch") or target not in seen and holds_time(SCHEMAS.resolve(schema), (*seen, target))


def response_faults(method: str, path: str, answer: Answer, schemas: Schemas = SCHEMAS) -> list[str]:
    """Where an answer and the document part ways: status, type of content, headers, body."""
    documented = OPERATIONS[method, path]["responses"]
    if str(answer.status) not in documented:
        return [f"the status {answer.status} is not documented: {answer.body[:300]!r}"]
    response = SCHEMAS.resolve(documented[str(answer.status)])
    content = response.get("content", {})
    if not content:
        return [f"a body where none is documented: {answer.body[:300]!r}"] if answer.body else []
    kind = answer.headers.get("Content-Type", "").split(";")[0]
    if kind not in content:
        return [f"the Content-Type {kind!r} is not documented"]
    found = [] if kind != "application/json" else schemas.faults(answer.json, content[kind]["schema"])
    wanted = OPERATIONS[method, path].get("security") != [] if answer.status == 401 else "ETag" in response.get("headers", {})
    if wanted:
        found += [f"the header {name} is missing" for name in response.get("headers", {}) if name not in answer.headers]
    return found


def value_of(schema: dict, depth: int = 0):
    """Something that a schema without examples would take: what it requires, and objects within it to look at."""
    schema = SCHEMAS.resolve(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return value_of(schema[key][0], depth)
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: value_of(inner, depth + 1) for name, inner in schema.get("properties", {}).items() if name in schema.get("required", []) or name == "device"}
    return {"array": [], "string": "x" * max(1, schema.get("minLength", 1)), "integer": 1, "number": 1, "boolean": True}.get(kind)


def bodies_with_a_field_too_many(schema: dict) -> list[tuple[str, object]]:
    """Bodies that fit but for one field, `colour`, at the top and in every object within that is closed."""
    schema = SCHEMAS.resolve(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return [found for one in schema[key] for found in bodies_with_a_field_too_many(one)]
    if schema.get("type") == "array":
        return [(f"[0]{where}", [body]) for where, body in bodies_with_a_field_too_many(schema["items"])]
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        return []
    whole = value_of(schema)
    found = [("", {**whole, "colour": "red"})]
    for name, inner in schema.get("properties", {}).items():
        found += [(f".{name}{where}", {**whole, name: body}) for where, body in bodies_with_a_field_too_many(inner)]
    return found


class World:
    """The server and what the rows made so far."""

    def __init__(self):
        self.flux = Fluxgate()
        self.made: dict[str, str] = {}
        self.callers: dict[str, Api] = {"nobody": self.flux.anonymous()}

    def sign_in(self, cookie: str, caller: str = "admin") -> None:
        session = cookie.split(";", 1)[0]
        self.callers[caller] = Api(self.flux.http, {"Cookie": session, "Origin": f"http://{self.flux.http}"})
        if caller == "admin":
            self.flux.credential = session

    def keep(self, **made: str) -> None:
        self.made |= made

    def filled(self, values: dict) -> dict:
        return {name: value.format_map(self.made) if isinstance(value, str) else value for name, value in values.items()}

    def add_sender(self, key: str) -> None:
        self.callers["sender"] = Api(self.flux.http, {"Authorization": f"Bearer {key}"})


@dataclass
class Call:
    method: str
    path: str  # as the document writes it; its {names} come from `at`
    status: int
    caller: str = "admin"
    at: dict = field(default_factory=dict)  # {names} in the values of this, `query` and `headers` are what rows above kept
    query: dict = field(default_factory=dict)
    body: object = None  # or a function of the world
    headers: dict = field(default_factory=dict)
    then: Callable[[World, Answer], None] | None = None
    until: Callable[[Answer], object] | None = None  # asked again until this holds

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"

    def send(self, world: World) -> Answer:
        at, query, headers = (world.filled(values) for values in (self.at, self.query, self.headers))
        path = self.path.format_map(at)
        body = self.body(world) if callable(self.body) else self.body
        api = world.callers[self.caller]
        answer = api.request(self.method, path, body, headers, **query)
        if self.until:
            def again():
                nonlocal answer
                answer = api.request(self.method, path, body, headers, **query)
                return answer.status != self.status or self.until(answer)
            wait_until(again, what=f"what {self} waits for")
        return answer


PROFILE = {"profile": "pump", "name": "Pump", "silent_after": "1s", "labels": {"kind": "pump"},
           "metrics": [{"name": "temperature", "type": "double", "unit": "°C", "min": -40, "max": 100},
                       {"name": "mode", "type": "string"}],
           "commands": [{"name": "stop", "description": "Stops it."}, {"name": "set_speed", "example": {"rpm": 1200}}]}
PUMP = {"device": "pump-1", "name": "Feed pump", "profile": "pump", "labels": {"site": "north"},
        "location": {"lat": 59.9, "lon": 10.7, "place": "Oslo"}}
PANELS = {"panels": [{"id": "1", "kind": "chart"}]}
EPOCH = 1767225600
READINGS = [{"device": "pump-1", "time": EPOCH + i, "metrics": {"temperature": BELOW_LIMIT + i, "mode": "auto"}} for i in range(5)]
RANGE = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}
AT_PUMP = {"device": "pump-1"}
NOWHERE = {"device": "nowhere", "id": "nowhere", "profile": "nowhere"}
API = "/api/v1"

CALLS = [
    # Signing in.
    Call("POST", f"{API}/auth/link", 200, "nobody", body=lambda world: {"token": world.flux.link_token()},
         then=lambda world, answer: world.sign_in(answer.headers["Set-Cookie"])),
    Call("GET", f"{API}/auth/me", 200),
    Call("PUT", f"{API}/auth/password", 204, body={"new": PASSWORD}),
    Call("POST", f"{API}/auth/login", 200, "nobody", body={"username": "admin", "password": PASSWORD, "session": True},
         then=lambda world, answer: world.sign_in(answer.headers["Set-Cookie"], "other")),
    Call("POST", f"{API}/auth/login", 200, "nobody", body={"username": "admin", "password": PASSWORD},
         then=lambda world, answer: world.keep(refresh=answer.json["refresh_token"])),
    Call("POST", f"{API}/auth/refresh", 200, "nobody", body=lambda world: {"refresh_token": world.made["refresh"]}),
    Call("POST", f"{API}/auth/logout", 204, "other"),
    Call("GET", f"{API}/auth/me", 401, "other"),
    Call("GET", "/.well-known/jwks.json", 200, "nobody"),

    # Things.
    Call("POST", f"{API}/profiles", 201, body=PROFILE),
    Call("POST", f"{API}/profiles", 201, body={"profile": "plain"}),
    Call("GET", f"{API}/profiles", 200, query={"limit": 1},
         then=lambda world, answer: world.keep(profiles=answer.json["next"])),
    Call("GET", f"{API}/profiles/{{profile}}", 200, at={"profile": "pump"}),
    Call("PUT", f"{API}/profiles/{{profile}}", 200, at={"profile": "plain"}, body={"name": "Plain", "metrics": []}),
    Call("POST", f"{API}/devices", 201, body=PUMP),
    Call("POST", f"{API}/devices", 201, body={"device": "pump-2"}, query={"epoch": "ms"}),
    Call("GET", f"{API}/devices/{{device}}", 200, at=AT_PUMP),
    Call("GET", f"{API}/devices/{{device}}", 200, at=AT_PUMP, query={"epoch": "s"}),
    Call("PATCH", f"{API}/devices/{{device}}", 200, at=AT_PUMP, query={"epoch": "ns"}, body={"name": "Pump 1"}),
    Call("PATCH", f"{API}/devices/{{device}}", 200, at=AT_PUMP, body={"name": "Pump one", "labels": {"line": "3", "site": "north"}}),
    Call("POST", f"{API}/devices/{{device}}/credentials", 201, at=AT_PUMP, body={"expires_at": "2099-01-01T00:00:00Z"},
         then=lambda world, answer: world.keep(credential=answer.json["id"])),
    Call("POST", f"{API}/devices/{{device}}/credentials", 201, at=AT_PUMP, query={"epoch": "us"}, body={"expires_at": "2099-01-01T00:00:00Z"}),
    Call("GET", f"{API}/devices/{{device}}/credentials", 200, at=AT_PUMP),
    Call("GET", f"{API}/devices/{{device}}/credentials", 200, at=AT_PUMP, query={"epoch": "ms"}),
    Call("POST", f"{API}/connect", 201, body={"device": "pump-3", "name": "Third", "labels": {"site": "south"}}),
    Call("POST", f"{API}/ingest-keys", 201, body={"name": "line 3", "create_devices": True},
         then=lambda world, answer: (world.keep(ingest_key=answer.json["id"]), world.add_sender(answer.json["key"]))),
    Call("POST", f"{API}/connect", 201, query={"epoch": "ms"}, body={"device": "pump-3"}),
    Call("POST", f"{API}/ingest-keys", 201, query={"epoch": "ms"}, body={"name": "line 4"}),
    Call("GET", f"{API}/ingest-keys", 200),
    Call("GET", f"{API}/ingest-keys", 200, query={"epoch": "ms"}),

    Call("POST", f"{API}/databases", 201, body={"name": "telegraf", "device_tags": ["host"]}),
    Call("POST", f"{API}/databases", 201, query={"epoch": "s"}, body={"name": "plant"}),
    Call("GET", f"{API}/databases", 200),
    Call("GET", f"{API}/databases", 200, query={"epoch": "ns"}),

    # Readings in: accepted, refused one by one, refused as a whole, and refused by the profile after they were logged.
    Call("POST", f"{API}/telemetry", 200, "sender", body=READINGS),
    Call("POST", f"{API}/telemetry", 200, "sender",
         body=[READINGS[0], {"device": "pump-2", "time": "yesterday", "metrics": {"v": 1}}, {"device": "pump-2", "metrics": {"v": True}}]),
    Call("POST", f"{API}/telemetry", 200, "sender", body={"device": "pump-2", "readings": [{"time": EPOCH, "metrics": {"big": 2**60}}]}),
    Call("POST", f"{API}/telemetry", 400, "sender", body={"device": "pump-2", "time": "yesterday", "metrics": {"v": 1}}),
    Call("POST", f"{API}/telemetry", 200, "sender", body={"device": "pump-1", "metrics": {"temperature": ABOVE_LIMIT}}),

    # And out.
    Call("GET", f"{API}/devices/{{device}}/latest", 200, at=AT_PUMP, until=lambda answer: "temperature" in answer.json["metrics"]),
    Call("GET", f"{API}/devices/{{device}}/latest", 200, at=AT_PUMP, query={"epoch": "ns"}),
    Call("GET", f"{API}/devices", 200, query={"include": "latest,facets", "sort": "last_seen", "epoch": "ms"}),
    Call("GET", f"{API}/devices", 200, query={"q": "pump", "label": "site:north", "state": "online,silent,never", "profile": "pump"},
         until=lambda answer: answer.json["total"] == 1),
    Call("GET", f"{API}/devices", 200, query={"limit": 1}, then=lambda world, answer: world.keep(devices=answer.json["next"])),
    Call("GET", f"{API}/query", 200, query={"device": "pump-1", "metric": "temperature,mode", **RANGE, "limit": 3},
         until=lambda answer: len(answer.json["series"]) > 0, then=lambda world, answer: world.keep(query=answer.json["next"])),
    Call("GET", f"{API}/query", 200, query={"device": "pump-1,pump-2", "metric": "temperature", "window": "2s",
                                            "aggregate": "mean,min,max,sum,count,first,last", "epoch": "us", **RANGE},
         until=lambda answer: len(answer.json["series"]) > 0),
    Call("POST", f"{API}/query", 200, body={
        "select": {"labels": {"site": "north"}, "metrics": ["temperature"]}, "range": RANGE, "window": "10s",
        "aggregates": ["mean", "count"], "fill": "previous", "group_by": ["label:site"], "order": "desc", "limit": 100, "epoch": "s"}),
    Call("GET", f"{API}/query", 200, query={"label": "site:north", "metric": "temperature", "measurement": "telemetry",
                                            "database": "default", "window": "10s", "offset": "5s", "fill": "0", "group_by": "label:site",
                                            "order": "desc", **RANGE},
         until=lambda answer: len(answer.json["series"]) > 0),
    Call("GET", f"{API}/query", 200, query={"device": "pump-1", "window": "10s", "aggregate": "mean,max", **RANGE},
         until=lambda answer: len(answer.json["series"]) > 0 and answer.json.get("skipped") == ["mode"]),
    Call("GET", f"{API}/query", 400, query={"device": "pump-1", "metric": "mode", "window": "10s", "aggregate": "mean", **RANGE}),
    Call("GET", f"{API}/query", 200, query={"tag": "line:3"}, then=lambda world, answer: world.keep(tagged=str(len(answer.json["series"])))),
    Call("POST", f"{API}/query", 200, body={"select": {"devices": ["pump-1", "pump-2"]}, "range": {"from": EPOCH}, "window": None}),
    Call("POST", f"{API}/query", 200, body={
        "select": {"devices": ["pump-1"], "metrics": ["temperature"], "measurement": "telemetry", "database": "default", "tags": {}},
        "range": RANGE, "window": "10s", "offset": "5s"}),
    Call("GET", f"{API}/dead-letters", 200, query={"device": "pump-1", "from": "2026-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
         until=lambda answer: len(answer.json["dead_letters"]) > 0),
    Call("GET", f"{API}/events", 200, query={"device": "pump-1", "type": "device_silent"},
         until=lambda answer: len(answer.json["events"]) > 0),
    Call("GET", f"{API}/events", 200, query={"limit": 1}),
    Call("GET", f"{API}/events", 200, query={"epoch": "ms"}),
    Call("GET", f"{API}/dead-letters", 200, query={"epoch": "us"}),

    # Told to do.
    Call("POST", f"{API}/commands", 202, body={"device": "pump-1", "name": "set_speed", "payload": {"rpm": 1200}, "ttl": "1h", "key": "k-1"},
         then=lambda world, answer: world.keep(command=answer.json["commands"][0]["id"])),
    Call("POST", f"{API}/commands", 202, body={"devices": ["pump-1", "pump-2"], "name": "stop", "response": False}),
    Call("POST", f"{API}/commands", 202, query={"epoch": "ms"}, body={"device": "pump-1", "name": "stop"}),
    Call("GET", f"{API}/commands", 200, query={"epoch": "ms"}),
    Call("GET", f"{API}/commands/{{id}}", 200, at={"id": "{command}"}, query={"epoch": "ns"}),
    Call("GET", f"{API}/commands", 200, query={"device": "pump-1", "state": "queued", "limit": 1},
         then=lambda world, answer: world.keep(commands=answer.json["next"])),
    Call("GET", f"{API}/commands", 200, query={"device": "pump-1", "cursor": "{commands}"}),
    Call("GET", f"{API}/commands/{{id}}", 200, at={"id": "{command}"}),
    Call("POST", f"{API}/commands/{{id}}/cancel", 200, at={"id": "{command}"}, query={"epoch": "s"}),
    Call("POST", f"{API}/commands/{{id}}/cancel", 409, at={"id": "{command}"}),
    Call("GET", f"{API}/commands", 200, query={"state": "cancelled"}),

    # Pages.
    Call("POST", f"{API}/dashboards", 201, body={"title": "Pumps", "document": PANELS},
         then=lambda world, answer: world.keep(dashboard=answer.json["id"], version=answer.headers["ETag"])),
    Call("POST", f"{API}/dashboards", 201, body={"title": "More pumps", "document": {}}),
    Call("GET", f"{API}/dashboards", 200, query={"limit": 1}, then=lambda world, answer: world.keep(dashboards=answer.json["next"])),

    # The server itself.
    Call("GET", f"{API}/system", 200),
    Call("GET", f"{API}/system", 200, query={"epoch": "ms"}),
    Call("GET", "/healthz", 200, "nobody"),
    Call("GET", "/healthz", 200, "nobody", query={"epoch": "ms"}),
    Call("GET", "/readyz", 200, "nobody"),
    Call("GET", "/readyz", 200, "nobody", query={"epoch": "ms"}),
    Call("GET", "/metrics", 200),
    Call("GET", "/api/openapi.json", 200),
    Call("GET", f"{API}/store", 200),
    Call("POST", f"{API}/store/check", 200),
    Call("POST", f"{API}/store/merge", 202),
    Call("GET", f"{API}/store/merge", 200, until=lambda answer: answer.json["state"] == "done"),
    Call("GET", f"{API}/demo", 200),
    Call("POST", f"{API}/demo", 202),
    Call("GET", f"{API}/demo", 200, until=lambda answer: answer.json["devices"] > 0),
    Call("GET", f"{API}/devices", 200, query={"include": "latest,facets", "limit": 1000}),
    Call("DELETE", f"{API}/demo", 204),

    # Errors.
    Call("POST", f"{API}/auth/link", 401, "nobody", body={"token": "nonsense"}),
    Call("POST", f"{API}/auth/link", 413, "nobody", body={"token": "x" * (20 << 10)}),
    Call("POST", f"{API}/auth/login", 401, "nobody", body={"username": "admin", "password": "wrong"}),
    Call("POST", f"{API}/auth/login", 403, "nobody", body={"username": "admin", "password": PASSWORD},
         headers={"Origin": "http://evil.example"}),
    Call("POST", f"{API}/auth/refresh", 401, "nobody", body={"refresh_token": "nonsense"}),
    Call("PUT", f"{API}/auth/password", 400, body={"new": "short", "current": PASSWORD}),
    Call("POST", f"{API}/profiles", 409, body=PROFILE),
    Call("POST", f"{API}/profiles", 400, body={"profile": "p", "colour": "red"}),
    Call("GET", f"{API}/profiles/{{profile}}", 404, at=NOWHERE),
    Call("DELETE", f"{API}/profiles/{{profile}}", 404, at=NOWHERE),
    Call("POST", f"{API}/devices", 409, body=PUMP),
    Call("POST", f"{API}/devices", 400, body={"device": "a/b"}),
    Call("GET", f"{API}/devices", 400, query={"limit": 0}),
    Call("GET", f"{API}/devices", 401, "nobody"),
    Call("GET", f"{API}/devices", 403, "sender"),
    Call("GET", f"{API}/devices/{{device}}", 404, at=NOWHERE),
    Call("PATCH", f"{API}/devices/{{device}}", 404, at=NOWHERE, body={"name": "x"}),
    Call("PATCH", f"{API}/devices/{{device}}", 400, at=AT_PUMP, body={"location": {"lat": 100, "lon": 0}}),
    Call("DELETE", f"{API}/devices/{{device}}", 404, at=NOWHERE),
    Call("GET", f"{API}/devices/{{device}}/latest", 404, at=NOWHERE),
    Call("GET", f"{API}/devices/{{device}}/credentials", 404, at=NOWHERE),
    Call("POST", f"{API}/devices/{{device}}/credentials", 404, at=NOWHERE, body={}),
    Call("DELETE", f"{API}/devices/{{device}}/credentials/{{id}}", 404, at=AT_PUMP | {"id": "nowhere"}),
    Call("POST", f"{API}/connect", 400, body={}),
    Call("POST", f"{API}/ingest-keys", 400, body={"name": ""}),
    Call("DELETE", f"{API}/ingest-keys/{{id}}", 404, at=NOWHERE),
    Call("POST", f"{API}/databases", 400, body={"name": "a/b"}),
    Call("POST", f"{API}/databases", 409, body={"name": "telegraf"}),
    Call("DELETE", f"{API}/databases/{{database}}", 404, at={"database": "nowhere"}),
    Call("DELETE", f"{API}/databases/{{database}}", 400, at={"database": "default"}),
    Call("POST", f"{API}/telemetry", 401, "nobody", body=READINGS[0]),
    Call("GET", f"{API}/query", 400, query={"from": "later"}),
    Call("POST", f"{API}/query", 400, body={"choose": {}}),
    Call("GET", f"{API}/dead-letters", 400, query={"cursor": "zzz"}),
    Call("GET", f"{API}/events", 400, query={"cursor": "zzz"}),
    Call("GET", f"{API}/commands", 400, query={"cursor": "zzz"}),
    Call("GET", f"{API}/commands", 400, query={"state": "lost"}),
    Call("POST", f"{API}/commands", 400, body={"device": "pump-1"}),
    Call("POST", f"{API}/commands", 403, "sender", body={"device": "pump-1", "name": "x"}),
    Call("POST", f"{API}/commands", 404, body={"device": "nowhere", "name": "x"}),
    Call("POST", f"{API}/commands", 409, body={"device": "pump-1", "name": "other", "key": "k-1"}),
    Call("POST", f"{API}/commands", 413, body={"device": "pump-1", "name": "x", "payload": "x" * (65 << 10)}),
    Call("GET", f"{API}/commands/{{id}}", 404, at=NOWHERE),
    Call("POST", f"{API}/commands/{{id}}/cancel", 404, at=NOWHERE),
    Call("GET", f"{API}/dashboards", 400, query={"cursor": "zzz"}),
    Call("POST", f"{API}/dashboards", 400, body={"title": ""}),
    Call("GET", f"{API}/dashboards/{{id}}", 404, at=NOWHERE),
    Call("DELETE", f"{API}/dashboards/{{id}}", 404, at=NOWHERE),
    Call("GET", f"{API}/live", 426),
    Call("GET", f"{API}/live/sse", 400, query={"interval": "soon"}),
    Call("GET", f"{API}/live/sse", 401, "nobody"),
    Call("GET", f"{API}/system", 401, "nobody"),
    Call("GET", "/api/openapi.json", 200, "nobody"),
    Call("GET", "/metrics", 401, "nobody"),

    # Further pages of lists, and things that go again.
    Call("GET", f"{API}/profiles", 200, query={"cursor": "{profiles}"}),
    Call("GET", f"{API}/devices", 200, query={"cursor": "{devices}"}),
    Call("GET", f"{API}/query", 200, query={"device": "pump-1", "metric": "temperature,mode", **RANGE, "limit": 3, "cursor": "{query}"}),
    Call("GET", f"{API}/dashboards", 200, query={"cursor": "{dashboards}"}),
    Call("GET", f"{API}/dead-letters", 200, query={"limit": 1}),
    Call("GET", f"{API}/dashboards/{{id}}", 200, at={"id": "{dashboard}"}),
    Call("PUT", f"{API}/dashboards/{{id}}", 200, at={"id": "{dashboard}"}, headers={"If-Match": "{version}"},
         body={"title": "Pumps", "document": {}}),
    Call("PUT", f"{API}/dashboards/{{id}}", 412, at={"id": "{dashboard}"}, headers={"If-Match": "{version}"},
         body={"title": "Pumps", "document": {}}),
    Call("DELETE", f"{API}/dashboards/{{id}}", 204, at={"id": "{dashboard}"}),
    Call("DELETE", f"{API}/devices/{{device}}/credentials/{{id}}", 204, at=AT_PUMP | {"id": "{credential}"}),
    Call("DELETE", f"{API}/ingest-keys/{{id}}", 204, at={"id": "{ingest_key}"}),
    Call("DELETE", f"{API}/databases/{{database}}", 204, at={"database": "telegraf"}),
    Call("DELETE", f"{API}/devices/{{device}}", 204, at={"device": "pump-2"}),
    Call("DELETE", f"{API}/profiles/{{profile}}", 204, at={"profile": "plain"}),
]


class Document(unittest.TestCase):
    def test_every_operation_answers_as_documented(self):
        world = World()
        seen: set[tuple[str, str]] = {("GET", f"{API}/live"), ("GET", f"{API}/live/sse")}  # succeed in the class Live below
        sent: dict[tuple[str, str], set[str]] = {}
        try:
            for call in CALLS:
                with self.subTest(str(call)):
                    self.check(world, call)
                    if call.status < 400:
                        seen.add((call.method, call.path))
                    sent.setdefault((call.method, call.path), set()).update(call.query)
        finally:
            world.flux.__exit__(None, None, None)
        self.assertEqual(sorted(OPERATIONS.keys() - seen), [], "operations that the table does not call")
        # A `cursor` counts when it is sent as nonsense too: further pages of events and dead letters take long to fill.
        unsent = {f"{method} {path} ?{name}" for method, path in OPERATIONS if path != f"{API}/live/sse"
                  for name in parameters_of(method, path, "query").keys() - sent.get((method, path), set())}
        self.assertEqual(sorted(unsent), [], "query parameters that the table does not send")

    def check(self, world: World, call: Call) -> None:
        self.assertIn((call.method, call.path), OPERATIONS, "not in the document")
        answer = call.send(world)
        self.assertEqual(answer.status, call.status, answer)
        epoch = call.query.get("epoch") or isinstance(call.body, dict) and call.body.get("epoch")
        self.assertEqual(response_faults(call.method, call.path, answer, INTEGERS if epoch else TEXTS), [], answer)
        if call.status < 400:
            # What the server takes is what the document says it takes.
            self.assertEqual(sorted(call.query.keys() - parameters_of(call.method, call.path, "query").keys()), [])
            if call.body is not None:
                schema = OPERATIONS[call.method, call.path]["requestBody"]["content"]["application/json"]["schema"]
                body = call.body(world) if callable(call.body) else call.body
                refused_on_purpose = "refused" in (answer.json if answer.body else {})
                if not refused_on_purpose:
                    self.assertEqual(SCHEMAS.faults(body, schema), [])
        elif call.status != 400 or call.path != f"{API}/telemetry":
            self.assertEqual(SCHEMAS.faults(answer.json, ERROR), [])
        if call.then:
            call.then(world, answer)


class Times(unittest.TestCase):
    def test_every_answer_with_times_can_have_them_as_integers(self):
        for (method, path), operation in OPERATIONS.items():
            good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            if path.startswith(f"{API}/live") or not holds_time(good):
                continue
            body = SCHEMAS.resolve(operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}))
            with self.subTest(f"{method} {path}"):
                self.assertTrue("epoch" in parameters_of(method, path, "query") or "epoch" in body.get("properties", {}))


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()
        cls.sender = cls.flux.sender()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def fits(self, value, schema: dict) -> None:
        self.assertEqual(SCHEMAS.faults(value, schema), [], value)

    def test_the_served_document_is_the_file(self):
        self.assertEqual(self.admin.get("/api/openapi.json").json, DOCUMENT)

    def test_examples_fit_their_schemas(self):
        for (method, path), operation in OPERATIONS.items():
            nodes = [operation.get("requestBody", {}), *map(SCHEMAS.resolve, operation["responses"].values())]
            for content in (content for node in nodes for kind, content in node.get("content", {}).items() if kind == "application/json"):
                examples = [content["example"]] if "example" in content else []
                examples += [example["value"] for example in content.get("examples", {}).values()]
                for example in examples:
                    with self.subTest(f"{method} {path}"):
                        self.fits(example, content["schema"])

    def test_methods_that_a_path_does_not_have(self):
        for path, item in DOCUMENT["paths"].items():
            documented = {verb.upper() for verb in item if verb in VERBS}
            routed = documented | {"OPTIONS"} | ({"HEAD"} if "GET" in documented else set())
            concrete = path.format(device="d", id="i", profile="p", database="x")
            for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - documented):
                with self.subTest(f"{method} {path}"):
                    answer = self.admin.request(method, concrete)
                    self.assertEqual(answer.status, 405, answer)
                    self.fits(answer.json, ERROR)
                    self.assertEqual({verb.strip() for verb in answer.headers["Allow"].split(",")}, routed)
            with self.subTest(f"OPTIONS {path}"):
                answer = self.admin.request("OPTIONS", concrete)
                self.assertEqual(answer.status, 204, answer)
                self.assertEqual({verb.strip() for verb in answer.headers["Allow"].split(",")}, routed)

    def test_api_paths_that_nobody_knows_are_not_found_by_any_method(self):
        for path in (f"{API}/nothing", f"{API}/devices/d/nothing", "/api/v2/devices", "/.well-known/nothing"):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                with self.subTest(f"{method} {path}"):
                    answer = self.admin.request(method, path)
                    self.assertEqual(answer.status, 404, answer)
                    self.fits(answer.json, ERROR)
                    self.assertNotIn("Allow", answer.headers)

    def caller_of(self, path: str) -> Api:
        return self.sender if path == f"{API}/telemetry" else self.admin

    def test_parameters_that_are_not_known_are_refused(self):
        for method, path in OPERATIONS:
            with self.subTest(f"{method} {path}"):
                answer = self.caller_of(path).request(method, path.format(device="d", id="i", profile="p", database="x"), None, colour="red")
                self.assertEqual(answer.status, 400, answer)
                self.fits(answer.json, ERROR)
                self.assertEqual(answer.json["error"]["field"], "colour")
                for name in parameters_of(method, path, "query"):
                    self.assertIn(name, answer.json["error"]["message"])
                    # One letter too many: the right name is at hand.
                    wrong = name + "x"
                    answer = self.caller_of(path).request(method, path.format(device="d", id="i", profile="p", database="x"), None, **{wrong: "1"})
                    self.assertEqual((answer.status, answer.json["error"]["field"]), (400, wrong), answer)
                    self.assertIn(f"did you mean '{name}'?", answer.json["error"]["message"])

    def test_fields_that_are_not_known_are_refused(self):
        for (method, path), operation in OPERATIONS.items():
            if "requestBody" not in operation:
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            headers = {"If-Match": "1"} if "If-Match" in parameters_of(method, path, "header") else {}
            for where, body in bodies_with_a_field_too_many(schema):
                with self.subTest(f"{method} {path} {where}"):
                    caller = self.caller_of(path) if operation.get("security") != [] else self.flux.anonymous()
                    answer = caller.request(method, path.format(device="d", id="i", profile="p", database="x"), body, headers)
                    self.assertEqual(answer.status, 400, answer)
                    found = answer.json["error"] if "error" in answer.json else answer.json["refused"][0]
                    self.assertEqual(found["field"].split(".")[-1], "colour", answer)
                    self.assertIn("expected", found["message"].lower())
            # One letter too many: the right name is at hand.
            for name in SCHEMAS.resolve(schema).get("properties", {}):
                with self.subTest(f"{method} {path} {name}x"):
                    caller = self.caller_of(path) if operation.get("security") != [] else self.flux.anonymous()
                    answer = caller.request(method, path.format(device="d", id="i", profile="p", database="x"), {name + "x": 1}, headers)
                    self.assertEqual(answer.status, 400, answer)
                    self.assertIn(f"did you mean '{name}'?", answer.json["error"]["message"])

    def test_paths_that_are_not_there(self):
        answer = self.admin.get("/api/v1/nowhere")
        self.assertEqual(answer.status, 404, answer)
        self.fits(answer.json, ERROR)

    # --- live -------------------------------------------------------------------------------------------------------

    def test_server_sent_events(self):
        stop = threading.Event()
        sender = Api(self.flux.http, self.sender.headers)

        def keep_sending():
            while not stop.wait(0.02):
                sender.post(f"{API}/telemetry", {"device": "sse-1", "metrics": {"v": 1.5, "mode": "auto"}})

        thread = threading.Thread(target=keep_sending, daemon=True)
        thread.start()
        try:
            # As many messages as make it likely that both ways to write a time, and several readings at once, were among them.
            for epoch in ({}, {"epoch": "ms"}):
                messages = []
                read_events(self.admin, f"{API}/live/sse", lambda name, data: messages.append((name, data)) or len(messages) == 3,
                            device="sse-1", metric="v,mode", interval="50ms", **epoch)
                for name, data in messages:
                    self.assertEqual(name, "data")
                    self.fits(data, LIVE_SERIES)
                    self.fits({"op": name, "id": 1, "data": data}, LIVE_MESSAGE)
        finally:
            stop.set()
            thread.join()
            sender.close()

    def test_websocket_messages(self):
        live = WebSocket(self.flux.http, f"{API}/live", self.admin.headers)
        self.assertEqual(live.status, 101)
        self.addCleanup(live.close)
        self.admin.post(f"{API}/profiles", {"profile": "hasty", "silent_after": "1s"})
        self.assertEqual(self.admin.post(f"{API}/devices", {"device": "live-1", "profile": "hasty"}).status, 201)
        device = Api(self.flux.http, {"Authorization": f"Bearer {self.flux.device_token('live-1')}"})
        requests = [
            {"op": "subscribe", "id": 1, "devices": ["live-1"], "metrics": ["v"], "interval": "10ms", "snapshot": True},
            {"op": "subscribe", "id": 2, "devices": ["live-1"], "epoch": "ms"},
            {"op": "subscribe", "id": 3, "trace": "live-1"},
            {"op": "subscribe", "id": 4, "events": True},
            {"op": "subscribe", "id": 5, "labels": {"site": "north"}},
            {"op": "unsubscribe", "id": 5},
            {"op": "ping"},
        ]
        for request in requests:
            self.fits(request, LIVE_REQUEST)
            live.send(request)
        live.send({"op": "dance"})
        live.send(b"{")
        wanted = {("subscribed", 1), ("subscribed", 2), ("subscribed", 3), ("subscribed", 4), ("data", 1), ("data", 2), ("state", 1),
                  ("trace", 3), ("event", 4), ("pong", None), ("error", None)}
        seen, faults, posted = set(), [], False

        def look(message) -> bool:
            nonlocal posted
            faults.extend(f"{message}: {fault}" for fault in SCHEMAS.faults(message, LIVE_MESSAGE))
            seen.add((message["op"], message.get("id")))
            if ("subscribed", 4) in seen and not posted:
                posted = True
                device.post(f"{API}/telemetry", b'{"device":"live-1","metrics":{"v":}}', headers={"Content-Type": "application/json"})
                device.post(f"{API}/telemetry", {"device": "live-1", "metrics": {"v": 1, "mode": "auto"}})
            return wanted <= seen

        live.until(look)
        self.assertEqual(faults, [])


if __name__ == "__main__":
    unittest.main()
