# SPDX-License-Identifier: MIT
#
# Trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of gradient
# descent, and prints the last loss and its bits.
#
#     julia --project=. examples/digits.jl digits.csv   # 64 numbers from 0 to 16 and the digit a line
using FocalGHM, DelimitedFiles, Printf

function train(table; classes = 10, steps = 20, rate = 4.0)
    inputs, labels = permutedims(table[:, 1:64]) ./ 16, ZeroBased(table[:, 65])
    logits = zeros(classes, size(inputs, 2))
    gradient = similar(logits)
    weights = zeros(classes, 64)
    focal = Focal() # gamma 2, mean
    loss = 0.0
    for _ = 1:steps
        fill!(logits, 0)
        for i in axes(inputs, 2), j = 1:64, c = 1:classes
            logits[c, i] += inputs[j, i] * weights[c, j]
        end
        loss = loss!(focal, logits, labels; dims = 1, activation = :softmax, gradient = gradient).loss
        for i in axes(inputs, 2), j = 1:64, c = 1:classes
            weights[c, j] -= rate * inputs[j, i] * gradient[c, i]
        end
    end
    return loss
end

loss = train(readdlm(ARGS[1], ',', Int))
@printf("%.6f %016x\n", loss, reinterpret(UInt64, loss))
