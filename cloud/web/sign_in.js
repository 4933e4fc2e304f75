// The sign-in form.

import * as session from "./session.js";

const element = (id) => document.getElementById(id);
const form = element("sign-in");

/** Shows the form, with a reason. */
export function showForm(message = "") {
  form.hidden = false;
  form.querySelector("button").disabled = false;
  element("refusal").textContent = message;
  form.elements.email.focus();
}

export function hideForm() {
  form.hidden = true;
  form.reset();
}

/** Calls `signedIn(session)` after each sign-in; what goes wrong is shown in the form. */
export function onSignIn(signedIn) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    element("refusal").textContent = "";
    try {
      await signedIn(await session.signIn(form.elements.email.value, form.elements.password.value));
    } catch (error) {
      showForm(session.failureWords(error));
    }
    button.disabled = false;
  });
}
