
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const chart = $("chart"), canvas = $("canvas"), space = $("space"), tip = $("tip");
  const context = canvas.getContext("2d", { alpha: false });
  const ROW = 18, AXIS = 22, LEFT = 190;
  const glyphs = data.sorts.map(([, path]) => new Path2D(path));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let shownLanes = data.lanes.slice();
  let from = 0, span = data.span;  // milliseconds since the beginning
  let width = 0, height = 0, planned = false;
  let lane = -1, mark = -1;  // chosen by keys

  const colours = () => dark.matches
    ? { ground: "#161616", text: "#eeeeee", line: "#333333", chosen: "#2c2c2c" }
    : { ground: "#ffffff", text: "#111111", line: "#dddddd", chosen: "#e8f1f8" };
  const clock = (ms) => new Date(data.since + ms).toISOString();
  const took = (ms) => ms < 1e4 ? (ms / 1e3).toFixed(2) + " s" : ms < 6e4 ? (ms / 1e3).toFixed(0) + " s"
    : ms < 36e5 ? (ms / 6e4).toFixed(1) + " min" : ms < 864e5 ? (ms / 36e5).toFixed(1) + " h" : (ms / 864e5).toFixed(1) + " d";
  const x = (ms) => LEFT + (ms - from) / span * (width - LEFT);
  const time = (px) => from + (px - LEFT) / (width - LEFT) * span;

  // The first of a flat list of records whose field is at or after a time.
  const first = (list, size, field, at) => {
    let low = 0, high = list.length / size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle * size + field] < at) low = middle + 1; else high = middle;
    }
    return low;
  };

  const plan = () => { if (!planned) { planned = true; requestAnimationFrame(draw); } };

  const steps = [1, 10, 100, 1e3, 5e3, 15e3, 6e4, 3e5, 9e5, 36e5, 108e5, 216e5, 432e5, 864e5, 6048e5, 2592e6, 31536e6];
  const axis = (c) => {
    const step = steps.find((each) => each / span * (width - LEFT) >= 110) || 31536e6;
    const begin = Math.ceil((data.since + from) / step) * step - data.since;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    for (let at = begin; at <= from + span; at += step) {
      const place = Math.round(x(at)) + 0.5;
      context.fillStyle = c.line;
      context.fillRect(place, AXIS, 1, height);
      context.fillStyle = c.text;
      const text = clock(at);
      context.fillText(step >= 864e5 ? text.slice(0, 10) : step >= 6e4 ? text.slice(5, 16).replace("T", " ") : step >= 1e3 ? text.slice(11, 19) : text.slice(11, 23), place + 3, 14);
    }
  };

  const bars = (one, top) => {
    const list = one.bars, until = from + span;
    let last = -1;  // bars of less than a pixel are drawn once a pixel
    for (let i = first(list, 4, 1, from); i * 4 < list.length && list[i * 4] <= until; i++) {
      const begin = Math.max(LEFT, x(list[i * 4])), end = Math.min(width, x(list[i * 4 + 1]));
      if (end - begin < 1 && Math.floor(begin) === last) continue;
      last = Math.floor(begin);
      const [, colour, high] = data.phases[list[i * 4 + 2]], tall = high * (ROW - 4);
      context.fillStyle = colour;
      context.fillRect(begin, top + (ROW - tall) / 2, Math.max(1, end - begin), tall);
    }
  };

  const marks = (one, top, c) => {
    const list = one.marks, until = from + span;
    const last = [-9, -9, -9, -9, -9, -9, -9];
    for (let i = first(list, 3, 0, from); i * 3 < list.length && list[i * 3] <= until; i++) {
      const place = Math.round(x(list[i * 3])), sort = list[i * 3 + 1];
      if (place - last[sort] < 3) continue;
      last[sort] = place;
      context.setTransform(ratio, 0, 0, ratio, place * ratio, (top + ROW / 2) * ratio);
      context.lineWidth = 3;
      context.strokeStyle = c.ground;
      context.stroke(glyphs[sort]);
      context.lineWidth = 1.5;
      context.strokeStyle = c.text;
      context.stroke(glyphs[sort]);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
  };

  let ratio = 1;
  const draw = () => {
    planned = false;
    const c = colours();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = c.ground;
    context.fillRect(0, 0, width, height);
    axis(c);
    const begin = Math.floor(chart.scrollTop / ROW), offset = AXIS - chart.scrollTop % ROW;
    const end = Math.min(shownLanes.length, begin + Math.ceil(height / ROW) + 1);
    context.save();
    context.beginPath();
    context.rect(0, AXIS, width, height);
    context.clip();
    for (let i = begin; i < end; i++) {
      const top = offset + (i - begin) * ROW;
      if (i === lane) {
        context.fillStyle = c.chosen;
        context.fillRect(0, top, width, ROW);
      }
      bars(shownLanes[i], top);
      marks(shownLanes[i], top, c);
    }
    context.fillStyle = c.ground;
    context.fillRect(0, AXIS, LEFT, height);
    context.font = "12px system-ui, sans-serif";
    for (let i = begin; i < end; i++) {
      const top = offset + (i - begin) * ROW;
      context.fillStyle = i === lane ? c.chosen : c.ground;
      context.fillRect(0, top, LEFT, ROW);
      context.fillStyle = c.text;
      const name = shownLanes[i].name;
      context.fillText(name.length > 27 ? name.slice(0, 26) + "…" : name, 6, top + 13);
    }
    context.restore();
  };

  const fit = () => {
    ratio = devicePixelRatio || 1;
    width = chart.clientWidth;
    height = chart.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    space.style.height = Math.max(0, shownLanes.length * ROW + AXIS - height) + "px";
    draw();  // a canvas that gets a size is black until it is drawn
  };
  const clamp = () => {
    span = Math.min(data.span, Math.max(1, span));
    from = Math.min(data.span - span, Math.max(0, from));
    plan();
  };
  const zoom = (factor, px = LEFT + (width - LEFT) / 2) => {
    const at = time(px);
    span = Math.min(data.span, Math.max(1, span * factor));
    from = at - (px - LEFT) / (width - LEFT) * span;
    clamp();
  };

  // What stands at a place: the nearest mark within some pixels, else the bar.
  const markText = (one, i) => data.texts[one.marks[i * 3 + 2]] + "\n" + clock(one.marks[i * 3]);
  const textAt = (px, py) => {
    const one = shownLanes[Math.floor((py - AXIS + chart.scrollTop) / ROW)];
    if (!one || py < AXIS) return "";
    if (px < LEFT) return one.name;
    const near = first(one.marks, 3, 0, time(px - 5));
    let best = -1;
    for (let i = near; i * 3 < one.marks.length && x(one.marks[i * 3]) <= px + 5; i++)
      if (best < 0 || Math.abs(x(one.marks[i * 3]) - px) < Math.abs(x(one.marks[best * 3]) - px)) best = i;
    if (best >= 0) return one.name + ": " + markText(one, best);
    const i = first(one.bars, 4, 1, time(px));
    if (i * 4 >= one.bars.length || one.bars[i * 4] > time(px)) return one.name;
    const reason = data.texts[one.bars[i * 4 + 3]];
    return one.name + ": " + data.phases[one.bars[i * 4 + 2]][0] + (reason ? ", " + reason : "") + "\n"
      + clock(one.bars[i * 4]) + " for " + took(one.bars[i * 4 + 1] - one.bars[i * 4]);
  };
  const say = (text, px, py) => {
    tip.textContent = text;
    tip.hidden = !text;
    tip.style.left = Math.min(px + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(py + 14, innerHeight - tip.offsetHeight - 8) + "px";
  };

  let drag = null;
  chart.addEventListener("pointerdown", (e) => {
    if (e.offsetX > chart.clientWidth) return;
    drag = { x: e.clientX, y: e.clientY };
    chart.setPointerCapture(e.pointerId);
  });
  chart.addEventListener("pointermove", (e) => {
    const box = chart.getBoundingClientRect();
    if (drag) {
      from -= (e.clientX - drag.x) / (width - LEFT) * span;
      chart.scrollTop -= e.clientY - drag.y;
      drag = { x: e.clientX, y: e.clientY };
      tip.hidden = true;
      clamp();
    } else say(textAt(e.clientX - box.left, e.clientY - box.top), e.clientX, e.clientY);
  });
  for (const end of ["pointerup", "pointercancel"]) chart.addEventListener(end, () => { drag = null; });
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });
  chart.addEventListener("wheel", (e) => {
    const box = chart.getBoundingClientRect();
    if (e.ctrlKey || e.metaKey) {
      e.preventDefault();
      zoom(Math.exp(Math.max(-100, Math.min(100, e.deltaY)) / 200), Math.max(LEFT, e.clientX - box.left));
    } else if (e.deltaX || e.shiftKey) {
      e.preventDefault();
      from += (e.deltaX || e.deltaY) / (width - LEFT) * span;
      clamp();
    }
  }, { passive: false });
  chart.addEventListener("scroll", plan, { passive: true });

  const choose = (row, which) => {
    lane = Math.max(0, Math.min(shownLanes.length - 1, row));
    const one = shownLanes[lane];
    if (!one) return;
    const count = one.marks.length / 3;
    mark = Math.max(-1, Math.min(count - 1, which));
    const top = lane * ROW;
    if (top < chart.scrollTop) chart.scrollTop = top;
    else if (top + ROW + AXIS > chart.scrollTop + height) chart.scrollTop = top + ROW + AXIS - height;
    if (mark >= 0) {
      const at = one.marks[mark * 3];
      if (at < from || at > from + span) { from = at - span / 2; clamp(); }
      const text = one.name + ": " + markText(one, mark), box = chart.getBoundingClientRect();
      $("said").textContent = text;
      say(text, box.left + x(at), box.top + AXIS + top - chart.scrollTop + ROW);
    } else {
      tip.hidden = true;
      $("said").textContent = one.name + ", " + count + " marks";
    }
    plan();
  };
  const keys = {
    ArrowUp: () => choose(lane - 1, -1), ArrowDown: () => choose(lane + 1, -1),
    ArrowLeft: () => choose(lane, mark - 1), ArrowRight: () => choose(lane, mark + 1),
    "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7), "0": () => { from = 0; span = data.span; clamp(); },
    "/": () => $("search").focus(), Escape: () => { tip.hidden = true; },
  };
  chart.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || !keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  });
  $("in").addEventListener("click", () => zoom(0.7));
  $("out").addEventListener("click", () => zoom(1 / 0.7));
  $("all").addEventListener("click", keys["0"]);
  $("search").addEventListener("input", (e) => {
    const wanted = e.target.value.toLowerCase();
    shownLanes = data.lanes.filter((one) => one.name.toLowerCase().includes(wanted));
    lane = mark = -1;
    chart.scrollTop = 0;
    $("shown").textContent = shownLanes.length + " of " + data.lanes.length + " lanes";
    fit();
  });
  dark.addEventListener("change", plan);
  new ResizeObserver(fit).observe(chart);
  $("shown").textContent = shownLanes.length + " lanes";
  fit();
})();
