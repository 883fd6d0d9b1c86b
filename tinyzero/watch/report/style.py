"""The report's style sheet: the terminal's colours; dark if the reader's system is dark."""

from tinyzero.watch.view import ACCENT, SERIES_COLORS, WARN, series_color

_SERIES = "".join(
    f"svg .{name}{{stroke:{color}}} svg circle.{name},.dot.{name}{{background:{color};fill:{color}}}"
    for index in range(len(SERIES_COLORS))
    for name, color in (
        (f"c{index}", series_color(index)),
        (f"g{index}", series_color(index, is_control=True)),
    )
)

STYLE = (
    """
:root{color-scheme:light dark;--ink:#1d2129;--soft:#69707d;--line:#dfe3ea;--paper:#fff;--tile:#f6f7f9}
@media(prefers-color-scheme:dark){:root{--ink:#e3e6eb;--soft:#959daa;--line:#343a45;--paper:#16191f;--tile:#1e2229}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:24px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
header{display:flex;justify-content:space-between;align-items:baseline;border-bottom:1px solid var(--line)}
h1{font-size:24px;margin:0 0 8px}h1 span{color:var(--soft);font-weight:400}
h2{margin:40px 0 8px;font-size:20px}h3{margin:0 0 10px;font-size:15px;display:inline-block}
small,header p,.meta{color:var(--soft);font-weight:400;font-size:13px}
section{margin:20px 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);font-size:14px}
th{color:var(--soft);font-weight:500}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:16px}
figure,.card{margin:0;padding:12px;background:var(--tile);border-radius:8px;min-width:0}
figcaption{font-weight:600;font-size:14px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:13px}
svg polyline{fill:none;stroke-width:2;stroke-linejoin:round}svg .raw{opacity:.25;stroke-width:1}
svg .grid{stroke:var(--line)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:6px 0 0;padding:0;font-size:13px}
.dot{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:5px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:0 32px}
.bar{width:40%;white-space:nowrap}.bar span{display:inline-block;
height:10px;max-width:70%;border-radius:3px;background:ACCENT}
.alarms{padding:12px 16px;border-left:4px solid WARN;background:var(--tile);border-radius:4px}
.alarms ul{margin:0;padding-left:18px}.calm{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:16px}
pre{margin:8px 0;padding:8px 10px;background:var(--paper);border:1px solid var(--line);border-radius:6px;
overflow-x:auto;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.card p{margin:0}summary{cursor:pointer;font-size:14px}
""".replace("ACCENT", ACCENT).replace("WARN", WARN)
    + _SERIES
)
