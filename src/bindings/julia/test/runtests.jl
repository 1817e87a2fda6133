# SPDX-License-Identifier: MIT

using FocalGHM, LinearAlgebra, Pkg, Random, Test

# The error of a call.
function failure(f)
    try
        f()
    catch e
        return e
    end
    return nothing
end

# Checks status, field and other field.
function fails(f, status, field = :none, other = :none)
    e = failure(f)
    good =
        e isa FocalGHMError && e.status === status && e.field === field && e.other_field === other
    good || println("not $status of $field and $other, but ", e)
    return good
end

same_bits(a, b) = size(a) == size(b) && all(isequal.(a, b))

# The textbook's formula for a hard target.
function focal(x, t, gamma, alpha)
    z, a = t == 1 ? (x, alpha) : (-x, 1 - alpha)
    return a * (1 / (1 + exp(z)))^gamma * log1p(exp(-z))
end

# What has a name in Julia, as C lists it: the last words of its constants, in their order.
const CONSTANTS = Dict(
    "reduction" => FocalGHM.REDUCTIONS,
    "focal_rule" => FocalGHM.RULES,
    "hessian_mode" => FocalGHM.HESSIAN_MODES,
    "ghm_kind" => FocalGHM.KINDS,
    "ghm_momentum_rule" => FocalGHM.MOMENTUM_RULES,
    "ghm_divisor" => FocalGHM.DIVISORS,
    "activation" => FocalGHM.ACTIVATIONS,
    "background" => FocalGHM.BACKGROUNDS,
    # By types, keywords and sizes of arrays.
    "target_form" => (:dense, :label, :label_score),
    "batch_flags" => (:nan_targets_ignored, :class_weights_of_terms),
    "dtype" => (:f32, :f64, :f16, :bf16, :u8, :i32, :i64),
    "layout" => (:contiguous, :strided, :per_sample),
)

# The names of the constants of each enum in the headers, without what all those of one have before
# it.  Statuses, fields and places get theirs from C.
function constants_of(headers)
    constants, tag = Dict{String,Vector{String}}(), ""
    for file in readdir(headers), line in eachline(joinpath(headers, file))
        found = match(r"^enum fghm_(\w+?)(?:_values)? \{", line)
        found === nothing || (tag = found[1])
        found = match(r"^    FGHM_(\w+) = ", line)
        found === nothing || occursin(r"_(INVALID|UNSET)$", found[1]) ||
            push!(get!(constants, tag, []), lowercase(found[1]))
    end
    prefixes = ("reduction_", "focal_rule_", "hessian_", "ghm_momentum_", "ghm_divisor_", "ghm_",
        "background_", "target_", "layout_")
    short(name) = Symbol(foldl((n, p) -> replace(n, Regex("^" * p) => ""), prefixes, init = name))
    return Dict(
        tag => Tuple(short.(names)) for (tag, names) in constants if
        !endswith(tag, "limits") && !(tag in ("status", "field", "place"))
    )
end

Random.seed!(1)

@testset "FocalGHM" begin

@testset "library" begin
    @test FocalGHM.version() >= v"0.2.0"
    @test FocalGHM.numerics_revision() >= 1
    @test FocalGHM.isa_name() in ("avx512", "avx2", "sse2", "neon", "simd128", "scalar", "unfused")
    project = Pkg.TOML.parsefile(joinpath(@__DIR__, "..", "Project.toml"))
    @test VersionNumber(project["version"]) == FocalGHM.version()
    tree = joinpath(@__DIR__, "..", "..", "..", "..")
    symbols = joinpath(tree, "cmake", "symbols.txt")
    if isfile(symbols)
        # Batches do what the functions for contiguous arrays do; the others do what is done here.
        left_out = setdiff(Symbol.(first.(split.(eachline(symbols)))), FocalGHM.FUNCTIONS)
        @test all(left_out) do name
            occursin(r"^fghm_(focal|focal_softmax|ghm_(step|count|apply))_f(32|64)$", string(name)) ||
                name in (
                    :fghm_batch_init,
                    :fghm_batch_reach,
                    :fghm_result_init,
                    :fghm_ghm_get_counts_size,
                    :fghm_pool_create_from,
                )
        end
        @test constants_of(joinpath(tree, "include", "focalghm")) == CONSTANTS
    end
    messages = [FocalGHMError(-i).message for i = 1:28]
    @test allunique(messages) && !("unknown status" in messages)
    @test FocalGHMError(-28).status === :score && FocalGHMError(-1).status === :null_handle
