// The parents' page: sign in, then each child as it is now, how it went, what to try, and alarms as they come.

import { Child } from "./child.js";
import { Live } from "./live.js";
import * as session from "./session.js";
import { hideForm, onSignIn, showForm } from "./sign_in.js";

const element = (id) => document.getElementById(id);
const children = new Map();
const STATES = { connecting: "Connecting …", connected: "Live.", waiting: "Connection lost. Trying again …" };

let live = null;
let renewal = null;
let shown = Promise.resolve(); // until the children are on the page

function showSignIn(message = "") {
  live?.close();
  live = null;
  clearTimeout(renewal);
  showChildren([]);
  element("family").hidden = true;
  element("account").hidden = true;
  showForm(message);
}

/** Asks for what the page opens with, all at once: who is signed in, the children, and the WebSocket's greeting. */
async function showFamily(asked) {
  const opened = new Live({ message: receive, state: showState, lost: stillSignedIn });
  live = opened;
  live.open();
  shown = Promise.all([asked, session.list("/api/children")]).then(([, list]) => {
    if (live === opened) showChildren(list); // else somebody has signed out meanwhile
  });
  shown.catch(() => {}); // told below
  const signedIn = await asked;
  if (signedIn === null) return showSignIn();
  hideForm();
  element("guardian").textContent = signedIn.guardian.display_name;
  element("account").hidden = false;
  element("family").hidden = false;
  renewInTime(signedIn);
  await shown;
  if (children.size === 0) element("children").textContent = "No child has been added to this family yet.";
}

function showChildren(list) {
  for (const child of children.values()) child.remove();
  children.clear();
  for (const child of list) children.set(child.id, new Child(child, element("alarms")));
  element("children").replaceChildren(...[...children.values()].map((child) => child.element));
}

/** What was before the greeting is fetched, what comes after it arrives by itself: nothing falls between the two. */
async function receive(message) {
  if (message.type === "hello" && !message.data.resumed) {
    await shown.catch(() => {});
    for (const child of children.values()) child.load(message.ts);
  } else {
    children.get(message.child_id)?.receive(message);
  }
}

function showState(state) {
  element("connection").textContent = STATES[state];
  element("connection").dataset.state = state;
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

onSignIn((signedIn) => showFamily(signedIn).catch((error) => showSignIn(session.failureWords(error))));

element("sign-out").addEventListener("click", async () => {
  await session.signOut().catch(() => {});
  showSignIn();
});

document.addEventListener("themechange", () => {
  for (const child of children.values()) child.recolour();
});

async function start() {
  try {
    // Where nobody was signed in, there is nothing to ask for yet but who that is.
    const asked = session.present();
    if (session.remembered() || (await asked) !== null) await showFamily(asked);
    else showSignIn();
  } catch (error) {
    showSignIn(session.failureWords(error));
  }
}

start();
