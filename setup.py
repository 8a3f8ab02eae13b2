"Packaging for csg_fastai: every value comes from settings.ini."
import shlex
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

here = Path(__file__).resolve().parent
config = ConfigParser(delimiters=['='])
config.read(here/'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']

licenses = dict(apache2='Apache-2.0', mit='MIT', bsd3='BSD-3-Clause')
statuses = ['1 - Planning', '2 - Pre-Alpha', '3 - Alpha', '4 - Beta', '5 - Production/Stable', '6 - Mature', '7 - Inactive']
name, lib, minor = cfg['lib_name'], cfg['lib_path'], int(cfg['min_python'].split('.')[1])
pictures = f"({cfg['git_url']}/raw/{cfg['branch']}/nbs/images/"  # the package index has no folder to look into

setup(
    name=name,
    version=cfg['version'],
    description=cfg['description'],
    long_description=(here/'README.md').read_text(encoding='utf-8').replace('(nbs/images/', pictures),
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    project_urls={'Documentation': cfg['doc_host'] + cfg['doc_baseurl']},
    license=licenses[cfg['license']],
    license_files=['LICENSE'],
    keywords=cfg['keywords'].split(),
    classifiers=[
        f"Development Status :: {statuses[int(cfg['status'])-1]}",
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        *(f'Programming Language :: Python :: 3.{o}' for o in range(minor, 13)),
    ],
    packages=find_packages(include=[lib, f'{lib}.*']),
    package_data={lib: [f'results/**/*.{o}' for o in ('csv', 'json', 'safetensors')]},
    include_package_data=False,
    python_requires=f">={cfg['min_python']}",
    install_requires=shlex.split(cfg['requirements']),
    extras_require={k.removesuffix('_requirements'): shlex.split(v) for k,v in cfg.items() if k.endswith('_requirements')},
    entry_points={'console_scripts': shlex.split(cfg.get('console_scripts', '')), 'nbdev': [f'{lib}={lib}._modidx:d']},
    zip_safe=False,
)
