"""The report's page: a jinja2 template, and its style. Pure constants; nothing in it is fetched from anywhere."""

from __future__ import annotations

_STYLE = """
:root { color-scheme: light dark; --ink:#17202b; --soft:#5a6878; --faint:#8a97a6; --paper:#f5f7f9; --card:#ffffff;
  --rule:#dde3ea; --held:#14784a; --violated:#b3261e; --unknown:#96610a; --accepted:#1f6feb; --refused:#d9730d;
  --fault:#d4382d; --hold:#f3c9c5; --steady:#cfe6d8; --recover:#fbe3b5; --on-phase:#3b4754; --code:#eef2f6; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4eaf1; --soft:#a3b0bf; --faint:#7b8897; --paper:#0e141b;
  --card:#161e27; --rule:#2a3542; --held:#4cc38a; --violated:#ff7b72; --unknown:#e3a948; --accepted:#6cb0ff;
  --refused:#ffa657; --fault:#ff6a5e; --hold:#57302f; --steady:#1f4433; --recover:#54431d; --on-phase:#d3dce6;
  --code:#1d2732; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
  "DejaVu Sans",sans-serif; -webkit-print-color-adjust:exact; print-color-adjust:exact; }
main { max-width:1120px; margin:0 auto; padding:28px 20px 48px; }
h2 { font-size:16px; margin:0 0 12px; letter-spacing:.01em; }
h3 { font-size:13px; margin:18px 0 6px; color:var(--soft); font-weight:600; }
p { margin:0 0 8px; }
section { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:20px 22px; margin:16px 0;
  break-inside:avoid; }
code, pre { font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace; }
pre { background:var(--code); border-radius:6px; padding:10px 12px; margin:0; overflow-x:auto; white-space:pre-wrap;
  overflow-wrap:anywhere; }
code { overflow-wrap:anywhere; }
.banner { border-left:8px solid var(--tone); }
.banner .top { display:flex; flex-wrap:wrap; align-items:baseline; gap:6px 14px; }
.banner h1 { font-size:30px; line-height:1.15; margin:0; color:var(--tone); letter-spacing:-.01em; }
.banner .what { font-size:17px; margin:10px 0 14px; max-width:64em; }
.held { --tone:var(--held); } .violated, .dirty { --tone:var(--violated); } .unknown { --tone:var(--unknown); }
.clean { --tone:var(--held); }
.chip { display:inline-block; border:1px solid var(--tone); color:var(--tone); border-radius:99px; padding:0 10px;
  font-size:13px; font-weight:600; line-height:22px; white-space:nowrap; }
.meta { display:flex; flex-wrap:wrap; gap:2px 22px; color:var(--soft); font-size:13px; margin:0 0 12px; padding:0;
  list-style:none; }
.meta b { color:var(--ink); font-weight:600; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(158px,1fr)); gap:12px; margin:16px 0; }
.card { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:14px 16px; break-inside:avoid; }
.card .n { font-size:27px; font-weight:650; line-height:1.2; font-variant-numeric:tabular-nums; letter-spacing:-.02em; }
.card .n small { font-size:14px; font-weight:500; color:var(--soft); letter-spacing:0; }
.card .l { color:var(--soft); font-size:13px; }
.card.word .n { font-size:20px; line-height:32px; letter-spacing:-.01em; }
.card.bad .n { color:var(--violated); } .card.none .n { color:var(--faint); }
.bar { height:5px; border-radius:3px; background:var(--rule); margin-top:8px; overflow:hidden; }
.bar i { display:block; height:100%; background:var(--held); border-radius:3px; min-width:3px; }
.bad .bar i { background:var(--violated); }
.picture { margin:0 -6px; } .picture svg { display:block; width:100%; height:auto; } .picture .narrow { display:none; }
.source { color:var(--soft); font-size:13px; margin:8px 0 0; }
table { width:100%; border-collapse:collapse; font-size:14px; }
th { text-align:left; color:var(--soft); font-size:12px; font-weight:600; padding:0 12px 6px 0; border-bottom:1px solid
  var(--rule); }
td { padding:8px 12px 8px 0; border-bottom:1px solid var(--rule); vertical-align:top; }
tr:last-child td { border-bottom:0; }
td:last-child, th:last-child { padding-right:0; }
.id { font-weight:600; } .says { color:var(--soft); font-size:13px; font-weight:400; }
.banner .book { margin:8px 0 0; color:var(--soft); }
.num { font-variant-numeric:tabular-nums; color:var(--soft); font-size:13px; }
.two { display:grid; grid-template-columns:repeat(auto-fit,minmax(320px,1fr)); gap:0 28px; }
dl { display:grid; grid-template-columns:max-content 1fr; gap:4px 16px; margin:0; font-size:14px; }
dt { color:var(--soft); } dd { margin:0; overflow-wrap:anywhere; }
ol.steps { list-style:none; margin:0; padding:0; display:grid; grid-template-columns:repeat(auto-fit,minmax(92px,1fr));
  gap:6px; font-size:12px; }
ol.steps li { border-top:3px solid var(--held); padding-top:5px; line-height:1.35; }
ol.steps li.missing { border-color:var(--rule); color:var(--faint); }
ol.steps b { display:block; font-size:13px; font-variant-numeric:tabular-nums; }
details summary { cursor:pointer; color:var(--soft); font-size:13px; margin-top:12px; }
details table { margin-top:8px; }
.files { columns:280px; margin:0; padding:0; list-style:none; font-size:13px; } .files a { color:inherit; }
.evidence { border-left:3px solid var(--tone,var(--held)); padding:2px 0 2px 12px; margin:0 0 10px; }
footer { color:var(--faint); font-size:12px; margin-top:20px; }
.timeline text { font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif; fill:var(--soft); }
.timeline .fault { fill:var(--fault); opacity:.1; } .timeline .fault-edge { stroke:var(--fault); stroke-width:1.5; }
.timeline .fault-label { fill:var(--fault); font-weight:600; }
.timeline .phase.steady { fill:var(--steady); } .timeline .phase.hold { fill:var(--hold); }
.timeline .phase.recover { fill:var(--recover); } .timeline .phase-label { fill:var(--on-phase); font-size:11px; }
.timeline .grid { stroke:var(--rule); } .timeline .axis { stroke:var(--faint); }
.timeline .line { fill:none; stroke-width:2; stroke-linejoin:round; } .timeline .area { opacity:.14; }
.timeline .line.accepted { stroke:var(--accepted); } .timeline .accepted.area, .timeline .accepted.key { fill:var(--accepted); }
.timeline .line.refused { stroke:var(--refused); } .timeline .refused.area, .timeline .refused.key { fill:var(--refused); }
.timeline .hatch { stroke:var(--faint); stroke-width:1.5; opacity:.55; }
.timeline .mark { stroke:var(--held); stroke-width:1.5; stroke-dasharray:3 3; }
.timeline .mark-label { fill:var(--held); font-weight:600; paint-order:stroke; stroke:var(--card); stroke-width:4px; }
.timeline .strip { fill:var(--rule); opacity:.55; } .timeline .ready { fill:var(--held); }
.timeline .not-ready { fill:var(--fault); } .timeline .strip-gap { fill:var(--faint); }
@media (max-width:700px) { main { padding:14px 10px 32px; } section { padding:16px 14px; } .banner h1 { font-size:24px; }
  .banner .what { font-size:16px; } .picture .wide { display:none; } .picture .narrow { display:block; }
  .cards { grid-template-columns:1fr 1fr; gap:8px; } .card { padding:10px 12px; } .card .n { font-size:22px; }
  .two { grid-template-columns:1fr; }
  table.checks, table.checks tbody, table.checks tr, table.checks td { display:block; } table.checks thead { display:none; }
  table.checks tr { border-bottom:1px solid var(--rule); padding:8px 0; } table.checks td { border:0; padding:1px 0; }
  dl { grid-template-columns:1fr; gap:0; } dd { margin-bottom:6px; } }
@media print { :root { color-scheme:light; } body { background:#fff; font-size:12px; } main { max-width:none; padding:0; }
  section, .card { border-color:#ccc; } section { break-inside:auto; } h2, h3 { break-after:avoid; }
  tr, .card, .evidence, .picture, ol.steps li { break-inside:avoid; }
  details::details-content { content-visibility:visible; block-size:auto; } a { text-decoration:none; } }
"""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ story.verdict }}: {{ story.fault }} {{ story.run }}</title>
<style>"""

_BODY = """</style>
</head>
<body>
<main>
{% macro chip(word) %}<span class="chip {{ word }}">{{ word }}</span>{% endmacro %}

