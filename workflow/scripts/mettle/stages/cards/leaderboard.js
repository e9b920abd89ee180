const { models, columns } = JSON.parse(document.getElementById("data").textContent);
const get = id => document.getElementById(id);
const text = value => String(value).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const short = value => value === null ? "" : String(Math.round(value * 1e4) / 1e4);
let sorted = { by: columns.length ? columns.findIndex(c => c.shown) : -1, down: true };
if (sorted.by >= 0 && columns[sorted.by].less) sorted.down = false;

// Filters

function options(select, values) {
  select.innerHTML = `<option value="">all</option>` + [...new Set(values)].sort().map(v => `<option>${text(v)}</option>`).join("");
  select.addEventListener("change", update);
}
options(get("dataset"), columns.map(c => c.dataset));
options(get("against"), models.map(m => m.against));
options(get("study"), models.map(m => m.study));
get("search").addEventListener("input", update);
get("filters").addEventListener("submit", event => event.preventDefault());

get("columns").innerHTML = columns.map((c, i) =>
  `<label><input type="checkbox" value="${i}"${c.shown ? " checked" : ""}> ${text(c.dataset)}: ${text(c.title)} (${Object.keys(c.cells).length} models)</label>`
).join("");
get("columns").addEventListener("change", event => {
  columns[event.target.value].shown = event.target.checked;
  update();
});

const visible = () => columns.map((c, i) => [c, i]).filter(([c]) => c.shown && (!get("dataset").value || c.dataset === get("dataset").value));

function chosen() {
  const asked = get("search").value.toLowerCase();
  return models.filter(m =>
    (!get("against").value || m.against === get("against").value) &&
    (!get("study").value || m.study === get("study").value) &&
    (!get("dataset").value || columns.some(c => c.dataset === get("dataset").value && c.cells[m.name])) &&
    `${m.name} ${m.label} ${m.arch}`.toLowerCase().includes(asked));
}

// Table

function cell(column, name) {
  const found = column.cells[name];
  if (!found) return "<td></td>";
  const [value, lo, hi, rank, first, last, note] = found;
  const spread = lo === null ? "" : ` <small>${lo.toFixed(3)} to ${hi.toFixed(3)}</small>`;
  const place = rank === null ? "" : ` <small title="rank ${rank}; ${first} to ${last} over bootstrap samples">#${rank}${first === last ? "" : ` [${first}–${last}]`}</small>`;
  return `<td${note ? ` class="doubt" title="${text(note)}"` : ""}>${short(value)}${spread}${place}</td>`;
}

function head(title, by, small) {
  const way = sorted.by === by ? ` aria-sort="${sorted.down ? "descending" : "ascending"}"` : "";
  return `<th scope="col"${way}><button type="button" data-by="${by}">${text(title)}</button>${small ? `<small>${text(small)}</small>` : ""}</th>`;
}

const fields = [["label", "model"], ["arch", "architecture"], ["against", "trained against"]];

function order(rows) {
  const way = sorted.down ? -1 : 1;
  const value = sorted.by >= 0
    ? m => columns[sorted.by].cells[m.name]?.[0] ?? null
    : m => m[fields[-sorted.by - 1][0]];
  return rows.map(m => [value(m), m]).sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return way * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  }).map(([, m]) => m);
}

function update() {
  const shown = visible(), rows = order(chosen());
  get("models").tHead.innerHTML = "<tr>" + fields.map(([, words], i) => head(words, -i - 1)).join("") +
    shown.map(([c, i]) => head(c.title, i, c.dataset + (c.n === null ? "" : `, ${c.n.toLocaleString("en")} images`))).join("") + "</tr>";
  get("models").tBodies[0].innerHTML = rows.map(m =>
    `<tr><th scope="row"><a href="cards/${encodeURIComponent(m.name)}.html" title="${text(m.name)}">${text(m.label)}</a></th>` +
    `<td>${text(m.arch)}</td><td>${text(m.against)}</td>${shown.map(([c]) => cell(c, m.name)).join("")}</tr>`).join("");
  get("count").textContent = `${rows.length} of ${models.length} models`;
  draw(rows);
}
get("models").tHead.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  const by = Number(button.dataset.by);
  sorted = { by, down: sorted.by === by ? !sorted.down : by >= 0 && !columns[by].less };
  update();
  get("models").tHead.querySelector(`button[data-by="${by}"]`).focus();
});

