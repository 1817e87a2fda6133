# SPDX-License-Identifier: MIT
"""The tables of bench/conventions.md, "Coming from another library": that their settings give the
conventions they say they give, which are restated here as formulas of PyTorch.  What the packages
themselves have returned is in tests/conventions."""

import contextlib
import ctypes
import sys

import torch
import torch.nn.functional as F

import focal

SUM, MEAN, NORMALIZER, MEAN_SAMPLES, MEAN_POSITIVES = 0, 1, 2, 3, 4
SIGMOID, SOFTMAX, PROBABILITY = 0, 1, 2
NONE, LAST, FIRST, MINUS_ONE = 0, 1, 2, 3
LINEAR, SPLIT, STAR, HEATMAP = 0, 1, 3, 7

DTYPES = {torch.float64: 2, torch.int32: 6, torch.int64: 7}
CONTIGUOUS, STRIDED = 0, 1

library = focal._library
library.fghm_focal_set_rule.argtypes = [ctypes.c_void_p, ctypes.c_int32]
library.fghm_focal_set_normalizer.argtypes = [ctypes.c_void_p, ctypes.c_double]
library.fghm_focal_set_loss_weight.argtypes = [ctypes.c_void_p, ctypes.c_double]


def require(status):
    if status != 0:
        raise ValueError(library.fghm_status_string(status).decode())


@contextlib.contextmanager
def new_handle():
    handle = ctypes.c_void_p()
    require(library.fghm_focal_create(ctypes.byref(handle)))
    try:
        yield handle
    finally:
        library.fghm_focal_destroy(handle)


def array(tensor, strides=(0, 0, 0)):
    layout = STRIDED if any(strides) else CONTIGUOUS
    result = focal._Array(tensor.data_ptr(), DTYPES[tensor.dtype], layout)
    result.strides[: len(strides)] = strides
    return result


def doubles(values):
    return None if values is None else (ctypes.c_double * len(values))(*values)


def loss(
    logits,
    targets,
    shape,
    *,
    strides=(0, 0, 0),
    gamma=2.0,
    alpha=0.25,
    reduction=MEAN,
    normalizer=1.0,
    loss_weight=1.0,
    rule=LINEAR,
    activation=SIGMOID,
    labels=False,
    background=NONE,
    ignore_index=None,
    label_smoothing=0.0,
    weights=None,
    weight_strides=(0, 0, 0),
    class_alpha=None,
    class_weights=None,
    gradient=None,
):
    """Fields and setters of the same names; alpha None: off.  gradient: where it goes."""
    alphas, factors = doubles(class_alpha), doubles(class_weights)
    batch = focal._Batch()
    batch.ndim, batch.class_axis = len(shape), 1
    batch.shape[: len(shape)] = shape
    batch.activation = activation
    batch.target_form = int(labels)
    batch.background = background
    if ignore_index is not None:
        batch.ignore_index = ignore_index
    batch.label_smoothing = label_smoothing
    batch.logits = array(logits, strides)
    batch.targets = array(targets)
    batch.class_alpha = ctypes.cast(alphas, ctypes.c_void_p)
    batch.class_weights = ctypes.cast(factors, ctypes.c_void_p)
    if weights is not None:
        batch.weights = array(weights, weight_strides)
    if gradient is None:
        gradient = torch.empty(shape, dtype=logits.dtype)
    batch.gradient = array(gradient)
    result = focal._Result()
    with new_handle() as handle:
        require(library.fghm_focal_set_gamma(handle, gamma))
        if alpha is None:
            require(library.fghm_focal_clear_alpha(handle))
        else:
            require(library.fghm_focal_set_alpha(handle, alpha))
        require(library.fghm_focal_set_normalizer(handle, normalizer))
        require(library.fghm_focal_set_loss_weight(handle, loss_weight))
        require(library.fghm_focal_set_reduction(handle, reduction))
        require(library.fghm_focal_set_rule(handle, rule))
        require(
            library.fghm_focal_batch(handle, None, ctypes.byref(batch), ctypes.byref(result))
        )
    return result.loss


def elements(x, t, gamma=2.0, alpha=0.25):
    """mmdetection's formula."""
    p = x.sigmoid()
    factor = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    bce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    return factor * (p * (1 - t) + (1 - p) * t) ** gamma * bce


def samples(x, y, gamma=2.0):
    """Softmax over axis 1, without alpha."""
    log_p = x.log_softmax(1).gather(1, y.unsqueeze(1)).squeeze(1)
    return -((1 - log_p.exp()) ** gamma) * log_p


def one_hot(y, classes):
    return F.one_hot(y, classes).to(torch.float64)


