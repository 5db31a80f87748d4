"""runs/index.html: all runs beside each other, by scenario, with their trends. Pure: scorecards in, a page out.

Scorecards of any version are read; what one does not have is left empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import jinja2
from markupsafe import Markup

from stormdesk.evidence import comparing
from stormdesk.evidence.comparing import Card
from stormdesk.evidence.page_style import STYLE
from stormdesk.evidence.svg import text
from stormdesk.evidence.tiles import marked

SHOWN, LISTED = 20, 500  # runs in a trend, runs in the list
WIDTH, HEIGHT, EDGE = 260, 56, 6  # of a trend, in px


@dataclass(frozen=True)
class Scenario:
    """All runs of one id, the oldest first."""

    id: str
    title: str
    cards: tuple[Card, ...]

    @property
    def last(self) -> Card:
        return self.cards[-1]

    @property
    def rate(self) -> str:
        """How many of the runs that came to a verdict passed."""
        passed, judged = comparing.rate(self.cards)
        return f"{passed} of {judged}" if judged else "none judged"

    @property
    def signs(self) -> tuple[tuple[str, str, str], ...]:
        """(state, sign, run) of the latest runs, the oldest first."""
        latest = self.cards[-SHOWN:]
        return tuple((s := comparing.state_of(card), marked(s)[0], str(card["run"])) for card in latest)


def scenarios(cards: Iterable[Card]) -> tuple[Scenario, ...]:
    """By id, in its order."""
    found: dict[str, list[Card]] = {}
    for card in sorted(cards, key=lambda card: (str(card.get("started_at", "")), str(card["run"]))):
        found.setdefault(comparing.identity(card), []).append(card)
    return tuple(Scenario(name, str(some[-1].get("title", "")), tuple(some)) for name, some in sorted(found.items()))


def html(cards: Sequence[Card]) -> str:
    """The page. It links to the reports below its own folder."""
    known = scenarios(cards)
    passed, judged = comparing.rate([one.last for one in known])
    latest = sorted(cards, key=lambda card: (str(card.get("started_at", "")), str(card["run"])), reverse=True)
    return _template().render(
        scenarios=known,
        passed=passed,
        judged=judged,
        share=f"{100 * passed / len(known):.0f} %" if known else "",
        tone="fail" if passed < judged else "pass" if passed == len(known) and known else "unknown",
        latest=latest[:LISTED],
        left=max(0, len(latest) - LISTED),
        marked=lambda card: marked(comparing.state_of(card)),
        state_of=comparing.state_of,
        identity=comparing.identity,
        trend=trend,
        number=lambda card, key, unit: (
            comparing.number(card[key], unit) if isinstance(card.get(key), int | float) else ""
        ),
    )


def trend(scenario: Scenario) -> Markup:
    """Recovery times of the latest runs as a line, the budget dashed; a gap where a run has none. "" where none has."""
    latest = scenario.cards[-SHOWN:]
    times = [card.get("recovery_s") for card in latest]
    known = [float(took) for took in times if isinstance(took, int | float)]
    if not known:
        return Markup("")
    budgets = [card.get("recovery_budget_s") for card in latest]
    limit = next((float(budget) for budget in reversed(budgets) if isinstance(budget, int | float)), None)
    peak = max([*known, *([limit] if limit else [])]) or 1.0

    def place(n: int, took: float) -> tuple[float, float]:
        share = n / max(1, len(latest) - 1)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1), round(HEIGHT - EDGE - took / peak * (HEIGHT - 3 * EDGE), 1)

    said = f"recovery times, the oldest first: {', '.join(f'{took:.1f}' for took in known)} s"
    parts = [_budget(place(0, limit)[1], f"budget {limit:g} s")] if limit else []
    for stretch in _stretches(times):
        points = [place(n, took) for n, took in stretch]
        parts.append(Markup('<path d="M{}" class="line metric"/>').format(" L".join(f"{x},{y}" for x, y in points)))
        parts += [Markup('<circle cx="{}" cy="{}" r="2.5" class="dot"/>').format(x, y) for x, y in points]
    head = Markup(
        '<svg class="timeline trend" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">'
    )
    return head.format(WIDTH, HEIGHT, said) + Markup("").join(parts) + Markup("</svg>")


def _budget(y: float, words: str) -> Markup:
    line = Markup('<line x1="{}" y1="{y}" x2="{}" y2="{y}" class="budget"/>').format(EDGE, WIDTH - EDGE, y=y)
    return line + text(WIDTH - EDGE, y + 12, words, "tick", "end")


def _stretches(times: Sequence[object]) -> Iterable[list[tuple[int, float]]]:
    """The runs that have a time, as long as none without one is between them."""
    stretch: list[tuple[int, float]] = []
    for n, took in enumerate(times):
        if isinstance(took, int | float):
            stretch.append((n, float(took)))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE)


_MORE = """
.timeline.trend { display:block; max-width:100%; } .timeline .budget { stroke:var(--fault); stroke-dasharray:4 3; }
.timeline .dot { fill:var(--soft); }
.signs { display:flex; flex-wrap:wrap; gap:2px; margin:0 0 6px; padding:0; list-style:none; }
.signs a { color:var(--tone); font-weight:700; text-decoration:none; display:inline-block; min-width:24px;
  text-align:center; line-height:24px; }