end

@testset "loss is the formula" begin
    f = Focal(gamma = 1.5, reduction = :sum)
    x, t, w = 4 * randn(1000), rand(0.0:1.0, 1000), randn(1000)
    l, g, h = similar(x), similar(x), similar(x)
    r = loss!(f, x, t; weights = w, element_loss = l, gradient = g, hessian = h)
    @test l ≈ w .* focal.(x, t, 1.5, 0.25) rtol = 1e-13
    @test r.loss ≈ sum(l) && r.sum == r.loss && r.divisor == 1
    d = 1e-5
    @test g ≈ w .* (focal.(x .+ d, t, 1.5, 0.25) - focal.(x .- d, t, 1.5, 0.25)) / 2d rtol = 1e-7
    loss!(f, x .+ d, t; weights = w, gradient = l)
    @test h ≈ (l - g) / d rtol = 1e-4
    @test r.elements == r.valid == 1000 && r.positives == sum(t)
    @test r.sum_weights ≈ sum(w) && r.sum_targets == sum(t)
end

@testset "each form of the same data has the same bits" begin
    f = Focal()
    x, t = randn(Float32, 5, 7), rand(Float32[0, 1], 5, 7)
    g = similar(x)
    r = loss!(f, x, t; gradient = g)
    for T in (UInt8, Bool, Int32, Int64, Float64, Float16)
        other = similar(x)
        @test loss!(f, x, Array{T}(t); gradient = other) == r
        @test same_bits(other, g)
    end
    big = zeros(Float32, 20, 30)
    target = zeros(Float32, 20, 30)
    views = (
        a -> view(a, 3:7, 2:8),
        a -> view(a, 7:-1:3, 8:-1:2),
        a -> view(a, 2:3:14, 1:4:25),
        a -> PermutedDimsArray(view(a, 1:7, 11:15), (2, 1)),
        a -> transpose(view(a, 1:7, 11:15)),
        a -> view(a, 20:-2:12, 30:-3:12),
    )
    for v in views
        fill!(target, 0)
        copyto!(v(big), x)
        @test loss!(f, v(big), t; gradient = v(target)) == r
        @test same_bits(v(target), g)
        @test count(!iszero, target) == count(!iszero, g)
    end
    y = copy(x)
    loss!(f, y, t; gradient = y)
    @test same_bits(y, g)
    # Repeated along a dimension.
    row = rand(Float32[0, 1], 1, 7)
    one, two = similar(x), similar(x)
    loss!(f, x, row; gradient = one)
    loss!(f, x, repeat(row, 5); gradient = two)
    @test same_bits(one, two)
    half = Float16.(x)
    loss!(f, half, t; gradient = one)
    loss!(f, Float32.(half), t; gradient = two)
    @test same_bits(one, two)
    upper = reinterpret(FocalGHM.BFloat16, [UInt16(reinterpret(UInt32, a) >> 16) for a in x])
    loss!(f, upper, t; gradient = one)
    @test one ≈ g rtol = 1e-1
    @test loss!(f, zeros(Float32, 0, 3), zeros(Float32, 0, 3)).elements == 0
end

