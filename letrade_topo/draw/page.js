// Draws what stands in #data. Every text of the topology goes in by textContent, so none of it is ever markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const ROW = 30, HEIGHT = 22, GAP = 90, LABELLED_GAP = 56, MOST_OF_LABEL = 22, MARGIN = 20, LETTER = 6.9, LONGEST = 44, MOST_LABELLED = 80, MOST_FOUND = 40, SMALLEST = 0.75;
  const canvas = document.getElementById("canvas"), panel = document.getElementById("panel");
  const search = document.getElementById("search"), found = document.getElementById("found");
  const failures = document.getElementById("failures"), all = document.getElementById("all");
  let chosen = null, zoom = 1, groups = new Map();

  const shorten = (text, longest) => text.length <= longest ? text
    : text.slice(0, longest / 2) + "…" + text.slice(text.length - longest / 2 + 1);
  const printable = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
  const label = (node) => [shorten(printable(node.label), LONGEST), ...node.words].join(" · ");

  const called = (node) => node.part_of === null ? node.label : node.name;

  const labelOf = (line) => {
    const edge = data.edges[line.edge];
    return edge.kind === "publishes" ? "" : shorten(printable(edge.label), MOST_OF_LABEL);
  };

  const around = (index) => Array.isArray(data.around[index]) ? data.around[index] : around(data.around[index]);

  function visible() {
    const isShown = (node) => failures.checked || !node.is_failure
      || (chosen !== null && (data.nodes[chosen].kind === "queue" || data.nodes[chosen].is_failure));
    const edges = new Set((chosen === null ? data.edges.map((_, index) => index) : around(chosen)).filter((index) => {
      const edge = data.edges[index];
      return isShown(data.nodes[edge.source]) && isShown(data.nodes[edge.target]);
    }));
    const lines = data.lines.filter((line) => edges.has(line.edge));
    const ends = new Set(lines.flatMap((line) => [line.source, line.target]));
    const places = data.places.filter((place, index) =>
      ends.has(index) || (chosen === null ? isShown(data.nodes[place.node]) : place.node === chosen && !ends.size));
    return { lines, places };
  }

  function layout(places, lines, labelled) {
    const layers = [];
    for (const place of places) (layers[place.layer] ||= []).push(place);
    const used = layers.filter((layer) => layer);
    for (const layer of used) layer.sort((one, other) => one.order - other.order);
    const beside = new Map();
    for (const line of lines) {
      const ends = [data.places[line.source], data.places[line.target]];
      for (const [one, other] of [ends, [ends[1], ends[0]]]) {
        if (!beside.has(one)) beside.set(one, []);
        beside.get(one).push(other);
      }
    }
    const top = MARGIN + 14, tops = new Map();
    for (const layer of used) layer.forEach((place, index) => tops.set(place, top + ROW * index));
    const longest = used.reduce((best, layer, index) => layer.length > used[best].length ? index : best, 0);
    const order = used.map((_, index) => index).sort((one, other) => Math.abs(one - longest) - Math.abs(other - longest));
    for (const index of order) {
      if (index === longest) continue;
      const wanted = used[index].map((place) => {
        const near = (beside.get(place) || []).map((one) => tops.get(one));
        return near.length ? near.reduce((sum, one) => sum + one, 0) / near.length : tops.get(place);
      });
      spread(wanted, top).forEach((value, position) => tops.set(used[index][position], value));
    }
    const labels = new Map();
    for (const line of lines) {
      const target = data.places[line.target].layer;
      labels.set(target, Math.max(labels.get(target) || 0, labelOf(line).length));
    }
    let left = MARGIN;
    const boxes = new Map(), heads = [];
    for (const layer of used) {
      const width = layer.reduce((most, place) => Math.max(most, label(data.nodes[place.node]).length), 0) * LETTER + 20;
      if (left > MARGIN) left += labelled ? LABELLED_GAP + (labels.get(layer[0].layer) || 0) * 5.6 : GAP;
      heads.push({ x: left, text: layer[0].heading });
      for (const place of layer) boxes.set(place, { x: left, y: tops.get(place), width });
      left += width;
    }
    return { boxes, heads, width: left + MARGIN };
  }

  function spread(wanted, top) {
    const down = [], up = [];
    for (const value of wanted) down.push(down.length ? Math.max(value, down[down.length - 1] + ROW) : Math.max(value, top));
    for (const value of [...wanted].reverse()) up.push(up.length ? Math.min(value, up[up.length - 1] - ROW) : value);
    up.reverse();
    const middle = down.map((value, index) => (value + up[index]) / 2);
    const lift = Math.max(top - Math.min(...middle), 0);
    return middle.map((value) => value + lift);
  }

  function element(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function draw() {
    const { lines, places } = visible();
    const labelled = chosen !== null && lines.length <= MOST_LABELLED;
    const { boxes, heads, width } = layout(places, lines, labelled);
    let height = 0;
    for (const box of boxes.values()) height = Math.max(height, box.y + HEIGHT + MARGIN);
    const scale = zoom * Math.min(1, Math.max(SMALLEST, (canvas.clientWidth - 20) / width));
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, width: width * scale, height: height * scale });
    for (const head of heads) svg.append(element("text", { class: "layer", x: head.x, y: MARGIN }, head.text));
    for (const line of lines) drawLine(svg, line, boxes, labelled);
    groups = new Map();
    for (const place of places) drawPlace(svg, place, boxes.get(place));
    canvas.replaceChildren(svg);
    all.hidden = chosen === null;
    mark();
  }

  function drawLine(svg, line, boxes, labelled) {
    const edge = data.edges[line.edge];
    const source = boxes.get(data.places[line.source]), target = boxes.get(data.places[line.target]);
    const forward = target.x > source.x;
    const x1 = forward ? source.x + source.width : source.x, x2 = forward ? target.x : target.x + target.width;
    const y1 = source.y + HEIGHT / 2, y2 = target.y + HEIGHT / 2;
    const bend = Math.max(Math.abs(x2 - x1) / 2, 40) * (forward ? 1 : -1);
    const path = element("path", { class: `${edge.kind} ${edge.drift || ""}`.trim(),
      d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
    path.append(element("title", {}, [edge.words, edge.label, edge.drift].filter(Boolean).join(": ")));
    svg.append(path);
    if (labelled && forward)
      svg.append(element("text", { class: "edge", x: x2 - 6, y: y2 - 4, "text-anchor": "end" }, labelOf(line)));
  }

  function drawPlace(svg, place, box) {
    const node = data.nodes[place.node];
    const names = [node.kind, node.is_failure ? "failure" : "", node.drift || "", place.node === chosen ? "chosen" : ""];
    const group = element("g", { class: names.filter(Boolean).join(" "), tabindex: 0, role: "button",
      "data-node": place.node });
    group.append(element("rect", { x: box.x, y: box.y, width: box.width, height: HEIGHT,
      rx: node.kind === "service" || node.kind === "message" ? HEIGHT / 2 : 3 }));
    group.append(element("text", { x: box.x + 10, y: box.y + 15 }, label(node)));
    svg.append(group);
    if (!groups.has(place.node)) groups.set(place.node, []);
    groups.get(place.node).push(group);
  }

  function describe(index) {
    const parts = [];
    const add = (name, text, cls) => {
      const made = document.createElement(name);
      made.textContent = text;
      if (cls) made.className = cls;
      parts.push(made);
    };
    if (index === null) {
      for (const section of data.sections) {
        add("h2", section.title);
        const list = document.createElement("ul");
        list.className = "plain";
        for (const line of section.lines) {
          const item = document.createElement("li");
          item.textContent = line;
          list.append(item);
        }
        parts.push(list);
      }
      add("p", "Point at anything to read its arguments, permissions and schema; click to see what it reaches and what " +
        "reaches it. Esc shows all again.", "faint");
    } else {
      const node = data.nodes[index];
      add("h2", printable(called(node)));
      add("p", [node.kind.replaceAll("-", " "), ...node.words].join(" · "), node.drift ? "problem" : "faint");
      for (const [name, value] of Object.entries(node.facts)) {
        add("h3", name);
        add("pre", printLines(value));
      }
    }
    panel.replaceChildren(...parts);
  }

  const printLines = (value) => Array.isArray(value) && value.every((one) => typeof one === "string") ? value.join("\n")
    : typeof value === "string" ? value : JSON.stringify(value, null, 2);

  function choose(index) {
    chosen = index;
    history.replaceState(null, "", index === null ? "#" : "#" + encodeURIComponent(data.nodes[index].id));
    draw();
    describe(index);
    canvas.scrollTo(0, 0);
  }

  const nodeOf = (event) => {
    const group = event.target.closest("g[data-node]");
    return group === null ? null : Number(group.dataset.node);
  };

  function matches() {
    const wanted = search.value.trim().toLowerCase();
    if (!wanted) return [];
    return data.nodes.map((_, index) => index).filter((index) => called(data.nodes[index]).toLowerCase().includes(wanted));
  }

  function mark() {
    const wanted = new Set(matches());
    for (const [index, made] of groups) for (const group of made) group.classList.toggle("match", wanted.has(index));
  }

  search.addEventListener("input", () => {
    const hits = matches();
    found.replaceChildren(...hits.slice(0, MOST_FOUND).map((index) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.textContent = `${printable(called(data.nodes[index]))} · ${data.nodes[index].kind.replaceAll("-", " ")}`;
      button.addEventListener("click", () => { found.replaceChildren(); choose(index); });
      item.append(button);
      return item;
    }));
    mark();
    const first = hits.map((index) => groups.get(index)).find((made) => made);
    if (first) first[0].scrollIntoView({ block: "center", inline: "nearest" });
  });
  search.addEventListener("keydown", (event) => {
    const hits = matches();
    if (event.key === "Enter" && hits.length) { found.replaceChildren(); choose(hits[0]); }
  });
  canvas.addEventListener("click", (event) => { const index = nodeOf(event); if (index !== null) choose(index); });
  canvas.addEventListener("keydown", (event) => {
    const index = nodeOf(event);
    if (event.key === "Enter" && index !== null) choose(index);
  });
  for (const name of ["mouseover", "focusin"]) canvas.addEventListener(name, (event) => {
    const index = nodeOf(event);
    if (index !== null) describe(index);
  });
  canvas.addEventListener("mouseleave", () => describe(chosen));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { search.value = ""; found.replaceChildren(); choose(null); }
  });
  all.addEventListener("click", () => choose(null));
  failures.addEventListener("change", draw);
  for (const [id, factor] of [["nearer", 1.25], ["farther", 0.8]])
    document.getElementById(id).addEventListener("click", () => { zoom *= factor; draw(); });
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
  const asked = data.nodes.findIndex((node) => "#" + encodeURIComponent(node.id) === location.hash);
  chosen = asked < 0 ? data.chosen : asked;
  draw();
  describe(chosen);
})();