N, C, S = 7, 5, 6
torch.manual_seed(3)
rows = 3 * torch.randn(N, C, dtype=torch.float64)
images = 3 * torch.randn(N, C, S, dtype=torch.float64)
soft = torch.rand(N, C, dtype=torch.float64)
hard = torch.randint(0, 2, (N, C)).to(torch.float64)
y = torch.randint(0, C, (N,))
y_background = torch.randint(0, C + 1, (N,))
places = torch.randint(0, C, (N, S))
class_weights = torch.linspace(0.5, 1.5, C, dtype=torch.float64)
weight_list = class_weights.tolist()
unlike = [0.75] + [0.25] * (C - 1)
unlike_of = torch.tensor(unlike, dtype=torch.float64)
by_rows, by_images = (N, C, 1), (N, C, S)

cases = {}


def case(name, got, wanted):
    cases[name] = (got, float(wanted))


dense_background = one_hot(y_background, C + 1)[:, :C]
case(
    "mmdetection, labels",
    loss(rows, y_background, by_rows, labels=True, background=LAST),
    elements(rows, dense_background).mean(),
)
case(
    "mmdetection, avg_factor, row weights",
    loss(
        rows, soft, by_rows, reduction=NORMALIZER, normalizer=3.0, loss_weight=2.0,
        weights=class_weights.repeat(2), weight_strides=(1, 0, 0),
    ),
    2 * (elements(rows, soft) * class_weights.repeat(2)[:N, None]).sum() / 3,
)
case(
    "mmcv sigmoid, weight",
    loss(
        rows, y, by_rows, labels=True, background=LAST, reduction=MEAN_SAMPLES,
        weights=class_weights[y], weight_strides=(1, 0, 0),
    ),
    (elements(rows, one_hot(y, C)) * class_weights[y][:, None]).sum() / N,
)
ignored = torch.where(torch.arange(N) == 2, -1, y)
case(
    "mmcv softmax, weight, ignored",
    loss(
        rows, ignored, by_rows, labels=True, activation=SOFTMAX, ignore_index=-1,
        class_weights=weight_list, loss_weight=0.25,
    ),
    (0.25 * samples(rows, y) * class_weights[y] * (ignored >= 0)).sum() / N,
)
heat = torch.where(soft == soft.max(1, keepdim=True).values, torch.ones(()), soft)
p = rows.sigmoid()
case(
    "CenterNet",
    loss(rows, heat, by_rows, rule=HEATMAP, reduction=MEAN_POSITIVES),
    -(
        (heat == 1) * p.log() * (1 - p) ** 2
        + (heat < 1) * (1 - p).log() * p**2 * (1 - heat) ** 4
    ).sum()
    / (heat == 1).sum(),
)
case("torchvision", loss(rows, soft, by_rows), elements(rows, soft).mean())
case(
    "fvcore star",
    loss(rows, hard, by_rows, rule=STAR, gamma=1.5, alpha=None),
    (-F.logsigmoid(1.5 * rows * (2 * hard - 1)) / 1.5).mean(),
)
smooth = soft * 0.9 + 0.05
case(
    "Keras binary, smoothing, from probabilities",
    loss(
        rows.sigmoid(), soft, by_rows, alpha=None, activation=PROBABILITY, label_smoothing=0.1
    ),
    elements(rows, smooth, alpha=None).mean(),
)
case(
    "Keras categorical, list of alpha, from probabilities",
    loss(
        rows.softmax(1).log(), y, by_rows, labels=True, activation=SOFTMAX, class_alpha=unlike
    ),
    (samples(rows, y) * unlike_of[y]).mean(),
)
case(
    "TensorFlow Addons, summed",
    loss(rows.sigmoid(), hard, by_rows, activation=PROBABILITY, reduction=SUM),
    elements(rows, hard).sum(),
)
case(
    "Paddle, normalizer, mean",
    loss(rows, soft, by_rows, reduction=NORMALIZER, normalizer=3.0 * N * C),
    (elements(rows, soft) / 3).mean(),
)
case(
    "Paddle, fluid",
    loss(
        rows, y_background, by_rows, labels=True, background=FIRST, reduction=NORMALIZER,
        normalizer=3.0,
    ),
    elements(rows, one_hot(y_background, C + 1)[:, 1:]).sum() / 3,
)
dense_places = one_hot(places, C).transpose(1, 2).contiguous()
case(
    "MONAI sigmoid, no background, weight, sum",
    loss(
        images[:, 1:], dense_places[:, 1:].contiguous(), (N, C - 1, S), strides=(C * S, S, 1),
        alpha=None, reduction=NORMALIZER, normalizer=S, class_weights=weight_list[1:],
    ),
    (elements(images, dense_places, alpha=None)[:, 1:] * class_weights[1:, None]).mean(2).sum(),
)
case(
    "MONAI softmax, weight",
    loss(
        images, places, by_images, labels=True, activation=SOFTMAX, reduction=NORMALIZER,
        normalizer=N * C * S, class_alpha=unlike, class_weights=weight_list,
    ),
    (samples(images, places) * (unlike_of * class_weights)[places]).sum() / (N * C * S),
)
foreground = torch.where(places > 0, places - 1, 0)
case(
    "MONAI softmax, no background",
    loss(
        images[:, 1:], places - 1, (N, C - 1, S), strides=(C * S, S, 1), labels=True,
        activation=SOFTMAX, ignore_index=-1, reduction=NORMALIZER,
        normalizer=N * (C - 1) * S,
    ),
    (samples(images[:, 1:], foreground) * (places > 0)).sum() / (N * (C - 1) * S),
)
masked = torch.where(torch.arange(S) == 4, -100, places).contiguous()
case(
    "kornia softmax, weight, ignored",
    loss(
        images, masked, by_images, labels=True, activation=SOFTMAX, reduction=NORMALIZER,
        normalizer=N * C * S, class_alpha=unlike, class_weights=weight_list, ignore_index=-100,
    ),
    (samples(images, places) * (unlike_of * class_weights)[places] * (masked >= 0)).sum()
    / (N * C * S),
)
case(
    "kornia binary",
    loss(rows, soft, by_rows, rule=SPLIT),
    (
        -0.25 * soft * (-rows).sigmoid() ** 2 * F.logsigmoid(rows)
        - 0.75 * (1 - soft) * rows.sigmoid() ** 2 * F.logsigmoid(-rows)
    ).mean(),
)
padded = torch.zeros(N, 8, dtype=torch.float64)
padded[:, :C] = rows
y_apex = torch.tensor([0, -1, 4, -2, 2, 2, -1])
case(
    "apex",
    loss(
        padded, y_apex, by_rows, strides=(8, 1, 0), labels=True, background=MINUS_ONE,
        ignore_index=-2, reduction=NORMALIZER, normalizer=4.0,
    ),
    (elements(rows, one_hot(y_apex % (C + 1), C + 1)[:, :C]) * (y_apex != -2)[:, None]).sum() / 4,
)
A, K, H = 2, 3, 4
boxes = 3 * torch.randn(N, A * K, H, dtype=torch.float64)
anchors = torch.randint(-1, K + 1, (N, A, H), dtype=torch.int32)
per_anchor = boxes.reshape(N * A, K, H)
anchor_rows = anchors.reshape(N * A, H).long()
dense_anchors = one_hot(anchor_rows.clamp(min=0), K + 1)[..., 1:].transpose(1, 2)
case(
    "Detectron sigmoid",
    loss(
        boxes, anchors, (N * A, K, H), labels=True, background=FIRST, ignore_index=-1,
        gamma=1.0, loss_weight=0.5, reduction=NORMALIZER, normalizer=6.0,
    ),
    0.5
    * (elements(per_anchor, dense_anchors, gamma=1.0) * (anchor_rows >= 0)[:, None]).sum()
    / 6,
)
counted = anchor_rows.clamp(max=K - 1)
case(
    "Detectron softmax",
    loss(
        boxes, counted.to(torch.int32), (N * A, K, H), labels=True, activation=SOFTMAX,
        background=FIRST, ignore_index=-1, class_alpha=unlike[:K], loss_weight=0.5,
        reduction=NORMALIZER, normalizer=6.0,
    ),
    0.5
    * (
        samples(per_anchor, counted.clamp(min=0))
        * unlike_of[counted.clamp(min=0)]
        * (counted >= 0)
    ).sum()
    / 6,
)
case(
    "optax, summed",
    loss(rows, soft, by_rows, alpha=None, reduction=SUM),
    elements(rows, soft, alpha=None).sum(),
)
case(
    "Flux binary",
    loss(rows.sigmoid(), hard, by_rows, alpha=None, activation=PROBABILITY),
    elements(rows, hard, alpha=None).mean(),
)
case(
    "Flux",
    loss(rows.softmax(1).log(), y, by_rows, labels=True, activation=SOFTMAX),
    samples(rows, y).mean(),
)

features = torch.randn(N, 3, dtype=torch.float64)
layer = torch.randn(3, C, dtype=torch.float64, requires_grad=True)
probe = torch.randn(3, C, dtype=torch.float64)
logits, g = features @ layer, torch.empty(N, C, dtype=torch.float64)
loss(logits.detach(), soft, by_rows, gradient=g)
case(
    "sum of gradient times logits",
    (torch.autograd.grad((g * logits).sum(), layer)[0] * probe).sum().item(),
    (torch.autograd.grad(elements(features @ layer, soft).mean(), layer)[0] * probe).sum(),
)

failed = False
for name, (got, wanted) in cases.items():
    print(f"[ RUN      ] {name.replace(' ', '_')}")
    right = abs(got - wanted) <= 1e-13 * abs(wanted)
    print(f"got {got:.17g}, the formula {wanted:.17g}, relative {abs(got / wanted - 1):.1e}")
    print(f"[{'       OK' if right else '  FAILED '} ] {name.replace(' ', '_')}")
    failed |= not right
sys.exit(failed)