@testset "softmax and labels" begin
    f = Focal()
    C, N = 3, 6
    x, y = randn(C, N), [0, 2, -100, 1, 1, 0]
    l, g = zeros(N), similar(x)
    softmax(; keywords...) = loss!(f, x, ZeroBased(y); dims = 1, activation = :softmax, keywords...)
    r = softmax(ignore = -100, element_loss = l, gradient = g)
    @test r.valid == 5 && r.elements == 6
    for i = 1:N
        p = exp.(x[:, i]) / sum(exp, x[:, i])
        @test l[i] ≈ (y[i] < 0 ? 0 : -(1 - p[y[i]+1])^2 * log(p[y[i]+1]))
    end
    other = permutedims(similar(x))
    @test loss!(
        f,
        permutedims(x),
        ZeroBased(reshape(Int32.(y), N, 1));
        dims = 2,
        activation = :softmax,
        ignore = -100,
        gradient = other,
    ).loss ≈ r.loss
    @test permutedims(other) ≈ g
    e = failure(() -> softmax())
    @test e.status === :label && e.field === :targets && e.place === :sample && e.index == 3
    @test sprint(showerror, e) == "FocalGHMError: targets: a label is that of no class, sample 3"
    @test_throws ArgumentError loss!(f, x, OneBased(y .+ 1); dims = 1, activation = :softmax)

    # Images, one against the rest; labels from 0, from 1, and as dense targets.
    a, k = randn(Float32, 4, 3, 5, 2), rand(Int64(0):Int64(2), 4, 5, 2)
    dense = [k[i, j, n] == c - 1 for i = 1:4, c = 1:3, j = 1:5, n = 1:2]
    g1, g2, g3 = similar(a), similar(a), similar(a)
    r1 = loss!(f, a, ZeroBased(k); dims = 2, gradient = g1)
    r2 = loss!(f, a, OneBased(k .+ 1); dims = 2, gradient = g2)
    r3 = loss!(f, a, dense; dims = 2, gradient = g3)
    @test r1.loss == r2.loss == r3.loss && same_bits(g1, g2) && same_bits(g1, g3)
    background = loss!(f, a, ZeroBased(k .+ 1); dims = 2, background = :last)
    @test background.positives == count(<(2), k)
    scores = rand(Float32, 4, 5, 2)
    soft = [k[i, j, n] == c - 1 ? scores[i, j, n] : 0.0f0 for i = 1:4, c = 1:3, j = 1:5, n = 1:2]
    r4 = loss!(f, a, ZeroBased(k); dims = 2, scores = scores, gradient = g1)
    loss!(f, a, soft; dims = 2, gradient = g2)
    @test same_bits(g1, g2)
    w = rand(Float32, 4, 5, 2)
    loss!(f, a, dense; dims = 2, weights = w, gradient = g1)
    loss!(f, a, dense; dims = 2, weights = repeat(reshape(w, 4, 1, 5, 2), 1, 3, 1, 1), gradient = g2)
    @test same_bits(g1, g2)
    loss!(f, a, dense; dims = 2, class_weights = [2.0, 2.0, 2.0], gradient = g1)
    @test same_bits(g1, 2 * g3)
    alpha = [0.5, 0.25, 0.75]
    loss!(f, a, dense; dims = 2, class_alpha = alpha, gradient = g1)
    for c = 1:3
        positive = dense[:, c, :, :]
        factor = positive * alpha[c] / 0.25 + .!positive * (1 - alpha[c]) / 0.75
        @test g1[:, c, :, :] ≈ factor .* g3[:, c, :, :]
    end
end

