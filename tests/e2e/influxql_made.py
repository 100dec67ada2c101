"""Makes queries up: all that the language has, but for what InfluxDB itself answers by chance."""

import random

NUMBERS = {"cpu": ["usage", "count", "load"], "mem": ["used", "free"], "clock": ["v", "w"]}
TAGS = {"cpu": ["host", "region"], "mem": ["host", "slot"], "clock": ["host"]}
TIMES = {"cpu": (1767225600, 1767228000), "mem": (1767225600, 1767229200), "clock": (1774656000, 1774828800)}
WIDTHS = {"cpu": ["30s", "1m", "5m", "7m"], "mem": ["1m", "5m", "10m"], "clock": ["2h", "6h", "1d"]}
AGGREGATES = ["count", "mean", "sum", "median", "stddev", "spread", "min", "max", "first", "last"]
STREAMS = ["derivative", "non_negative_derivative", "difference", "non_negative_difference", "elapsed", "cumulative_sum"]
MATH = ["abs", "ceil", "floor", "round", "sin", "cos", "atan"]


def time_condition(chance: random.Random, name: str) -> str:
    first, last = TIMES[name]
    start = chance.randrange(first - 100, last)
    end = chance.randrange(start + 1, last + 200)
    return f"time >= {start}s AND time {chance.choice(['<', '<='])} {end}s"


def tag_condition(chance: random.Random, name: str) -> str:
    tag = chance.choice(TAGS[name])
    value = chance.choice(["a1", "a2", "b1", "north", "three", ""])
    return chance.choice([f"{tag} = '{value}'", f"{tag} != '{value}'", f"{tag} =~ /^[an]/", f"{tag} !~ /1$/"])


def field_condition(chance: random.Random, name: str) -> str:
    field = chance.choice(NUMBERS[name])
    return f"{field} {chance.choice(['<', '<=', '>', '>=', '!='])} {chance.choice([0, 10.5, 40, 200])}"


def where(chance: random.Random, name: str, bounded: bool) -> str:
    parts = [time_condition(chance, name)] if bounded else []
    for _ in range(chance.randrange(3)):
        parts.append(chance.choice([tag_condition, field_condition])(chance, name))
    if len(parts) > 2 and chance.random() < 0.5:
        parts[-2:] = [f"({parts[-2]} {chance.choice(['OR', 'AND'])} {parts[-1]})"]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def aggregate(chance: random.Random, name: str) -> str:
    field = chance.choice(NUMBERS[name])
    function = chance.choice(AGGREGATES + ["percentile"])
    if function != "percentile":
        return f"{function}({field})"
    # Of equal values InfluxDB picks one by chance, and shows its time; and a window of which a percentile picks nothing
    # ends its answer.
    return f"percentile({'v' if name == 'clock' else 'usage'}, {chance.choice([50, 75, 99.5])})" if name != "mem" else "count(used)"


def expression(chance: random.Random, leaf: str) -> str:
    kind = chance.random()
    if kind < 0.6:
        return leaf
    if kind < 0.8:
        return f"{leaf} {chance.choice(['+', '-', '*', '/'])} {chance.choice(['2', '0.5', '10'])}"
    return f"{chance.choice(MATH)}({leaf})"


def made_nested(chance: random.Random, name: str) -> str:
    """A function over what another one gives for each window and tag. The range is the inner query's: with one outside
    InfluxDB loses windows that begin before it."""
    tag = chance.choice(TAGS[name])
    inner = f"SELECT {aggregate(chance, name)} AS x FROM {name}{where(chance, name, True)} GROUP BY time({chance.choice(WIDTHS[name])}), {tag} fill(none)"
    # A stddev of one reading is no number, and where InfluxDB sorts those it does so by chance.
    function = chance.choice(["count", "mean", "sum", "spread"] + ([] if "stddev" in inner else ["min", "max", "median", "stddev"]))
    by = chance.choice(["", f" GROUP BY {tag}", f" GROUP BY {tag}"])
    condition = chance.choice(["", "", f" WHERE x > {chance.choice([0, 20.5])}", f" WHERE {tag} = 'a1'"])
    # Which of equal values min and max are told to have picked follows from the order of series.
    return f"SELECT {function}(x), count(x) FROM ({inner}){condition}{by}"


def made_query(chance: random.Random) -> str:
    name = chance.choice(list(NUMBERS))
    if chance.random() < 0.15:
        return made_nested(chance, name)
    windowed = chance.random() < 0.6
    order = " ORDER BY time DESC" if chance.random() < 0.25 else ""
    limit = f" LIMIT {chance.randrange(1, 9)}" if chance.random() < 0.3 else ""
    if limit and chance.random() < 0.4:
        limit += f" OFFSET {chance.randrange(4)}"
    groups = chance.choice([[], [], [chance.choice(TAGS[name])], TAGS[name], ["*"]])
    kind = chance.random()
    if kind < 0.2:  # plain rows, of one series each so that no two have one time
        fields = ", ".join(expression(chance, chance.choice(NUMBERS[name])) for _ in range(chance.randrange(1, 3)))
        return f"SELECT {fields} FROM {name}{where(chance, name, chance.random() < 0.5)} GROUP BY *{order}{limit}"
    if kind < 0.35:  # functions of neighbours
        stream = chance.choice(STREAMS)
        if not windowed:
            return f"SELECT {stream}({chance.choice(NUMBERS[name])}) FROM {name}{where(chance, name, True)} GROUP BY *{order}{limit}"
        inner = f"{chance.choice(['mean', 'max', 'sum', 'last', 'count'])}({chance.choice(NUMBERS[name])})"
        groups = [f"time({chance.choice(WIDTHS[name])})"] + groups
        fill = chance.choice(["", "", " fill(none)", " fill(0)", " fill(linear)"])
        return f"SELECT {stream}({inner}) FROM {name}{where(chance, name, True)} GROUP BY {', '.join(groups)}{fill}{order}{limit}"
    fields = ", ".join(expression(chance, aggregate(chance, name)) for _ in range(chance.randrange(1, 4)))
    tail = ""
    if windowed:
        width = chance.choice(WIDTHS[name])
        offset = chance.choice(["", "", ", 20s", ", -1m"])
        groups = [f"time({width}{offset})"] + groups
        tail = chance.choice(["", "", " fill(none)", " fill(previous)", " fill(linear)", " fill(0)", " fill(-3.5)"])
    by = f" GROUP BY {', '.join(groups)}" if groups else ""
    return f"SELECT {fields} FROM {name}{where(chance, name, windowed or chance.random() < 0.5)}{by}{tail}{order}{limit}"
