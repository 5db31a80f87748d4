"""The style of the report and of the index: light, dark, phone and print. Nothing in it is fetched from anywhere. Pure."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink:#17202b; --soft:#5a6878; --faint:#616e7c; --paper:#f5f7f9; --card:#ffffff;
  --rule:#dde3ea; --held:#14784a; --violated:#b3261e; --unknown:#96610a; --accepted:#1f6feb; --refused:#d9730d;
  --fault:#d4382d; --hold:#f3c9c5; --steady:#cfe6d8; --recover:#fbe3b5; --on-phase:#3b4754; --code:#eef2f6; }
@media screen and (prefers-color-scheme: dark) { :root { --ink:#e4eaf1; --soft:#a3b0bf; --faint:#93a0ae; --paper:#0e141b;
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
.skip { position:absolute; left:-9999px; top:0; background:var(--card); color:var(--ink); padding:8px 14px; z-index:1; }
.skip:focus { left:8px; }
:focus-visible { outline:3px solid var(--accepted); outline-offset:2px; }
nav ol { display:flex; flex-wrap:wrap; gap:2px 16px; list-style:none; margin:0; padding:0; font-size:13px; }
nav a { color:var(--soft); display:inline-block; padding:4px 0; }
a { color:inherit; }
.banner { border-left:8px solid var(--tone); }
.banner .top { display:flex; flex-wrap:wrap; align-items:baseline; gap:6px 14px; }
.banner h1 { font-size:30px; line-height:1.15; margin:0; color:var(--tone); letter-spacing:-.01em; }
.banner .what { font-size:17px; margin:10px 0 14px; max-width:64em; }
.held, .pass, .clean, .better { --tone:var(--held); }
.violated, .dirty, .fail, .high, .worse { --tone:var(--violated); }
.unknown, .stopped, .refused, .medium, .low { --tone:var(--unknown); }
.chip { display:inline-block; border:1px solid var(--tone); color:var(--tone); border-radius:99px; padding:0 10px;
  font-size:13px; font-weight:600; line-height:22px; white-space:nowrap; }
.what, .book, dd { overflow-wrap:anywhere; }
.meta { display:flex; flex-wrap:wrap; gap:2px 22px; color:var(--soft); font-size:13px; margin:0 0 12px; padding:0;
  list-style:none; }
.meta b { color:var(--ink); font-weight:600; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(158px,1fr)); gap:12px; margin:16px 0; }
.card { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:14px 16px; break-inside:avoid; }
.card .n { font-size:27px; font-weight:650; line-height:1.2; font-variant-numeric:tabular-nums; letter-spacing:-.02em; }
.card .n small { font-size:14px; font-weight:500; color:var(--soft); letter-spacing:0; }
.card .l { color:var(--soft); font-size:13px; }
.card.word .n { font-size:18px; line-height:32px; letter-spacing:-.01em; }
.card .d { color:var(--soft); font-size:12px; } .card .d b { color:var(--tone,var(--soft)); font-weight:600; }
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
.files { columns:280px; margin:0; padding:0; list-style:none; font-size:13px; } .files a { display:inline-block; padding:5px 0; }
.fault-card { border-top:1px solid var(--rule); padding-top:12px; margin-top:14px; }
.fault-card:first-of-type { border-top:0; margin-top:0; padding-top:0; }
.fault-card h3 { font-size:15px; color:var(--ink); margin:0 0 8px; }
.fault-card h4 { font-size:13px; color:var(--soft); margin:14px 0 6px; }
table.matrix td, table.matrix th { text-align:left; }
table.matrix th[scope=row] { color:var(--ink); font-size:14px; border-bottom:0; padding-top:8px; }
.mark { color:var(--tone); font-weight:600; white-space:nowrap; }
.lines { margin:0; padding-left:18px; }
.evidence { border-left:3px solid var(--tone,var(--held)); padding:2px 0 2px 12px; margin:0 0 10px; }
footer { color:var(--faint); font-size:12px; margin-top:20px; }
.timeline text { font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif; fill:var(--soft); }
.timeline .fault { fill:var(--fault); opacity:.1; } .timeline .fault-edge { stroke:var(--fault); stroke-width:1.5; }
.timeline .fault-label { fill:var(--violated); font-weight:600; }
.timeline .phase.steady { fill:var(--steady); } .timeline .phase.hold { fill:var(--hold); }
.timeline .phase.recover { fill:var(--recover); } .timeline .phase-label { fill:var(--on-phase); font-size:11px; }
.timeline .grid { stroke:var(--rule); } .timeline .axis { stroke:var(--faint); }
.timeline .line { fill:none; stroke-width:2; stroke-linejoin:round; } .timeline .area { opacity:.14; }
.timeline .line.accepted { stroke:var(--accepted); } .timeline .accepted.area, .timeline .accepted.key { fill:var(--accepted); }
.timeline .line.refused { stroke:var(--refused); stroke-dasharray:5 3; }
.timeline .refused.area, .timeline .refused.key { fill:var(--refused); }
.timeline .hatch { stroke:var(--faint); stroke-width:1.5; opacity:.55; }
.timeline .mark { stroke:var(--held); stroke-width:1.5; stroke-dasharray:3 3; }
.timeline .mark-label { fill:var(--held); font-weight:600; paint-order:stroke; stroke:var(--card); stroke-width:4px; }
.timeline .lane { fill:var(--code); } .timeline .zero { stroke:var(--fault); stroke-dasharray:2 4; }
.timeline .lane-fault { fill:var(--hold); stroke:var(--fault); } .timeline .lane-text { fill:var(--ink); font-size:10px; }
.timeline .lane-sign { stroke:var(--unknown); stroke-width:.7; } .timeline .sign-hatch { stroke:var(--unknown); stroke-width:2; }
.timeline .lane-name { fill:var(--soft); font-size:11px; paint-order:stroke; stroke:var(--card); stroke-width:3px; }
.timeline .lane-host { fill:var(--ink); font-weight:600; }
.timeline .glyph { font-size:14px; font-weight:700; fill:var(--ink); } .timeline .glyph.held { fill:var(--held); }
.timeline .glyph.violated { fill:var(--violated); } .timeline .glyph.unknown, .timeline .glyph.alert { fill:var(--unknown); }
.timeline .line.metric { stroke:var(--soft); stroke-width:1.5; }
.timeline .strip { fill:var(--rule); opacity:.55; } .timeline .ready { fill:var(--held); }
.timeline .not-ready { fill:var(--fault); } .timeline .strip-gap { fill:var(--faint); }
@media (max-width:700px) { main { padding:14px 10px 32px; } section { padding:16px 14px; } .banner h1 { font-size:24px; }
  .banner .what { font-size:16px; } .picture .wide { display:none; } .picture .narrow { display:block; }
  .cards { grid-template-columns:1fr 1fr; gap:8px; } .card { padding:10px 12px; } .card .n { font-size:22px; }
  .two { grid-template-columns:1fr; }
  table, tbody, tr, td, th { display:block; } thead { display:none; }
  tr { border-bottom:1px solid var(--rule); padding:8px 0; } td, tr:last-child td { border:0; padding:1px 0; }
  td[data-as]::before { content:attr(data-as) ": "; color:var(--soft); font-size:12px; } td:empty { display:none; }
  table.matrix td { display:inline-block; margin-right:14px; } table.matrix th[scope=row] { padding:0; }
  dl { grid-template-columns:1fr; gap:0; } dd { margin-bottom:6px; } }
@media print { nav, .skip { display:none; } :root { color-scheme:light; }
  body { background:#fff; font-size:12px; } main { max-width:none; padding:0; }
  section, .card { border-color:#ccc; } section { break-inside:auto; } h2, h3 { break-after:avoid; }
  tr, .card, .evidence, .picture, ol.steps li { break-inside:avoid; }
  details::details-content { content-visibility:visible; block-size:auto; } a { text-decoration:none; } }
"""
