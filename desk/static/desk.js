// The keyboard, and rows that are asked for again. Without script all pages work as well.
"use strict";

const rows = document.getElementById("rows");
const dialog = document.getElementById("decide");
let here = null; // the case that is marked in the queue

function mark(row) {
  rows.querySelectorAll("tr.here").forEach((other) => other.classList.remove("here"));
  here = row ? row.dataset.case : null;
  if (row) {
    row.classList.add("here");
    row.scrollIntoView({ block: "nearest" });
  }
}

function step(by) {
  const all = [...rows.querySelectorAll("tr[data-case]")];
  const at = all.findIndex((row) => row.dataset.case === here);
  mark(all[Math.max(0, Math.min(all.length - 1, at + by))] || null);
}

function decide(caseId, verdict) {
  const form = dialog.querySelector("form");
  form.action = form.dataset[verdict];
  form.elements.case_id.value = caseId;
  form.querySelector("strong").textContent = verdict === "confirm" ? `Confirm case ${caseId} as fraud?` : `Dismiss case ${caseId} as legitimate?`;
  dialog.showModal();
  form.elements.note.focus();
}

function openCase(caseId) {
  const link = rows.querySelector(`tr[data-case="${caseId}"] a`);
  if (link) location.href = link.href;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, button, a, dialog")) return;
  const open = document.querySelector("section[data-case] form[action$='confirm']");
  const caseId = rows ? here : open && open.elements.case_id.value;
  if (rows && event.key === "j") step(1);
  else if (rows && event.key === "k") step(-1);
  else if (rows && here && event.key === "Enter") openCase(here);
  else if (dialog && caseId && event.key === "c") decide(caseId, "confirm");
  else if (dialog && caseId && event.key === "d") decide(caseId, "dismiss");
  else return;
  event.preventDefault();
});

if (dialog) dialog.querySelector("button[value=no]").addEventListener("click", () => dialog.close());

if (rows) {
  rows.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-case]");
    if (row && !event.target.closest("a, input")) mark(row);
  });
  // Not while nobody looks: then the session may end of idleness, as it should.
  setInterval(async () => {
    if (document.hidden || dialog.open) return;
    const live = document.getElementById("live");
    try {
      const answer = await fetch(rows.dataset.fragment, { headers: { "X-Fragment": "yes" } });
      if (answer.status === 401) location.reload();
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (dialog.open) return;
      const chosen = new Set([...rows.querySelectorAll("input:checked")].map((box) => box.value));
      rows.innerHTML = text; // made by the server, which escapes what comes from data
      rows.querySelectorAll("input").forEach((box) => { box.checked = chosen.has(box.value); });
      const row = here && rows.querySelector(`tr[data-case="${here}"]`);
      if (row) row.classList.add("here");
      live.textContent = "";
    } catch (fault) {
      live.textContent = "; the last time it did not answer";
    }
  }, 5000);
}
