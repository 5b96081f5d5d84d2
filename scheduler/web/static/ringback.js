/* What pages gain where scripts run: figures that stay live, charts, dialogs. Every form and link works without. */
(function () {
  "use strict";

  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));

  /* --- live figures: <main data-stream="/live?..."> and elements with data-live="name" --- */

  let source = null;
  let address = "";
  let wasLost = false;
  const seen = new Map();

  function listen() {
    const main = document.querySelector("[data-stream]");
    if (!main || source || document.hidden || !window.EventSource) return;
    address = main.dataset.stream;
    source = new EventSource(address);
    source.addEventListener("figures", (message) => {
      const news = JSON.parse(message.data);
      tell(Boolean(news.away));
      show(news);
    });
    source.addEventListener("error", () => {
      tell(true);
      if (source && source.readyState === EventSource.CLOSED) {
        // The server refused (too many streams, a session that is over): the browser does not try again by itself.
        stop();
        setTimeout(listen, 15000);
      }
    });
  }

  function stop() {
    if (source) source.close();
    source = null;
  }

  function tell(isLost) {
    const sign = document.getElementById("connection");
    const main = document.querySelector("[data-stream]");
    if (!sign || !main) return;
    main.classList.toggle("is-stale", isLost);
    if (isLost) {
      sign.textContent = document.body.dataset.lost;
      sign.classList.remove("is-back");
      sign.hidden = false;
    } else if (wasLost) {
      sign.textContent = document.body.dataset.back;
      sign.classList.add("is-back");
      setTimeout(() => { if (!wasLost) sign.hidden = true; }, 4000);
    }
    wasLost = isLost;
  }

  function show(news) {
    for (const [name, text] of Object.entries(news.texts || {})) {
      for (const element of all('[data-live="' + CSS.escape(name) + '"]')) {
        if (element.textContent === text) continue;
        element.textContent = text;
        element.classList.remove("flash");
        if (seen.has(name)) { void element.offsetWidth; element.classList.add("flash"); }
      }
      seen.set(name, text);
    }
    for (const [name, value] of Object.entries(news.values || {})) {
      for (const element of all('[data-live-value="' + CSS.escape(name) + '"]')) element.value = value;
    }
    for (const [name, html] of Object.entries(news.parts || {})) {
      const element = document.querySelector('[data-live-part="' + CSS.escape(name) + '"]');
      // Made by our own templates, which escape; never replaced under somebody's fingers.
      if (element && seen.get("part " + name) !== html && !element.contains(document.activeElement)) {
        element.innerHTML = html;
        seen.set("part " + name, html);
        draw();
      }
    }
    if (news.spoken) {
      const region = document.getElementById("spoken");
      if (region && region.textContent !== news.spoken.text) region.textContent = news.spoken.text;
    }
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", listen);

  /* --- charts: <div class="chart" data-table="id-of-a-table">; the table holds the figures --- */

  const charts = new Map();

  function read(table) {
    const names = all("thead th", table).map((cell) => cell.textContent);
    const columns = names.map(() => []);
    const labels = [];
    for (const row of all("tbody tr", table)) {
      Array.from(row.cells).forEach((cell, place) => {
        if (place === 0) labels.push(cell.textContent.trim());
        else columns[place].push(Number(cell.dataset.value));
      });
    }
    columns[0] = labels.map((_, place) => place);
    return { names, labels, data: columns };
  }

  const ink = (root, name) => {
    const probe = document.createElement("span");
    probe.className = "ink-" + name;
    root.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };

  function draw() {
    if (!window.uPlot) return;
    for (const box of all(".chart[data-table]")) {
      const table = document.getElementById(box.dataset.table);
      if (!table) continue;
      const { names, labels, data } = read(table);
      if (charts.get(box) && !box.isConnected) charts.delete(box);
      const known = charts.get(box);
      if (known && known.labels.join() === labels.join()) {
        known.plot.setData(data);
        continue;
      }
      if (known) known.plot.destroy();
      charts.set(box, { labels, plot: plot(box, names, labels, data) });
    }
  }

  function plot(box, names, labels, data) {
    const text = ink(box, "text"), line = ink(box, "line");
    const font = "12px " + getComputedStyle(document.body).fontFamily;
    const bars = (place) => window.uPlot.paths.bars({ size: [0.9 - 0.22 * (place - 1), 64], radius: 0.15 });
    const whole = new Intl.NumberFormat(document.documentElement.lang);
    const axis = { stroke: text, font: font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    return new window.uPlot({
      width: Math.max(240, box.clientWidth), height: 240,
      scales: { x: { time: false, range: [-0.6, Math.max(0, labels.length - 0.4)] }, y: { range: (u, low, high) => [0, Math.max(5, high * 1.1)] } },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      axes: [
        { ...axis, grid: { show: false }, splits: () => labels.map((_, place) => place).filter((place) => place % Math.ceil(labels.length / Math.max(4, box.clientWidth / 56)) === 0), values: (u, places) => places.map((place) => labels[place]) },
        { ...axis, size: 52, values: (u, marks) => marks.map((mark) => (Number.isInteger(mark) ? whole.format(mark) : "")) },
      ],
      series: [
        { label: names[0], value: (u, place) => (place == null ? "–" : labels[place]) },
        ...names.slice(1).map((name, at) => ({
          label: name, fill: ink(box, String(at + 1)), stroke: ink(box, String(at + 1)), width: 0, paths: bars(at + 1),
          points: { show: false }, value: (u, value) => (value == null ? "" : whole.format(value)),
        })),
      ],
    }, data, box);
  }

  function again() {
    for (const { plot: one } of charts.values()) one.destroy();
    charts.clear();
    draw();
  }

  let width = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(again.later);
    again.later = setTimeout(again, 150);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

  /* --- dialogs: <a data-dialog="id"> opens <dialog id>; [data-close] closes it --- */

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    const dialog = opener && document.getElementById(opener.dataset.dialog);
    if (dialog && dialog.showModal && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      dialog.showModal();
    }
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog").close();
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    // Browsers want other keys beside an accesskey, each its own; in a hurry it must be the one that is written there.
    if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === "KeyP") {
      const stop = document.querySelector('[accesskey="p"]');
      if (stop) { event.preventDefault(); stop.click(); }
    }
    if (event.key !== "Escape") return;
    for (const menu of all("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  /* --- forms: a second click does nothing; what is typed by default is selected --- */

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => { for (const form of all("form[data-sent]")) delete form.dataset.sent; });
  for (const field of all("input[data-select]")) if (field.autofocus) field.select();

  document.addEventListener("htmx:afterSettle", () => {
    draw();
    const main = document.querySelector("[data-stream]");
    if (!main || main.dataset.stream === address) return;
    stop();  // the page shows something else now
    listen();
  });
  draw();
  listen();
})();
