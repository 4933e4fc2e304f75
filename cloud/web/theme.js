// Light or dark: the system's choice, until a parent chooses otherwise. A plain script in the head: the first paint is right.

"use strict";
{
  const KEY = "zenmoon.theme";
  const system = matchMedia("(prefers-color-scheme: dark)");

  /** Storage may be forbidden; then the choice lasts until the page is closed. */
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };

  const keep = (choice) => {
    try {
      if (choice === null) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // see above
    }
  };

  const chosen = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");

  const label = () => {
    const button = document.getElementById("theme");
    if (button) button.ariaLabel = chosen() === "dark" ? "Light colours" : "Dark colours";
  };

  const changed = () => {
    label();
    document.dispatchEvent(new CustomEvent("themechange"));
  };

  const before = stored();
  if (before === "dark" || before === "light") document.documentElement.dataset.theme = before;
  system.addEventListener("change", changed);

  document.addEventListener("DOMContentLoaded", () => {
    label();
    document.getElementById("theme").addEventListener("click", () => {
      const next = chosen() === "dark" ? "light" : "dark";
      // What the system says anyway need not be remembered: the page follows it again.
      const own = next === (system.matches ? "dark" : "light") ? null : next;
      keep(own);
      if (own === null) delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = own;
      changed();
    });
  });
}
