"""What the built package must do where nbdev is not installed: import every module, train a few steps with the gate.

    python smoke.py imports | train
"""
import importlib, importlib.metadata as md, importlib.util, pkgutil, sys

def imports():
    "Import every module of the installed package"
    import csg_fastai
    if importlib.util.find_spec('nbdev'): sys.exit('nbdev is installed here: this check is about life without it')
    names = [m.name for m in pkgutil.walk_packages(csg_fastai.__path__, 'csg_fastai.')]
    for o in names: importlib.import_module(o)
    if md.version('csg_fastai') != csg_fastai.__version__:
        sys.exit(f"version {md.version('csg_fastai')} was installed, csg_fastai says {csg_fastai.__version__}: run nbdev_export")
    print(f'{len(names)} modules of {csg_fastai.__file__}')
    print(', '.join(f'{o} {md.version(o)}' for o in ('fastai', 'fastcore', 'plum-dispatch', 'torch', 'torchvision')))

def train():
    "Four epochs of two batches: the third one takes the gated path"
    import torch
    from torch import nn
    from fastai.basics import DataLoaders, DataLoader, Learner, CrossEntropyLossFlat, set_seed
    from csg_fastai.callback import CSG
    set_seed(0)
    y = torch.arange(32) % 4
    x = torch.randn(32, 1, 8, 8) + y[:, None, None, None]
    dls = DataLoaders(*[DataLoader(list(zip(x, y)), bs=16, shuffle=s) for s in (True, False)])
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    keys, start = list(model.state_dict()), model[0].weight.detach().clone()
    learn = Learner(dls, model, loss_func=CrossEntropyLossFlat())
    with learn.no_logging(): learn.fit(4, 1e-2, cbs=CSG())
    if not all(torch.isfinite(p).all() for p in model.parameters()): sys.exit('training gave weights that are not finite')
    if torch.equal(start, model[0].weight): sys.exit('training did not move the weights')
    if list(model.state_dict()) != keys: sys.exit('training with CSG() left something in the model')
    if not hasattr(learn, 'csg'): sys.exit('learn.csg is not there after fit')

dict(imports=imports, train=train)[sys.argv[1]]()
