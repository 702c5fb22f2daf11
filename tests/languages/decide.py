"""Asks the component for two decisions: a genuine delivery, and the same with a byte more."""

import json
import sys

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record


def record(**fields):
    made = Record()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


question = json.load(sys.stdin)
engine = Engine()
store = Store(engine)
instance = Linker(engine).instantiate(store, Component.from_file(engine, sys.argv[1]))
interface = instance.get_export_index(store, "hookgate:kapso/gate@0.1.0")


def function(name):
    return instance.get_func(store, instance.get_export_index(store, name, interface))


secret = record(name="SECRET", value=question["secret"])
gate = function("[static]gate.compile")(store, question["policy"], [secret])
headers = [record(name=name, value=value.encode()) for name, value in question["headers"]]
head = record(method="POST", path="/hook", headers=headers)


def decide(body):
    return function("[method]gate.decide")(store, gate, record(head=head, body=body.encode()), question["now"])


genuine = decide(question["body"])
forged = decide(question["body"] + " ")
delivery = genuine.payload.delivery
refusal = forged.payload
print(json.dumps({
    "genuine": [genuine.tag, delivery.name, [getattr(event, "item-key") for event in delivery.events]],
    "forged": [forged.tag, refusal.response.status, refusal.rejection],
}))