td a { display:inline-block; min-height:24px; }
"""

TEMPLATE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Runs: {{ passed }} of {{ scenarios | length }} scenarios passed</title>
<style>"""
    + STYLE
    + _MORE
    + """</style>
</head>
<body>
<a class="skip" href="#main">Skip to the runs</a>
<main id="main" tabindex="-1">
<section class="banner {{ tone }}" aria-labelledby="h-runs">
<h1 id="h-runs">{% if scenarios %}{{ passed }} of {{ scenarios | length }} scenarios passed in their last run
{% else %}No runs yet{% endif %}</h1>
{% if scenarios %}<p class="what">Success rate: {{ share }}. Failed: {{ judged - passed }}.
Without a verdict: {{ scenarios | length - judged }}.</p>
{% endif %}
</section>
<section aria-labelledby="h-scenarios"><h2 id="h-scenarios">Scenarios</h2>
<table class="checks">
<thead><tr><th scope="col">Scenario</th><th scope="col">Last</th><th scope="col">When</th><th scope="col">Passed</th>
<th scope="col">Verdicts and recovery times, the oldest first</th></tr></thead>
<tbody>
{% for one in scenarios %}
<tr><td class="id">{{ one.id }}{% if one.title %}<div class="says">{{ one.title }}</div>{% endif %}</td>
<td><a href="{{ one.last.run }}/report.html"><span class="chip {{ state_of(one.last) }}">{{ marked(one.last) }}</span></a></td>
<td class="num">{{ one.last.get("started_at") or "" }}
{% if one.last.get("commit") %}<div class="says">{{ one.last.commit }}</div>{% endif %}</td>
<td data-as="passed">{{ one.rate }}</td>
<td><ul class="signs">{% for state, sign, run in one.signs %}
<li><a class="{{ state }}" href="{{ run }}/report.html" title="{{ state }}, {{ run }}"
 aria-label="{{ state }}, {{ run }}">{{ sign }}</a></li>
{% endfor %}</ul>{{ trend(one) }}</td></tr>
{% endfor %}
</tbody></table></section>
<section aria-labelledby="h-all"><h2 id="h-all">All runs, the latest first</h2>
<table class="checks">
<thead><tr><th scope="col">Run</th><th scope="col">Scenario</th><th scope="col">Verdict</th><th scope="col">Detected</th>
<th scope="col">Recovered</th><th scope="col">Lost</th><th scope="col">Why</th></tr></thead>
<tbody>
{% for card in latest %}
<tr><td><a href="{{ card.run }}/report.html">{{ card.run }}</a></td><td>{{ identity(card) }}</td>
<td><span class="chip {{ state_of(card) }}">{{ marked(card) }}</span></td>
<td data-as="detected" class="num">{{ number(card, "detect_s", "s") }}</td>
<td data-as="recovered" class="num">{{ number(card, "recovery_s", "s") }}</td>
<td data-as="lost" class="num">{{ number(card, "orders_lost", "") }}</td><td>{{ card.get("why") or "" }}</td></tr>
{% endfor %}
</tbody></table>
{% if left %}<p class="says">{{ left }} earlier runs are not listed.</p>{% endif %}
</section>
<footer>Made by Stormdesk from the scorecards in this folder; each report writes it again.</footer>
</main>
</body>
</html>
"""
)
