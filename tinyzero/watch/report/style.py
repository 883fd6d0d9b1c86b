"""The report's style sheet; dark if the reader's system is dark. Curves differ in dashes, too."""

from typing import Final

from tinyzero.watch.view import ACCENT, WARN

LIGHT: Final = ("#2f62c9", "#a5610f", "#2e7d36", "#8e3fa8", "#14757b", "#c03a36")
"""Colours of curves on white, and on the light tiles: contrast 4.5:1 and more."""
DARK: Final = ("#7aa5f5", "#e0a04a", "#6cc277", "#c98ade", "#4fbcc3", "#ee7a76")
"""The same on a dark page."""
GREY: Final = "#69707d"
"""Of curves of control runs; `--soft` on the page."""
DASHES: Final = ((), (8, 4), (2, 3), (10, 3, 2, 3), (5, 2), (14, 4, 2, 2, 2, 4))
"""Lengths of lines and gaps; none for a solid line."""


def _variables(colors: tuple[str, ...]) -> str:
    return "".join(f"--c{index}:{color};" for index, color in enumerate(colors))


_SERIES = (
    "".join(
        f"svg .c{index}{{stroke:var(--c{index});stroke-dasharray:{' '.join(map(str, dashes)) or 'none'}}}"
        f"svg circle.c{index}{{fill:var(--c{index});stroke-dasharray:none}}"
        for index, dashes in enumerate(DASHES)
    )
    + "svg .control{stroke:var(--soft)}svg circle.control{fill:var(--soft)}"
)

STYLE = (
    """
:root{color-scheme:light dark;--ink:#1d2129;--soft:#69707d;--line:#dfe3ea;--paper:#fff;--tile:#f6f7f9;LIGHT}
@media(prefers-color-scheme:dark){:root{--ink:#e3e6eb;--soft:#959daa;--line:#343a45;--paper:#16191f;--tile:#1e2229;DARK}}
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
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:16px}
figure,.card{margin:0;padding:12px;background:var(--tile);border-radius:8px;min-width:0}
figcaption{font-weight:600;font-size:14px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:13px}
svg polyline{fill:none;stroke-width:2;stroke-linejoin:round}svg .raw{opacity:.25;stroke-width:1}
svg .grid{stroke:var(--line)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:6px 0 0;padding:0;font-size:13px}
svg.key{display:inline-block;width:30px;height:8px;margin-right:5px;vertical-align:middle}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr));gap:0 32px}
.bars td{white-space:nowrap}.bar{width:35%;min-width:60px}.bar span{display:block;
height:10px;border-radius:3px;background:ACCENT}
.verdict{font-size:17px;font-weight:600;margin:14px 0}
.alarms{padding:12px 16px;border-left:4px solid WARN;background:var(--tile);border-radius:4px}
.alarms ul{margin:0;padding-left:18px}.calm{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:16px}
pre{margin:8px 0;padding:8px 10px;background:var(--paper);border:1px solid var(--line);border-radius:6px;
overflow-x:auto;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.card p{margin:0}.card p+pre+p{margin-top:12px}.kin>*{margin-top:10px}
summary{cursor:pointer;font-size:14px}
@media(max-width:640px){body{padding:12px}header{display:block}.bars .bar{display:none}
.bars td,.bars th{font-size:12px;padding-right:8px}
.stack thead{display:none}.stack tr{display:block;padding:8px 0;border-bottom:1px solid var(--line)}
.stack td{display:flex;justify-content:space-between;gap:16px;padding:2px 0;border:0;text-align:right;
overflow-wrap:anywhere}
.stack td::before{content:attr(data-label);color:var(--soft);text-align:left}.stack td:empty{display:none}}
""".replace("ACCENT", ACCENT)
    .replace("WARN", WARN)
    .replace("LIGHT", _variables(LIGHT))
    .replace("DARK", _variables(DARK))
    + _SERIES
)
