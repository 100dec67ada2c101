"""Queries that both servers are asked, line by line. `{range}` is a part of the data's time."""

RANGE = "time >= '2026-01-01T00:03:20Z' AND time < '2026-01-01T00:30:00Z'"

QUERIES = """
# --- the plainest
SELECT usage FROM cpu LIMIT 5
SELECT * FROM cpu LIMIT 20
SELECT * FROM lone
SELECT usage, host FROM cpu LIMIT 5
SELECT host FROM cpu
SELECT "usage", "region" FROM "cpu" WHERE {range} LIMIT 7
SELECT usage FROM site.autogen.cpu LIMIT 2
SELECT usage FROM site..cpu LIMIT 2
SELECT usage FROM "autogen"."cpu" LIMIT 2
SELECT usage AS u, count AS c FROM cpu LIMIT 3
SELECT usage, usage FROM cpu LIMIT 3
SELECT usage, count FROM cpu ORDER BY time DESC LIMIT 5
SELECT usage FROM cpu ORDER BY time DESC LIMIT 5 OFFSET 2
SELECT usage FROM cpu LIMIT 3 OFFSET 4
SELECT *::field FROM cpu LIMIT 4
SELECT *::tag, usage FROM cpu LIMIT 4
SELECT /^u|load/ FROM cpu LIMIT 4
SELECT time, usage FROM cpu LIMIT 2
SELECT time AS at, usage FROM cpu LIMIT 2
SELECT state FROM cpu WHERE state = 'idle, really' LIMIT 5
SELECT ok FROM cpu WHERE ok = true LIMIT 5
SELECT ok, state FROM cpu WHERE ok LIMIT 5
SELECT total FROM "count,er" LIMIT 5
SELECT used, slot FROM mem WHERE slot = 'one two' LIMIT 2
SELECT load FROM cpu WHERE host = 'b1'
SELECT load FROM cpu GROUP BY host LIMIT 2
SELECT nothing FROM cpu
SELECT usage, nothing FROM cpu LIMIT 2
SELECT usage FROM nothing
SELECT usage FROM cpu WHERE nothing = 'x'
SELECT usage FROM cpu WHERE nothing != 'x' LIMIT 2
SELECT usage FROM cpu WHERE nothing > 1 LIMIT 2
# --- conditions
SELECT usage FROM cpu WHERE host = 'a1' AND usage > 90
SELECT usage FROM cpu WHERE host = 'a1' OR host = 'b1' LIMIT 6
SELECT usage FROM cpu WHERE (host = 'a1' AND usage > 95) OR (host = 'b2' AND usage < -18)
SELECT usage FROM cpu WHERE host =~ /^a/ AND count < 5
SELECT usage FROM cpu WHERE host !~ /a/ AND usage > 97
SELECT usage, region FROM cpu WHERE region = '' LIMIT 3
SELECT usage, region FROM cpu WHERE region != '' LIMIT 3
SELECT usage, region FROM cpu WHERE region != 'north' LIMIT 4
SELECT usage FROM cpu WHERE region =~ /.*/ LIMIT 3
SELECT usage FROM cpu WHERE region !~ /north/ LIMIT 5
SELECT usage FROM cpu WHERE state =~ /idle/ AND host = 'a2' LIMIT 3
SELECT usage FROM cpu WHERE state != 'on' LIMIT 3
SELECT usage, load FROM cpu WHERE load > usage LIMIT 4
SELECT usage FROM cpu WHERE usage > 50 AND usage < 52
SELECT usage FROM cpu WHERE usage * 2 > 195
SELECT usage FROM cpu WHERE usage + count > 590
SELECT usage FROM cpu WHERE abs(usage) < 0.5
SELECT usage FROM cpu WHERE count % 100 = 0 LIMIT 8
SELECT usage FROM cpu WHERE count & 255 = 7
SELECT usage FROM cpu WHERE 'a1' = host LIMIT 2
SELECT usage FROM cpu WHERE host > 5 LIMIT 2
SELECT usage FROM cpu WHERE usage = 'x'
SELECT usage FROM cpu WHERE time = '2026-01-01T00:00:10Z'
SELECT usage FROM cpu WHERE time >= 1767225600s AND time < 1767225625s
SELECT usage FROM cpu WHERE time >= 1767225600000000000 AND time < 1767225610000000000
SELECT usage FROM cpu WHERE time > '2026-01-01' AND time < '2026-01-01 00:00:30'
SELECT usage FROM cpu WHERE time > '2026-01-01T00:00:00.000000001Z' AND time <= '2026-01-01 00:00:30.5'
SELECT usage FROM cpu WHERE time > '2026-01-01T00:00:00Z' + 10s AND time < '2026-01-01T00:01:00Z' - 30s
SELECT usage FROM cpu WHERE '2026-01-01T00:39:00Z' < time AND host = 'a1'
SELECT usage FROM cpu WHERE time > now() - 1h
SELECT usage FROM cpu WHERE time > '2026-01-01T00:10:00Z' OR host = 'a1' LIMIT 3
SELECT usage FROM cpu WHERE true LIMIT 2
SELECT usage FROM cpu WHERE false LIMIT 2
# --- arithmetic
SELECT usage * 2 FROM cpu LIMIT 3
SELECT usage + count FROM cpu LIMIT 3
SELECT count / 2 FROM cpu LIMIT 3
SELECT count / 0 FROM cpu LIMIT 3
SELECT count % 7, usage % 7 FROM cpu LIMIT 5
SELECT count | 1, count ^ 3, count & 6 FROM cpu LIMIT 5
SELECT (usage + 1) * (count - 2) AS x FROM cpu LIMIT 3
SELECT -usage FROM cpu LIMIT 3
SELECT usage - -count FROM cpu LIMIT 3
SELECT usage * load FROM cpu LIMIT 9
SELECT abs(usage), ceil(usage), floor(usage), round(usage), sqrt(count), pow(usage, 2) FROM cpu LIMIT 6
SELECT exp(usage / 50), ln(count), log2(count), log10(count), log(count, 3) FROM cpu LIMIT 6
SELECT sin(usage), cos(usage), tan(usage), atan(usage), atan2(usage, count) FROM cpu LIMIT 6
SELECT asin(usage / 200), acos(usage / 200) FROM cpu LIMIT 4
SELECT round(mean(usage)) FROM cpu WHERE {range} GROUP BY time(5m)
SELECT mean(usage) * 2 + max(count) FROM cpu WHERE {range} GROUP BY time(5m), host
SELECT max(usage) - min(usage) AS d FROM cpu GROUP BY host
SELECT usage::integer, count::float FROM cpu LIMIT 3
SELECT usage::string, host::tag FROM cpu LIMIT 3
SELECT count::field FROM cpu LIMIT 2
# --- functions over everything
SELECT count(usage) FROM cpu
SELECT count(state), count(ok) FROM cpu
SELECT count(distinct(state)) FROM cpu
SELECT distinct(state) FROM cpu
SELECT DISTINCT state FROM cpu
SELECT distinct(used) FROM mem WHERE host = 'b1'
SELECT mean(usage) FROM cpu
SELECT mean(count) FROM cpu WHERE {range}
SELECT median(usage), median(count) FROM cpu
SELECT mode(used) FROM mem WHERE host = 'b1'
SELECT mode(free) FROM mem WHERE host = 'b1'
SELECT mode(state) FROM cpu
SELECT spread(usage), spread(count) FROM cpu
SELECT stddev(usage), stddev(count) FROM cpu
SELECT stddev(v) FROM lone
SELECT sum(usage), sum(count) FROM cpu
SELECT first(usage), last(usage) FROM cpu
SELECT first(usage) FROM cpu
SELECT last(usage) FROM cpu
SELECT first(usage), host FROM cpu
SELECT last(usage), * FROM cpu
SELECT last(usage) FROM cpu GROUP BY host
SELECT last(*) FROM cpu GROUP BY host
SELECT first(state), last(ok) FROM cpu
SELECT min(usage) FROM cpu
SELECT max(usage) FROM cpu
SELECT max(count), host, usage FROM cpu
SELECT min(ok), max(ok) FROM cpu
SELECT percentile(usage, 90) FROM cpu
SELECT percentile(count, 5), host FROM cpu
SELECT percentile(usage, 0) FROM cpu
SELECT percentile(usage, 100) FROM cpu
SELECT percentile(usage, 50), percentile(usage, 95.5) FROM cpu
SELECT top(usage, 3) FROM cpu
SELECT top(usage, host, 3) FROM cpu
SELECT top(count, host, region, 2), usage FROM cpu
SELECT bottom(usage, 3) FROM cpu
SELECT bottom(count, 4), host FROM cpu
SELECT bottom(usage, host, 2) FROM cpu
SELECT top(usage, 2) FROM cpu GROUP BY host
SELECT top(usage, 1) FROM cpu WHERE {range} GROUP BY time(5m)
SELECT integral(usage) FROM cpu WHERE host = 'a2'
SELECT integral(load, 1m) FROM cpu WHERE host = 'a1'
SELECT integral(used) FROM mem WHERE host = 'a1'
SELECT integral(load, 1m) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(2m)
SELECT derivative(load) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT derivative(count, 1m) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT non_negative_derivative(usage, 10s) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT difference(usage), difference(count) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT non_negative_difference(count) FROM cpu WHERE host = 'a1' LIMIT 9
SELECT elapsed(usage) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT elapsed(usage, 1s), elapsed(state, 1s) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT moving_average(usage, 4) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT moving_average(count, 3) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT cumulative_sum(count), cumulative_sum(usage) FROM cpu WHERE host = 'a1' LIMIT 5
SELECT difference(usage) FROM cpu GROUP BY host LIMIT 3
SELECT derivative(usage) FROM cpu WHERE host = 'a1' ORDER BY time DESC LIMIT 4
SELECT difference(count) FROM cpu WHERE host = 'a1' ORDER BY time DESC LIMIT 4
SELECT mean(*) FROM cpu
SELECT mean(/usage|load/) FROM cpu
SELECT max(*) FROM cpu GROUP BY host
SELECT count(*) FROM /./
SELECT count(*) FROM cpu, mem
SELECT mean(usage), mean(used) FROM cpu, mem
SELECT sum(count) AS s, mean(usage) AS m, count(usage) AS n FROM cpu GROUP BY region
# --- windows
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(1m)
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(1m), host
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(5m), * 
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY *
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY /^reg/
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY host, region
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY region, host
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY nothing
SELECT count(usage) FROM cpu WHERE {range} GROUP BY time(1m, 20s)
SELECT count(usage) FROM cpu WHERE {range} GROUP BY time(1m, -10s)
SELECT mean(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(none)
SELECT mean(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(null)
SELECT mean(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(previous)
SELECT mean(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(linear)
SELECT mean(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(-1)
SELECT sum(count) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(linear)
SELECT sum(count) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(7.9)
SELECT sum(count), mean(load) FROM cpu WHERE {range} GROUP BY time(30s), host fill(previous)
SELECT count(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s)
SELECT count(usage), mean(usage) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s)
SELECT last(state) FROM cpu WHERE {range} GROUP BY time(3m) fill(previous)
SELECT last(ok) FROM cpu WHERE {range} GROUP BY time(3m)
SELECT first(usage), host FROM cpu WHERE {range} GROUP BY time(3m)
SELECT max(usage), host, count FROM cpu WHERE {range} GROUP BY time(6m)
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(5m) ORDER BY time DESC
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(5m), host ORDER BY time DESC LIMIT 2
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(1m) LIMIT 3 OFFSET 2
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY host SLIMIT 2
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY host SLIMIT 1 SOFFSET 2
SELECT usage FROM cpu WHERE {range} GROUP BY host LIMIT 1 SLIMIT 2 SOFFSET 1
SELECT usage FROM cpu GROUP BY host ORDER BY time DESC LIMIT 2
SELECT distinct(state) FROM cpu WHERE {range} GROUP BY time(10m)
SELECT count(distinct(state)) FROM cpu WHERE {range} GROUP BY time(5m)
SELECT median(usage), stddev(usage), spread(count) FROM cpu WHERE {range} GROUP BY time(5m)
SELECT percentile(usage, 75) FROM cpu WHERE {range} GROUP BY time(5m), host
SELECT derivative(mean(load), 1m) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT derivative(mean(load)) FROM cpu WHERE {range} GROUP BY time(2m), host
SELECT non_negative_derivative(max(usage), 1s) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT difference(sum(count)) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT non_negative_difference(sum(count)) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT moving_average(mean(usage), 3) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT cumulative_sum(mean(usage)) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT elapsed(first(usage), 1s) FROM cpu WHERE {range} GROUP BY time(2m)
SELECT difference(mean(usage)) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(linear)
SELECT derivative(mean(usage), 30s) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s) fill(0)
SELECT cumulative_sum(count(usage)) FROM cpu WHERE host = 'a1' AND {range} GROUP BY time(30s)
SELECT difference(mean(usage)) FROM cpu WHERE {range} GROUP BY time(5m) ORDER BY time DESC
SELECT holt_winters(first(level), 6, 4) FROM tide WHERE time >= '2026-01-01T00:00:00Z' AND time < '2026-01-01T20:00:00Z' GROUP BY time(1h)
SELECT holt_winters(mean(level), 4, 0) FROM tide WHERE time >= '2026-01-01T00:00:00Z' AND time < '2026-01-01T20:00:00Z' GROUP BY time(1h)
SELECT holt_winters_with_fit(mean(level), 3, 6) FROM tide WHERE time >= '2026-01-01T00:00:00Z' AND time < '2026-01-01T20:00:00Z' GROUP BY time(1h)
SELECT mean(v), count(w) FROM clock WHERE time >= '2026-03-28' AND time < '2026-03-31' GROUP BY time(1d) tz('Europe/Berlin')
SELECT count(v) FROM clock WHERE time >= '2026-03-28' AND time < '2026-03-31' GROUP BY time(6h) tz('Europe/Berlin')
SELECT count(v) FROM clock WHERE time >= '2026-03-28 12:00:00' AND time < '2026-03-30 12:00:00' GROUP BY time(1h) tz('Europe/Berlin')
SELECT mean(v) FROM clock WHERE time >= '2026-03-28' AND time < '2026-03-31' GROUP BY time(12h, 3h) fill(none) tz('America/New_York')
SELECT v FROM clock WHERE time >= '2026-03-29' AND time < '2026-03-29 04:00:00' tz('Europe/Berlin')
SELECT mean(usage) FROM cpu WHERE {range} GROUP BY time(10m) tz('Asia/Kolkata')
# --- sub-queries
SELECT mean(m) FROM (SELECT max(usage) AS m FROM cpu GROUP BY host)
SELECT max(m) FROM (SELECT mean(usage) AS m FROM cpu WHERE {range} GROUP BY time(5m), host) GROUP BY host
SELECT sum(m) FROM (SELECT mean(usage) AS m FROM cpu WHERE {range} GROUP BY time(5m), host) WHERE {range} GROUP BY time(10m)
SELECT m FROM (SELECT mean(usage) AS m FROM cpu WHERE {range} GROUP BY time(5m)) WHERE m > 40
SELECT m, host FROM (SELECT mean(usage) AS m FROM cpu WHERE {range} GROUP BY host) WHERE m > 38
SELECT usage FROM (SELECT usage FROM cpu WHERE host = 'a1') WHERE usage > 90
SELECT mean(d) FROM (SELECT usage - load AS d FROM cpu) GROUP BY host
SELECT d FROM (SELECT difference(count) AS d FROM cpu GROUP BY host) WHERE d > 400
SELECT mean(mean) FROM (SELECT mean(usage) FROM cpu WHERE {range} GROUP BY host), (SELECT mean(used) FROM mem WHERE {range})
SELECT max(s) FROM (SELECT sum(m) AS s FROM (SELECT mean(usage) AS m FROM cpu WHERE {range} GROUP BY time(5m), host) GROUP BY host)
SELECT * FROM (SELECT mean(usage) AS m, max(count) AS c FROM cpu WHERE {range} GROUP BY host)
SELECT derivative(m) FROM (SELECT mean(load) AS m FROM cpu WHERE {range} GROUP BY time(1m))
SELECT mean(usage) FROM (SELECT usage FROM cpu) WHERE {range} GROUP BY time(10m)
SELECT top(m, 2) FROM (SELECT mean(usage) AS m FROM cpu GROUP BY host)
SELECT last(m), host FROM (SELECT mean(usage) AS m FROM cpu WHERE {range} GROUP BY time(10m), host)
SELECT x FROM (SELECT mean(usage) AS m FROM cpu)
SELECT mean(usage) FROM (SELECT * FROM cpu) GROUP BY host
SELECT count(usage) FROM (SELECT usage FROM cpu WHERE {range} LIMIT 10)
# --- several statements
SELECT count(usage) FROM cpu; SELECT count(used) FROM mem
SHOW MEASUREMENTS; SELECT v FROM lone
SELECT count(usage) FROM cpu; SELECT mean(nonsense(usage)) FROM cpu
SELECT v FROM lone;
;;SELECT v FROM lone;;
# --- what is there
SHOW MEASUREMENTS
SHOW MEASUREMENTS ON site
SHOW MEASUREMENTS LIMIT 2
SHOW MEASUREMENTS LIMIT 2 OFFSET 1
SHOW MEASUREMENTS WITH MEASUREMENT = cpu
SHOW MEASUREMENTS WITH MEASUREMENT =~ /m/
SHOW MEASUREMENTS WHERE host = 'b2'
SHOW MEASUREMENTS WHERE host =~ /b/
SHOW MEASUREMENTS WHERE host != 'a1'
SHOW MEASUREMENTS WITH MEASUREMENT =~ /m/ WHERE slot = 'three'
SHOW TAG KEYS
SHOW TAG KEYS FROM cpu
SHOW TAG KEYS FROM /e/
SHOW TAG KEYS FROM cpu, mem LIMIT 1
SHOW TAG KEYS WHERE host = 'b1'
SHOW TAG KEYS ON site FROM mem
SHOW TAG VALUES WITH KEY = host
SHOW TAG VALUES FROM cpu WITH KEY = host
SHOW TAG VALUES FROM cpu WITH KEY IN (host, region)
SHOW TAG VALUES FROM cpu WITH KEY =~ /o/
SHOW TAG VALUES FROM cpu WITH KEY !~ /host/
SHOW TAG VALUES FROM cpu WITH KEY != host
SHOW TAG VALUES FROM cpu WITH KEY = host WHERE region = 'north'
SHOW TAG VALUES FROM cpu WITH KEY = host LIMIT 2 OFFSET 1
SHOW TAG VALUES WITH KEY = nothing
SHOW FIELD KEYS
SHOW FIELD KEYS FROM cpu
SHOW FIELD KEYS FROM /m/
SHOW FIELD KEYS FROM cpu LIMIT 2 OFFSET 1
SHOW SERIES
SHOW SERIES FROM cpu
SHOW SERIES FROM cpu WHERE region = 'north'
SHOW SERIES LIMIT 3 OFFSET 2
SHOW RETENTION POLICIES
SHOW RETENTION POLICIES ON site
SHOW SERIES CARDINALITY
SHOW SERIES EXACT CARDINALITY
SHOW SERIES EXACT CARDINALITY FROM cpu
SHOW MEASUREMENT CARDINALITY
SHOW MEASUREMENT EXACT CARDINALITY
SHOW TAG KEY CARDINALITY
SHOW TAG KEY EXACT CARDINALITY FROM cpu
SHOW FIELD KEY CARDINALITY
SHOW FIELD KEY EXACT CARDINALITY FROM mem
SHOW TAG VALUES CARDINALITY WITH KEY = host
SHOW TAG VALUES EXACT CARDINALITY FROM cpu WITH KEY = host
"""

