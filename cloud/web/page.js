// The parents' page: sign in, then what every child's wristband says at this moment.

import { Card } from "./card.js";
import { Live } from "./live.js";
import * as session from "./session.js";

const element = (id) => document.getElementById(id);
const form = element("sign-in");
const cards = new Map();
const STATES = { connecting: "Connecting …", connected: "Live.", waiting: "Connection lost. Trying again …" };
// How far back the first values may lie; older ones say nothing about now.
const RECENT_MS = 30 * 60 * 1000;

let live = null;
let renewal = null;

function showSignIn(message = "") {
  live?.close();
  live = null;
  clearTimeout(renewal);
  element("live").hidden = true;
  element("account").hidden = true;
  form.hidden = false;
  form.querySelector("button").disabled = false;
  element("refusal").textContent = message;
  form.elements.email.focus();
}

async function showChildren(signedIn) {
  form.hidden = true;
  form.reset();
  element("guardian").textContent = signedIn.guardian.display_name;
  element("account").hidden = false;
  element("live").hidden = false;
  renewInTime(signedIn);
  await loadChildren();
  live = new Live({ message: receive, state: showState, lost: stillSignedIn });
  live.open();
}

async function loadChildren() {
  cards.clear();
  for (const child of await session.list("/api/children")) {
    const card = new Card(child);
    cards.set(child.id, card);
    const consents = await session.request("GET", `/api/consents?child_id=${encodeURIComponent(child.id)}`);
    card.monitoring(consents.some((consent) => consent.purpose === "monitoring" && consent.granted));
  }
  element("children").replaceChildren(...[...cards.values()].map((card) => card.element));
  if (cards.size === 0) element("children").textContent = "No child has been added to this family yet.";
}

async function receive(message) {
  if (message.type === "live") {
    cards.get(message.child_id)?.show(message.data.records);
  } else if (message.type === "hello" && !message.data.resumed) {
    await loadRecent(message.ts).catch(() => {});
  }
}

/** Fetches what was measured just before the socket opened; `ts` is the service's clock, which a demo runs fast. */
async function loadRecent(ts) {
  const since = new Date(Date.parse(ts) - RECENT_MS).toISOString();
  for (const [id, card] of cards) {
    const path = `/api/children/${encodeURIComponent(id)}/series?from=${since}&to=${new Date(ts).toISOString()}`;
    card.show((await session.request("GET", `${path}&metric=stress_level&metric=heart_rate_bpm`)).records);
  }
}

function showState(state) {
  element("connection").textContent = STATES[state];
}

/** Before each new attempt: a lost connection may mean that the session is over. */
async function stillSignedIn() {
  try {
    if ((await session.present()) !== null) return true;
  } catch {
    return true; // the service is away, not the session
  }
  showSignIn("Your session is over. Sign in again.");
  return false;
}

function renewInTime(signedIn) {
  clearTimeout(renewal);
  // Half of what is left, and never so long that the timer's 32 bits overflow.
  const left = (Date.parse(signedIn.expires_at) - Date.now()) / 2;
  const wait = Math.min(Math.max(left, 1000), 2 ** 31 - 1);
  renewal = setTimeout(async () => {
    try {
      renewInTime(await session.renew());
    } catch {
      if (await stillSignedIn()) renewal = setTimeout(() => renewInTime(signedIn), 60000);
    }
  }, wait);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  element("refusal").textContent = "";
  try {
    await showChildren(await session.signIn(form.elements.email.value, form.elements.password.value));
  } catch (error) {
    showSignIn(error instanceof session.Refusal ? error.message : "The service cannot be reached. Try again in a moment.");
  }
  button.disabled = false;
});

element("sign-out").addEventListener("click", async () => {
  await session.signOut().catch(() => {});
  cards.clear();
  element("children").replaceChildren();
  showSignIn();
});

async function start() {
  try {
    const signedIn = await session.present();
    await (signedIn === null ? showSignIn() : showChildren(signedIn));
  } catch {
    showSignIn("The service cannot be reached. Try again in a moment.");
  }
}

start();
