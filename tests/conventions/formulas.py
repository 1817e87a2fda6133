# SPDX-License-Identifier: MIT
"""The formulas of other libraries, as their sources have them, in 60 digits.  Nothing is shared
with the library or with its references in tests/support."""

from mpmath import mp, mpf

mp.dps = 60


def numbers(tensor):
    """All of a tensor's, exactly."""
    return [mpf(n) for n in tensor.detach().reshape(-1).tolist()]


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def cross_entropy(p, t):
    return -(t * mp.log(p) + (1 - t) * mp.log(1 - p))


# Of one element: logit x, target t.  c is x as a constant, where a source detaches what it makes of
# it: derivatives are taken of x alone.


def focal(p, t, alpha, gamma):
    p_t = p * t + (1 - p) * (1 - t)
    factor = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    return factor * (1 - p_t) ** gamma * cross_entropy(p, t)


def split(x, t, alpha, gamma):
    p = sigmoid(x)
    return -alpha * (1 - p) ** gamma * t * mp.log(p) - (1 - alpha) * p**gamma * (
        1 - t
    ) * mp.log(1 - p)


def star(x, t, alpha, gamma):
    shifted = gamma * x * (2 * t - 1)
    return (alpha * t + (1 - alpha) * (1 - t)) * -mp.log(sigmoid(shifted)) / gamma


def positive_weight(x, t, weight):
    p = sigmoid(x)
    return -(weight * t * mp.log(p) + (1 - t) * mp.log(1 - p))


def asymmetric(x, c, t, gamma_neg=4, gamma_pos=1, clip=0, pos_weight=1):
    """c is x itself where the factor is differentiated."""

    def parts(x):
        return sigmoid(x), min(1 - sigmoid(x) + mpf(clip), mpf(1))

    positive, negative = parts(x)
    loss = pos_weight * t * mp.log(positive) + (1 - t) * mp.log(negative)
    positive, negative = parts(c)
    right = positive * t + negative * (1 - t)
    return -loss * (1 - right) ** (gamma_pos * t + gamma_neg * (1 - t))


def quality(x, score, beta):
    p = sigmoid(x)
    return cross_entropy(p, score) * abs(score - p) ** beta


def varifocal(x, c, t, alpha, gamma, weighted=True):
    p = sigmoid(c)
    weight = (t if weighted else 1) if t > 0 else alpha * abs(p - t) ** gamma
    return weight * cross_entropy(sigmoid(x), t)


def by_label(x, c, label, score, alpha, gamma):
    """RT-DETR: label is 1 in the column of the label."""
    target = score * label
    weight = alpha * sigmoid(c) ** gamma * (1 - label) + target
    return weight * cross_entropy(sigmoid(x), target)


def matchability(x, c, label, score, alpha, gamma):
    target = (score * label) ** gamma
    weight = (1 if alpha is None else alpha) * sigmoid(c) ** gamma * (1 - label) + label
    return weight * cross_entropy(sigmoid(x), target)


def lw_detr(x, label, quality):
    p = sigmoid(x)
    positive, negative = (quality, 1 - quality) if label else (0, p**2)
    return -positive * mp.log(p) - negative * mp.log(1 - p)


def heat_map(p, t, alpha, gamma, pos_weight=1, neg_weight=1):
    positive = -mp.log(p) * (1 - p) ** alpha if t == 1 else 0
    negative = -mp.log(1 - p) * p**alpha * (1 - t) ** gamma
    return pos_weight * positive + neg_weight * negative


def matcher_cost(x, alpha, gamma):
    p = sigmoid(x)
    return alpha * (1 - p) ** gamma * -mp.log(p) - (1 - alpha) * p**gamma * -mp.log(1 - p)


# Of samples: the classes' logits are `inner` apart.


def samples(x, classes, inner=1):
    return [
        x[outer + place : outer + classes * inner : inner]
        for outer in range(0, len(x), classes * inner)
        for place in range(inner)
    ]


def log_softmax(row):
    whole = mp.log(sum(mp.exp(x) for x in row))
    return [x - whole for x in row]


def one_hot(label, classes):
    return [mpf(c == label) for c in range(classes)]


def smooth(row, smoothing):
    return [t * (1 - mpf(smoothing)) + mpf(smoothing) / len(row) for t in row]


def categorical(row, targets, gamma=0, factors=None):
    """The focal factor is that of each class."""
    factors = factors or [1] * len(row)
    return sum(
        a * t * (1 - mp.exp(y)) ** gamma * -y
        for y, t, a in zip(log_softmax(row), targets, factors)
    )


def asymmetric_single(row, label, gamma_neg=4, gamma_pos=1, eps=0.1):
    hard = one_hot(label, len(row))
    loss = 0
    for y, t, smoothed in zip(log_softmax(row), hard, smooth(hard, eps)):
        p = mp.exp(y)
        right = p * t + (1 - p) * (1 - t)
        loss -= smoothed * y * (1 - right) ** (gamma_pos * t + gamma_neg * (1 - t))
    return loss


# Of a whole ------------------------------------------------------------------------------------


def gradient(loss, x):
    """Central differences with steps so small that nothing is left of the cubic term."""
    step = mpf(10) ** -25
    slopes = []
    for k in range(len(x)):
        up, down = ([*x[:k], x[k] + s, *x[k + 1 :]] for s in (step, -step))
        slopes.append((loss(up, x) - loss(down, x)) / (2 * step))
    return slopes
