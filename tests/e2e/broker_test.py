"""Other people's clients as publisher and subscriber: mosquitto_pub, mosquitto_sub and paho, through every version; and
kill -9, after which what was acknowledged to a publisher still reaches its subscriber."""

import os
import random
import subprocess
import threading
import time
import unittest

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from e2e.harness import LIMIT_S, Fluxgate, wait_until

SEED = int(os.environ.get("FLUXGATE_SEED", str(time.time_ns() % 1_000_000)))
KILLS = int(os.environ.get("FLUXGATE_BROKER_KILLS", "10"))
VERSIONS = {"mqttv31": paho.MQTTv31, "mqttv311": paho.MQTTv311, "mqttv5": paho.MQTTv5}


def connect(flux, key: str, client_id: str, version: int, lasting: bool = False, on_message=None) -> paho.Client:
    """A connected paho client that comes back by itself; `lasting`: so does its session."""
    clean = {} if version == paho.MQTTv5 else {"clean_session": not lasting}
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, **clean)
    client.username_pw_set("key", key)
    client.max_inflight_messages_set(50)
    client.reconnect_delay_set(1, 1)
    client.connected = threading.Event()
    client.subscribed = threading.Event()
    client.on_connect = lambda *_: client.connected.set()
    client.on_subscribe = lambda *_: client.subscribed.set()
    if on_message:
        client.on_message = on_message
    client.options = {"keepalive": 30}
    if version == paho.MQTTv5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600 if lasting else 0
        client.options |= {"clean_start": not lasting, "properties": properties}
    client.connect(*flux.mqtt, **client.options)
    client.loop_start()
    assert client.connected.wait(LIMIT_S), "no CONNACK"
    return client


def subscribe(client: paho.Client, topic: str, qos: int) -> None:
    client.subscribed.clear()
    client.subscribe(topic, qos)
    assert client.subscribed.wait(LIMIT_S), "no SUBACK"


