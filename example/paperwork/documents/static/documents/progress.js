// Follows a job until it is finished, then puts its result on the page.
"use strict";

const INTERVAL = 400;
// After this long in the queue, the page asks whether a worker is running.
const PATIENCE = 6000;

const job = document.getElementById("job");
const statusLine = document.getElementById("job-status");
const stageLine = document.getElementById("job-stage");
const bar = document.getElementById("job-progress");
const hint = document.getElementById("job-hint");
const trouble = document.getElementById("job-trouble");
const started = Date.now();
let failures = 0;

// Written only when it changes, or a screen reader repeats it at every poll.
function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function show(state) {
  write(statusLine, state.label);
  statusLine.className = `status ${state.status}`;
  write(stageLine, state.stage || (state.finished ? state.label : "Waiting for a worker"));
  bar.value = state.progress;
  [...job.querySelectorAll(".stages li")].forEach((item, number) => {
    const current = state.status === "running" && number === state.stages_done;
    item.className = number < state.stages_done ? "done" : current ? "current" : "";
  });
  hint.hidden = state.status !== "queued" || Date.now() - started < PATIENCE;
}

async function get(address) {
  const response = await fetch(address, { headers: { Accept: "*/*" } });
  if (!response.ok) {
    throw new Error(`${address}: ${response.status}`);
  }
  return response;
}

async function finish() {
  const html = await (await get(job.dataset.result)).text();
  const outcome = document.getElementById("outcome");
  outcome.innerHTML = html;
  outcome.classList.add("arrived");
  // The part that was read out is gone; go on at what replaced it.
  outcome.focus({ preventScroll: true });
}

async function follow() {
  try {
    const state = await (await get(job.dataset.progress)).json();
    show(state);
    if (state.finished) {
      await finish();
      return;
    }
    failures = 0;
    write(trouble, "");
  } catch (error) {
    failures += 1;
    if (failures > 2) {
      write(trouble, "The server does not answer. Still trying.");
    }
  }
  // The more failures, the slower, up to five seconds.
  setTimeout(follow, Math.min(INTERVAL * 2 ** failures, 5000));
}

follow();
