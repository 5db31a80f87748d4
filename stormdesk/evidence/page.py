"""The report's page: a jinja2 template. Pure constants; nothing in it is fetched from anywhere."""

from __future__ import annotations

from stormdesk.evidence.page_style import STYLE

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ mark }}: {{ story.fault }} {{ story.run }}</title>
<style>"""

_BODY = """</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<main id="main" tabindex="-1">
{% macro chip(word) %}<span class="chip {{ word }}">{{ glyphs.get(word, "") }} {{ word }}</span>{% endmacro %}

{% macro table(checks) %}
<table class="checks">
<thead><tr><th scope="col">Check</th><th scope="col">Verdict</th><th scope="col">Why</th><th scope="col">Read</th></tr></thead>
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

{% macro by_host(checks) %}
{% set grid, whole = matrix(checks, known_hosts) %}
{% if grid.rows %}
<table class="matrix">
<thead><tr><th scope="col">Check</th>{% for host in grid.hosts %}<th scope="col">{{ host }}</th>{% endfor %}</tr></thead>
<tbody>
{% for kind, cells in grid.rows %}
<tr><th scope="row">{{ kind }}</th>
{% for check in cells %}<td data-as="{{ grid.hosts[loop.index0] }}">{% if check %}
<span class="mark {{ check.verdict }}">{{ glyphs[check.verdict] }} {{ check.verdict }}</span>
<div class="says">{{ check.why }}</div>{% endif %}</td>{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{% if whole %}{{ table(whole) }}{% endif %}
{% endmacro %}

{% macro list(found) %}
<table class="checks">
<thead><tr><th scope="col">Severity</th><th scope="col">What</th><th scope="col">Owner</th>
<th scope="col">Due</th><th scope="col">Issue</th></tr></thead>
<tbody>
{% for one in found %}
<tr><td>{{ chip(one.severity) if one.severity else "action" }}</td>
<td>{{ one.text }}{% if one.retest %}<div class="says">again: <code>{{ one.retest }}</code></div>{% endif %}</td>
<td data-as="owner">{{ one.owner or "nobody yet" }}</td><td data-as="due">{{ one.due or "no date yet" }}</td>
<td data-as="issue">{{ one.issue or "none yet" }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}

<section id="verdict" class="banner {{ state }}" aria-labelledby="h-verdict">
<div class="top">
<h1 id="h-verdict">{{ headline }}</h1><span class="chip {{ state }}">{{ mark }}</span>{{ chip(story.verdict) }}
<span class="chip {{ story.residue }}">hosts {{ story.residue }}</span>
</div>
{% if story.runbook %}<p class="book">{% if story.runbook.scenario %}<b>{{ story.runbook.scenario }}</b> {% endif %}
{{ story.runbook.title }}: {{ story.runbook.hypothesis }}</p>{% endif %}
<p class="what">{{ sentence }}</p>
<ul class="meta">
<li>run <b>{{ story.run }}</b></li>
<li>environment <b>{{ story.environment or "unknown" }}</b></li>
{% if story.commit %}<li>commit <b>{{ story.commit }}</b></li>{% endif %}
<li>seed <b>{{ story.start.get("seed", "unknown") }}</b></li>
<li>began <b>{{ card.started_at }}</b></li>
<li>took <b>{{ "%.0f" | format(card.duration_s) }} s</b></li>
<li>exit code <b>{{ "none" if story.exit_code is none else story.exit_code }}</b></li>
</ul>
{% if story.command %}<pre>{{ story.command }}</pre>{% endif %}
</section>

<nav aria-label="Sections of the report"><ol>
{% for id, title in sections %}<li><a href="#{{ id }}">{{ title }}</a></li>{% endfor %}
<li><a href="../index.html">All runs</a></li>
</ol></nav>

{% macro section(n) %}{% set id, title = sections[n] %}
<section id="{{ id }}" aria-labelledby="h-{{ id }}"><h2 id="h-{{ id }}">{{ title }}</h2>{{ caller() }}</section>
{% endmacro %}

{% call section(0) %}
<p class="source">{% if last %}
Compared with the last run of the same id,
<a href="../{{ last.run }}/report.html">{{ last.run }}</a> ({{ last_mark }}, {{ last.started_at }}).
{% else %}There is no earlier run of the same id beside this one.{% endif %}</p>
<div class="cards">
{% for tile in tiles %}
<div class="card {{ tile.css }}">
<div class="l">{{ tile.label }}</div>
<div class="n">{{ tile.number }}{% if tile.unit %} <small>{{ tile.unit }}</small>{% endif %}</div>
{% if tile.share is not none %}<div class="bar"><i style="width:{{ "%.1f" | format(tile.share) }}%"></i></div>{% endif %}
{% if tile.change %}
<div class="d {{ tile.change.tone }}">last {{ tile.change.before }}{% if tile.change.words %}:
<b>{{ tile.change.words }}{% if tile.change.tone
in ("better", "worse") %}, {{ tile.change.tone }}{% endif %}</b>{% endif %}</div>{% endif %}
</div>
{% endfor %}
</div>
{% endcall %}

{% call section(1) %}
<div class="picture"><div class="wide">{{ wide }}</div><div class="narrow">{{ narrow }}</div></div>
<p class="source">Orders per second: {{ source }}. Hatched: not observed. 0 is the moment the fault was in. In a lane: a framed bar is a
fault that was in, a hatched strip below it what the host's own health called failing, ▲ an alert, ✓ ✗ ? a check, ◆ a note, ▶ a task.</p>
{% if words %}
<details><summary>The lanes in words: {{ words | length }}</summary>
<table><thead><tr><th scope="col">When</th><th scope="col">Where</th><th scope="col">What</th></tr></thead><tbody>
{% for when, where, what in words %}<tr><td class="num">{{ when }}</td><td>{{ where }}</td><td>{{ what }}</td></tr>
{% endfor %}
</tbody></table>
{% if words_left %}<p class="says">{{ "{:,}".format(words_left) }} more are in events.jsonl.</p>{% endif %}
</details>
{% endif %}
{% if schedule %}
<h3>Steps</h3>
<table class="checks">
<thead><tr><th scope="col">lane</th><th scope="col">step</th><th scope="col">what</th><th scope="col">began</th></tr></thead>
<tbody>
{% for lane, id, does, began in schedule %}
<tr><td>{{ lane }}</td><td>{{ id }}</td><td>{{ does }}</td><td class="num">{{ began or "never" }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{% endcall %}

{% call section(2) %}
{% if rows %}
<table class="checks">
<thead><tr><th scope="col">Expected</th><th scope="col">Actual</th><th scope="col">Verdict</th><th scope="col">Evidence</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><td>{{ row.expected }}</td><td>{{ row.actual }}</td><td>{{ chip(row.verdict) }}</td>
<td><a href="{{ row.link }}">{{ row.evidence }}</a></td></tr>
{% endfor %}
</tbody>
</table>
{% else %}<p>Nothing was looked at: {{ story.why }}</p>{% endif %}
{% endcall %}

{% call section(3) %}
{% for host in story.hosts %}
<article class="fault-card">
<h3>{{ host.label }}: {{ parameters(host) }}</h3>
{% for plan in plans_of(host) %}
<p class="says">{{ plan.says }} · by {{ plan.mechanism }} · reverts by itself after {{ "%g" | format(plan.ttl_s) }} s</p>
{% for name, why in plan.rejected %}<p class="says">not by {{ name }}: {{ why }}</p>{% endfor %}
<pre>{% for step in plan.steps %}do    {{ step.do }}
{% for undo in step.undo %}undo  {{ undo }}
{% endfor %}{% endfor %}proof {{ plan.witness }}</pre>
{% endfor %}
<h4>Proof of injection</h4>
<div class="evidence {{ "held" if host.witness else "unknown" }}">
{{ host.witness or ("no evidence in the record" if host.injected_t else "never injected") }}</div>
<h4>Proof of undo</h4>
<div class="evidence {{ "held" if host.clean else "unknown" if host.clean is none else "violated" }}">{{ undone(host) }}</div>
{% for title, lines in (("Left", host.diff), ("Changed by the fault", host.ours), ("Put back", host.back),
("Side effects of the fault", host.side_effects), ("Changed by others meanwhile, and kept", host.others)) if lines %}
<details{{ " open" if title == "Left" }}><summary>{{ title }}: {{ lines | length }}</summary><pre>{{ lines | join("\n") }}</pre></details>
{% endfor %}
<h4>The nine steps</h4>
<ol class="steps">
{% for name, says, when in steps[host.label] %}
<li{% if not when %} class="missing"{% endif %}><b>{{ when or "never" }}</b>{{ name }} {{ says }}</li>
{% endfor %}
</ol>
</article>
{% else %}<p>No fault was in: {{ story.why }}</p>
{% endfor %}
{% if story.peers %}<h3>Seen from outside</h3>
{% for peer in story.peers %}<div class="evidence">{{ peer }}</div>{% endfor %}{% endif %}
{% endcall %}

{% call section(4) %}
{% if story.checks %}{{ by_host(story.checks) }}{% else %}<p>No checks ran: {{ story.why }}</p>{% endif %}
{% if story.expectations %}<h3>What was expected of the stack</h3>{{ table(story.expectations) }}{% endif %}
{% for when, checks in story.steady.items() %}
<details id="steady-{{ when }}">
<summary>Steady state {{ when }} the fault: {{ held(checks) }} of {{ checks | length }} held</summary>
{{ by_host(checks) }}
</details>
{% endfor %}
{% endcall %}

{% call section(5) %}
{% for note in story.notes %}{% if loop.first %}<dl>{% endif %}<dt>{{ "%+.1f s" | format(note.t - story.t0) }} {{ note.who }}</dt>
<dd>{{ note.text }}</dd>{% if loop.last %}</dl>{% endif %}{% else %}
<p>Nobody noted anything. Add what was seen, and whether it was a surprise:
<code>invoke gameday.note --run {{ story.run }} --text "…"</code></p>{% endfor %}
{% endcall %}

{% call section(6) %}
{% if found %}{{ list(found) }}{% else %}<p>Nothing was found that needs work.</p>{% endif %}
{% if actions %}<h3>Action items</h3>{{ list(actions) }}{% endif %}
<p class="says">An action item is a note:
<code>invoke gameday.note --run {{ story.run }} --text "action: … owner=… due=… issue=…"</code></p>
{% endcall %}

{% call section(7) %}
{% for role, who in people %}{% if loop.first %}<dl>{% endif %}<dt>{{ role }}</dt><dd>{{ who }}</dd>{% if loop.last %}</dl>{% endif %}
{% else %}<p>The record names nobody.</p>{% endfor %}
{% endcall %}

{% call section(8) %}
<dl>{% for key, value in facts %}<dt>{{ key }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% endcall %}

{% call section(9) %}
{% if files %}<ul class="files">{% for file in files %}<li><a href="{{ file }}"><code>{{ file }}</code></a></li>{% endfor %}</ul>
{% else %}<p>The page was made without its run directory.</p>{% endif %}
{% endcall %}
<footer>Made by Stormdesk {{ version }} from the record of the run. Again: invoke gameday.report --run {{ story.run }}</footer>
</main>
</body>
</html>
"""

TEMPLATE = _HEAD + STYLE + _BODY