@testset "rules of targets between 0 and 1" begin
    # At the logit 0 p is 1/2, and the cross-entropy of any target log 2.
    function at_zero(f, target)
        g, h = zeros(1), zeros(1)
        return [loss!(f, [0.0], [target]; gradient = g, hessian = h).loss, g[1], h[1]]
    end
    f = Focal(alpha = nothing, hessian_mode = :gradient, beta = 3)
    for (rule, loss, gradient) in (
        (:varifocal, log(2) / 4, 0.0625),
        (:varifocal_unweighted, log(2), 0.25),
        (:matchability, log(2), 0.4375),
        (:heatmap, 0.421875log(2) / 4, 0.421875(log(2) + 0.5) / 4),
    )
        f.rule = rule
        @test at_zero(f, 0.25) ≈ [loss, gradient, gradient]
    end
    # gamma 2 and a factor that is no constant in derivatives; then one that is.
    f = Focal(positive_weight = 3, hessian_mode = :gradient, hessian_factor = 2)
    gradient = -3(log(2) + 0.5) / 4
    @test at_zero(f, 1) ≈ [3log(2) / 4, gradient, -2gradient]
    f.detached = true
    @test at_zero(f, 1) ≈ [3log(2) / 4, -0.375, 0.75]
end

@testset "gamma of classes" begin
    l = zeros(3)
    loss!(Focal(alpha = nothing), zeros(3), ones(3); dims = 1, class_gamma = [0.0, 1.0, 2.0], element_loss = l)
    @test l ≈ log(2) ./ [1, 2, 4]
end

@testset "offsets of classes, weights of terms" begin
    # Added to zeros, offsets are the logits.
    row(f, x, label; keywords...) =
        loss!(f, x, ZeroBased([label]); dims = 1, activation = :softmax, keywords...)
    zero, offsets = zeros(3, 1), [-1.0, 0.5, 2.0]
    @test row(Focal(), zero, 1; class_offsets = offsets) == row(Focal(), reshape(offsets, 3, 1), 1)
    # All probabilities are 1/3, and the smoothed targets 0.8, 0.1 and 0.1.
    smoothed(terms) =
        row(Focal(gamma = 0), zero, 0; label_smoothing = 0.3, class_weights = [1.0, 2.0, 4.0],
            class_weights_of_terms = terms).loss
    @test smoothed(false) ≈ log(3) && smoothed(true) ≈ 1.4log(3)
    # The same targets as they are, whose factors are those of terms in any case.
    dense = loss!(Focal(gamma = 0), zero, reshape([0.8, 0.1, 0.1], 3, 1);
        dims = 1, activation = :softmax, class_weights = [1.0, 2.0, 4.0])
    @test dense.loss ≈ 1.4log(3)
end

@testset "element errors" begin
    f = Focal()
    g = zeros(Float32, 3)
    e = failure(() -> loss!(f, Float32[1, 2, 3], Float32[0, 1.5, 1]; gradient = g))
    @test e.status === :target && e.place === :element && e.index == 2
    @test isnan(g[2]) && g[1] > 0 && g[3] < 0
    @test e.result isa Result && e.result.elements == 3 && isfinite(e.result.loss)
    p(x) = loss!(f, x, Float32[0, 1]; activation = :probability)
    @test p(Float32[0.5, 0.5]).loss > 0
    @test fails(() -> p(Float32[0, 2]), :probability, :logits)
    @test fails(:score, :scores) do
        loss!(f, Float32[1 2], ZeroBased([0]); dims = 2, scores = Float32[2])
    end
    missing_target = loss!(f, Float32[1, 2], Float32[NaN, 1]; nan_targets_ignored = true)
    @test missing_target.valid == 1
    @test loss!(f, Float32[1, 2], Float32[-1, 1]; ignore = -1).valid == 1
end