def close(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()


class Broker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.key = cls.flux.ingest_key()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def arguments(self, version: str, qos: int) -> list[str]:
        host, port = self.flux.mqtt
        return ["-h", host, "-p", str(port), "-V", version, "-q", str(qos), "-u", "key", "-P", self.key]

    def test_mosquittos_clients_talk_to_each_other(self):
        for version in VERSIONS:
            for qos in range(3):
                topic = f"talk/{version}/{qos}"
                with self.subTest(topic):
                    # A retained message says that the listener is there: it is the first that it prints.
                    publish = ["mosquitto_pub", *self.arguments(version, qos), "-t"]
                    subprocess.run([*publish, f"{topic}/a", "-m", "ready", "-r"], check=True, timeout=LIMIT_S)
                    listener = subprocess.Popen(
                        ["mosquitto_sub", *self.arguments(version, qos), "-t", f"{topic}/#", "-C", "3", "-F", "%t %p %q %r"],
                        stdout=subprocess.PIPE, text=True)
                    self.assertEqual(listener.stdout.readline(), f"{topic}/a ready {qos} 1\n")
                    for word in ("one", "two"):
                        subprocess.run([*publish, f"{topic}/b", "-m", word], check=True, timeout=LIMIT_S)
                    rest, _ = listener.communicate(timeout=LIMIT_S)
                    self.assertEqual(rest, f"{topic}/b one {qos} 0\n{topic}/b two {qos} 0\n")

    def test_paho_asks_and_is_answered(self):
        answers = []
        asker = connect(self.flux, self.key, "asker", paho.MQTTv5, on_message=lambda c, d, m: answers.append(m))

        def answer(client, _, message):
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = message.properties.CorrelationData
            client.publish(message.properties.ResponseTopic, message.payload.upper(), 2, properties=properties)

        worker = connect(self.flux, self.key, "worker", paho.MQTTv5, on_message=answer)
        subscribe(asker, "answers/asker", 2)
        subscribe(worker, "$share/workers/questions", 2)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "answers/asker"
        properties.CorrelationData = b"\x00\x01"
        properties.UserProperty = ("who", "asker")
        asker.publish("questions", b"hello", 2, properties=properties)
        wait_until(lambda: answers, what="an answer")
        self.assertEqual((answers[0].payload, answers[0].properties.CorrelationData), (b"HELLO", b"\x00\x01"))
        close(asker)
        close(worker)

    def test_paho_leaves_a_will(self):
        heard = []
        listener = connect(self.flux, self.key, "heir", paho.MQTTv311, on_message=lambda c, d, m: heard.append(m.payload))
        subscribe(listener, "wills/#", 1)
        host, port = self.flux.mqtt
        dying = subprocess.Popen(["mosquitto_sub", *self.arguments("mqttv5", 1), "-t", "wills/none", "--will-topic", "wills/x",
                                  "--will-payload", "gone", "--will-qos", "2"])
        metric = "fluxgate_broker_sessions_connected"
        wait_until(lambda: f"{metric} 2" in self.flux.administrator().get("/metrics").body.decode(), what="its connection")
        dying.kill()
        dying.wait()
        wait_until(lambda: heard == [b"gone"], what="the will")
        close(listener)


class BrokerCrash(unittest.TestCase):
    def test_what_was_acknowledged_reaches_its_subscriber(self):
        print(f"FLUXGATE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        with Fluxgate("--set", "bus.segment_bytes=256KiB", "--set", "ingest.mqtt.broker.queue_messages=60000") as flux:
            key = flux.ingest_key()
            # One that is away all the time, and one that listens through every crash.
            for name, qos in (("away-1", 1), ("away-2", 2)):
                client = connect(flux, key, name, paho.MQTTv311, lasting=True)
                subscribe(client, f"crash/{qos}", qos)
                close(client)
            heard: dict[str, list[bytes]] = {"present-1": [], "present-2": [], "away-1": [], "away-2": []}

            def hear(name):
                return lambda client, data, message: heard[name].append(message.payload)

            present = []
            for qos in (1, 2):
                client = connect(flux, key, f"present-{qos}", paho.MQTTv5, lasting=True, on_message=hear(f"present-{qos}"))
                subscribe(client, f"crash/{qos}", qos)
                present.append(client)
            # By packet identifier, of which there are enough. No lock: paho calls back with one of its own held.
            sent: dict[int, tuple[int, bytes]] = {}
            done: set[int] = set()
            talker = connect(flux, key, "talker", paho.MQTTv311, lasting=True)
            talker.on_publish = lambda client, data, mid, code, properties: done.add(mid)

            def acknowledged(qos: int) -> set[bytes]:
                return {payload for mid, (its, payload) in list(sent.items()) if its == qos and mid in done}

            number = 0
            for _ in range(KILLS):
                before = len(done)
                wanted = chance.randint(1, 400)
                for _ in range(wanted):
                    qos = 1 + number % 2
                    payload = str(number).encode()
                    number += 1
                    sent[talker.publish(f"crash/{qos}", payload, qos).mid] = (qos, payload)
                enough = chance.randint(1, wanted)
                wait_until(lambda: len(done) >= before + enough // 2, what=f"{enough // 2} acknowledgements")
                flux.kill()
                flux.start()
                for client in (*present, talker):
                    client.connect_async(*flux.mqtt, **client.options)  # it has other ports now
            sent[talker.publish("crash/1", b"last", 1).mid] = (1, b"last")
            wait_until(lambda: set(sent) <= done, what="all acknowledgements")
            wait_until(lambda: b"last" in heard["present-1"], what="the last message")
            wait_until(lambda: acknowledged(2) <= set(heard["present-2"]), what="all messages of QoS 2")
            away = [connect(flux, key, f"away-{qos}", paho.MQTTv311, lasting=True, on_message=hear(f"away-{qos}"))
                    for qos in (1, 2)]
            for name, payloads in heard.items():
                qos = int(name[-1])
                wait_until(lambda: acknowledged(qos) <= set(payloads), what=f"all messages of {name}")
                if qos == 2:
                    self.assertEqual(len(payloads), len(set(payloads)), f"{name} heard one twice")
            for client in (*present, *away, talker):
                close(client)


if __name__ == "__main__":
    unittest.main()
