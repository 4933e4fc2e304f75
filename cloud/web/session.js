// The sign-in and the requests made with it. The session is an HttpOnly cookie; a script holds the CSRF token only.

let csrfToken = "";

const KEY = "zenmoon.signed-in";
const AWAY = "The service cannot be reached. Try again in a moment.";

/** An answer other than success: the problem document's type, and its detail as the message. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? "The service did not answer as expected. Try again in a moment.");
    this.status = status;
    this.type = problem.type ?? "";
  }
}

/** Why a request failed, for a person. */
export function failureWords(error) {
  return error instanceof Refusal ? error.message : AWAY;
}

/** Whether somebody was signed in on this device when the page was last here. A guess that saves time; it opens nothing. */
export function remembered() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false; // storage may be forbidden
  }
}

/** Sends a request and returns its JSON; throws Refusal, or TypeError when there is no connection. */
export async function request(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: sent, credentials: "same-origin" });
  if (answer.status === 204) return null;
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, document);
  return document;
}

/** Returns the present sign-in, null when there is none. */
export async function present() {
  try {
    return remember(await request("GET", "/api/auth/session"));
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) return forget();
    throw error;
  }
}

export async function signIn(email, password) {
  return remember(await request("POST", "/api/auth/login", { email, password }));
}

export async function renew() {
  return remember(await request("POST", "/api/auth/refresh"));
}

export async function signOut() {
  await request("POST", "/api/auth/logout");
  csrfToken = "";
  forget();
}

/** Collects a list over all its pages. */
export async function list(path) {
  const items = [];
  let cursor = null;
  do {
    const page = await request("GET", cursor === null ? path : `${path}?cursor=${encodeURIComponent(cursor)}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return items;
}

function remember(session) {
  csrfToken = session.csrf_token;
  try {
    localStorage.setItem(KEY, "");
  } catch {
    // storage may be forbidden
  }
  return session;
}

function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // storage may be forbidden
  }
  return null;
}
