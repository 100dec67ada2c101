"""InfluxQL over HTTP, compared with a real InfluxDB 1.6 on the same data: the same columns, values and refusals.

The last test makes queries up; `FLUX_INFLUXQL_SEED` repeats a run, `FLUX_INFLUXQL_COUNT` asks for more of them.
"""

import json
import os
import random
import unittest

from e2e.harness import Api, Fluxgate, wait_until
from e2e.influxdb_server import InfluxServer, query
from e2e.influxql_compare import difference
from e2e.influxql_data import DATABASE, lines
from e2e.influxql_made import made_query
from e2e.influxql_queries import GRAFANA, NONSENSE, QUERIES, listed


class Compared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate("--set", "query.ingest_keys_read=true")
        cls.real = InfluxServer()
        cls.theirs = cls.real.api
        cls.key = cls.flux.ingest_key("lines")
        cls.ours = Api(cls.flux.http, {"Authorization": f"Token {cls.key}"})
        query(cls.theirs, f"CREATE DATABASE {DATABASE}", "POST")
        body = "\n".join(lines()).encode()
        for api in (cls.theirs, cls.ours):
            answer = api.request("POST", "/write", body, {}, db=DATABASE)
            assert answer.status == 204, answer
        wait_until(lambda: difference(*cls.both("SELECT count(*) FROM /./")) is None, what="all that was written in answers")

    @classmethod
    def tearDownClass(cls):
        cls.real.__exit__(None, None, None)
        cls.flux.__exit__(None, None, None)

    @classmethod
    def both(cls, text: str, **parameters):
        return [query(api, text, db=DATABASE, **parameters).json for api in (cls.theirs, cls.ours)]

    def compare(self, texts: list[str]):
        differ = []
        for text in texts:
            theirs, ours = (query(api, text, db=DATABASE) for api in (self.theirs, self.ours))
            why = difference(theirs.json, ours.json) or (theirs.status != ours.status and f"status {ours.status} and not {theirs.status}")
            if why:
                differ.append(f"{text}\n  {why}\n  theirs: {theirs.body[:600]!r}\n  ours:   {ours.body[:600]!r}")
        self.assertEqual(differ, [], f"{len(differ)} of {len(texts)} answers differ:\n" + "\n".join(differ))

    def test_the_list(self):
        self.compare(listed(QUERIES))

    def test_nonsense(self):
        self.compare(listed(NONSENSE))

    def test_what_grafana_asks(self):
        self.compare(listed(GRAFANA))

    def test_made_up(self):
        seed = int(os.environ.get("FLUX_INFLUXQL_SEED", random.randrange(1 << 31)))
        print(f"influxql: FLUX_INFLUXQL_SEED={seed}")
        chance = random.Random(seed)
        self.compare([made_query(chance) for _ in range(int(os.environ.get("FLUX_INFLUXQL_COUNT", "300")))])

    def same_bodies(self, text: str, **parameters):
        theirs, ours = (query(api, text, db=DATABASE, **parameters) for api in (self.theirs, self.ours))
        self.assertEqual(theirs.body.decode(), ours.body.decode())
        self.assertEqual(theirs.status, ours.status)
        self.assertEqual(theirs.headers["Content-Type"].split(";")[0], ours.headers["Content-Type"].split(";")[0])

    def test_the_bytes_of_answers(self):
        for epoch in ("", "ns", "u", "ms", "s", "m", "h"):
            self.same_bodies("SELECT count, state, ok FROM cpu LIMIT 3", epoch=epoch)
        self.same_bodies("SELECT free FROM mem WHERE host = 'a1' LIMIT 3", pretty="true")
        self.same_bodies("SHOW MEASUREMENTS; SELECT nothing FROM cpu", pretty="true")
        for size in ("1", "2", "1000", "x"):
            self.same_bodies("SELECT count FROM cpu GROUP BY host LIMIT 3", chunked="true", chunk_size=size)
        self.same_bodies("SELECT count FROM cpu GROUP BY host LIMIT 3; SHOW TAG KEYS; SELECT nothing FROM cpu", chunked="true", chunk_size="2")
        for text in ("SELECT * FROM cpu WHERE host = 'a1' LIMIT 9", "SELECT last(used) FROM mem GROUP BY *", "SHOW TAG VALUES WITH KEY = host",
                     "SELECT count FROM cpu LIMIT 1; SELECT nothing FROM cpu; SELECT used FROM mem LIMIT 2"):
            self.same_bodies(text, accept="application/csv")
            self.same_bodies(text, accept="text/csv", epoch="ms")

    def test_bound_parameters(self):
        for text, bound in (("SELECT usage FROM cpu WHERE host = $host LIMIT 2", {"host": "a1"}),
                            ("SELECT usage FROM cpu WHERE usage > $least AND count < $most LIMIT 2", {"least": 20.5, "most": 100}),
                            ("SELECT ok FROM cpu WHERE ok = $x LIMIT 2", {"x": True}),
                            ("SELECT usage FROM cpu WHERE host = $host LIMIT 2", {}),
                            ("SELECT usage FROM cpu WHERE host = $host LIMIT 2", {"host": [1]})):
            theirs, ours = self.both(text, params=json.dumps(bound))
            self.assertIsNone(difference(theirs, ours), (text, theirs, ours))
        self.assertEqual(query(self.ours, "SELECT 1", params="{", db=DATABASE).status, 400)

    def test_post_and_no_question(self):
        for method in ("GET", "POST"):
            answers = [query(api, "SELECT count(usage) FROM cpu", method, db=DATABASE) for api in (self.theirs, self.ours)]
            self.assertIsNone(difference(answers[0].json, answers[1].json))
        for api in (self.theirs, self.ours):
            answer = api.get("/query", db=DATABASE)
            self.assertEqual((answer.status, answer.json), (400, {"error": 'missing required parameter "q"'}))


if __name__ == "__main__":
    unittest.main()
