// Elements of the page: copied from its templates, made, and written at most once a frame.

const waiting = new Set();

/** Runs `task` before the next paint; asking several times for the same one runs it once. */
export function paint(task) {
  if (waiting.size === 0) requestAnimationFrame(run);
  waiting.add(task);
}

function run() {
  const tasks = [...waiting];
  waiting.clear();
  for (const task of tasks) task();
}

/** Copies `<template id>`: returns its element, and by name every part of it that has a `data-field`. */
export function copy(id) {
  const element = document.getElementById(id).content.cloneNode(true).firstElementChild;
  const parts = [...element.querySelectorAll("[data-field]")].map((part) => [part.dataset.field, part]);
  return { element, fields: Object.fromEntries(parts) };
}

/** An element with a text. */
export function make(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