@testset "what cannot be passed is an error" begin
    f = Focal()
    x, g = zeros(Float32, 3, 4), zeros(Float32, 3, 4)
    t = zeros(Float32, 3, 4)
    # Of the library.
    @test fails(() -> loss!(f, fill(1.0f0), fill(1.0f0)), :unset, :ndim)
    nine = zeros(Float32, ntuple(_ -> 1, 9))
    @test fails(() -> loss!(f, nine, nine), :range, :ndim)
    @test fails(() -> loss!(f, zeros(Int64, 3, 4), t), :dtype, :logits)
    @test fails(() -> loss!(f, x, t; gradient = zeros(Int64, 3, 4)), :dtype, :gradient)
    @test fails(() -> loss!(f, x, ZeroBased(zeros(3)); dims = 2), :dtype, :targets)
    @test fails(() -> loss!(f, x, t; activation = :softmax), :combination, :activation, :class_axis)
    @test fails(() -> loss!(f, x, ZeroBased(zeros(Int, 3, 4))), :combination, :target_form, :class_axis)
    @test fails(() -> loss!(f, x, t; background = :last), :combination, :background, :target_form)
    @test fails(() -> loss!(f, x, t; label_smoothing = 2), :range, :label_smoothing)
    @test fails(() -> loss!(f, x, t; gradient = g, hessian = g), :aliasing, :hessian, :gradient) ||
          fails(() -> loss!(f, x, t; gradient = g, hessian = g), :aliasing, :gradient, :hessian)
    @test fails(:aliasing, :gradient, :logits) do
        loss!(f, view(x, 1:2, :), view(t, 1:2, :); gradient = view(x, 2:3, :))
    end || fails(:aliasing, :logits, :gradient) do
        loss!(f, view(x, 1:2, :), view(t, 1:2, :); gradient = view(x, 2:3, :))
    end
    @test fails(() -> loss!(f, x, t; harmonizing_weight = g), :combination, :harmonizing_weight, :rule)
    e = failure(() -> loss!(f, x, t; dims = 2, class_weights = [1.0, 1.0, 1.0, -1.0]))
    @test e.status === :range && e.field === :class_weights && e.place === :class && e.index == 4
    e = failure(() -> loss!(f, x, t; dims = 1, class_gamma = [2.0, 0.0, 65.0]))
    @test e.status === :range && e.field === :class_gamma && e.place === :class && e.index == 3
    @test fails(() -> loss!(f, x, t; dims = 1, activation = :probability, class_offsets = ones(3)), :combination, :class_offsets, :activation)
    @test fails(() -> loss!(f, zeros(Float32, 0, 4), ZeroBased(zeros(Int, 4)); dims = 1), :range, :shape)
    # Of this package.
    @test_throws DimensionMismatch loss!(f, x, zeros(Float32, 4, 3))
    @test_throws DimensionMismatch loss!(f, x, t; gradient = zeros(Float32, 3, 1))
    @test_throws DimensionMismatch loss!(f, x, t; gradient = zeros(Float32, 4), dims = 1)
    @test_throws DimensionMismatch loss!(f, x, ZeroBased(zeros(Int, 3)); dims = 1)
    @test_throws DimensionMismatch loss!(f, x, ZeroBased(zeros(Int, 3, 4)); dims = 1)
    @test_throws DimensionMismatch loss!(f, x, t; dims = 1, class_weights = ones(4))
    @test_throws ArgumentError loss!(f, x, t; dims = 3)
    @test_throws ArgumentError loss!(f, x, t; dims = 1, class_weights = ones(Float32, 3))
    @test_throws ArgumentError loss!(f, x, falses(3, 4))
    @test_throws ArgumentError loss!(f, 1.0:3.0, [0.0, 1.0, 0.0])
    @test_throws ArgumentError loss!(f, zeros(3), zeros(3); gradient = 1.0:3.0) # cannot be written
    @test_throws ArgumentError loss!(f, view(x, [1, 3], :), t[1:2, :])
    @test_throws ArgumentError loss!(f, x, big.(t))
    @test_throws ArgumentError loss!(f, x, UInt32.(t))
    @test_throws ArgumentError loss!(f, x, t; activation = :tanh)
    @test_throws ArgumentError loss!(f, x, t; background = :middle)
    @test_throws ArgumentError loss!(f, x, OneBased(ones(Int, 4)); dims = 1, background = :last)
    @test_throws MethodError loss!(f, x, t; gradients = g)
    @test_throws TypeError loss!(f, x, t; pool = 2)
    @test iszero(g)
end

