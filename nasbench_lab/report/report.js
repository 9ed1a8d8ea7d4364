"use strict";
// Draws the page's plots from the JSON in #data. What is drawn follows the form #controls.

// The plots that are on the page now. Returns what draws them anew from other data of the same kind.
function drawReport(data) {
  const form = document.getElementById("controls");
  const BEYOND = 1e300; // stands for infinity, as in data.py
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 7, DASHES = 5;
  const MARGIN = { left: 56, right: 14, top: 8, bottom: 40 };
  const known = (v) => v !== null && v !== undefined && Math.abs(v) < BEYOND;

  // What the controls say

  const chosen = (name) => form.querySelector(`input[name="${name}"]:checked`)?.value;
  const ticked = (name) => form.elements[name].checked;
  const shown = () => [...form.querySelectorAll('input[name="algorithm"]')].map((box) => box.checked);

  function state() {
    const table = data.tables[Number(form.elements.table.value)];
    for (const input of form.querySelectorAll('input[name="axis"]')) {
      input.disabled = !table.axes.includes(input.value);
      if (input.disabled && input.checked) {
        form.querySelector(`input[name="axis"][value="${table.axes[0]}"]`).checked = true;
      }
    }
    const [goal, form_] = chosen("metric").split(":");
    form.elements.logy.disabled = form_ === "value";
    // Where a run found nothing, there are no means.
    const median = chosen("statistic") === "mean" && table.medians.includes(goal);
    return {
      table, goal, form: form_, axis: chosen("axis"), median, on: shown(),
      statistic: median ? "median" : chosen("statistic"),
      bands: ticked("bands"), logx: ticked("logx"), logy: ticked("logy") && form_ === "distance",
    };
  }

  // Numbers and ticks

  function format(value) {
    if (value === null || value === undefined) return "–";
    if (Math.abs(value) >= BEYOND) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-4 || size >= 1e6)
      ? value.toExponential(2) : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  }

  function ticks(low, high, log, room) {
    if (log) {
      const all = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
        for (const m of [1, 2, 5]) all.push({ value: Number(`${m}e${e}`), m });
      }
      const inside = all.filter((t) => t.value >= low * 0.999 && t.value <= high * 1.001);
      const powers = inside.filter((t) => t.m === 1);
      const some = inside.length <= room || powers.length < 2 ? inside : powers;
      return every(some.map((t) => t.value), room);
    }
    const span = high - low || 1;
    let step = 10 ** Math.floor(Math.log10(span / room));
    step *= [1, 2, 5, 10].find((m) => span / (step * m) <= room);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
      found.push(Number((i * step).toPrecision(12)));
    }
    return found;
  }

  const every = (values, room) => values.filter((_, i) => i % Math.ceil(values.length / room) === 0);

  function scale(low, high, from, to, log) {
    const f = log ? Math.log10 : (v) => v;
    const [a, b] = [f(low), f(high)];
    const k = b > a ? (to - from) / (b - a) : 0;
    const place = (v) => from + (f(v) - a) * k;
    place.at = (pixel) => {
      const v = k ? a + (pixel - from) / k : a;
      return log ? 10 ** v : v;
    };
    return place;
  }

  // SVG

  function add(parent, tag, attributes, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  const colour = (i) => `colour-${i % COLOURS}`;
  const dash = (i) => `dash-${i % DASHES}`;
  const short = (v) => Math.round(v * 10) / 10;

  // Steps that hold until the next point. What is not known is a gap.
  function steps(points, values, x, y) {
    let path = "", open = false;
    points.forEach((point, i) => {
      if (!known(values[i])) { open = false; return; }
      path += open ? `H${short(x(point))}V${short(y(values[i]))}`
        : `M${short(x(point))} ${short(y(values[i]))}`;
      open = true;
    });
    return path;
  }

  // The area between two lines of steps, over each stretch where both are known.
  function area(points, low, high, x, y) {
    let path = "", run = [];
    const close = () => {
      if (run.length) {
        const corners = (line) => run.flatMap((i, j) => [
          ...(j ? [`${short(x(points[i]))} ${short(y(line[run[j - 1]]))}`] : []),
          `${short(x(points[i]))} ${short(y(line[i]))}`,
        ]);
        path += `M${corners(high).join("L")}L${corners(low).reverse().join("L")}Z`;
      }
      run = [];
    };
    points.forEach((_, i) => {
      if (low[i] === null || high[i] === null) close(); else run.push(i);
    });
    close();
    return path;
  }

  function frame(svg, { x, y, xticks, yticks, xlabel, ylabel, width, height, percent }) {
    const bottom = height - MARGIN.bottom;
    for (const value of yticks) {
      add(svg, "line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) });
      const text = percent ? `${Math.round(100 * value)} %` : format(value);
      add(svg, "text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, text);
    }
    for (const value of xticks) {
      add(svg, "line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 });
      add(svg, "text", { x: x(value), y: bottom + 17, "text-anchor": "middle" }, format(value));
    }
    add(svg, "line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom });
    add(svg, "text", { x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, xlabel);
    if (ylabel) {
      const middle = (MARGIN.top + bottom) / 2;
      add(svg, "text", { transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle" }, ylabel);
    }
  }

  const roomOf = (svg) => Math.max(260, Math.round(svg.clientWidth));

  function blank(plot) {
    const svg = plot.querySelector("svg.canvas");
    const width = roomOf(svg), height = Number(svg.getAttribute("height"));
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    return { svg, width, height };
  }

  // Plots of lines

  function limits(drawn, log, fixed) {
    if (fixed) return fixed;
    const values = drawn.flatMap((line) => [line.centre, ...(line.low ? [line.low, line.high] : [])])
      .flat().filter((v) => known(v) && (!log || v > 0));
    if (!values.length) return log ? [0.1, 1] : [0, 1];
    const low = Math.min(...values), high = Math.max(...values);
    if (log) return [low * 0.8, high * 1.2];
    const room = 0.04 * (high - low) || 0.05 * Math.abs(high) || 1;
    return [low - room, high + room];
  }

  function drawLines(plot, content, now) {
    const { svg, width, height } = blank(plot);
    plot.content = null;
    const lines = content ? content.lines : [];
    const drawn = lines.map((line, i) => ({ ...line, i, there: line !== null }))
      .filter((line) => line.there && now.on[line.i]);
    const from = content ? content.points.findIndex((p) => !now.logx || p > 0) : -1;
    fillValues(plot, content, now);
    if (!drawn.length || from < 0) {
      const why = content ? "No algorithm is chosen that has runs here." : content === null
        ? "Nothing to draw: this needs runs of the same seeds by all algorithms." : "Not known along this axis.";
      add(svg, "text", { x: 12, y: 30 }, why);
      svg.setAttribute("aria-label", why);
      plot.querySelector(".reader output").textContent = "";
      return;
    }
    const points = content.points;
    const log = content.log && now.logy;
    const [low, high] = limits(drawn, log, content.limits);
    const last = points[points.length - 1];
    const first = points.length > 1 ? points[from] : now.logx ? last / 2 : 0;
    const x = scale(first, last, MARGIN.left, width - MARGIN.right, now.logx);
    const ends = [height - MARGIN.bottom, MARGIN.top];
    // Rank 1 is at the top, as everywhere.
    const onto = scale(low, high, ...(content.down ? ends.reverse() : ends), log);
    // What is 0 or beyond all bounds leaves the picture at its border.
    const y = (v) => onto(Math.min(Math.max(v, log ? low : Math.min(low, high)), high));
    frame(svg, {
      x, y: onto, width, height, percent: content.percent, xlabel: content.xlabel, ylabel: content.ylabel,
      xticks: ticks(first, last, now.logx, Math.floor(width / 80)), yticks: ticks(low, high, log, 6),
    });
    for (const { low: a, high: b, i } of now.bands ? drawn.filter((line) => line.low) : []) {
      const d = area(points.slice(from), a.slice(from), b.slice(from), x, y);
      add(svg, "path", { class: `band ${colour(i)}`, d });
    }
    for (const { centre, i } of drawn) {
      const d = steps(points.slice(from), centre.slice(from), x, y);
      add(svg, "path", { class: `line ${colour(i)} ${dash(i)}`, d, "data-algorithm": i });
    }
    svg.setAttribute("aria-label", `${plot.querySelector("figcaption").textContent.trim()}. The table below has the values.`);
    plot.content = { content, x, from, cursor: add(svg, "line", { class: "cursor", y1: MARGIN.top, y2: height - MARGIN.bottom }) };
    const range = plot.querySelector(".reader input");
    range.min = from;
    range.max = points.length - 1;
    range.value = plot.reading ?? points.length - 1;
    read(plot);
  }

  // Writes down what all lines are worth at the point that the slider is on.
  function read(plot) {
    if (!plot.content) return;
    const { content, x, cursor } = plot.content;
    const range = plot.querySelector(".reader input");
    const i = Number(range.value);
    const where = content.where(content.points[i]);
    range.setAttribute("aria-valuetext", where);
    plot.querySelector(".reader output").textContent = `At ${where}.`;
    cursor.setAttribute("x1", x(content.points[i]));
    cursor.setAttribute("x2", x(content.points[i]));
    fillValues(plot, content, state(), i);
  }

  function fillValues(plot, content, now, i) {
    const form_ = (v) => content.percent && known(v) ? `${Math.round(100 * v)} %` : format(v);
    plot.querySelectorAll(".values tbody tr").forEach((row, a) => {
      row.classList.toggle("off", !now.on[a]);
      const line = content && now.on[a] && i !== undefined ? content.lines[a] : null;
      const cells = row.querySelectorAll("td");
      cells[0].textContent = line ? form_(line.centre[i]) : "–";
      if (cells.length > 1) {
        cells[1].textContent = line && line.low && line.centre[i] !== null
          ? `[${form_(line.low[i])}, ${form_(line.high[i])}]` : "–";
      }
    });
  }

  // What each plot shows

  // Distances to the best turned into values, if these are asked for: worse ends change places.
  function turned(centre, low, high, now) {
    const { best, maximize } = now.table.goals[now.goal];
    if (now.form === "distance") return { centre, low, high };
    const turn = (values) => values.map((d) => {
      if (!known(d)) return d === null ? null : maximize ? -d : d;
      return Number((maximize ? best - d : best + d).toPrecision(8));
    });
    return maximize ? { centre: turn(centre), low: turn(high), high: turn(low) }
      : { centre: turn(centre), low: turn(low), high: turn(high) };
  }

  const axisLabel = (axis) => (axis === "seconds" ? data.seconds : axis);

  function curves(now) {
    const part = now.table.curves[now.axis];
    const lines = part[now.goal].map((line) => line && turned(...line[now.statistic], now));
    return {
      points: part.points, lines, log: true, xlabel: axisLabel(now.axis),
      ylabel: now.table.goals[now.goal][now.form],
      where: (point) => `${format(point)} ${axisLabel(now.axis)}`,
    };
  }

  function framed(place, kind, now, more) {
    const part = place[kind][now.axis]?.[now.goal];
    if (!part) return now.table.axes.includes(now.axis) && kind === "ranks" ? null : undefined;
    const xlabel = place === data.all ? `share of the budget (${axisLabel(now.axis)})` : axisLabel(now.axis);
    const where = (point) => place === data.all
      ? `${format(100 * point)} % of each budget` : `${format(point)} ${xlabel}`;
    const lines = part.lines.map((line) => line && { centre: line[0], low: line[1], high: line[2] });
    return { points: part.points, lines, xlabel, where, ...more };
  }

  const ranks = (place, now) => framed(place, "ranks", now, {
    limits: [0.9, Math.max(2, data.algorithms.length) + 0.1], ylabel: "average rank (1 is best)", down: true,
  });
  const ecdf = (place, now) => framed(place, "ecdf", now, {
    limits: [0, 1], percent: true, ylabel: "runs and targets reached",
  });

  function quantile(sorted, q) {
    const place = q * (sorted.length - 1), below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    if (place === below || !known(sorted[below])) return sorted[below];
    if (!known(sorted[above])) return sorted[above];
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  }

  // Where each run ended: a dot each, with the quartiles as a box.
  function drawFinals(plot, now) {
    const { svg, width, height } = blank(plot);
    const all = now.table.finals[now.goal].map((values) => {
      const { centre } = turned(values, values, values, now);
      return centre.sort((a, b) => a - b);
    });
    const drawn = all.map((values, i) => ({ values, i })).filter(({ values, i }) => values.length && now.on[i]);
    plot.querySelectorAll(".values tbody tr").forEach((row, i) => {
      const values = now.on[i] ? all[i] : [];
      const [median, spread, runs] = row.querySelectorAll("td");
      row.classList.toggle("off", !now.on[i]);
      median.textContent = values.length ? format(quantile(values, 0.5)) : "–";
      spread.textContent = values.length ? `[${format(quantile(values, 0.25))}, ${format(quantile(values, 0.75))}]` : "–";
      const found = values.filter(known).length;
      runs.textContent = found < values.length ? `${found}/${values.length}` : values.length || "–";
    });
    if (!drawn.length) {
      add(svg, "text", { x: 12, y: 30 }, "No algorithm is chosen that has runs here.");
      return;
    }
    const log = now.logy;
    const [low, high] = limits(drawn.map(({ values }) => ({ centre: values })), log);
    const onto = scale(low, high, 14, width - 14, log);
    const x = (v) => onto(Math.min(Math.max(v, low), high));
    const bottom = height - MARGIN.bottom;
    for (const value of ticks(low, high, log, Math.floor(width / 70))) {
      add(svg, "line", { class: "grid", x1: x(value), x2: x(value), y1: 0, y2: bottom });
      add(svg, "text", { x: x(value), y: bottom + 17, "text-anchor": "middle" }, format(value));
    }
    const label = now.table.goals[now.goal][now.form];
    add(svg, "text", { x: width / 2, y: height - 6, "text-anchor": "middle" }, label);
    const row = bottom / data.algorithms.length;
    for (const { values, i } of drawn) {
      const top = row * i;
      const q = [0.25, 0.5, 0.75].map((part) => x(quantile(values, part)));
      const name = data.algorithms[i].length > 48 ? `${data.algorithms[i].slice(0, 47)}…` : data.algorithms[i];
      add(svg, "text", { x: 2, y: top + 12 }, name);
      add(svg, "rect", { class: `box ${colour(i)}`, x: q[0], width: Math.max(q[2] - q[0], 0.5), y: top + 17, height: row - 21 });
      if (known(quantile(values, 0.5))) {
        add(svg, "line", { class: `middle ${colour(i)}`, x1: q[1], x2: q[1], y1: top + 16, y2: top + row - 3 });
      }
      values.filter(known).forEach((value, j) => add(svg, "circle", {
        // Next to each other, so that equal ones are seen to be several.
        class: `dot ${colour(i)}`, cx: short(x(value)), cy: short(top + 20 + ((j * 0.618) % 1) * (row - 27)), r: 2.5,
      }));
    }
    svg.setAttribute("aria-label", `${plot.querySelector("figcaption").textContent.trim()}. The table below has the values.`);
  }

  // Titles, and drawing it all

  const words = {
    curves: (now) => [
      `${label("metric")}${now.goal === "hypervolume" ? "" : " of the incumbent"} on ${now.table.name}`, `${data.statistics[now.statistic]}${now.median ? " (no means: some runs found nothing)" : ""}`],
    finals: (now) => [`${label("metric")} at the end of the runs on ${now.table.name}`, "each dot a run; box: quartiles and median"],
    ranks: (now) => [`Average rank by ${goalWord(now)} on ${now.table.name}`, `within each seed${someSeeds(now.table, now)}; 95 % bootstrap interval`],
    ecdf: (now) => [`Targets of ${goalWord(now)} reached on ${now.table.name}`, "share of all runs and targets"],
    "all-ranks": (now) => [`Average rank by ${goalWord(now)} over all tables`, `within each seed${someSeeds(data.all, now)} and table; 95 % bootstrap interval`],
    "all-ecdf": (now) => [`Targets of ${goalWord(now)} reached over all tables`, "share of all runs, targets and tables"],
  };
  // On how many seeds ranks rest, if these are not all.
  function someSeeds(place, now) {
    const seeds = place.ranks[now.axis]?.[now.goal]?.seeds ?? data.seeds;
    return seeds < data.seeds ? ` (${seeds} of ${data.seeds})` : "";
  }
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const label = (name) => capital(form.querySelector(`input[name="${name}"]:checked`).closest("label").textContent.trim());
  const goalWord = (now) => form.querySelector(`input[value="${now.goal}:distance"]`).closest("label").textContent.trim();
  const contents = {
    curves, ranks: (now) => ranks(now.table, now), ecdf: (now) => ecdf(now.table, now),
    "all-ranks": (now) => ranks(data.all, now), "all-ecdf": (now) => ecdf(data.all, now),
  };

  function drawPlot(plot) {
    const now = state(), kind = plot.dataset.plot;
    const [title, below] = words[kind](now);
    const caption = plot.querySelector("figcaption");
    caption.firstChild.textContent = `${title} `;
    caption.querySelector(".quiet").textContent = below;
    if (kind === "finals") drawFinals(plot, now);
    else drawLines(plot, contents[kind](now), now);
  }

  const plots = [...document.querySelectorAll(".plot[data-plot]")];
  const drawAll = () => plots.forEach(drawPlot);

  const boxes = [...form.querySelectorAll('input[name="algorithm"]')];
  const all = form.elements.all;
  form.addEventListener("change", (event) => {
    if (event.target === all) boxes.forEach((box) => { box.checked = all.checked; });
    else if (all) {
      const on = boxes.filter((box) => box.checked).length;
      all.checked = on === boxes.length;
      all.indeterminate = on > 0 && on < boxes.length;
    }
    // Other points may stand along another axis.
    if (["axis", "table"].includes(event.target.name)) plots.forEach((plot) => { plot.reading = undefined; });
    drawAll();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const plot of plots) {
    const range = plot.querySelector(".reader input"), svg = plot.querySelector("svg.canvas");
    if (!range) continue;
    range.addEventListener("input", () => { plot.reading = Number(range.value); read(plot); });
    svg.addEventListener("pointermove", (event) => {
      if (!plot.content) return;
      const { content, x, from } = plot.content;
      // Half a pixel more, so that a point counts from its own place on.
      const value = x.at(event.clientX - svg.getBoundingClientRect().left + 0.5);
      const next = content.points.findIndex((p, i) => i >= from && p > value);
      range.value = plot.reading = Math.max(from, (next < 0 ? content.points.length : next) - 1);
      read(plot);
    });
  }
  drawAll();
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.viewBox.baseVal.width !== roomOf(target)) drawPlot(target.closest(".plot"));
    }
  });
  plots.forEach((plot) => resized.observe(plot.querySelector("svg.canvas")));
  return (next) => {
    data = next;
    drawAll();
  };
}

(() => {
  const json = document.getElementById("data");
  if (json) drawReport(JSON.parse(json.textContent));

  // Theme, tables, copying, printing

  const theme = document.getElementById("theme");
  theme.addEventListener("change", () => {
    if (theme.value) document.documentElement.dataset.theme = theme.value;
    else delete document.documentElement.dataset.theme;
  });

  for (const button of document.querySelectorAll(".sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), table = head.closest("table");
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[head.cellIndex].dataset.order;
      const order = (a, b) => (isNaN(key(a)) ? key(a).localeCompare(key(b)) : key(a) - key(b));
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
    });
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // Where the browser does not let a page write to the clipboard, the text is selected.
        getSelection().selectAllChildren(source);
        button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  const opened = [];
  window.addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll("details:not([open])")) {
      box.open = true;
      opened.push(box);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const box of opened.splice(0)) box.open = false;
  });
})();