{% macro table(checks) %}
<table class="checks">
<thead><tr><th>Check</th><th>Verdict</th><th>Why</th><th>Read</th></tr></thead>
<tbody>
{% for check in checks %}
<tr>
<td class="id">{{ check.id }}{% if check.id in titles %}<div class="says">{{ titles[check.id] }}</div>{% endif %}</td>
<td>{{ chip(check.verdict) }}</td>
<td>{{ check.why }}</td>
<td class="num">{% for name, n in check.sources.items() %}<div>{{ "{:,}".format(n) }} {{ name }}</div>{% endfor %}</td>
</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}

<section class="banner {{ "dirty" if story.residue == "dirty" else story.verdict }}">
<div class="top">
<h1>{{ headline }}</h1>{{ chip(story.verdict) }}
<span class="chip {{ story.residue }}">hosts {{ story.residue }}</span>
</div>
{% if story.runbook %}<p class="book">{{ story.runbook.title }}: {{ story.runbook.hypothesis }}</p>{% endif %}
<p class="what">{{ sentence }}</p>
<ul class="meta">
<li>run <b>{{ story.run }}</b></li>
<li>environment <b>{{ story.environment or "unknown" }}</b></li>
<li>began <b>{{ card.started_at }}</b></li>
<li>took <b>{{ "%.0f" | format(card.duration_s) }} s</b></li>
<li>exit code <b>{{ "none" if story.exit_code is none else story.exit_code }}</b></li>
</ul>
{% if story.command %}<pre>{{ story.command }}</pre>{% endif %}
</section>

