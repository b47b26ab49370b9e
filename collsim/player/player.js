// The player. It shows what collsim.player.data has written down and works no time out itself.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const COPY = 0, COMPUTE = 2; // collsim.schedule.Op
  const SEND = 0, RECEIVE = 1, PROCESSOR = 2; // collsim.occupancy.RANK_PARTS
  const MOST_LETTERS = 72; // in a row of the buffers: with more a cell shows how many ranks it has values of
  const WIDE = 16, VERY_WIDE = 40; // columns of a table
  const LABELLED = 60, TOLD = 12; // messages on their way: with the number of their chunk, with what they carry
  const MANY_CELLS = 600, PATIENCE = 250; // cells of a table; milliseconds until such a one is painted again
  const ROWS_OF_MOMENT = 200, TOLD_ALOUD = 3;
  const $ = (id) => document.getElementById(id);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");

  // --- Words ---

  const UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "us"], [1e-9, "ns"]];
  // As collsim.units.format_time does.
  function formatTime(seconds) {
    const digits = (value) => (Math.abs(value) < 9999.5 ? String(Number(value.toPrecision(4))) : value.toFixed(0));
    for (const [factor, unit] of UNITS) if (Math.abs(seconds) >= factor * 0.99995) return `${digits(seconds / factor)} ${unit}`;
    return seconds ? `${digits(seconds / 1e-12)} ps` : "0 s";
  }
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  function runsInWords(runs) {
    const parts = [];
    for (let i = 0; i < runs.length; i += 2) parts.push(runs[i] === runs[i + 1] ? `${runs[i]}` : `${runs[i]}-${runs[i + 1]}`);
    return parts.length > 4 ? `${parts.slice(0, 3).join(", ")} and more` : parts.join(", ");
  }
  const isOne = (runs) => runs.length === 2 && runs[0] === runs[1];
  function numbers(runs) {
    const found = [];
    for (let i = 0; i < runs.length; i += 2) for (let n = runs[i]; n <= runs[i + 1]; n++) found.push(n);
    return found;
  }
  // The place behind the last value that is not above `value`.
  function after(sorted, value) {
    let low = 0, high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle + 1; else high = middle;
    }
    return low;
  }
  function element(tag, className, text) {
    const found = document.createElement(tag);
    if (className) found.className = className;
    if (text !== undefined) found.textContent = text;
    return found;
  }

  // --- A run: all that is known of it at any time ---

  class Run {
    constructor(data, number) {
      Object.assign(this, data);
      this.number = number;
      const m = this.messages;
      const clock = (places) => Float64Array.from(places, (place) => this.times[place]);
      for (const name of ["ready", "start", "sent", "arrive", "finish"]) this[name] = clock(m[name]);
      this.count = m.src.length;
      this.changed = clock(this.cells.when);
      for (const use of [this.onLinks, this.inRanks]) {
        use.beginTime = clock(use.begin);
        use.endTime = clock(use.end);
      }
      this.members = this.sets.map(([, runs]) => new Set(numbers(runs)));
      this.brings = this.cells.brings.map(numbers);
      this.order = Array.from(m.src.keys()).sort((a, b) => this.start[a] - this.start[b] || a - b);
    }

    // Times that are one but for rounding are one instant, the last of them.
    instants(tolerance) {
      const all = Float64Array.from([0, ...this.start, ...this.arrive, ...this.finish, this.until]).sort();
      const found = [];
      let first = -Infinity;
      for (const time of all) {
        if (time > this.until) break;
        if (time - first <= tolerance) found[found.length - 1] = time;
        else { found.push(time); first = time; }
      }
      return found;
    }

    stateOf(message, t) {
      if (t >= this.finish[message]) return t < this.ready[message] ? "later" : "done";
      if (t < this.ready[message]) return "later";
      if (t < this.start[message]) return "waiting";
      if (this.messages.op[message] === COMPUTE) return "working";
      return t < this.arrive[message] ? "moving" : "adding";
    }

    // Messages that have begun and not ended, in the order of the schedule.
    at(t, wanted) {
      const found = [];
      for (let i = 0; i < this.count; i++) if (this.ready[i] <= t && t < this.finish[i] && wanted.includes(this.stateOf(i, t))) found.push(i);
      return found;
    }

    steps(t) {
      let least = Infinity, most = -1;
      for (let i = 0; i < this.count; i++) {
        if (this.ready[i] <= t && t < this.finish[i]) {
          least = Math.min(least, this.messages.step[i]);
          most = Math.max(most, this.messages.step[i]);
        }
      }
      return most < 0 ? "" : least === most ? `step ${least}` : `steps ${least} to ${most}`;
    }

    carried(message, most = 3) {
      const parts = this.messages.carried[message];
      const texts = [];
      for (let i = 0; i < parts.length; i += 2) texts.push(this.sets[parts[i + 1]][0] || "nothing");
      const different = [...new Set(texts)];
      return different.length > most ? `${different.slice(0, most).join(", ")} and others` : different.join(", ");
    }

    chunksInWords(message) {
      const runs = this.messages.chunks[message];
      return runs.length ? `${isOne(runs) ? "chunk" : "chunks"} ${runsInWords(runs)}` : "no chunk";
    }

    what(message) {
      const told = this.carried(message);
      return this.chunksInWords(message) + (told ? ` (${told})` : "");
    }

    inWords(message) {
      const m = this.messages;
      const when = `${formatTime(this.start[message])} to ${formatTime(this.finish[message])}`;
      if (m.op[message] === COMPUTE) return `step ${m.step[message]}: rank ${m.src[message]} computes, ${when}`;
      return `step ${m.step[message]}: rank ${m.src[message]} sends ${this.what(message)} to rank ${m.dst[message]}, ${when}`;
    }

    nodesOf(route) {
      const { links, nodes } = this.network;
      return [nodes[links[route[1][0]][0]], ...route[1].map((link) => nodes[links[link][1]])].map((node) => node[1]);
    }
  }

  const runs = page.runs.map((data, number) => new Run(data, number));
  const until = Math.max(...runs.map((run) => run.until));
  const tolerance = 1e-9 * until;
  const instants = mergedTimes(runs.map((run) => run.instants(tolerance)));
  const stepTimes = mergedTimes(runs.map((run) => {
    const first = new Map();
    for (const i of run.order) if (!first.has(run.messages.step[i])) first.set(run.messages.step[i], run.start[i]);
    return [0, ...first.values(), run.until];
  }));
  function mergedTimes(lists) {
    const found = [];
    for (const time of lists.flat().sort((a, b) => a - b)) {
      if (found.length && time - found[found.length - 1] <= tolerance) found[found.length - 1] = time;
      else found.push(time);
    }
    return found;
  }

  // What is shown, of all runs at once. A selected message has a run and a number.
  const state = { t: 0, playing: false, speed: 1, selected: null };
  const views = [];
  let colours = {};

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["paper", "panel", "line", "ink", "quiet", "add", "copy", "work", "on-mark", "held", "focus", "new", "cable"];
    for (const name of names) colours[name] = style.getPropertyValue(`--${name}`).trim();
  }

  // A canvas that is sharp on any screen; drawing is in CSS pixels.
  function fit(canvas, width, height) {
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return context;
  }

  // --- The network ---

  class NetworkView {
    constructor(run, panel) {
      this.run = run;
      this.panel = panel;
      this.figure = element("figure", "network");
      const legend = `<span class="legend"><span><i></i>adds</span><span><i class="copy"></i>replaces</span>${
        run.messages.op.includes(COMPUTE) ? '<span><i class="work"></i>computes</span>' : ""}</span>`;
      this.figure.innerHTML = `<figcaption><h3>${run.network.real ? "Network" : "Ranks (no network was given)"}</h3>${legend}</figcaption>
        <div class="net"><svg role="img"></svg><canvas aria-hidden="true"></canvas><div role="group" aria-label="Nodes of the network"></div></div>`;
      this.box = this.figure.querySelector(".net");
      this.svg = this.figure.querySelector("svg");
      this.canvas = this.figure.querySelector("canvas");
      this.group = this.figure.querySelector("[role=group]");
      const { nodes, links } = run.network;
      const switches = nodes.filter((node) => node[2] === 1).length;
      this.svg.setAttribute("aria-label", `Network ${run.topology || ""}: ${plural(run.ranks, "rank")}, ${switches} switch${
        switches === 1 ? "" : "es"}. The nodes are buttons; what moves is told in the text below and in the table of this moment.`);
      this.buttons = nodes.map(([label, name, kind], i) => {
        const button = element("button", ["node", "node switch", "node medium"][kind]);
        button.type = "button";
        button.tabIndex = i ? -1 : 0;
        button.setAttribute("aria-label", name);
        button.append(element("span", "", label));
        button.addEventListener("click", () => panel.show({ node: i }));
        button.addEventListener("focus", () => { this.here = i; panel.show({ node: i }); });
        button.addEventListener("mouseenter", () => panel.hover({ node: i }));
        button.addEventListener("mouseleave", () => panel.hover(null));
        return button;
      });
      this.here = 0;
      this.group.append(...this.buttons);
      this.group.addEventListener("keydown", (event) => this.walk(event));
      this.box.addEventListener("mousemove", (event) => { if (!event.target.closest(".node")) panel.hover(this.under(event)); });
      this.box.addEventListener("mouseleave", () => panel.hover(null));
      this.box.addEventListener("click", (event) => {
        const found = event.target.closest(".node") ? null : this.under(event);
        if (found) panel.show(found);
      });
      // By message and place in its route, from when to when its head is on a link.
      this.hops = new Map();
      if (run.model === "fifo") {
        const use = run.onLinks;
        for (let i = 0; i < use.message.length; i++) {
          const key = use.message[i];
          if (!this.hops.has(key)) this.hops.set(key, new Map());
          const of = this.hops.get(key);
          if (!of.has(use.link[i]) || of.get(use.link[i])[0] > use.beginTime[i]) of.set(use.link[i], [use.beginTime[i], use.endTime[i]]);
        }
      }
      this.links = links;
    }

    // Arrow keys: to the nearest node in that direction.
    walk(event) {
      const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
      const way = ways[event.key];
      if (!way || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      const [x, y] = this.places[this.here];
      let best = -1, least = Infinity;
      this.places.forEach(([a, b], i) => {
        const along = (a - x) * way[0] + (b - y) * way[1];
        const aside = Math.abs((a - x) * way[1]) + Math.abs((b - y) * way[0]);
        if (along > 1e-6 && along + 2 * aside < least) { least = along + 2 * aside; best = i; }
      });
      if (best < 0) return;
      this.buttons[this.here].tabIndex = -1;
      this.buttons[best].tabIndex = 0;
      this.buttons[best].focus();
    }

    layOut() {
      const { nodes, links } = this.run.network;
      const width = this.box.clientWidth;
      const tallest = Math.min(runs.length > 1 ? 270 : 400, window.innerHeight * 0.6);
      const xs = nodes.map((node) => node[3]), ys = nodes.map((node) => node[4]);
      for (const [tail, head, , bend] of links) {
        if (!bend) continue;
        const [x, y] = beside(nodes[tail].slice(3), nodes[head].slice(3), 0.5, bend);
        xs.push(x);
        ys.push(y);
      }
      const [left, right, top, bottom] = [least(xs), most(xs), least(ys), most(ys)];
      const margin = 26;
      const [roomX, roomY] = [(width - 2 * margin) / Math.max(right - left, 0.01), (tallest - 2 * margin) / Math.max(bottom - top, 0.01)];
      const scale = Math.min(roomX, roomY, 130);
      const scaleY = Math.min(roomY, 130, 2.5 * scale); // what is wide may be stretched upwards
      const height = Math.max(120, (bottom - top) * scaleY + 2 * margin);
      const x0 = width / 2 - ((left + right) / 2) * scale, y0 = height / 2 - ((top + bottom) / 2) * scaleY;
      this.places = nodes.map((node) => [x0 + node[3] * scale, y0 + node[4] * scaleY]);
      // Nodes must not touch, and of a link something must be seen.
      let nearest = Infinity;
      this.places.forEach(([x, y], i) => {
        for (let k = 0; k < i; k++) nearest = Math.min(nearest, Math.hypot(x - this.places[k][0], y - this.places[k][1]));
      });
      const shortest = least(links.map(([tail, head]) => Math.hypot(this.places[tail][0] - this.places[head][0], this.places[tail][1] - this.places[head][1])));
      this.radius = Math.max(3, Math.min(18, 0.44 * nearest, 0.22 * shortest));
      this.gap = shortest - 2 * this.radius; // what is seen of the shortest link
      this.box.style.height = `${height}px`;
      this.lines = links.map((link) => this.line(link, scale));
      this.busy = new Int32Array(links.length);
      this.copied = new Int32Array(links.length);
      this.lengths = this.run.network.routes.map((ways) => ways.map(([, on]) => on.reduce((sum, link) => sum + this.lines[link].length, 0)));
      this.svg.setAttribute("width", width);
      this.svg.setAttribute("height", height);
      const used = new Set(this.run.network.routes.flatMap((ways) => ways.flatMap(([, on]) => on)));
      // One element for all: a thousand paths would be slow to scroll.
      const drawn = (which) => this.lines.filter((_, i) => used.has(i) === which).map((line) => `M${line.points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`).join("");
      this.svg.innerHTML = `<path class="cable unused" d="${drawn(false)}"/><path class="cable" d="${drawn(true)}"/><path class="cable chosen" d=""/>`;
      this.chosen = this.svg.querySelector(".chosen");
      this.buttons.forEach((button, i) => {
        const kind = nodes[i][2], label = nodes[i][0];
        const size = 2 * this.radius * (kind ? 0.85 : 1);
        const font = Math.min(0.95 * this.radius, 13, (kind ? 2.9 : 3.1) * this.radius / Math.max(2, label.length) * 1.05);
        Object.assign(button.style, { left: `${this.places[i][0]}px`, top: `${this.places[i][1]}px`, width: `${size}px`, height: `${size}px` });
        button.firstChild.style.fontSize = `${font}px`;
        button.firstChild.hidden = font < 6;
      });
      this.context = fit(this.canvas, width, height);
      this.width = width;
      this.height = height;
      this.markSelected();
    }

    // A link's line from node to node, a little to the right of its way so that both directions are seen.
    line([tail, head, via, bend], scale) {
      const ends = (via < 0 ? [tail, head] : [tail, via, head]).map((node) => this.places[node]);
      let points = ends;
      if (bend) {
        // The longer the way, the sooner it must be clear of the next node.
        const [from, to] = [tail, head].map((node) => this.run.network.nodes[node].slice(3));
        const long = Math.hypot(to[0] - from[0], to[1] - from[1]);
        const power = long > 8 ? 8 : 4;
        points = Array.from({ length: 33 }, (_, i) => beside(...ends, i / 32, bend * scale * (1 - (i / 16 - 1) ** power)));
      }
      const [first, last] = [points[0], points[points.length - 1]];
      const whole = Math.hypot(last[0] - first[0], last[1] - first[1]) || 1;
      const aside = Math.min(4, 0.28 * this.radius);
      const [ox, oy] = [(-(last[1] - first[1]) / whole) * aside, ((last[0] - first[0]) / whole) * aside];
      points = points.map(([x, y]) => [x + ox, y + oy]);
      const lengths = [0];
      for (let i = 1; i < points.length; i++) lengths.push(lengths[i - 1] + Math.hypot(points[i][0] - points[i - 1][0], points[i][1] - points[i - 1][1]));
      const path = new Path2D();
      points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      return { points, lengths, length: lengths[lengths.length - 1], path };
    }

    along(line, part) {
      const far = part * line.length;
      const i = Math.max(1, Math.min(line.points.length - 1, after(line.lengths, far)));
      const s = (far - line.lengths[i - 1]) / (line.lengths[i] - line.lengths[i - 1] || 1);
      const [[x0, y0], [x1, y1]] = [line.points[i - 1], line.points[i]];
      return [x0 + s * (x1 - x0), y0 + s * (y1 - y0)];
    }

    // Where the head of a message is, on each of its routes: the link, and which part of it is behind.
    heads(message, t) {
      const { run } = this;
      const route = run.messages.route[message];
      const hops = this.hops.get(message);
      return run.network.routes[route].map(([, links], way) => {
        if (hops && links.every((link) => hops.has(link))) {
          let i = 0;
          while (i + 1 < links.length && hops.get(links[i + 1])[0] <= t) i++;
          const [begin, end] = hops.get(links[i]);
          const there = i + 1 < links.length ? end + this.links[links[i]][5] : run.arrive[message];
          return [links[i], Math.min(1, Math.max(0, (t - begin) / (there - begin || 1)))];
        }
        const part = (t - run.start[message]) / (run.arrive[message] - run.start[message] || 1);
        let far = part * this.lengths[route][way];
        for (const link of links) {
          const { length } = this.lines[link];
          if (far <= length || link === links[links.length - 1]) return [link, Math.min(1, far / (length || 1))];
          far -= length;
        }
        return [links[0], 0];
      });
    }

    positions(message, t) {
      const { run } = this;
      if (run.messages.op[message] === COMPUTE || t >= run.arrive[message]) return [this.places[run.messages.dst[message]]];
      return this.heads(message, t).map(([link, part]) => this.along(this.lines[link], part));
    }

    draw(t) {
      const { run, context } = this;
      context.clearRect(0, 0, this.width, this.height);
      const moving = run.at(t, ["moving", "adding", "working"]);
      const { busy, copied } = this; // how many messages are on each link, and how many of them replace
      busy.fill(0);
      copied.fill(0);
      const labelled = moving.length <= LABELLED && this.radius > 5;
      const grain = labelled ? 13 : 6;
      const spots = new Map(); // messages that would be drawn over each other are drawn once
      for (const i of moving) {
        const op = run.messages.op[i];
        if (op !== COMPUTE && t < run.arrive[i]) {
          for (const [, links] of run.network.routes[run.messages.route[i]]) {
            for (const link of links) {
              busy[link]++;
              if (op === COPY) copied[link]++;
            }
          }
        }
        for (const [x, y] of this.positions(i, t)) {
          const key = Math.round(x / grain) * 4096 + Math.round(y / grain);
          const known = spots.get(key);
          if (!known) spots.set(key, { x, y, messages: [i] });
          else if (known.messages[known.messages.length - 1] !== i) known.messages.push(i); // once, though it may be on several routes
        }
      }
      context.lineCap = "round";
      for (let link = 0; link < busy.length; link++) {
        const count = busy[link], copies = count === copied[link];
        if (!count) continue;
        context.strokeStyle = copies ? colours.copy : colours.add;
        context.globalAlpha = 0.45;
        context.lineWidth = Math.min(9, 2.2 + 1.2 * Math.log2(count));
        context.setLineDash(copies ? [7, 5] : []);
        context.stroke(this.lines[link].path);
      }
      context.setLineDash([]);
      context.globalAlpha = 1;
      this.spots = [...spots.values()];
      const told = this.spots.length <= TOLD && this.radius > 9 && run.cells.chunks;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.font = "600 11px system-ui, sans-serif";
      const texts = this.spots.map((spot) => (labelled ? this.label(spot.messages) : ""));
      const fit = texts.every((text) => !text || context.measureText(text).width + 8 <= Math.max(this.gap, 18));
      this.spots.forEach((spot, i) => this.spot(spot, t, fit ? texts[i] : "", labelled, told));
    }

    label(messages) {
      const runsOfChunks = this.run.messages.chunks[messages[0]];
      if (this.run.messages.op[messages[0]] === COMPUTE) return "";
      return messages.length > 1 ? `\u00d7${messages.length}` : runsOfChunks.length > 2 ? "\u2026" : runsInWords(runsOfChunks);
    }

    spot({ x, y, messages }, t, text, labelled, told) {
      const { run, context } = this;
      const first = messages[0];
      const op = run.messages.op[first];
      const here = op !== COMPUTE && t < run.arrive[first];
      context.font = "600 11px system-ui, sans-serif";
      const high = labelled ? 8.5 : Math.max(2.5, 0.55 * this.radius);
      const wide = Math.max(high, text ? context.measureText(text).width / 2 + 4 : 0);
      if (!here) { // at its receiver, which adds it, or works: a ring around the node
        context.beginPath();
        context.arc(x, y, this.radius + 5, 0, 7);
        context.strokeStyle = colours.work;
        context.lineWidth = 3;
        context.setLineDash([5, 3]);
        context.stroke();
        context.setLineDash([]);
        return;
      }
      context.beginPath();
      context.roundRect(x - wide, y - high, 2 * wide, 2 * high, op === COPY ? 2 : high);
      context.fillStyle = op === COPY ? colours.copy : colours.add;
      context.fill();
      const chosen = state.selected && state.selected.run === run && messages.includes(state.selected.message);
      context.lineWidth = chosen ? 3 : 1;
      context.strokeStyle = chosen ? colours.focus : colours.paper;
      context.stroke();
      if (text) {
        context.fillStyle = colours["on-mark"];
        context.fillText(text, x, y + 0.5);
      }
      if (told && messages.length === 1) {
        const words = run.carried(first, 1);
        if (words.length > 12 || words.includes(" ")) return;
        context.font = "11px system-ui, sans-serif";
        context.lineWidth = 3;
        context.strokeStyle = colours.paper;
        context.strokeText(words, x, y + high + 8);
        context.fillStyle = colours.ink;
        context.fillText(words, x, y + high + 8);
      }
    }

    // What is under the pointer: a message, else a link.
    under(event) {
      const box = this.box.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      let least = 12, found = null;
      for (const spot of this.spots || []) {
        const far = Math.hypot(spot.x - x, spot.y - y);
        if (far < least) { least = far; found = { message: spot.messages[0], others: spot.messages.length - 1 }; }
      }
      if (found) return found;
      least = 7;
      this.lines.forEach((line, i) => {
        for (let k = 1; k < line.points.length; k++) {
          const far = fromLine([x, y], line.points[k - 1], line.points[k]);
          if (far < least) { least = far; found = { link: i }; }
        }
      });
      return found;
    }

    markSelected() {
      const selected = state.selected && state.selected.run === this.run ? state.selected.message : -1;
      const route = selected < 0 ? -1 : this.run.messages.route[selected];
      const links = route < 0 ? [] : this.run.network.routes[route].flatMap(([, on]) => on);
      this.chosen.setAttribute("d", links.map((link) => `M${this.lines[link].points.map((p) => p.map((v) => v.toFixed(1)).join(" ")).join("L")}`).join(""));
      const ends = selected < 0 ? [] : [this.run.messages.src[selected], this.run.messages.dst[selected]];
      this.buttons.forEach((button, i) => button.classList.toggle("chosen", ends.includes(i)));
    }
  }

  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

  // A point of the way from one to another, so far to its left.
  function beside([x0, y0], [x1, y1], part, off) {
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    return [x0 + part * (x1 - x0) + ((y1 - y0) / length) * off, y0 + part * (y1 - y0) - ((x1 - x0) / length) * off];
  }

  function fromLine([x, y], [x0, y0], [x1, y1]) {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const square = dx * dx + dy * dy;
    const part = square ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / square)) : 0;
    return Math.hypot(x - x0 - part * dx, y - y0 - part * dy);
  }

  // --- Buffers ---

  class BufferView {
    constructor(run, panel) {
      this.run = run;
      this.panel = panel;
      this.figure = element("figure", "buffer-figure");
      const { ranks, chunks } = run.cells;
      this.figure.innerHTML = `<figcaption><h3>Buffers: a row a rank, a column a chunk</h3><span class="legend"><span>framed: just changed</span><span>&#10003; as promised</span></span></figcaption><div class="scroll"></div>`;
      this.position = 0; // how many changes have been made
      this.fresh = [];
      this.gradients = new Map();
      if (!ranks || !chunks) {
        this.figure.hidden = true;
        this.cells = [];
        return;
      }
      const table = element("table", `buffers${chunks > WIDE ? " tight" : ""}${chunks > VERY_WIDE ? " tiny" : ""}`);
      table.setAttribute("aria-label", `Buffers of ${run.algorithm}: a row a rank, a column a chunk`);
      const every = chunks > VERY_WIDE ? 8 : 1; // column heads that fit
      const heads = Array.from({ length: chunks }, (_, c) => `<th scope="col"${c % every ? ' aria-label="chunk ' + c + '"' : ""}>${c % every ? "" : c}</th>`);
      const rows = Array.from({ length: ranks }, (_, r) => `<tr><th scope="row">${r}${run.ranks <= 26 ? ` <span class="quiet">${run.names[r]}</span>` : ""}</th>${"<td><span></span></td>".repeat(chunks)}</tr>`);
      table.innerHTML = `<thead><tr><th scope="col">rank</th>${heads.join("")}</tr></thead><tbody>${rows.join("")}</tbody>`;
      this.figure.querySelector(".scroll").append(table);
      this.cells = [...table.querySelectorAll("td")];
      // What changes has a size of its own (player.css): then a new word in one cell moves no other.
      this.faces = this.cells.map((cell) => cell.firstChild);
      const letters = run.ranks > 26 ? 0 : most(run.brings.map((who) => who.length));
      this.letters = letters > 0 && letters * chunks <= MOST_LETTERS;
      this.tight = chunks > WIDE;
      if (this.letters && letters > 1) table.style.setProperty("--width", `calc(${letters}ch + 1rem)`);
      this.sets = run.cells.start.flat();
      this.promised = run.cells.promised.flat();
      this.cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; this.paint(place); });
      this.here = 0;
      const placeOf = (event) => this.cells.indexOf(event.target.closest("td"));
      table.addEventListener("keydown", (event) => this.walk(event));
      table.addEventListener("focusin", (event) => {
        const place = placeOf(event);
        if (place < 0) return;
        this.cells[this.here].tabIndex = -1;
        this.cells[place].tabIndex = 0;
        this.here = place;
        panel.show({ place });
      });
      table.addEventListener("mouseover", (event) => { const place = placeOf(event); panel.hover(place < 0 ? null : { place }); });
      table.addEventListener("mouseleave", () => panel.hover(null));
      table.addEventListener("click", (event) => { const place = placeOf(event); if (place >= 0) this.cells[place].focus(); });
    }

    walk(event) {
      const { ranks, chunks } = this.run.cells;
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: chunks, ArrowUp: -chunks }[event.key];
      if (!step || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      const to = this.here + step;
      const sameRow = Math.floor(to / chunks) === Math.floor(this.here / chunks);
      if (to >= 0 && to < ranks * chunks && (Math.abs(step) !== 1 || sameRow || chunks === 1)) this.cells[to].focus();
    }

    text(place) {
      const chunk = place % this.run.cells.chunks;
      const set = this.sets[place];
      const who = this.run.brings[chunk];
      const members = this.run.members[set];
      if (!set) return who.length > 1 && this.letters ? "\u00b7".repeat(who.length) : "";
      if (this.run.sets[set][2]) return this.run.sets[set][0];
      if (who.length === 1) return this.run.names[who[0]];
      if (!this.letters) return this.tight && set === this.promised[place] ? "\u2713" : String(members.size);
      return who.map((rank) => (members.has(rank) ? this.run.names[rank] : "\u00b7")).join("");
    }

    // A row of segments, one a contributor, filled where there is a contribution.
    gradient(set, chunk) {
      const who = this.run.brings[chunk];
      const key = who.length === this.run.ranks ? set : `${set} ${chunk}`;
      let found = this.gradients.get(key);
      if (found === undefined) {
        const stops = [];
        const members = this.run.members[set];
        const each = 100 / who.length, gap = who.length > 1 && who.length <= 16 ? Math.min(3, each * 0.14) : 0;
        for (let i = 0, end; i < who.length; i = end) {
          const filled = members.has(who[i]);
          // Without gaps neighbours are one segment: what has many is slow to paint.
          for (end = i + 1; !gap && end < who.length && members.has(who[end]) === filled;) end++;
          stops.push(`${filled ? "var(--held)" : "var(--line)"} ${(i * each).toFixed(2)}% ${(end * each - gap).toFixed(2)}%`);
          if (gap) stops.push(`transparent ${(end * each - gap).toFixed(2)}% ${(end * each).toFixed(2)}%`);
        }
        found = stops.length ? `linear-gradient(to right, ${stops.join(", ")})` : "none";
        this.gradients.set(key, found);
      }
      return found;
    }

    paint(place) {
      const face = this.faces[place], set = this.sets[place], chunk = place % this.run.cells.chunks;
      face.textContent = this.text(place);
      face.style.backgroundImage = this.gradient(set, chunk);
      face.classList.toggle("done", set !== 0 && set === this.promised[place]);
      face.classList.toggle("wrong", this.run.sets[set].length > 2);
      if (this.cells.length <= 600) this.cells[place].setAttribute("aria-label", this.run.sets[set][0] || "nothing");
    }

    draw(t) {
      if (!this.cells.length) return;
      const { cells, changed } = this.run;
      const to = after(changed, t);
      const dirty = new Set();
      for (; this.position < to; this.position++) {
        this.sets[cells.place[this.position]] = cells.set[this.position];
        dirty.add(cells.place[this.position]);
      }
      while (this.position > to) {
        this.position--;
        this.sets[cells.place[this.position]] = cells.before[this.position];
        dirty.add(cells.place[this.position]);
      }
      for (const place of dirty) this.paint(place);
      const fresh = [];
      if (to) {
        const last = changed[to - 1];
        for (let i = to - 1; i >= 0 && last - changed[i] <= tolerance; i--) fresh.push(cells.place[i]);
      }
      if (dirty.size || fresh.length !== this.fresh.length) {
        for (const place of this.fresh) this.faces[place].classList.remove("new");
        for (const place of fresh) this.faces[place].classList.add("new");
        this.fresh = fresh;
      }
    }

    markSelected() {
      for (const cell of this.marked || []) cell.classList.remove("source");
      this.marked = [];
      if (!state.selected || state.selected.run !== this.run || !this.cells.length) return;
      const { messages, cells } = this.run;
      const src = messages.src[state.selected.message];
      const carried = messages.carried[state.selected.message];
      for (let i = 0; i < carried.length && src < cells.ranks; i += 2) this.marked.push(this.faces[src * cells.chunks + carried[i]]);
      for (const cell of this.marked) cell.classList.add("source");
    }
  }

  // --- The timeline ---

  const GUTTER = 92, MARGIN = 30, LANE = 13, HEAD = 22, AXIS = 24;

  class TimelineView {
    constructor(run, panel) {
      this.run = run;
      this.panel = panel;
      this.zoom = 1;
      this.figure = element("figure", "timeline-figure wide");
      this.figure.innerHTML = `<figcaption><h3>Timeline</h3><span class="legend"><span><i class="bar"></i>sends, or on a link</span><span><i class="bar pale"></i>receives</span>${
        run.inRanks.part.includes(PROCESSOR) ? '<span><i class="bar work"></i>processor</span>' : ""}<span><i class="bar striped"></i>replaces</span></span><label class="zoom">Zoom <input type="range" min="0" max="6" step="0.5" value="0" aria-label="Zoom of the timeline"></label></figcaption>
        <div class="timeline" tabindex="0" role="img"><div class="space"></div><canvas></canvas><div class="cursor"></div></div>`;
      this.box = this.figure.querySelector(".timeline");
      this.canvas = this.figure.querySelector("canvas");
      this.space = this.figure.querySelector(".space");
      this.cursor = this.figure.querySelector(".cursor");
      this.lanes = this.makeLanes();
      const links = this.lanes.filter((lane) => lane.link !== undefined).length;
      this.box.setAttribute("aria-label", `Timeline of ${run.algorithm}: a lane for each of ${plural(run.ranks, "rank")}${
        links ? ` and ${plural(links, "link")}` : ""}, with the time from left to right. The messages are in the table of this moment as text.`);
      this.figure.querySelector("input").addEventListener("input", (event) => {
        this.zoom = 2 ** Number(event.target.value);
        this.layOut();
        this.draw(state.t, true);
      });
      this.left = 0; // kept here: to ask the box in every frame would lay out the page each time
      this.box.addEventListener("scroll", () => { this.left = this.box.scrollLeft; this.paint(); });
      this.box.addEventListener("mousemove", (event) => { const found = this.under(event); panel.hover(found === null ? null : { message: found }); });
      this.box.addEventListener("mouseleave", () => panel.hover(null));
      this.box.addEventListener("click", (event) => {
        const found = this.under(event);
        const box = this.box.getBoundingClientRect();
        const x = event.clientX - box.left - this.box.clientLeft;
        if (found !== null) select(run, found);
        else if (x > GUTTER) { pause(); seek(this.time(x), true); }
      });
    }

    // Lanes with what lies in them; what overlaps in one part of a rank or on a link lies on several levels.
    makeLanes() {
      const { run } = this;
      const lanes = [];
      const parts = new Map();
      const put = (key, item) => { if (!parts.has(key)) parts.set(key, []); parts.get(key).push(item); };
      const ranks = run.inRanks, links = run.onLinks;
      for (let i = 0; i < ranks.message.length; i++) put(`r${ranks.rank[i]} ${ranks.part[i]}`, [ranks.beginTime[i], ranks.endTime[i], ranks.message[i]]);
      for (let i = 0; i < links.message.length; i++) put(`l${links.link[i]}`, [links.beginTime[i], links.endTime[i], links.message[i]]);
      const stacked = (items) => {
        const levels = [];
        items.sort((a, b) => a[0] - b[0] || a[2] - b[2]);
        for (const item of items) {
          let level = levels.findIndex((end) => end <= item[0] + tolerance);
          if (level < 0) level = levels.push(0) - 1;
          levels[level] = item[1];
          item[3] = level;
        }
        return { items, levels: Math.max(1, levels.length) };
      };
      const empty = { items: [], levels: 0 };
      let y = AXIS;
      const shown = new Set(ranks.rank);
      if (shown.size) { lanes.push({ head: "Ranks: sends above, receives below", y, high: HEAD }); y += HEAD; }
      for (const rank of [...shown].sort((a, b) => a - b)) {
        const bands = [SEND, RECEIVE, PROCESSOR].map((part) => (parts.has(`r${rank} ${part}`) ? stacked(parts.get(`r${rank} ${part}`)) : part === PROCESSOR ? empty : { items: [], levels: 1 }));
        const high = bands.map((band) => (band.levels ? Math.min(40, Math.max(LANE, 7 * band.levels)) : 0));
        lanes.push({ rank, y, high: high.reduce((a, b) => a + b, 0) + 6, bands, highs: high });
        y += lanes[lanes.length - 1].high;
      }
      const used = [...new Set(links.link)].sort((a, b) => a - b);
      if (used.length) { lanes.push({ head: `Links: ${used.length} that are used`, y, high: HEAD }); y += HEAD; }
      for (const link of used) {
        const band = stacked(parts.get(`l${link}`));
        const high = Math.min(40, Math.max(LANE, 7 * band.levels));
        const [tail, head] = run.network.links[link].map((node) => run.network.nodes[node]?.[0]);
        lanes.push({ link, name: `${tail} \u2192 ${head}`, y, high: high + 5, bands: [band], highs: [high] });
        y += high + 5;
      }
      this.total = y + 4;
      return lanes;
    }

    layOut() {
      this.wide = this.box.clientWidth;
      this.high = Math.min(this.total, Math.min(352, window.innerHeight * 0.55));
      this.box.style.height = `${this.high + 2}px`;
      this.inner = (this.wide - GUTTER - MARGIN) * this.zoom;
      Object.assign(this.space.style, { width: `${GUTTER + this.inner + MARGIN}px`, height: `${this.total}px` });
      this.left = this.box.scrollLeft;
      this.context = fit(this.canvas, this.wide, this.high);
      this.cursor.style.height = `${this.total}px`;
      this.paint();
    }

    x(time) { return GUTTER + (time / (until || 1)) * this.inner - this.left; }
    time(x) { return Math.max(0, Math.min(until, ((x - GUTTER + this.left) / this.inner) * until)); }

    paint() {
      const { context, run, wide, high } = this;
      if (!this.stripes || this.stripesOf !== colours.copy) {
        this.stripesOf = colours.copy;
        this.stripes = [stripes(context, colours.paper, 0.3), stripes(context, colours.copy, 0.5)];
      }
      const top = this.box.scrollTop;
      const selected = state.selected && state.selected.run === run ? state.selected.message : -1;
      context.clearRect(0, 0, wide, high);
      context.fillStyle = colours.paper;
      context.fillRect(0, 0, wide, high);
      context.textBaseline = "middle";
      context.save();
      context.beginPath();
      context.rect(0, AXIS, wide, high - AXIS);
      context.clip();
      context.fillStyle = colours.line;
      for (const [x] of this.ticks()) context.fillRect(x, 0, 1, high);
      for (const lane of this.lanes) {
        const y = lane.y - top;
        if (y > high || y + lane.high < AXIS) continue;
        if (lane.head) {
          context.fillStyle = colours.panel;
          context.fillRect(0, y, wide, lane.high);
          context.fillStyle = colours.quiet;
          context.font = "600 11px system-ui, sans-serif";
          context.textAlign = "left";
          context.fillText(lane.head, 8, y + lane.high / 2 + 1);
          continue;
        }
        context.fillStyle = colours.line;
        context.fillRect(0, y + lane.high - 1, wide, 1);
        context.save();
        context.beginPath();
        context.rect(GUTTER, y, wide - GUTTER, lane.high);
        context.clip();
        let base = y + 2;
        lane.bands.forEach((band, part) => {
          const each = lane.highs[part] / (band.levels || 1);
          for (const item of band.items) this.bar(lane, part, item, base + item[3] * each, each, selected);
          base += lane.highs[part];
        });
        context.restore();
        context.fillStyle = colours.ink;
        context.font = "11.5px system-ui, sans-serif";
        context.textAlign = "right";
        const name = lane.name || `rank ${lane.rank}`;
        context.fillText(name, GUTTER - 8, y + lane.high / 2, GUTTER - 12);
      }
      context.restore();
      this.axis();
    }

    bar(lane, part, [begin, end, message], y, each, selected) {
      const { context, run } = this;
      const x0 = this.x(begin), x1 = this.x(end);
      if (x1 < GUTTER || x0 > this.wide) return;
      const width = Math.max(1, x1 - x0 - 0.6), thick = Math.max(1.5, each - 1.4);
      const op = run.messages.op[message];
      const work = lane.link === undefined && part === PROCESSOR;
      const colour = work ? colours.work : op === COPY ? colours.copy : colours.add;
      const received = lane.link === undefined && part === RECEIVE;
      context.fillStyle = colour;
      context.globalAlpha = received ? 0.32 : 0.9;
      context.fillRect(x0, y, width, thick);
      context.globalAlpha = 1;
      // What is received has an edge, what replaces has stripes: not by colour alone.
      if (op === COPY && !work && width > 3 && thick > 3) {
        context.fillStyle = received ? this.stripes[1] : this.stripes[0];
        context.fillRect(x0, y, width, thick);
      }
      if (received && width > 3 && thick > 3) {
        context.strokeStyle = colour;
        context.lineWidth = 1;
        context.strokeRect(x0 + 0.5, y + 0.5, width - 1, thick - 1);
      }
      if (message === selected) {
        context.strokeStyle = colours.focus;
        context.lineWidth = 2.5;
        context.strokeRect(x0, y, Math.max(3, width), thick);
      }
      if (thick < 9) return;
      const m = run.messages;
      const chunks = m.chunks[message].length > 2 ? "" : ` c${runsInWords(m.chunks[message])}`;
      const words = lane.link !== undefined ? `${m.src[message]}\u2192${m.dst[message]}${chunks}` : work ? "works"
        : part === SEND ? `\u2192${m.dst[message]}${chunks}` : `\u2190${m.src[message]}${chunks}`;
      context.font = "10px system-ui, sans-serif";
      const room = width - 6;
      if (room < 12 || context.measureText(words).width > room) return;
      context.textAlign = "left";
      context.fillStyle = received ? colours.ink : colours["on-mark"];
      context.fillText(words, x0 + 3, y + thick / 2 + 0.5);
    }

    ticks() {
      const step = niceStep((until / this.inner) * 95);
      const found = [];
      for (let k = 0; step && k * step <= until * 1.0001; k++) {
        const x = this.x(k * step);
        if (x >= GUTTER - 1 && x <= this.wide - 8) found.push([x, k * step]);
      }
      return found;
    }

    axis() {
      const { context, run, wide, high } = this;
      context.fillStyle = colours.panel;
      context.fillRect(0, 0, wide, AXIS);
      context.fillStyle = colours.line;
      context.fillRect(0, AXIS - 1, wide, 1);
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "center";
      const taken = [];
      for (const [time, words, dash] of [[run.bound, "bound", [3, 3]], [run.time, "end", []]]) {
        const x = this.x(time);
        if (!(time > 0) || time > until * (1 + 1e-9) || x < GUTTER) continue;
        context.strokeStyle = colours.ink;
        context.lineWidth = 1.2;
        context.setLineDash(dash);
        context.beginPath();
        context.moveTo(x, AXIS - 8);
        context.lineTo(x, high);
        context.stroke();
        context.setLineDash([]);
        // The bound before its line, the end behind: they may be near each other.
        const size = context.measureText(words).width;
        const left = words === "bound" && x - size - 4 > GUTTER ? x - size - 4 : Math.min(x + 4, wide - size - 3);
        taken.push([left - 5, left + size + 5]);
        context.fillStyle = colours.ink;
        context.textAlign = "left";
        context.fillText(words, left, AXIS / 2);
      }
      context.textAlign = "center";
      for (const [x, time] of this.ticks()) {
        context.fillStyle = colours.line;
        context.fillRect(x, AXIS - 5, 1, 5);
        const words = formatTime(time), half = context.measureText(words).width / 2;
        const middle = Math.min(x, wide - half - 3);
        const free = taken.every(([left, right]) => middle + half < left || middle - half > right);
        context.fillStyle = colours.quiet;
        if (free && (x > GUTTER + 12 || !time)) context.fillText(words, middle, AXIS / 2);
      }
    }

    under(event) {
      const box = this.box.getBoundingClientRect();
      const x = event.clientX - box.left - this.box.clientLeft, seen = event.clientY - box.top - this.box.clientTop;
      const y = seen + this.box.scrollTop;
      if (x < GUTTER || seen < AXIS) return null;
      const lane = this.lanes.find((one) => one.bands && one.y <= y && y < one.y + one.high);
      if (!lane) return null;
      const slack = (2 / this.inner) * until, time = this.time(x);
      let base = lane.y + 2;
      for (let part = 0; part < lane.bands.length; part++) {
        const band = lane.bands[part];
        const level = Math.floor((y - base) / (lane.highs[part] / (band.levels || 1)));
        const found = band.items.find((item) => item[3] === level && item[0] - slack <= time && time <= item[1] + slack);
        if (y < base + lane.highs[part]) return found ? found[2] : null;
        base += lane.highs[part];
      }
      return null;
    }

    draw(t, keep) {
      let x = this.x(t);
      if (this.zoom > 1 && !keep && (x < GUTTER + 10 || x > this.wide - 30)) {
        this.box.scrollLeft += x - GUTTER - 0.15 * (this.wide - GUTTER);
        this.left = this.box.scrollLeft;
        x = this.x(t);
      }
      this.cursor.style.transform = `translateX(${x + this.left - 1}px)`;
      this.cursor.style.visibility = x < GUTTER - 1 ? "hidden" : "visible";
    }

    markSelected() { this.paint(); }
  }

  function stripes(context, colour, strength) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.globalAlpha = strength;
    pen.lineWidth = 1.3;
    for (const x of [-6, 0, 6]) {
      pen.beginPath();
      pen.moveTo(x - 1, 7);
      pen.lineTo(x + 7, -1);
      pen.stroke();
    }
    return context.createPattern(tile, "repeat");
  }

  function niceStep(least) {
    if (!(least > 0)) return 0;
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least);
  }

  // --- Words about what happens, and details ---

  class Panel {
    constructor(run) {
      this.run = run;
      this.shown = null;
      this.now = element("div", "now");
      this.now.tabIndex = 0;
      this.now.setAttribute("role", "region");
      this.now.setAttribute("aria-label", `What happens now in ${run.algorithm}`);
      this.figure = element("section", "details");
      this.figure.setAttribute("aria-label", `Details of ${run.algorithm}`);
      this.figure.innerHTML = `<div class="details-head"><h3>Details</h3><div class="buttons" role="group" aria-label="Choose a message">
        <button type="button" class="before" aria-label="The message before">&lsaquo; before</button>
        <button type="button" class="next" aria-label="The next message">next &rsaquo;</button>
        <button type="button" class="go" disabled>Go there</button></div></div><div class="text"></div>`;
      this.text = this.figure.querySelector(".text");
      this.go = this.figure.querySelector(".go");
      this.figure.querySelector(".before").addEventListener("click", () => this.move(-1));
      this.figure.querySelector(".next").addEventListener("click", () => this.move(1));
      this.go.addEventListener("click", () => {
        pause();
        seek(run.start[state.selected.message], true);
      });
      this.moment = element("details", "moment wide");
      this.moment.innerHTML = `<summary>Messages of this moment as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="Messages of this moment"></div>`;
      this.moment.addEventListener("toggle", () => this.tell(state.t));
    }

    // To the message before or after the selected one, in the order in which they start; else to one of this moment.
    move(by) {
      const { order, start } = this.run;
      if (!order.length) return;
      let at = 0;
      if (state.selected && state.selected.run === this.run) at = order.indexOf(state.selected.message) + by;
      else { // the first of those that left last
        const starts = order.map((i) => start[i]);
        const latest = starts[Math.max(0, after(starts, state.t) - 1)];
        at = starts.findIndex((time) => latest - time <= tolerance);
      }
      at = Math.max(0, Math.min(order.length - 1, at));
      select(this.run, order[at]);
      say(this.run.inWords(order[at]));
    }

    hover(what) {
      if (what) this.write(what);
      else if (this.over) this.write(this.shown);
      this.over = Boolean(what);
    }

    show(what) {
      this.shown = what;
      if (what && what.message !== undefined) select(this.run, what.message);
      else this.write(what);
    }

    write(what) {
      const { run } = this;
      const rows = what === null ? null
        : what.message !== undefined ? this.ofMessage(what.message, what.others)
          : what.node !== undefined ? this.ofNode(what.node)
            : what.link !== undefined ? this.ofLink(what.link) : this.ofPlace(what.place);
      this.go.disabled = !(state.selected && state.selected.run === run);
      this.text.innerHTML = rows ? `<dl>${rows.map(([name, words]) => `<dt>${escaped(name)}</dt><dd>${escaped(words)}</dd>`).join("")}</dl>`
        : `<p class="quiet">Point at a message, a node, a link or a cell, or reach it by keyboard, to read about it here.</p>`;
    }

    ofMessage(i, others) {
      const { run } = this;
      const m = run.messages;
      const time = formatTime;
      if (m.op[i] === COMPUTE) return [["Work", `step ${m.step[i]}, on rank ${m.src[i]}`], ["Begins", time(run.start[i])], ["Ends", time(run.finish[i])]];
      const waits = run.start[i] - run.ready[i];
      const rows = [
        ["Message", `step ${m.step[i]}: rank ${m.src[i]} to rank ${m.dst[i]}${others ? `, and ${others} more in this place` : ""}`],
        ["Carries", `${run.what(i)}, ${m.size[i]}; ${m.op[i] === COPY ? "replaces what is there" : "is added to what is there"}`],
        ["Times", `ready ${time(run.ready[i])}, leaves ${time(run.start[i])}${waits > tolerance ? ` (waits ${time(waits)})` : ""}, arrives ${time(run.arrive[i])}${run.finish[i] > run.arrive[i] ? `, added ${time(run.finish[i])}` : ""}`],
      ];
      if (run.network.real) {
        const ways = run.network.routes[m.route[i]];
        rows.push([ways.length > 1 ? "Routes" : "Route", ways.map((way) => run.nodesOf(way).join(" \u2192 ") + (ways.length > 1 ? ` (${Math.round(100 * way[0])} %)` : "")).join("; ")]);
      }
      return rows;
    }

    ofNode(i) {
      const { run } = this;
      const [, name, kind] = run.network.nodes[i];
      const told = (list) => (list.length ? list.slice(0, 4).map((k) => run.what(k)).join("; ") + (list.length > 4 ? ` and ${list.length - 4} more` : "") : "nothing");
      const active = run.at(state.t, ["moving", "adding", "working"]);
      if (kind === 0) {
        const sends = active.filter((k) => run.messages.src[k] === i && run.stateOf(k, state.t) === "moving");
        const gets = active.filter((k) => run.messages.dst[k] === i && run.stateOf(k, state.t) === "moving");
        const waits = run.at(state.t, ["waiting"]).filter((k) => run.messages.src[k] === i);
        const sendsTo = (list) => (list.length ? `to ${[...new Set(list.map((k) => `rank ${run.messages.dst[k]}`))].slice(0, 4).join(", ")}: ` : "");
        const getsFrom = (list) => (list.length ? `from ${[...new Set(list.map((k) => `rank ${run.messages.src[k]}`))].slice(0, 4).join(", ")}: ` : "");
        const rows = [["Node", `${name}; its values are called ${run.names[i]}`], ["Sends", sendsTo(sends) + told(sends)], ["Receives", getsFrom(gets) + told(gets)]];
        if (waits.length) rows.push(["Wait here", told(waits)]);
        return rows;
      }
      const through = active.filter((k) => run.messages.route[k] >= 0 && run.stateOf(k, state.t) === "moving"
        && run.network.routes[run.messages.route[k]].some(([, links]) => links.some((l) => run.network.links[l][0] === i || run.network.links[l][2] === i)));
      return [["Node", name], ["Through it", plural(through.length, "message")]];
    }

    ofLink(i) {
      const { run } = this;
      const [tail, head, , , words] = run.network.links[i];
      const name = `${run.network.nodes[tail][1]} to ${run.network.nodes[head][1]}`;
      const on = run.at(state.t, ["moving"]).filter((k) => run.network.routes[run.messages.route[k]].some(([, links]) => links.includes(i)));
      const rows = [["Link", name]];
      if (words) rows.push(["Figures", words]);
      rows.push(["On it now", on.length ? `${plural(on.length, "message")}: ${on.slice(0, 4).map((k) => `${run.messages.src[k]} \u2192 ${run.messages.dst[k]}, ${run.what(k)}`).join("; ")}${on.length > 4 ? " and more" : ""}` : "nothing"]);
      return rows;
    }

    ofPlace(place) {
      const { run } = this;
      const view = views[run.number].buffers;
      const [rank, chunk] = [Math.floor(place / run.cells.chunks), place % run.cells.chunks];
      const set = view.sets[place], promised = view.promised[place];
      const rows = [["Buffer", `rank ${rank}, chunk ${chunk}`],
        ["Holds", set ? `${run.sets[set][0]} (${run.members[set].size} of ${run.brings[chunk].length})` : "nothing yet"],
        ["Promised", promised ? (promised === set ? `${run.sets[promised][0]}: it is there` : run.sets[promised][0]) : "nothing, this chunk is not part of its result"]];
      for (let i = view.position - 1; i >= 0; i--) {
        if (run.cells.place[i] !== place) continue;
        rows.push(["Changed", `${formatTime(run.changed[i])}, by ${run.inWords(run.cells.message[i])}`]);
        break;
      }
      return rows;
    }

    // What happens at the last instant up to t, in words; returned as text for those who hear it.
    tell(t) {
      const { run } = this;
      const instant = instants[Math.max(0, after(instants, t + tolerance) - 1)];
      const near = (time) => Math.abs(time - instant) <= tolerance;
      const ends = [], starts = [];
      for (let i = 0; i < run.count; i++) {
        if (near(run.finish[i])) ends.push(i);
        if (near(run.start[i]) && run.start[i] <= run.until) starts.push(i);
      }
      const said = (list, verb) => {
        const first = list.slice(0, TOLD_ALOUD).map((i) => {
          const m = run.messages;
          if (m.op[i] === COMPUTE) return `rank ${m.src[i]}, work of step ${m.step[i]}`;
          return `step ${m.step[i]}, rank ${m.src[i]} to rank ${m.dst[i]}, ${run.what(i)}`;
        });
        return list.length ? `${plural(list.length, "message")} ${verb[list.length === 1 ? 0 : 1]}: ${first.join("; ")}${list.length > TOLD_ALOUD ? `; and ${list.length - TOLD_ALOUD} more` : ""}.` : "";
      };
      const over = t >= run.time && run.until === run.time;
      const steps = run.steps(t);
      const [moving, adding, working, waiting] = ["moving", "adding", "working", "waiting"].map((one) => run.at(t, [one]).length);
      const head = over ? `finished at ${formatTime(run.time)}` : [steps, moving ? `${moving} on the way` : "", adding ? `${adding} being added` : "", working ? `${working} at work` : "", waiting ? `${waiting} waiting` : ""].filter(Boolean).join(", ");
      const parts = [said(ends, ["has been delivered", "have been delivered"]), said(starts, ["leaves", "leave"])].filter(Boolean);
      if (t >= run.until - tolerance && !over) parts.push(`Here the page ends; the run takes ${formatTime(run.time)}.`);
      const when = `${t - instant > tolerance ? "Since" : "At"} ${formatTime(instant)}`;
      const key = `${when} ${head}`;
      if (key !== this.told) {
        this.told = key;
        this.now.innerHTML = `<b>${when}</b>${head ? `, ${escaped(head)}` : ""}${parts.length ? `<ul>${parts.map((part) => `<li>${escaped(part)}</li>`).join("")}</ul>` : ""}`;
      }
      if (this.moment.open) this.table(t);
      return `${runs.length > 1 ? `${run.algorithm}: ` : ""}${head ? `${head}. ` : ""}${parts.join(" ")}`;
    }

    table(t) {
      const { run } = this;
      const now = run.at(t, ["waiting", "moving", "adding", "working"]);
      const names = { waiting: "waiting", moving: "on its way", adding: "being added", working: "at work" };
      const rows = now.slice(0, ROWS_OF_MOMENT).map((i) => {
        const m = run.messages;
        return `<tr><td>${names[run.stateOf(i, t)]}</td><td>${m.step[i]}</td><td>${m.src[i]}</td><td>${m.dst[i]}</td><td>${escaped(run.what(i))}</td><td>${formatTime(run.start[i])}</td><td>${formatTime(run.finish[i])}</td></tr>`;
      });
      const more = now.length > ROWS_OF_MOMENT ? `<p>${now.length - ROWS_OF_MOMENT} more are left out here.</p>` : "";
      this.moment.querySelector(".scroll").innerHTML = now.length
        ? `<table><thead><tr>${["state", "step", "from rank", "to rank", "carries", "start", "finish"].map((h) => `<th scope="col">${h}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table>${more}`
        : "<p>No message is under way.</p>";
    }
  }

  // --- One run on the page ---

  class RunView {
    constructor(run) {
      this.run = run;
      this.section = element("section", "run");
      this.section.setAttribute("aria-labelledby", `run-${run.number}`);
      const percent = `${Number((100 * run.efficiency).toPrecision(3))} %`;
      const header = element("div", "wide");
      header.innerHTML = `<div class="run-head"><h2 id="run-${run.number}">${escaped(run.algorithm)}</h2><span class="state">not started</span></div>
        <div class="facts"><span>takes <b>${formatTime(run.time)}</b></span><span>lower bound <b>${formatTime(run.bound)}</b>, ${percent} of it${run.reason ? `: ${escaped(run.reason)}` : ""}</span>
        <span><b>${plural(run.total, "message")}</b> in ${plural(run.stepCount, "step")}</span><span>${escaped(run.collective)} of <b>${escaped(run.size)}</b>, ${plural(run.ranks, "rank")}</span>
        <span>${escaped(run.topology || "no network")}, ${escaped(run.model)}${run.ordering === "step" ? "" : `, ${escaped(run.ordering)}`}</span></div>
        ${run.leftOut.length ? `<p class="left-out"><b>Left out.</b> ${escaped(run.leftOut.join(" "))}</p>` : ""}`;
      this.status = header.querySelector(".state");
      this.section.append(header);
      this.panel = new Panel(run);
      this.network = new NetworkView(run, this.panel);
      this.buffers = new BufferView(run, this.panel);
      this.timeline = new TimelineView(run, this.panel);
      const parts = [this.network.figure, this.buffers.figure, this.panel.now, this.panel.figure];
      // Beside each other there is no room for two columns: what happens first.
      if (runs.length > 1) parts.unshift(...parts.splice(2, 1));
      this.section.append(...parts, this.timeline.figure, this.panel.moment);
      this.panel.write(null);
      this.painted = 0;
    }

    layOut() {
      this.network.layOut();
      this.timeline.layOut();
    }

    draw(t, hurry) {
      const now = Math.min(t, this.run.until);
      this.network.draw(now);
      // A large table takes longer to paint than there is between two frames.
      const clock = performance.now();
      if (!hurry || this.buffers.cells.length <= MANY_CELLS || clock - this.painted > PATIENCE) {
        this.painted = clock;
        this.buffers.draw(now);
      }
      this.timeline.draw(t);
      const over = t >= this.run.time - tolerance && this.run.until === this.run.time;
      const words = over ? `finished, ${formatTime(this.run.time)}` : t > 0 ? "running" : "not started";
      if (words !== this.status.textContent) {
        this.status.textContent = words;
        this.status.classList.toggle("over", over);
      }
    }

    markSelected() {
      for (const view of [this.network, this.buffers, this.timeline]) view.markSelected();
      const { selected } = state;
      if (selected && selected.run === this.run) {
        this.panel.shown = { message: selected.message };
        this.panel.write(this.panel.shown);
      } else if (this.panel.shown && this.panel.shown.message !== undefined) {
        this.panel.shown = null;
        this.panel.write(null);
      }
    }
  }

  // --- The clock ---

  const BASE = Math.max(8, Math.min(30, 0.45 * instants.length)); // seconds that a whole run takes at speed 1
  const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4, 8];
  const scrub = $("scrub");

  function draw(hurry) {
    for (const view of views) view.draw(state.t, hurry);
    scrub.value = until ? (1000 * state.t) / until : 0;
    $("clock").textContent = formatTime(state.t);
  }

  function tell(aloud) {
    const words = views.map((view) => view.panel.tell(Math.min(state.t, view.run.until)));
    scrub.setAttribute("aria-valuetext", `${formatTime(state.t)} of ${formatTime(until)}`);
    for (const view of views) if (view.panel.shown && view.panel.shown.message === undefined) view.panel.write(view.panel.shown);
    if (aloud) say(`${formatTime(state.t)}. ${words.join(" ")}`);
  }

  function say(words) { $("live").textContent = words; }

  function seek(t, aloud) {
    state.t = Math.max(0, Math.min(until, t));
    draw();
    tell(aloud);
  }

  function select(run, message) {
    state.selected = run ? { run, message } : null;
    for (const view of views) view.markSelected();
    draw();
  }

  function jump(times, by) {
    pause();
    const next = by > 0 ? times[after(times, state.t + tolerance)] : times[after(times, state.t - 1.5 * tolerance) - 1];
    seek(next === undefined ? (by > 0 ? until : 0) : next, true);
  }

  let last = 0, lastTold = 0, timer = 0;
  function frame(now) {
    if (!state.playing || still.matches) return;
    const passed = Math.min(100, now - last) / 1000;
    last = now;
    state.t = Math.min(until, state.t + (passed * state.speed * until) / BASE);
    draw(state.t < until);
    if (now - lastTold > 150) { lastTold = now; tell(false); }
    if (state.t >= until) pause(true);
    else requestAnimationFrame(frame);
  }

  // Without motion: from event to event.
  function hop() {
    if (!state.playing) return;
    const next = instants[after(instants, state.t + tolerance)];
    seek(next === undefined ? until : next, false);
    if (state.t >= until) pause(true); else timer = setTimeout(hop, 1000 / state.speed);
  }

  function play() {
    if (state.playing || !until) return;
    if (state.t >= until) seek(0, false);
    state.playing = true;
    showPlaying();
    last = performance.now();
    if (still.matches) timer = setTimeout(hop, 1000 / state.speed);
    else requestAnimationFrame((now) => { last = now; frame(now); });
  }

  function pause(aloud) {
    if (!state.playing) return;
    state.playing = false;
    clearTimeout(timer);
    showPlaying();
    draw();
    tell(Boolean(aloud));
  }

  function showPlaying() {
    $("play").classList.toggle("playing", state.playing);
    $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  }

  function faster(by) {
    const at = SPEEDS.indexOf(state.speed) + by;
    state.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at))];
    const words = state.speed < 1 ? `1/${1 / state.speed}` : String(state.speed);
    $("speed").textContent = `${words}\u00d7`;
    $("slower").disabled = state.speed === SPEEDS[0];
    $("faster").disabled = state.speed === SPEEDS[SPEEDS.length - 1];
    $("speed").title = `A second here is ${formatTime((state.speed * until) / BASE)} of the run`;
  }

  function setTheme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    $("theme").textContent = dark ? "Light" : "Dark";
    $("theme").title = `To ${dark ? "light" : "dark"} colours (D)`;
    readColours();
    for (const view of views) view.timeline.context && view.timeline.paint();
    if (views.length && views[0].network.context) draw();
  }

  // --- Everything together ---

  const ACTIONS = {
    play: () => (state.playing ? pause(true) : play()),
    first: () => { pause(); seek(0, true); },
    last: () => { pause(); seek(until, true); },
    back: () => jump(instants, -1),
    forward: () => jump(instants, 1),
    "step-back": () => jump(stepTimes, -1),
    "step-forward": () => jump(stepTimes, 1),
    slower: () => faster(-1),
    faster: () => faster(1),
    theme: () => setTheme(document.documentElement.dataset.theme !== "dark"),
    "help-open": () => $("help").showModal(),
  };
  const panelInUse = () => (state.selected ? views[state.selected.run.number] : views[0]).panel;
  const KEYS = {
    " ": "play", Home: "first", End: "last", ArrowLeft: "back", ArrowRight: "forward", "Shift ArrowLeft": "step-back",
    "Shift ArrowRight": "step-forward", "+": "faster", "=": "faster", "-": "slower", d: "theme", D: "theme", "?": "help-open",
  };

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || $("help").open) return;
    const at = event.target;
    // What the focus is on has keys of its own.
    if (event.key === " " && at.closest("button, summary, input:not(#scrub)")) return;
    if (at.matches("input:not(#scrub)") && /^(Arrow|Home|End)/.test(event.key)) return;
    const key = (event.shiftKey && event.key.startsWith("Arrow") ? "Shift " : "") + event.key;
    if (key === "[" || key === "]") panelInUse().move(key === "]" ? 1 : -1);
    else if (KEYS[key]) ACTIONS[KEYS[key]]();
    else return;
    event.preventDefault();
  }

  function verdict() {
    if (runs.length < 2) return;
    const order = [...runs].sort((a, b) => a.time - b.time);
    const [first, next] = order;
    const gap = next.time - first.time;
    const line = $("verdict");
    line.hidden = false;
    line.textContent = gap <= 1e-9 * next.time ? `${first.algorithm} and ${next.algorithm} take the same time, ${formatTime(first.time)}.`
      : `${first.algorithm} finishes first, after ${formatTime(first.time)}: ${formatTime(gap)} before ${next.algorithm}, which takes ${
        Number((next.time / first.time).toPrecision(3))} times as long.`;
  }

  function layOut() {
    for (const view of views) view.layOut();
    draw();
  }

  setTheme(darkSystem.matches);
  darkSystem.addEventListener("change", (event) => setTheme(event.matches));
  $("runs").classList.toggle("several", runs.length > 1);
  for (const run of runs) {
    const view = new RunView(run);
    views.push(view);
    $("runs").append(view.section);
  }
  verdict();
  for (const [id, action] of Object.entries(ACTIONS)) $(id).addEventListener("click", action);
  scrub.addEventListener("input", () => { pause(); seek((scrub.value / 1000) * until, false); });
  scrub.addEventListener("change", () => tell(true));
  document.addEventListener("keydown", onKey);
  $("total").textContent = `of ${formatTime(until)}`;
  faster(0);
  layOut();
  tell(false);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; layOut(); } });

  // For tests and for pages around this one: what is shown now, and ways to change it.
  window.collsim = {
    seek: (t) => { pause(); seek(t, false); },
    play, pause, instants, stepTimes,
    get state() {
      return {
        t: state.t, playing: state.playing, speed: state.speed, until,
        selected: state.selected && [state.selected.run.number, state.selected.run.messages.row[state.selected.message]],
        runs: views.map(({ run, buffers, network }) => {
          const t = Math.min(state.t, run.until);
          const rows = (...wanted) => run.at(t, wanted).map((i) => run.messages.row[i]);
          return {
            waiting: rows("waiting"), moving: rows("moving"), adding: rows("adding"), working: rows("working"),
            heads: run.at(t, ["moving"]).map((i) => [run.messages.row[i], network.heads(i, t)]),
            holds: buffers.cells.length ? Array.from(buffers.sets, (set) => run.sets[set][0]) : [],
            shown: buffers.cells.map((cell) => cell.textContent),
          };
        }),
      };
    },
  };
})();
