#!/usr/bin/env python3
"""Numbers of the notebooks: every stored number that a notebook names exists, and none is typed by hand.

    .ci/check_numbers.py            check all notebooks below nbs/; one line for each finding, exit status 1 if there is any
    .ci/check_numbers.py NB ...     check these

1. Calls of the READERS below with a name in quotes (or an f-string, whose blanks may be anything) must find something in
   csg_fastai/results. Calls with a folder of their own are left alone, and so is what stands inside `expect_fail`.
2. In the text, a number with three or more decimals is taken for a measured one, and so is any number with a decimal point or a
   percent sign in a sentence that speaks of a measure (WORDS). It has to come from a cell's output instead. Not meant: sections,
   versions, code, formulas, links, the FACTS below, and cells with a comment <!-- by hand: why -->.
"""
import ast, re, sys
from fnmatch import fnmatch
from pathlib import Path
from nb import notebooks, read, text

FACTS = {  # what the paper says, and what is so by definition: notebook -> numbers
    '*': '0.1 0.5 0.9 1.96 1.645',                       # one class of ten; a gate's half; momentum; normal quantiles
    '*a_blocks': '0.1000',                               # Table 1's density
    '*_effectiveness': '0.0079',                         # entropy of one class in a thousand, in nats
    '*_results': '.97 .95 .93 3.78 .945',                # made-up values, worked out by hand
    '*_reading_a_report': '0.002'}                       # one image in 540
READERS = dict(num='key', values='key', table='file', read_results='file', read_manifest='file', load_arrays='arrays', load_pretrained='weights')
WORDS = re.compile(r'''accura|\bMIS\b|mutual\ information|\bnats\b|densit|\bIoU\b|\bAP\d*\b|C_IC|C_\{IC\}|\bAUROC\b|error\ rate|success\ rate
    |specificity|\bfaster\b|\bslower\b|\btimes\ (as|more|less|fewer)\b|\bseconds\b|\bminutes\b|images/s|\b[MG]i?B\b|\d\ ?m?s\b''', re.X)
NUMBER = re.compile(r'(?<![\w.,·/^-])(\d*\.\d+(?:e-?\d+)?|\d+(?=\s?%))(?![\w.]*\d)\s?%?')
SECTION = (r'(?:\b(?:Secs?|Sections?|Eqs?|Figs?|Tables?|App|Python|Apache|version|release|>=|<=?|==)\.?\s*)[A-Z]?\d+(?:\.\d+)*'
           r'(?:\s*(?:,|to|and|-|–)\s*[A-Z]?\d+(?:\.\d+)*)*')
NO_PROSE = r'```.*?```', r'<!--.*?-->', r'`[^`]*`', r'\$\$.*?\$\$', r'\$[^$\n]+\$', r'\]\([^)]*\)', r'https?://\S+', SECTION

def typed(s, name):
    "Numbers in markdown that look measured, each with its sentence"
    facts = {float(o) for k,v in FACTS.items() if fnmatch(name, k) for o in v.split()}
    if '<!-- by hand' in s: return
    for p in NO_PROSE: s = re.sub(p, ' … ', s, flags=re.S)
    for s in re.split(r'(?<=[.!?;:])\s+|\n\s*\n|\n\s*[-*|]', s):
        for m in NUMBER.finditer(s):
            digits = m[1].partition('.')[2].partition('e')[0]
            if float(m[1]) not in facts and (len(digits) >= 3 or WORDS.search(s)): yield f'{m[0].strip()!r} in "{" ".join(s.split())[:90]}"'

def asked(node):
    "Calls that read stored results, outside of expect_fail"
    if isinstance(node, ast.With) and any(w in ast.unparse(node.items[0]) for w in ('expect_fail', 'ExceptionExpected')): return
    name = isinstance(node, ast.Call) and getattr(node.func, 'id', getattr(node.func, 'attr', ''))
    alone = name and (len(node.args) == 1 or node.args and name in ('table', 'load_pretrained'))
    if alone and name in READERS and not any(k.arg == 'folder' for k in node.keywords): yield name, node.args[0]
    for o in ast.iter_child_nodes(node): yield from asked(o)

def pattern(o):
    "A regular expression for a quoted name or f-string; '.*' for anything else"
    if isinstance(o, ast.JoinedStr): return ''.join(pattern(v) if isinstance(v, ast.Constant) else '.+' for v in o.values)
    return re.escape(o.value) if isinstance(getattr(o, 'value', None), str) else '.*'

def stored():
    "What there is in csg_fastai/results, by kind"
    from csg_fastai import results as r
    def files(p): return [f.stem for f in r.results_dir().glob(p)]
    keys = r.read_results()[['preset','model','training','measure']].agg('.'.join, axis=1).unique()
    return dict(key=[k+s for k in keys for s in ('', *(f'.{o}' for o in r.STATS))], file=files('*.csv') + [*getattr(r, 'TABLES', {})],
                arrays=files('arrays/*.safetensors'), weights=files('*.safetensors'))

def check(p, names):
    "Findings in one notebook"
    for i,c in enumerate(read(p)['cells']):
        s = text(c['source'])
        if c['cell_type'] == 'markdown': yield from (f'{p.name}, cell {i}: {o}' for o in typed(s, p.stem))
        if c['cell_type'] != 'code': continue
        for k,o in asked(ast.parse(re.sub(r'^\s*[%!].*', 'pass', s, flags=re.M))):
            there = any(re.fullmatch(pattern(o), n) for n in names[READERS[k]])
            if not there: yield f'{p.name}, cell {i}: {k}({ast.unparse(o)}): nothing is stored under this name'

nbs, names = [Path(o) for o in sys.argv[1:]] or [*notebooks().values()], stored()
found = [o for p in nbs for o in check(p, names)]
for o in found: print(o, file=sys.stderr)
if found: sys.exit(f'{len(found)} numbers to mend: print them from a cell, or read them with num() (.ci/check_numbers.py says how)')
print(f'{len(nbs)} notebooks: no measured number is typed, and all that are named are stored')