@testset "settings" begin
    f = Focal()
    @test (f.gamma, f.negative_gamma, f.alpha, f.reduction) == (2, nothing, 0.25, :mean)
    for (name, value, wrong) in (
        (:gamma, 3.0, -1),
        (:negative_gamma, 4.0, 65),
        (:alpha, 0.5, 2),
        (:normalizer, 5.0, 0),
        (:loss_weight, 2.0, Inf),
        (:hessian_floor, 1e-3, NaN),
        (:hessian_factor, 2.0, 0.0),
        (:beta, 3.5, -1.0),
        (:margin, 0.05, 1.0),
        (:positive_weight, 3.5, -1.0),
    )
        setproperty!(f, name, value)
        @test getproperty(f, name) == value
        @test fails(() -> setproperty!(f, name, wrong), :range, name)
        @test getproperty(f, name) == value
    end
    for (name, values) in (
        (:reduction, FocalGHM.REDUCTIONS),
        (:rule, FocalGHM.RULES),
        (:hessian_mode, FocalGHM.HESSIAN_MODES),
    )
        for value in values
            setproperty!(f, name, value)
            @test getproperty(f, name) === value
        end
        @test_throws ArgumentError setproperty!(f, name, :other)
    end
    f.alpha = nothing
    @test f.alpha === nothing
    f.positive_weight = nothing
    @test f.positive_weight === nothing && !f.detached
    f.detached = true
    @test f.detached === true
    @test_throws InexactError f.detached = 2
    f.detached = false
    f.rule = :star
    @test fails(() -> loss!(f, [1.0], [1.0]), :combination, :negative_gamma, :rule)
    f.negative_gamma = nothing
    @test f.negative_gamma === nothing
    @test_throws ArgumentError f.delta
    @test_throws ArgumentError f.delta = 1
    other = copy(f)
    @test all(n -> getproperty(f, n) === getproperty(other, n), propertynames(f))
    other.gamma = 1
    @test f.gamma == 3
    @test occursin("gamma = 3.0", sprint(show, f))

    c, r = GHM(:classification), GHM(:regression; mu = 1)
    @test c.kind === :classification && r.kind === :regression && r.mu == 1
    for (g, name, value, wrong) in (
        (r, :mu, 2.0, 0),
        (c, :momentum, 0.75, 1),
        (c, :weight_cap, 2.0, 0),
        (c, :loss_weight, 2.0, -1),
        (c, :normalizer, 5.0, NaN),
        (c, :histograms, 3, 0),
        (c, :bins, 7, 5000),
    )
        setproperty!(g, name, value)
        @test fails(() -> setproperty!(g, name, wrong), :range, name)
        @test getproperty(g, name) == value
    end
    for (name, values) in (
        (:reduction, FocalGHM.GHM_REDUCTIONS),
        (:momentum_rule, FocalGHM.MOMENTUM_RULES),
        (:divisor, FocalGHM.DIVISORS),
    )
        for value in values
            setproperty!(c, name, value)
            @test getproperty(c, name) === value
        end
    end
    c.edges = [0, 0.5, 1.0]
    @test c.edges == [0, 0.5, 1] && c.bins == 2 && size(counts(c)) == (3, 3)
    @test fails(() -> c.edges = [0, 0.5], :edges, :edges)
    @test_throws ArgumentError c.edges = Float64[]
    @test_throws ArgumentError c.edges = 0:1
    @test fails(() -> c.mu, :kind, :mu)
    @test fails(() -> c.mu = 1, :kind, :mu)
    @test_throws ArgumentError c.kind = :regression
    @test_throws ArgumentError GHM(:other)
    @test_throws InexactError c.bins = -1
    @test occursin("bins = 2", sprint(show, c))
end