// Scatter

for (const [id, place] of [["x", 0], ["y", 1]]) {
  get(id).innerHTML = columns.map((c, i) => `<option value="${i}">${text(c.dataset)}: ${text(c.title)}</option>`).join("");
  get(id).selectedIndex = Math.min(place, columns.length - 1);
  get(id).addEventListener("change", update);
}
get("named").addEventListener("change", update);

function axis(points, k) {
  const ends = points.flatMap(p => p[k].slice(0, 3).filter(v => v !== null));
  const low = Math.min(...ends), high = Math.max(...ends), margin = 0.06 * (high - low) || 0.05;
  const step = [1, 2, 5, 10].map(s => s * 10 ** Math.floor(Math.log10((high - low + 2 * margin) / 5))).find(s => (high - low + 2 * margin) / s <= 6);
  const ticks = [];
  for (let t = Math.ceil((low - margin) / step) * step; t <= high + margin; t += step) ticks.push(t);
  return { low: low - margin, high: high + margin, ticks };
}

function draw(rows) {
  const [cx, cy] = [columns[get("x").value], columns[get("y").value]];
  const points = !cx ? [] : rows.filter(m => cx.cells[m.name] && cy.cells[m.name]).map(m => [cx.cells[m.name], cy.cells[m.name], m]);
  if (!points.length) {
    get("scatter").innerHTML = "<p>No model that is shown has both.</p>";
    return;
  }
  const [w, h, left, bottom] = [900, 560, 64, 56], [ax, ay] = [axis(points, 0), axis(points, 1)];
  const x = v => left + (v - ax.low) / (ax.high - ax.low) * (w - left - 140), y = v => (h - bottom) - (v - ay.low) / (ay.high - ay.low) * (h - bottom - 12);
  const parts = [];
  for (const t of ax.ticks) parts.push(`<line x1="${x(t)}" x2="${x(t)}" y1="12" y2="${h - bottom}" stroke="#eee"/><text x="${x(t)}" y="${h - bottom + 18}" text-anchor="middle">${short(t)}</text>`);
  for (const t of ay.ticks) parts.push(`<line x1="${left}" x2="${w - 140}" y1="${y(t)}" y2="${y(t)}" stroke="#eee"/><text x="${left - 8}" y="${y(t) + 4}" text-anchor="end">${short(t)}</text>`);
  for (const [a, b] of points) {
    if (a[1] !== null) parts.push(`<line class="spread" x1="${x(a[1])}" x2="${x(a[2])}" y1="${y(b[0])}" y2="${y(b[0])}"/>`);
    if (b[1] !== null) parts.push(`<line class="spread" x1="${x(a[0])}" x2="${x(a[0])}" y1="${y(b[1])}" y2="${y(b[2])}"/>`);
  }
  const names = get("named").checked && points.length <= 60, taken = [];
  for (const [a, b, m] of points) {
    const [px, py] = [x(a[0]), y(b[0])];
    let row = py - 8;
    while (names && taken.some(([tx, ty]) => Math.abs(ty - row) < 14 && Math.abs(tx - px) < 170)) row += 14;
    taken.push([px, row]);
    parts.push(`<a href="cards/${encodeURIComponent(m.name)}.html"><title>${text(m.label)}: ${short(a[0])}, ${short(b[0])}</title><circle cx="${px}" cy="${py}" r="5"/>` +
      (names ? `<text x="${px > w - 260 ? px - 8 : px + 8}" y="${row}"${px > w - 260 ? ' text-anchor="end"' : ""}>${text(m.label)}</text>` : "") + "</a>");
  }
  parts.push(`<text x="${(w - 140 + left) / 2}" y="${h - 10}" text-anchor="middle">${text(cx.dataset + ": " + cx.title)}</text>`);
  parts.push(`<text transform="translate(14 ${(h - bottom) / 2}) rotate(-90)" text-anchor="middle">${text(cy.dataset + ": " + cy.title)}</text>`);
  get("scatter").innerHTML = `<svg role="img" aria-label="${text(`${points.length} models by ${cx.title} and ${cy.title}`)}" viewBox="0 0 ${w} ${h}">${parts.join("")}</svg>`;
}
update();
