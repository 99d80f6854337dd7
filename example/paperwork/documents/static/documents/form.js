// Says how much of the limit a text takes, before it is sent.
"use strict";

const form = document.querySelector("form[data-max-bytes]");
const text = form.elements.text;
const file = form.elements.file;
const size = document.getElementById("size");
const max = Number(form.dataset.maxBytes);

function kilobytes(bytes) {
  return `${bytes < 1000 ? (bytes / 1000).toFixed(1) : Math.ceil(bytes / 1000)} kB`;
}

function complaint(bytes) {
  return bytes > max
    ? `This text has ${kilobytes(bytes)}, and the limit is ${max / 1000} kB. Please shorten it.`
    : "";
}

function say(field, message) {
  const error = document.getElementById(`${field.name}-error`);
  error.textContent = message;
  field.setAttribute("aria-invalid", String(message !== ""));
  return message === "";
}

function checkText() {
  const bytes = new Blob([text.value]).size;
  size.textContent = `${kilobytes(bytes)} of ${max / 1000} kB`;
  return say(text, complaint(bytes));
}

function checkFile() {
  return say(file, complaint(file.files.length ? file.files[0].size : 0));
}

text.addEventListener("input", checkText);
file.addEventListener("change", checkFile);
form.addEventListener("submit", (event) => {
  const wrong = [checkText() ? null : text, checkFile() ? null : file].find(Boolean);
  if (wrong) {
    event.preventDefault();
    wrong.focus();
  }
});
if (text.value) {
  size.textContent = `${kilobytes(new Blob([text.value]).size)} of ${max / 1000} kB`;
}
