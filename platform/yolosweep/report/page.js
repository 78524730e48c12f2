"use strict";
(async function () {
  const chosen = document.getElementById("trial");
  let source = "{}";
  const precise = window.matchMedia("(pointer: fine)").matches; // with a finger, dragging scrolls the page
  const hoverFont = "system-ui, sans-serif";
  const key = "yolosweep " + document.title; // a live page reloads itself: what the reader has set stays
  const kept = remembered();

  function remembered() {
    try {
      return JSON.parse(sessionStorage.getItem(key)) || {};
    } catch {
      return {}; // a browser that stores nothing for this page
    }
  }

  function remember() {
    const scrolled = document.getElementById("trials").parentElement;
    const typing = document.activeElement && document.activeElement.id;
    Object.assign(kept, { at: [window.scrollX, window.scrollY, scrolled.scrollLeft, scrolled.scrollTop], typing });
    try {
      sessionStorage.setItem(key, JSON.stringify(kept));
    } catch {}
  }

  function goOn() {
    if (kept.at) {
      window.scrollTo(kept.at[0], kept.at[1]);
      document.getElementById("trials").parentElement.scrollTo(kept.at[2], kept.at[3]);
    }
    if (kept.typing) document.getElementById(kept.typing)?.focus({ preventScroll: true });
    window.addEventListener("pagehide", remember);
  }

  function read(colour) {
    const one = (name) => (typeof name === "string" && name.startsWith("--") ? colour(name) : name);
    return JSON.parse(source, (key, value) => {
      if (key !== "color" && key !== "bgcolor") return value;
      return Array.isArray(value) ? value.map(one) : one(value);
    });
  }

  function draw(only) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (own) => Object.assign({
      gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true,
      tickfont: { color: colour("--soft") }, fixedrange: !precise, exponentformat: "e",
    }, own);
    for (const [id, figure] of Object.entries(read(colour))) {
      if (only && id !== only) continue;
      const layout = Object.assign({}, figure.layout, {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
        font: { color: colour("--ink"), size: 12, family: getComputedStyle(document.body).fontFamily },
        hoverlabel: { align: "left", bgcolor: colour("--card"), bordercolor: colour("--axis"), font: { color: colour("--ink"), family: hoverFont } },
        margin: id === "parallel" ? { l: 10, r: 10, t: 30, b: 4 } : { l: 44, r: 14, t: 12, b: 38 }, dragmode: precise && id !== "parallel" ? "zoom" : false,
        xaxis: axis(figure.layout.xaxis), yaxis: axis(figure.layout.yaxis),
      });
      if (layout.yaxis2) {
        layout.yaxis2 = axis(layout.yaxis2);
        layout.margin.r = 56;
      }
      const data = id === "losses" ? figure.data.filter((trace) => trace.meta === chosen.value) : figure.data;
      Plotly.react(id, data, layout, { displayModeBar: false, responsive: true });
      zoomable(document.getElementById(id));
    }
  }

  function zoomable(plot) {
    const zooms = (kept.zooms ||= {});
    if (zooms[plot.id]) Plotly.relayout(plot, zooms[plot.id]);
    plot.removeAllListeners("plotly_relayout");
    plot.on("plotly_relayout", (change) => {
      if (Object.keys(change).some((name) => name.includes("axis"))) zooms[plot.id] = change;
    });
  }

  function sortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = "v" in cell.dataset ? cell.dataset.v : cell.textContent.trim();
      return text === "" ? null : isNaN(text) ? text : Number(text);
    };
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    function sort(column, up) {
      const rows = Array.from(table.tBodies[0].rows);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
      rows.sort((one, other) => {
        const a = value(one, column), b = value(other, column);
        if (a === null || b === null) return (a === null) - (b === null); // what was not measured stays last
        return up ? compare(a, b) : compare(b, a);
      });
      table.tBodies[0].append(...rows);
      kept.sorted = [heads[column].textContent, up];
    }
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const numbers = Array.from(table.tBodies[0].rows).some((row) => typeof value(row, column) === "number");
      sort(column, before ? before === "descending" : !numbers);
    }));
    const sorted = kept.sorted ? heads.findIndex((head) => head.textContent === kept.sorted[0]) : -1;
    if (sorted >= 0) sort(sorted, kept.sorted[1]);
  }

  function filterable(table) {
    const words = document.getElementById("filter"), ending = document.getElementById("endings");
    const heads = Array.from(table.tHead.rows[0].cells, (head) => head.textContent.trim());
    const rows = Array.from(table.tBodies[0].rows, (row) => {
      const cells = Array.from(row.cells, (cell) => cell.textContent.trim());
      return { row, ending: cells[heads.indexOf("ending")], text: cells.map((cell, i) => heads[i] + "=" + cell).join(" ").toLowerCase() };
    });
    function apply() {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const one of rows) {
        const fits = wanted.every((word) => one.text.includes(word)) && (!ending.value || one.ending.endsWith(" " + ending.value));
        one.row.hidden = !fits;
        count += fits;
      }
      document.getElementById("matching").textContent = count === rows.length ? "" : count + " of " + rows.length;
      kept.filter = [words.value, ending.value];
    }
    if (kept.filter) {
      [words.value, ending.value] = kept.filter;
      apply();
    }
    words.addEventListener("input", apply);
    ending.addEventListener("change", apply);
  }

  filterable(document.getElementById("trials"));
  sortable(document.getElementById("trials"));
  const packed = Uint8Array.from(atob(document.getElementById("figures").textContent), (c) => c.charCodeAt(0));
  source = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  const drawn = JSON.parse(source).losses;
  for (const name of new Set(drawn ? drawn.data.map((trace) => trace.meta) : [])) chosen.add(new Option(name));
  if (chosen) {
    if (Array.from(chosen.options, (option) => option.value).includes(kept.trial)) chosen.value = kept.trial;
    chosen.addEventListener("change", () => {
      kept.trial = chosen.value;
      delete kept.zooms.losses;
      draw("losses");
    });
  }
  draw();
  goOn();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  document.documentElement.dataset.drawn = "yes";
})();
