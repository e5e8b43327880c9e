// Asks whether USER may use tokens, does the work, and reports the used tokens until the report is accepted.
//
// npm install pg; node usage.mjs USER [ID]
// Set DATABASE_URL, USAGE_URL (https://your-host/v1/usage) and USAGE_TOKEN. Without an ID a new one is made.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

const { DATABASE_URL, USAGE_URL, USAGE_TOKEN } = process.env;
const MAY_USE = `SELECT EXISTS (SELECT FROM billing.balances
                 WHERE user_id = $1 AND meter = $2 AND (available IS NULL OR available > 0))`;

async function mayUse(user, meter) {
  const database = new pg.Client(DATABASE_URL);
  await database.connect();
  const { rows } = await database.query(MAY_USE, [user, meter]).finally(() => database.end());
  return rows[0].exists;
}

async function report(event) {
  const headers = { Authorization: `Bearer ${USAGE_TOKEN}`, "Content-Type": "application/cloudevents+json" };
  const body = JSON.stringify(event);
  for (let pause = 500; ; pause = Math.min(2 * pause, 30_000)) {
    const request = { method: "POST", headers, body, signal: AbortSignal.timeout(10_000) };
    const answer = await fetch(USAGE_URL, request).catch((error) => error);
    if (answer.ok) return;
    if (answer.status < 500 && answer.status !== 408 && answer.status !== 429)
      throw new Error(`a defect: ${answer.status} ${await answer.text()}`);
    console.error(`not reported yet (${answer.status ?? answer.cause ?? answer}), again in ${pause} ms`);
    await sleep(pause);
  }
}

if (![3, 4].includes(process.argv.length)) {
  console.error("usage: node usage.mjs USER [ID]");
  process.exit(2);
}
const [user, id = randomUUID()] = process.argv.slice(2);
if (await mayUse(user, "tokens")) {
  const used = { input: 600, output: 100 }; // the work
  const time = new Date().toISOString();
  const data = { meter: "tokens", quantities: used };
  await report({ specversion: "1.0", type: "usage", source: "/node", subject: user, id, time, data });
  console.log(`${user} used ${used.input} + ${used.output} tokens, reported as ${id}`);
} else {
  console.log(`${user} may not use tokens`);
}
