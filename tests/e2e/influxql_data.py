"""Line protocol that both servers get: gaps, all types, series that lack a tag or a field, negative values and ties."""

import random

START = 1_767_225_600  # 2026-01-01T00:00:00Z
DATABASE = "site"


def lines() -> list[str]:
    chance = random.Random(20260101)
    out = []
    for number, (host, region) in enumerate([("a1", "north"), ("a2", "north"), ("b1", "south"), ("b2", "")]):
        for step in range(240):
            if 60 <= step < 75 and host == "a1" or chance.random() < 0.05:
                continue  # a gap
            at = START + step * 10 + number  # no two series at one time
            tags = f"host={host}" + (f",region={region}" if region else "")
            fields = [f"usage={round(chance.uniform(-20, 100), 3)}", f"count={chance.randrange(-5, 500)}i"]
            if step % 3 == 0:
                fields.append(f"state=\"{chance.choice(['on', 'off', 'idle, really'])}\"")
            if step % 4 == 0:
                fields.append(f"ok={chance.choice(['true', 'false'])}")
            if host != "b1":
                fields.append(f"load={step * 0.5 + number}")
            out.append(f"cpu,{tags} {','.join(fields)} {at}000000000")
    for step in range(60):
        at = START + step * 60
        out.append(f"mem,host=a1,slot=one\\ two used={1000 + step * 7}i,free={5000.5 - step} {at}000000000")
        out.append(f"mem,host=b1,slot=three used={chance.randrange(3)}i,free={step % 7} {at + 1}000000000")
        out.append(f"count\\,er,host=a1 total={step * step}i {at + 2}000000000")
    for step in range(48):
        # Over the change of clocks in Berlin on 2026-03-29 and a few days around it.
        at = 1_774_656_000 + step * 3600 + step
        out.append(f"clock,host=a1 v={step}i,w={step * 1.25} {at}000000000")
    for step, value in enumerate([3, 9, 4, 1, 12, 15, 9, 3, 4, 2, 11, 17, 8, 2, 5, 3, 14, 16, 10, 4]):
        out.append(f"tide,place=bay level={value}.5 {START + step * 3600}000000000")
    out.append(f"lone v=1 {START}000000000")
    return out