@testset "steps of GHM: $kind" for kind in (:classification, :regression)
    g = GHM(kind; momentum = 0.5, weight_cap = 2)
    parts = copy(g)
    n = 3000
    x, t = 4 * randn(n), rand(0.0:1.0, n)
    for step = 1:3
        whole = similar(x)
        step!(g, x, t; gradient = whole)
        total = zeros(UInt64, size(counts(parts)))
        for part in (1:1000, 1001:n)
            count!(total, parts, view(x, part), view(t, part))
        end
        update!(parts, total)
        @test total == counts(g)
        gradient, weight = similar(x), similar(x)
        for part in (1:1234, 1235:n)
            apply!(parts, x[part], t[part]; gradient = view(gradient, part), harmonizing_weight = view(weight, part))
        end
        @test same_bits(gradient, whole)
        @test issubset(weight, [bin_weights(g); 0])
        state = save(g)
        loaded = GHM(state)
        apply!(loaded, x, t; gradient = gradient)
        @test same_bits(gradient, whole)
        @test steps(g) == steps(loaded) == step
        @test steps(reset!(loaded)) == 0
        @test save(load!(loaded, state)) == state
        @test fails(() -> load!(loaded, state[2:end]), :state)
        x = circshift(x, 100)
    end
    @test fails(() -> g.bins = 5, :history, :bins)
    @test averages(g)[1] > 0 && size(averages(g)) == (10, 1)
    @test length(nonempty(g)) == 1 && nonempty(g)[1] > 0
    @test fails(() -> update!(g, zeros(UInt64, 10)), :capacity, :counts)
    @test fails(() -> update!(g, [typemax(UInt64); ones(UInt64, 10)]), :counts, :counts)
    @test_throws ArgumentError update!(g, zeros(Int, 11))
    before = save(g)
    @test fails(() -> step!(g, x, ZeroBased(zeros(Int, n))), :combination, :target_form, :class_axis)
    @test save(g) == before
end

@testset "GHM of classes" begin
    g = GHM(:classification; histograms = 3)
    x, y = randn(Float32, 3, 1000), rand(UInt8(0):UInt8(2), 1000)
    gradient, applied = similar(x), similar(x)
    r = step!(g, x, ZeroBased(y); dims = 1, gradient = gradient)
    @test r.valid == 3000 && sum(counts(g); dims = 1) == fill(1000, 1, 3)
    total = zeros(UInt64, 11, 3)
    @test count!(total, g, x, ZeroBased(y); dims = 1).valid == 3000
    @test total == counts(g)
    apply!(g, x, ZeroBased(y); dims = 1, gradient = applied)
    @test same_bits(applied, gradient)
    @test fails(() -> step!(g, x, ZeroBased(zeros(Int, 3)); dims = 2), :histograms, :histograms, :shape)
    mask = repeat(Float32[1 0], 1, 500)
    @test step!(g, x, ZeroBased(y); dims = 1, weights = mask).divisor == 1500 == sum(counts(g))
    r, c = GHM(:regression), GHM(:classification)
    @test fails(() -> load!(c, save(r)), :kind)
    a = randn(100)
    @test fails(() -> density!(similar(a), r, a, a), :kind)
    w, v = zeros(100), zeros(Float32, 100)
    t = rand(0.0:1.0, 100)
    density!(w, c, a, t)
    density!(v, c, Float32.(a), Float32.(t))
    @test v ≈ w rtol = 1e-2
    @test all(w .> 0)
    density!(w, c, a, t; mask = zeros(100))
    @test iszero(w)
    @test_throws DimensionMismatch density!(zeros(99), c, a, t)
    @test_throws ArgumentError density!(v, c, a, t)
    @test_throws ArgumentError density!(w, c, a, view(repeat(t, 2), 1:2:199))
    @test_throws ArgumentError density!(w, c, Float16.(a), t)
end

