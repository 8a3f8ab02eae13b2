#!/usr/bin/env python3
"""Numbers of the notebooks: every stored number that a notebook names exists, and none is typed by hand.

    .ci/check_numbers.py            check all notebooks below nbs/; one line for each finding, exit status 1 if there is any
    .ci/check_numbers.py NB ...     check these

1. Calls of num, values, table, read_results, read_manifest, load_arrays and load_pretrained with a name in quotes (or an f-string,
   whose blanks may be anything) must find something in csg_fastai/results. Calls with a folder of their own are left alone, and
   so is what stands inside `expect_fail`.
2. In the text, a number with three or more decimals is taken for a measured one, and so is any number with a decimal point or a
   percent sign in a sentence that speaks of a measure (WORDS). It has to come from a cell's output instead. Not meant: sections,
   versions, code, formulas between $ signs, links, the FACTS below, and cells with a comment <!-- by hand: why -->, in which
   the reader can work out the number himself or which say where else it is from.

Needs the development environment (csg_fastai and pandas)."""
import ast, json, re, sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What the paper says, and what is so by definition: notebook (or *) -> numbers
FACTS = {
    '*': '0.1 0.5 0.9 1.96 1.645',                                 # one class of ten; a gate's half; momentum; normal quantiles
    '08_correlation': '0.1000',                                    # Table 1's density
    '20_effectiveness': '0.0079',                                  # entropy of one class in a thousand, in nats
    '12_results': '.97 .95 .93 3.78 .945',                         # made-up values, worked out by hand
    '32_reading_a_report': '0.002'}                                # one image in 540

WORDS = re.compile(r'''accura|\bMIS\b|mutual\ information|\bnats\b|densit|\bIoU\b|\bAP\d*\b|C_IC|C_\{IC\}|\bAUROC\b|error\ rate|success\ rate
    |specificity|\bfaster\b|\bslower\b|\btimes\ (as|more|less|fewer)\b|\bseconds\b|\bminutes\b|images/s|\b[MG]i?B\b|\d\ ?m?s\b''', re.X)
NUMBER = re.compile(r'(?<![\w.,·/^-])(\d*\.\d+(?:e-?\d+)?|\d+(?=\s?%))(?![\w.]*\d)\s?%?')
SECTION = re.compile(r'(?:\b(?:Secs?|Sections?|Eqs?|Figs?|Tables?|App|Python|Apache|version|release|>=|<=?|==)\.?\s*)[A-Z]?\d+(?:\.\d+)*(?:\s*(?:,|to|and|-|–)\s*[A-Z]?\d+(?:\.\d+)*)*')

def prose(s):
    "Markdown without code, formulas, links, pictures, comments, sections and versions"
    for p in (r'```.*?```', r'<!--.*?-->', r'`[^`]*`', r'\$\$.*?\$\$', r'\$[^$\n]+\$', r'\]\([^)]*\)', r'https?://\S+'): s = re.sub(p, ' … ', s, flags=re.S)
    return SECTION.sub(' … ', s)

def sentences(s): return re.split(r'(?<=[.!?;:])\s+|\n\s*\n|\n\s*[-*|]', s)

def facts(name): return {float(o) for k,v in FACTS.items() if fnmatch(name, k) for o in v.split()}

def typed(text, name='', stored=()):
    "Numbers in markdown that look measured, each with its sentence and a stored result that is like it"
    if '<!-- by hand' in text: return
    for s in sentences(prose(text)):
        measure = WORDS.search(s)
        for m in NUMBER.finditer(s):
            digits = m[1].partition('.')[2].partition('e')[0]
            if float(m[1]) in facts(name) or not (len(digits) >= 3 or measure): continue
            like = next((k for k,v in stored if v and round(v, len(digits)) == float(m[1])), '') if len(digits) >= 2 else ''
            yield f'{m[0].strip()!r} in "{" ".join(s.split())[:90]}"' + (f' (like {like})' if like else '')

READERS = dict(num='key', values='key', table='file', read_results='file', read_manifest='file', load_arrays='arrays', load_pretrained='weights')

def code_of(src): return '\n'.join('pass' if re.match(r'\s*[%!]', l) else l for l in src.splitlines())

class Calls(ast.NodeVisitor):
    "Calls that read stored results, outside of expect_fail"
    def __init__(self): self.found = []
    def visit_With(self, node):
        names = [getattr(getattr(o.context_expr, 'func', None), 'id', '') for o in node.items]
        if not {'expect_fail', 'ExceptionExpected'} & set(names): self.generic_visit(node)
    def visit_Call(self, node):
        name = getattr(node.func, 'id', getattr(node.func, 'attr', ''))
        if name in READERS and node.args: self.found.append((name, node))
        self.generic_visit(node)

def pattern(node):
    "A regular expression for a quoted name or f-string; None for anything else"
    if isinstance(node, ast.Constant) and isinstance(node.value, str): return re.escape(node.value)
    if isinstance(node, ast.JoinedStr): return ''.join(re.escape(o.value) if isinstance(o, ast.Constant) else '.+' for o in node.values)

class Stored:
    "What there is in csg_fastai/results"
    def __init__(self):
        from csg_fastai import results as r
        d, df = r.results_dir(), r.read_results()
        ids = df[['preset','model','training','measure']].agg('.'.join, axis=1)
        self.values = list(dict.fromkeys(zip(ids, df['value'])))
        keys = [k+s for k in dict.fromkeys(ids) for s in ('', *(f'.{o}' for o in r.STATS))]
        names = lambda p: [f.stem for f in d.glob(p)]
        self.names = dict(key=keys, file=names('*.csv') + [*getattr(r,"TABLES",{})], arrays=names('arrays/*.safetensors'), weights=names('*.safetensors'))

def calls(src, stored):
    "Names in code that nothing is stored under"
    v = Calls()
    try: v.visit(ast.parse(code_of(src)))
    except SyntaxError as e: yield f'a cell that is not Python: {e.msg}'
    for name,node in v.found:
        if len(node.args) > 1 and name not in ('table','load_pretrained') or any(k.arg == 'folder' for k in node.keywords): continue
        p, kind = pattern(node.args[0]), READERS[name]
        if p and not any(re.fullmatch(p, o) for o in stored.names[kind]):
            yield f'{name}({ast.unparse(node.args[0])}): nothing is stored under this name'

def check(nb, stored):
    "Findings in one notebook"
    for i,c in enumerate(json.loads(Path(nb).read_text(encoding='utf-8'))['cells']):
        src = ''.join(c['source'])
        found = typed(src, Path(nb).stem, stored.values) if c['cell_type'] == 'markdown' else calls(src, stored)
        for o in found: yield f'{Path(nb).name}, cell {i}: {o}'

def main(nbs):
    nbs = nbs or sorted(o for o in (ROOT/'nbs').rglob('*.ipynb') if not any(p.startswith(('.','_')) for p in o.relative_to(ROOT).parts))
    stored = Stored()
    found = [o for nb in nbs for o in check(nb, stored)]
    for o in found: print(o, file=sys.stderr)
    if found: sys.exit(f'{len(found)} numbers to mend: print them from a cell, or read them with num() (.ci/check_numbers.py says how)')
    print(f'{len(nbs)} notebooks: no measured number is typed, and all {len(stored.values)} stored ones can be found by name')

if __name__ == '__main__': main([Path(o) for o in sys.argv[1:]])
