() => {
  // What keeps people out who see little or nothing: missing names, doubled ids, skipped headings, weak contrast.
  const faults = [], seen = new Set();
  const shown = (e) => { const r = e.getBoundingClientRect(), s = getComputedStyle(e);
    return r.width > 1 && r.height > 1 && s.visibility === 'visible' && e.checkVisibility(); };
  for (const e of document.querySelectorAll('[id]')) { if (seen.has(e.id)) faults.push('twice: #' + e.id); seen.add(e.id); }
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (shown(e) && !(e.labels && e.labels.length) && !e.getAttribute('aria-label')) faults.push('no label: ' + e.name);
  for (const e of document.querySelectorAll('a[href], button, summary'))
    if (shown(e) && !(e.innerText || '').trim() && !e.getAttribute('aria-label') && !e.querySelector('.hidden, span'))
      faults.push('no name: ' + e.outerHTML.slice(0, 80));
  for (const e of document.querySelectorAll('table:not(.u-legend)'))
    if (!e.caption || e.querySelector('th:not([scope])')) faults.push('table without caption or scope: ' + e.id);
  for (const name of ['aria-describedby', 'aria-labelledby'])
    for (const e of document.querySelectorAll('[' + name + ']'))
      for (const id of e.getAttribute(name).split(/\s+/)) if (!document.getElementById(id)) faults.push(name + ': ' + id);
  let last = 0;
  for (const e of document.querySelectorAll('main h1, main h2, main h3')) {
    if (!e.checkVisibility()) continue;
    const level = Number(e.tagName[1]); if (level > last + 1) faults.push('heading skips: ' + e.innerText); last = level; }
  if (document.querySelectorAll('main').length !== 1) faults.push('main');
  const read = (text) => { const n = text.match(/[\d.]+/g).map(Number); return text.startsWith('color(srgb') ?
    [255 * n[0], 255 * n[1], 255 * n[2], n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const light = (c) => { const v = c.slice(0, 3).map((x) => { x /= 255;
    return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; }); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = read(getComputedStyle(e).backgroundColor);
    if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), told = new Set();
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e || !shown(e) || e.closest('.hidden, .skip, [disabled], option, script, .u-legend')) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const a = light(read(style.color)), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const key = e.tagName + '.' + e.className;
    if (ratio < least && !told.has(key)) { told.add(key);
      faults.push('contrast ' + ratio.toFixed(2) + ': ' + key + ' ' + walker.currentNode.data.trim().slice(0, 30)); }
  }
  return faults;
}
