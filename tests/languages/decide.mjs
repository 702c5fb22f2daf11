// Asks the transpiled component for two decisions: a genuine delivery, and the same with a byte more.
import { readFileSync } from "node:fs";

const { gate } = await import(process.argv[2]);
const { policy, secret, headers, body, now } = JSON.parse(readFileSync(0, "utf8"));
const bytes = (text) => new TextEncoder().encode(text);
const fields = headers.map(([name, value]) => ({ name, value: bytes(value) }));
const compiled = gate.Gate.compile(policy, [{ name: "SECRET", value: secret }]);
const head = { method: "POST", path: "/hook", headers: fields };
const decide = (body) => compiled.decide({ head, body: bytes(body) }, BigInt(now));

const genuine = decide(body);
const forged = decide(body + " ");
console.log(
  JSON.stringify({
    genuine: [genuine.tag, genuine.val.delivery.name, genuine.val.delivery.events.map((event) => event.itemKey)],
    forged: [forged.tag, forged.val.response.status, forged.val.rejection],
  }),
);
