"use strict";
(function () {
  const source = document.getElementById("figures").textContent;
  const precise = window.matchMedia("(pointer: fine)").matches; // with a finger, dragging scrolls the page
  const hoverFont = "system-ui, sans-serif";

  function read(colour) {
    const one = (name) => (typeof name === "string" && name.startsWith("--") ? colour(name) : name);
    return JSON.parse(source, (key, value) => {
      if (key !== "color" && key !== "bgcolor") return value;
      return Array.isArray(value) ? value.map(one) : one(value);
    });
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (own) => Object.assign({
      gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true,
      tickfont: { color: colour("--soft") }, fixedrange: !precise, exponentformat: "e",
    }, own);
    for (const [id, figure] of Object.entries(read(colour))) {
      const layout = Object.assign({}, figure.layout, {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
        font: { color: colour("--ink"), size: 12, family: getComputedStyle(document.body).fontFamily },
        hoverlabel: { align: "left", bgcolor: colour("--card"), bordercolor: colour("--axis"), font: { color: colour("--ink"), family: hoverFont } },
        margin: id === "parallel" ? { l: 10, r: 10, t: 30, b: 4 } : { l: 44, r: 14, t: 12, b: 38 }, dragmode: precise && id !== "parallel" ? "zoom" : false,
        xaxis: axis(figure.layout.xaxis), yaxis: axis(figure.layout.yaxis),
      });
      Plotly.react(id, figure.data, layout, { displayModeBar: false, responsive: true });
    }
  }

  function sortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    const value = (row, column) => {
      const cell = row.cells[column];
      return "v" in cell.dataset ? (cell.dataset.v === "" ? null : Number(cell.dataset.v)) : cell.textContent.trim();
    };
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const rows = Array.from(table.tBodies[0].rows);
      const before = head.getAttribute("aria-sort");
      const numbers = rows.some((row) => typeof value(row, column) === "number");
      const up = before ? before === "descending" : !numbers;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      rows.sort((one, other) => {
        const a = value(one, column), b = value(other, column);
        if (a === null || b === null) return (a === null) - (b === null); // what was not measured stays last
        return up ? compare(a, b) : compare(b, a);
      });
      table.tBodies[0].append(...rows);
    }));
  }

  draw();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  sortable(document.getElementById("trials"));
  document.documentElement.dataset.drawn = "yes";
})();
