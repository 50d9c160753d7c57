// The page of settings: keys are made and revoked; a new one is shown once.

import { followButtons, formContent, sent } from "./actions.js";
import { refresh } from "./live.js";

const form = document.getElementById("make-key");
const problem = form.querySelector("[role=alert]");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { why, told } = await sent("POST", form.dataset.send, formContent(form));
  problem.textContent = why;
  problem.hidden = why === "";
  if (why !== "") return;
  const shown = document.getElementById("new-key");
  shown.querySelector("code").textContent = told.key;
  shown.hidden = false;
  form.reset();
  await refresh();
});
followButtons(refresh);
