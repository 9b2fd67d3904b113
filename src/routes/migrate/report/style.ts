/** The page's style, inline: a report opens without a network. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1d2327; --soft: #667078; --rule: #e3e1dc;
  --line: #1f6f8b; --area: #1f6f8b22; --band0: #f1efe9; --band1: #f8f7f3; --good: #2c7a4b; --bad: #b3362b; --warn: #b7791f; --blue: #3455b5; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181b; --card: #1b2125; --ink: #e6e8e9; --soft: #97a1a8; --rule: #2d353a;
  --line: #62b6cf; --area: #62b6cf26; --band0: #20272b; --band1: #1a2024; --good: #6cc48f; --bad: #ee8278; --warn: #e3b35f; --blue: #93abf0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px; }
header p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
h1 { margin: 2px 0 6px; font-size: 28px; line-height: 1.2; font-weight: 650; letter-spacing: -.01em; }
h1.good { color: var(--good); } h1.bad { color: var(--bad); }
h2 { margin: 44px 0 12px; font-size: 17px; font-weight: 650; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 1px; margin: 28px 0 0; background: var(--rule);
  border: 1px solid var(--rule); border-radius: 8px; overflow: hidden; }
.figures div { background: var(--card); padding: 12px 16px; }
.figures dt { color: var(--soft); font-size: 13px; }
.figures dd { margin: 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
ul.proved { margin: 0; padding: 0; list-style: none; }
ul.proved li { padding: 2px 0 2px 16px; position: relative; overflow-wrap: anywhere; }
ul.proved li::before { content: ""; position: absolute; left: 0; top: 12px; width: 6px; height: 6px; border-radius: 50%; background: var(--line); }
figure { margin: 0 0 18px; }
figcaption { font-weight: 600; margin-bottom: 4px; } figcaption span { font-weight: 400; color: var(--soft); }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
.grid { stroke: var(--rule); } .tick, .phase { fill: var(--soft); font-variant-numeric: tabular-nums; }
.band0 { fill: var(--band0); } .band1 { fill: var(--band1); }
.line { fill: none; stroke: var(--line); stroke-width: 1.8; stroke-linejoin: round; } .area { fill: var(--area); }
.mark line { stroke: currentColor; stroke-dasharray: 3 3; } .mark circle { fill: currentColor; }
.fault { color: var(--bad); } .throttle { color: var(--warn); } .cutover { color: var(--blue); }
.legend { color: var(--soft); font-size: 13px; margin: 0 0 16px; } .legend i { display: inline-block; width: 8px; height: 8px; border-radius: 50%;
  background: currentColor; margin: 0 6px 0 0; } .legend span { margin-right: 18px; } .legend b { font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); border-bottom: 1px solid var(--rule); padding: 6px 16px 6px 0; white-space: nowrap; }
td { padding: 5px 16px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; overflow-wrap: anywhere; }
th.n, td.n { text-align: right; white-space: nowrap; } td.t { white-space: nowrap; color: var(--soft); }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere; }
details summary { cursor: pointer; color: var(--soft); margin-bottom: 8px; }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; }
`;
