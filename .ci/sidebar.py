#!/usr/bin/env python3
"""Write nbs/sidebar.yml: the chapters of the site, from the notebooks that exist, and the link to the repository, from settings.ini.

    .ci/sidebar.py           write it
    .ci/sidebar.py --check   change nothing; exit 1 with one line if it is out of date
"""
import sys
from configparser import ConfigParser
from pathlib import Path

nbs = Path(__file__).resolve().parent.parent/'nbs'
out = nbs/'sidebar.yml'
cfg = ConfigParser(delimiters=['=']); cfg.read(nbs.parent/'settings.ini')
chapters = {
    'The idea': '00a_*.ipynb',
    'Method': '00_*.ipynb 00b_*.ipynb 01_*.ipynb 01a_*.ipynb 0[2-4]_*.ipynb',
    'Measures': '0[5-8]_*.ipynb 10a_*.ipynb',
    'Uses': '09*_*.ipynb 10_*.ipynb 10b_*.ipynb 11*_*.ipynb',
    'Experiments': 'experiments/*.ipynb',
    'Tutorials': 'tutorials/*.ipynb',
    'Results and commands': '1[2-9]*_*.ipynb',
}
made = {'API': ['api.ipynb', 'gallery.ipynb']}         # by .ci/docs.py, from all others

def notebooks(pattern):
    "Paths under nbs/ that match `pattern`, in reading order"
    return sorted(p.relative_to(nbs).as_posix() for p in nbs.glob(pattern) if p.name[0] not in '._')

def sidebar():
    "The text of sidebar.yml"
    tools = ['    tools:', '      - icon: github', f"        href: {cfg['DEFAULT']['git_url']}", '        text: The repository']
    lines, seen = ['website:', '  sidebar:', *tools, '    contents:', '      - index.ipynb'], {'index.ipynb'}
    for title, patterns in [*chapters.items(), *made.items()]:
        found = patterns if title in made else [o for p in patterns.split() for o in notebooks(p)]
        if found: lines += [f'      - section: {title}', '        contents:', *(f'          - {o}' for o in found)]
        seen.update(found)
    lost = [o for o in notebooks('**/*.ipynb') if o not in seen and '/.' not in f'/{o}' and '/_' not in f'/{o}']
    if lost: sys.exit(f'nbs/{lost[0]} belongs to no chapter of the site: name one for it in .ci/sidebar.py')
    return '\n'.join(lines) + '\n'

text = sidebar()
if '--check' not in sys.argv: out.write_text(text, encoding='utf-8')
elif not out.exists() or out.read_text(encoding='utf-8') != text:
    sys.exit('nbs/sidebar.yml does not list the notebooks that exist and the repository: run .ci/sidebar.py')
