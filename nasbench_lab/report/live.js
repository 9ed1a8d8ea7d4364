
// Follows what the server of this page says. `shown` is the version that a report is of, else null.
(() => {
  const SECOND = 1000;
  const at = (id) => document.getElementById(id);
  let drawing = false, version = "", frames = "", draw = null;

  // What the server says; null if it does not.
  async function ask(what) {
    try {
      const answer = await fetch(what, { cache: "no-store" });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  function put(node, html) {
    // What is the same stays, with what is selected in it.
    if (node.told !== html) node.innerHTML = node.told = html;
  }

  function say(node, text) {
    node.hidden = !text;
    if (node.textContent !== text) node.textContent = text;
  }

  // The controls as they stand, to be set again in new frames, where other tables may have joined.
  function choices() {
    const form = at("controls");
    if (!form) return () => {};
    const table = form.elements.table.selectedOptions[0]?.textContent;
    const boxes = new Map([...form.querySelectorAll("input")].map((box) => [box.name + box.value, box.checked]));
    return () => {
      for (const option of at("controls").elements.table.options) {
        if (option.textContent === table) option.selected = true;
      }
      for (const box of at("controls").querySelectorAll("input")) {
        box.checked = boxes.get(box.name + box.value) ?? box.checked;
      }
    };
  }

  async function drawPlots() {
    drawing = true;
    const next = await ask("plots");
    if (next) {
      say(at("undrawn"), next.problem ? `The plots cannot be drawn: ${next.problem}` : "");
      if (next.html !== frames) {
        const choose = choices();
        at("plots").innerHTML = frames = next.html;
        draw = null;
        if (next.data) choose();
      }
      if (draw) draw(next.data);
      else if (next.data) draw = drawReport(next.data);
      version = next.version;
    }
    // What is watched needs the processor more than this page does.
    setTimeout(() => { drawing = false; }, 2 * SECOND * (next?.took_s ?? 1));
  }

  async function look() {
    const state = await ask("state");
    if (!state) {
      if (shown === null) {
        say(at("lost"), "The server does not answer. It has ended, or is out of reach; this is what it said last.");
      }
    } else if (shown !== null ? !state.report || state.version !== shown : state.report) {
      location.reload();
    } else if (shown === null) {
      document.title = state.title;
      put(at("state"), state.html);
      say(at("lost"), "");
      if (state.version !== version && !drawing) drawPlots();
    }
  }

  async function follow() {
    try {
      await look();
    } finally {
      setTimeout(follow, SECOND);
    }
  }

  follow();
})();