# Nonsense: the same refusal is wanted.
NONSENSE = """
FOO
SELECT
SELECT usage
SELECT usage FROM
SELECT FROM cpu
SELECT usage FROM cpu WHERE
SELECT usage FROM cpu WHERE host =
SELECT usage FROM cpu WHERE host = 'a1
SELECT usage FROM cpu GROUP
SELECT usage FROM cpu GROUP BY
SELECT usage FROM cpu LIMIT x
SELECT usage FROM cpu LIMIT -1
SELECT usage FROM cpu ORDER BY usage
SELECT usage FROM cpu ORDER time
SELECT usage FROM cpu SELECT usage FROM cpu
SELECT usage, FROM cpu
SELECT mean(usage FROM cpu
SELECT (usage FROM cpu
SELECT usage FROM cpu WHERE host =~ 'a'
SELECT usage FROM cpu WHERE host =~ /(/
SELECT usage FROM /[/
SELECT usage FROM cpu fill(foo)
SELECT usage > 3 FROM cpu
SELECT 5 FROM cpu
SELECT 1 + 2 FROM cpu
SELECT "usage FROM cpu
SELECT us#age FROM cpu
SELECT usage FROM a.b.c.d
SELECT usage FROM cpu WHERE time > 'yesterday'
SELECT usage FROM cpu WHERE time > '2026-13-01'
SELECT usage FROM cpu WHERE time > host
SELECT usage FROM cpu WHERE time != 5
SELECT usage FROM cpu WHERE mean(usage) > 3
SELECT usage FROM cpu GROUP BY time(1m)
SELECT mean(usage) FROM cpu GROUP BY time()
SELECT mean(usage) FROM cpu GROUP BY time(5)
SELECT mean(usage) FROM cpu GROUP BY time(1m), time(2m)
SELECT mean(usage) FROM cpu GROUP BY time
SELECT mean(usage) FROM cpu GROUP BY mean(usage)
SELECT mean(usage) FROM cpu GROUP BY 5
SELECT mean(usage), usage FROM cpu
SELECT mean(usage), host FROM cpu
SELECT top(usage, 2), mean(usage) FROM cpu
SELECT first(usage), last(usage), host FROM cpu
SELECT distinct(usage), mean(usage) FROM cpu
SELECT mean() FROM cpu
SELECT mean(usage, 2) FROM cpu
SELECT mean(5) FROM cpu
SELECT mean(mean(usage)) FROM cpu
SELECT foo(usage) FROM cpu
SELECT percentile(usage) FROM cpu
SELECT percentile(usage, 'x') FROM cpu
SELECT top(usage) FROM cpu
SELECT top(usage, 0) FROM cpu
SELECT top(usage, host) FROM cpu
SELECT top(usage, 5) FROM cpu LIMIT 2
SELECT bottom(5, 2) FROM cpu
SELECT sample(usage, 0) FROM cpu
SELECT sample(usage, 1.5) FROM cpu
SELECT derivative(usage, 5) FROM cpu
SELECT derivative(usage, -5s) FROM cpu
SELECT derivative(mean(usage)) FROM cpu
SELECT derivative(usage) FROM cpu GROUP BY time(1m)
SELECT difference(usage, 2) FROM cpu
SELECT moving_average(usage) FROM cpu
SELECT moving_average(usage, 1) FROM cpu
SELECT moving_average(usage, 2.5) FROM cpu
SELECT cumulative_sum(mean(usage)) FROM cpu
SELECT elapsed(usage, 1) FROM cpu
SELECT integral(usage, 5) FROM cpu
SELECT holt_winters(usage, 5, 5) FROM cpu
SELECT holt_winters(mean(usage), 5, 5) FROM cpu
SELECT holt_winters(mean(usage), 0, 5) FROM cpu GROUP BY time(1m)
SELECT count(distinct(usage), 2) FROM cpu
SELECT abs() FROM cpu
SELECT pow(usage) FROM cpu
SELECT log(usage) FROM cpu
SELECT usage FROM cpu fill(none)
SELECT usage FROM cpu fill(linear)
SELECT mean(usage) FROM cpu GROUP BY time(1m) fill(3, 4)
SELECT * + 1 FROM cpu
SELECT mean(*) + 1 FROM cpu
SELECT /us/ + 1 FROM cpu
SELECT usage + state FROM cpu
SELECT usage + ok FROM cpu
SELECT abs(state) FROM cpu
SELECT time FROM cpu
SELECT usage FROM cpu tz('Nowhere/Never')
SELECT usage FROM cpu tz(5)
SELECT usage FROM (SELECT usage FROM cpu ORDER BY time DESC)
SELECT mean(usage) FROM (SELECT usage FROM cpu GROUP BY time(1m))
SELECT usage FROM nowhere..cpu
SELECT usage FROM site.never.cpu
SELECT usage FROM cpu WHERE host = $x
SELECT usage FROM _series
SELECT usage::foo FROM cpu
SELECT *::foo FROM cpu
SELECT count(*::tag) FROM cpu
SELECT usage FROM cpu WHERE 5
SELECT usage FROM cpu WHERE host
SELECT 9223372036854775808 + usage FROM cpu LIMIT 1
SELECT usage FROM cpu WHERE time > 99999999999999999999
SELECT usage FROM cpu WHERE time > '3000-01-01'
SELECT usage FROM cpu WHERE time > 5x
SELECT usage FROM cpu LIMIT 1 LIMIT 2
SHOW
SHOW FOO
SHOW TAG
SHOW TAG VALUES
SHOW TAG VALUES FROM cpu
SHOW TAG VALUES WITH KEY
SHOW TAG VALUES WITH KEY > host
SHOW TAG VALUES WITH KEY IN host
SHOW TAG KEY
SHOW FIELD
SHOW FIELD KEY
SHOW MEASUREMENT
SHOW MEASUREMENTS ON nowhere
SHOW MEASUREMENTS WHERE time > 5
SHOW TAG KEYS ON nowhere
SHOW TAG VALUES ON nowhere WITH KEY = host
SHOW FIELD KEYS ON nowhere
SHOW SERIES ON nowhere
SHOW RETENTION
SHOW RETENTION POLICIES ON nowhere
CREATE
CREATE DATABASE
CREATE DATABASE "a" WITH
CREATE RETENTION POLICY x ON y
CREATE CONTINUOUS QUERY x ON y BEGIN SELECT mean(usage) FROM cpu END
DROP
DROP MEASUREMENT
DROP SERIES
DELETE
DELETE FROM cpu.x
DELETE FROM a.b.c
ALTER RETENTION POLICY x ON y
GRANT x
EXPLAIN FOO
SELECT usage FROM cpu WHERE time > now() - 1h AND
SELECT -- nothing
SELECT /* nothing
SELECT usage FROM cpu WHERE host = 'a\\q'
SELECT distinct FROM cpu
SELECT distinct usage, count FROM cpu
"""

