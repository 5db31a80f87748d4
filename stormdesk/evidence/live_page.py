"""The live page of a run: live.html, which loads live.js beside it each second; nothing listens anywhere. Pure constants and text.

A page that was opened from `file://` may not read files, but it may load a script: so the state is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stormdesk.evidence.page_style import STYLE


def script(document: Mapping[str, Any]) -> str:
    """live.js: one call with the state. What a host has said is data in it and ends no script."""
    return f"stormdesk({json.dumps(document, default=str).replace('<', chr(92) + 'u003c')});\n"


_SCRIPT = """
"use strict";
const GLYPHS = {held: "✓", violated: "✗", unknown: "?", healed: "✓", "may be dirty": "✗", done: "✓", waiting: "…"};
let state = null, loaded = 0;
const make = (tag, text, css) => { const e = document.createElement(tag); e.textContent = text; if (css) e.className = css; return e; };
const fill = (id, parts) => document.getElementById(id).replaceChildren(...parts);
const say = (id, text) => { const e = document.getElementById(id); if (e.textContent !== text) e.textContent = text; };
const seconds = (t) => Math.max(0, Math.ceil(t - Date.now() / 1000)) + " s";
const tone = (word) => /dirty|violated/.test(word) ? "violated" : /healed|held|done/.test(word) ? "held" : "unknown";
function row(cells) { const r = document.createElement("tr"); r.append(...cells); return r; }
function chip(word) { return make("span", (GLYPHS[word] || "▶") + " " + word, "chip " + tone(word)); }
function cell(content) { const c = document.createElement("td"); c.append(content); return c; }
function stormdesk(document_) { state = document_; loaded = Date.now(); draw(); }
function hostWords(h) {
  let text = h.host + " " + h.state;
  if (h.until && !/healed|reverting/.test(h.state)) text += ", heals in " + seconds(h.until);
  if (h.heals_by && h.state !== "healed") text += ", without us in " + seconds(h.heals_by);
  return text;
}
function draw() {
  if (!state) return;
  const age = Date.now() / 1000 - state.t;
  say("title", state.over ? "The run is over: " + state.verdict + ", hosts " + state.residue : "Running: " + state.phase);
  document.getElementById("banner").className =
    "banner " + (state.over ? (state.residue === "dirty" ? "dirty" : state.verdict) : "unknown");
  say("what", (state.title ? state.title + ": " + state.hypothesis + ". " : "") + state.fault + " in " + state.environment);
  say("run", state.run);
  say("why", state.over ? String(state.why) : age > 5
    ? "No news for " + Math.round(age) + " s: the controller may be dead. The hosts heal by themselves at their deadlines."
    : "Running for " + Math.round(Date.now() / 1000 - (state.began || state.t)) + " s.");
  document.getElementById("report").hidden = !state.over || state.exit_code === 3;  // a refused run has none
  const steps = [];
  for (const lane of state.lanes) for (const s of lane.steps)
    steps.push(row([cell(lane.name), cell(s.does), cell(chip(state.over && s.state === "waiting" ? "never began" : s.state)),
      cell(s.hosts.map(hostWords).join("; "))]));
  fill("lanes", steps);
  fill("metrics", Object.entries(state.metrics || {}).map(([k, v]) => { const c = make("div", "", "card");
    c.append(make("div", k, "l"), make("div", String(v), "n")); return c; }));
  fill("checks", state.checks.map((c) => row([cell(c.id), cell(chip(c.verdict)), cell(c.why)])));
  fill("latest", state.latest.map(([t, text]) => row([cell(new Date(t * 1000).toISOString().slice(11, 19) + " UTC"), cell(text)])));
}
function load() {
  const s = document.createElement("script");
  s.src = "live.js?" + Date.now();
  s.onload = s.onerror = () => s.remove();
  document.head.append(s);
}
load();
const timer = setInterval(() => { if (state && state.over) { clearInterval(timer); return; } load(); draw(); }, 1000);
"""

PAGE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' file:">
<title>Live: a run of Stormdesk</title>
<style>"""
    + STYLE
    + """</style>
</head>
<body>
<a class="skip" href="#main">Skip to the run</a>
<main id="main" tabindex="-1">
<section id="banner" class="banner unknown" aria-labelledby="title">
<h1 id="title" aria-live="polite">Waiting for the run</h1>
<p class="what" id="what">Nothing was loaded yet.</p>
<p id="why">This page loads live.js beside it each second.</p>
<ul class="meta"><li>run <b id="run">unknown</b></li><li id="report" hidden><a href="report.html">report</a></li></ul>
</section>
<section aria-labelledby="h-lanes"><h2 id="h-lanes">Lanes</h2>
<table class="checks"><thead><tr><th scope="col">Lane</th><th scope="col">What</th><th scope="col">State</th>
<th scope="col">Hosts</th></tr></thead>
<tbody id="lanes"></tbody></table></section>
<section aria-labelledby="h-metrics"><h2 id="h-metrics">The stack</h2><div class="cards" id="metrics"></div></section>
<section aria-labelledby="h-checks"><h2 id="h-checks">Verdicts so far</h2>
<table class="checks"><thead><tr><th scope="col">Check</th><th scope="col">Verdict</th><th scope="col">Why</th></tr></thead>
<tbody id="checks"></tbody></table></section>
<section aria-labelledby="h-latest"><h2 id="h-latest">Latest events</h2>
<table class="checks"><thead><tr><th scope="col">When</th><th scope="col">What</th></tr></thead>
<tbody id="latest"></tbody></table></section>
</main>
<script>"""
    + _SCRIPT
    + """</script>
</body>
</html>
"""
)