@testset "calibration" begin
    f = Focal()
    logit = best_constant(f, 3, 7)
    @test calibrate!([0.0], f, [logit]) ≈ [0.3]
    @test calibrate!(zeros(Float32, 1), f, Float32[logit]) ≈ [0.3]
    x = [logit]
    @test calibrate!(x, f, x) === x && x ≈ [0.3]
    @test fails(() -> best_constant(f, 0, 1), :range)
    @test_throws DimensionMismatch calibrate!(zeros(2), f, [logit])
    @test_throws ArgumentError calibrate!(zeros(Float32, 1), f, [logit])
    numbers = (class_gamma = [0.0, 1.0, 3.0], class_weights = [1.0, 4.0, 0.5])
    logits = best_constant_softmax(f, [2.0, 3.0, 5.0]; numbers...)
    rows, shares = [logits logits], [0.2 0.2; 0.3 0.3; 0.5 0.5]
    @test calibrate_softmax!(zeros(3, 2), f, rows; numbers...) ≈ shares
    @test calibrate_softmax!(zeros(Float32, 3, 2), f, Float32.(rows); numbers...) ≈ shares
    @test !(calibrate_softmax!(zeros(3, 2), f, rows) ≈ shares)
    @test calibrate_softmax!(rows, f, rows; numbers...) === rows && rows ≈ shares
    @test fails(() -> best_constant_softmax(f, [0.0, 1.0]), :range)
    @test_throws DimensionMismatch calibrate_softmax!(zeros(3), f, logits; class_gamma = [1.0])
end

@testset "pools" begin
    f = Focal()
    x, t = randn(Float32, 300000), rand(Float32[0, 1], 300000)
    g, h = similar(x), similar(x)
    r = loss!(f, x, t; gradient = g)
    pool = Pool(2)
    @test FocalGHM.threads(pool) == 2 && sprint(show, pool) == "Pool(2)"
    @test loss!(f, x, t; gradient = h, pool = pool) == r && same_bits(g, h)
    ghm = GHM(:classification)
    step!(ghm, x, t; gradient = g)
    reset!(ghm)
    step!(ghm, x, t; gradient = h, pool = pool)
    @test same_bits(g, h)
    calibrate!(g, f, x)
    @test same_bits(calibrate!(h, f, x; pool = pool), g)
    @test FocalGHM.threads(Pool()) >= 1
    close(pool)
    @test sprint(show, pool) == "Pool(closed)"
    @test fails(() -> loss!(f, x, t; pool = pool), :null_handle)
    @test fails(() -> FocalGHM.threads(pool), :null_handle)
    @test fails(() -> Pool(1 << 20), :range)
    @test_throws ArgumentError Pool(-1)
end

@testset "closed" begin
    f, g = Focal(), GHM(:classification)
    other = copy(f)
    @test isopen(f)
    for handle in (f, f, g, g)
        @test close(handle) === nothing
    end
    @test !isopen(f) && sprint(show, f) == "Focal(closed)" && sprint(show, g) == "GHM(closed)"
    @test fails(() -> loss!(f, [1.0], [1.0]), :null_handle)
    @test fails(() -> f.gamma = 1, :null_handle, :gamma)
    @test fails(() -> f.alpha, :null_handle, :alpha)
    @test fails(() -> copy(f), :null_handle)
    @test fails(() -> step!(g, [1.0], [1.0]), :null_handle)
    @test fails(() -> save(g), :null_handle)
    @test fails(() -> reset!(g), :null_handle)
    @test loss!(other, [1.0], [1.0]).loss > 0
    # Handles that nobody closes are freed while others work.
    for i = 1:1000
        loss!(Focal(), [1.0], [1.0])
        i % 100 == 0 && GC.gc()
    end
end

@testset "examples of the documentation" begin
    logits, targets = Float32[2, -1.5, 0.3, -4], Float32[1, 0, 1, 0]
    gradient = similar(logits)
    result = loss!(Focal(), logits, targets; gradient = gradient)
    @test round(result.loss; sigdigits = 6) == 0.00764519
    @test round(gradient[1]; sigdigits = 6) == -0.000304434f0
    undocumented = [n for n in names(FocalGHM) if !haskey(Base.Docs.meta(FocalGHM), Base.Docs.Binding(FocalGHM, n))]
    @test isempty(undocumented)
end

end