# As Grafana's InfluxDB data source writes them: its query builder, its variables and its way of looking around.
GRAFANA = """
SHOW RETENTION POLICIES on "site"
SHOW MEASUREMENTS LIMIT 100
SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)m/ LIMIT 100
SHOW MEASUREMENTS WHERE "host" = 'a1' LIMIT 100
SHOW FIELD KEYS FROM "cpu"
SHOW FIELD KEYS FROM "autogen"."cpu"
SHOW TAG KEYS FROM "cpu"
SHOW TAG KEYS FROM "autogen"."cpu" WHERE "host" = 'a1'
SHOW TAG VALUES FROM "cpu" WITH KEY = "host"
SHOW TAG VALUES FROM "cpu" WITH KEY = "host" WHERE "region" = 'north' LIMIT 100
SHOW TAG VALUES WITH KEY = "region" WHERE "host" =~ /^(a1|b1)$/
SELECT mean("usage") FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(10s) fill(null)
SELECT mean("usage") FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(1m) fill(null)
SELECT mean("usage") FROM "cpu" WHERE ("host"::tag = 'a1') AND time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(1m), "host"::tag fill(null)
SELECT mean("usage") AS "used", max("count") FROM "autogen"."cpu" WHERE ("host" =~ /^(a1|a2)$/) AND time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(2m), "host" fill(none)
SELECT last("usage") FROM "cpu" WHERE ("region" = 'north' AND "host" != 'a1') AND time >= 1767225800000ms and time <= 1767227400000ms GROUP BY "host" ORDER BY time DESC LIMIT 1
SELECT non_negative_derivative(mean("load"), 1s) FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(1m), "host" fill(null) ORDER BY time ASC
SELECT derivative(mean("load"), 10s) *8 FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(1m) fill(previous)
SELECT mean("usage") *100 / 7 AS "share" FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(5m), "host" fill(linear)
SELECT percentile("usage", 95) FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY time(5m) fill(0) tz('Europe/Berlin')
SELECT distinct("state") FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms
SELECT "state", "host" FROM "cpu" WHERE time >= 1767225800000ms and time <= 1767227400000ms AND "host" =~ /a1/ ORDER BY time DESC LIMIT 100
SELECT last("usage") FROM "cpu" WHERE time >= now() - 9000w GROUP BY "host"
SELECT "used" FROM "mem" WHERE time >= 1767225800000ms and time <= 1767227400000ms GROUP BY "slot" SLIMIT 1
SELECT sum("m") FROM (SELECT mean("usage") AS "m" FROM "cpu" WHERE time >= 1767225600000ms and time <= 1767227400000ms GROUP BY time(1m), "host") WHERE time >= 1767225600000ms and time <= 1767227400000ms GROUP BY time(1m) fill(none)
"""


def listed(text: str) -> list[str]:
    return [line.replace("{range}", RANGE) for line in text.strip("\n").split("\n") if line and not line.startswith("#")]