<div class="cards">
{% for tile in tiles %}
<div class="card {{ tile.css }}">
<div class="n">{{ tile.number }}{% if tile.unit %} <small>{{ tile.unit }}</small>{% endif %}</div>
<div class="l">{{ tile.label }}</div>
{% if tile.share is not none %}<div class="bar"><i style="width:{{ "%.1f" | format(tile.share) }}%"></i></div>{% endif %}
</div>
{% endfor %}
</div>

<section>
<h2>Timeline</h2>
<div class="picture"><div class="wide">{{ wide }}</div><div class="narrow">{{ narrow }}</div></div>
<p class="source">Orders per second: {{ source }}. Hatched: not observed. 0 is the moment the fault was in.</p>
</section>

{% if schedule %}
<section>
<h2>Steps</h2>
<table class="checks">
<thead><tr><th>lane</th><th>step</th><th>what</th><th class="num">began</th></tr></thead>
<tbody>
{% for lane, id, does, began in schedule %}
<tr><td>{{ lane }}</td><td>{{ id }}</td><td>{{ does }}</td><td class="num">{{ began or "never" }}</td></tr>
{% endfor %}
</tbody>
</table>
</section>
{% endif %}

{% if story.expectations %}<section><h2>What was expected</h2>{{ table(story.expectations) }}</section>{% endif %}

<section>
<h2>Checks after the fault</h2>
{% if story.checks %}{{ table(story.checks) }}{% else %}<p>No checks ran: {{ story.why }}</p>{% endif %}
{% for when, checks in story.steady.items() %}
<details>
<summary>Steady state {{ when }} the fault: {{ held(checks) }} of {{ checks | length }} held</summary>
{{ table(checks) }}
</details>
{% endfor %}
</section>

<section>
<h2>Plan, and proof that the fault was in</h2>
{% for host in story.hosts %}
<div class="evidence {{ "held" if host.witness else "unknown" }}"><b>{{ host.label }}</b>:
{{ host.witness or ("no evidence in the record" if host.injected_t else "never injected") }}</div>
{% endfor %}
{% for peer in story.peers %}
<div class="evidence"><b>seen from outside</b>: {{ peer }}</div>
{% endfor %}
{% for plan in plans %}
<h3>{{ plan.host }} · {{ plan.mechanism }} · reverts by itself after {{ "%g" | format(plan.ttl_s) }} s</h3>
<p class="says">{{ plan.says }}</p>
{% for name, why in plan.rejected %}<p class="says">not by {{ name }}: {{ why }}</p>{% endfor %}
<pre>{% for step in plan.steps %}do    {{ step.do }}
{% for undo in step.undo %}undo  {{ undo }}
{% endfor %}{% endfor %}proof {{ plan.witness }}</pre>
{% endfor %}
</section>

<section>
<h2>Proof of undo</h2>
{% for host in story.hosts %}
<div class="evidence {{ "held" if host.clean else "unknown" if host.clean is none else "violated" }}">
<b>{{ host.label }}</b>: {{ undone(host) }}</div>
{% for title, lines in (("Left", host.diff), ("Changed by the fault", host.ours), ("Put back", host.back),
("Side effects of the fault", host.side_effects), ("Changed by others meanwhile, and kept", host.others)) if lines %}
<details{{ " open" if title == "Left" }}><summary>{{ title }}: {{ lines | length }}</summary><pre>{{ lines | join("\n") }}</pre></details>
{% endfor %}
<h3>The nine steps {% if not host.op %}on {% else %}of {% endif %}{{ host.label }}</h3>
<ol class="steps">
{% for name, says, when in steps[host.label] %}
<li{% if not when %} class="missing"{% endif %}><b>{{ when or "never" }}</b>{{ name }} {{ says }}</li>
{% endfor %}
</ol>
{% endfor %}
</section>

{% if story.notes %}
<section>
<h2>Notes</h2>
<dl>{% for note in story.notes %}<dt>{{ "%+.1f s" | format(note.t - story.t0) }} {{ note.who }}</dt>
<dd>{{ note.text }}</dd>{% endfor %}</dl>
</section>
{% endif %}

<section>
<h2>Environment and raw files</h2>
<div class="two">
<dl>{% for key, value in facts %}<dt>{{ key }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
<ul class="files">{% for file in files %}<li><a href="{{ file }}"><code>{{ file }}</code></a></li>{% endfor %}</ul>
</div>
</section>
<footer>Made by Stormdesk {{ version }} from the record of the run. Again: invoke gameday.report --run {{ story.run }}</footer>
</main>
</body>
</html>
"""

TEMPLATE = _HEAD + _STYLE + _BODY
