// A file may be dropped on the form, and the page says how much of it has been sent. Without this, the plain file
// input and the form do the same.
"use strict";
(() => {
  const form = document.getElementById("upload");
  const drop = form && form.querySelector("[data-drop]");
  const input = form && form.querySelector('input[type="file"]');
  if (!drop || !input) return;
  const chosen = document.getElementById("file-chosen");
  const progress = document.getElementById("upload-progress");

  const show = () => {
    const file = input.files[0];
    chosen.textContent = file ? drop.dataset.chosen.replace("{name}", file.name) : "";
  };
  input.addEventListener("change", show);

  let depth = 0;
  const over = (by) => {
    depth = Math.max(0, depth + by);
    drop.classList.toggle("is-over", depth > 0);
  };
  drop.addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("dragleave", () => over(-1));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    over(0);
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      show();
      input.focus();
    }
  });
  // A file that misses the target must not replace the page.
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => { if (!drop.contains(event.target)) event.preventDefault(); });
  }

  form.addEventListener("submit", () => {
    progress.removeAttribute("value");
    progress.hidden = false;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", () => {
    progress.hidden = true;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  });
})();
