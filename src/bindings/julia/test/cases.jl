# SPDX-License-Identifier: MIT
#
# Runs the lines of the file of cases that all languages share, from standard input, and writes them
# with what Julia finds.
using FocalGHM

const TYPES = Dict(
    "f32" => Float32,
    "f64" => Float64,
    "f16" => Float16,
    "bf16" => FocalGHM.BFloat16,
    "u8" => UInt8,
    "i32" => Int32,
    "i64" => Int64,
)
const BITS = Dict(1 => UInt8, 2 => UInt16, 4 => UInt32, 8 => UInt64)

integer(word) = parse(Int, word)
real_of(word) = reinterpret(Float64, parse(UInt64, word, base = 16))
bits(x) = string(reinterpret(BITS[sizeof(x)], x), base = 16, pad = 2 * sizeof(x))
all_bits(numbers) = join(" " .* bits.(vec(numbers)))

# The memory of an array, and its layout in C.
struct Memory
    numbers::Vector
    layout::String
end

function Memory(words)
    T = TYPES[words[3]]
    U = BITS[sizeof(T)]
    words[1] == "out" && return Memory(reinterpret.(T, zeros(U, integer(words[5]))), words[4])
    return Memory(reinterpret.(T, parse.(U, words[5:end], base = 16)), words[4])
end

# As a Julian view: the axes of C are dimensions from last to first.  An array of samples has no
# dimension of classes.
function view_of(memory, shape, axis, of_samples)
    sampled = axis > 0 && (of_samples || memory.layout == "per_sample")
    kept = [i for i = 1:length(shape) if !(sampled && i == axis)]
    memory.layout in ("contiguous", "per_sample") &&
        return reshape(memory.numbers, reverse(shape[kept])...)
    first_and_strides = integer.(split(memory.layout, ','))
    steps = reverse(first_and_strides[2:end][kept])
    return strided_view(memory.numbers, first_and_strides[1], reverse(shape[kept]), steps)
end

# The memory as a box with a dimension for each stride but 0, which are multiples of each other; a
# slice of it, with the dimensions in their order.  A stride of 0 has the extent 1.
function strided_view(numbers, first, extents, steps)
    order = sort(findall(!iszero, steps), by = i -> abs(steps[i]))
    units = [abs(steps[i]) for i in order]
    box = [units[1]; Int.(div.([units[2:end]; length(numbers)], units))]
    slices = Any[first % units[1] + 1]
    for (i, unit, size) in zip(order, units, box[2:end])
        start = div(first, unit) % size + 1
        step = sign(steps[i])
        push!(slices, start:step:start+step*(extents[i]-1))
    end
    repeated = findall(iszero, steps)
    append!(slices, fill(1:1, length(repeated)))
    boxed = reshape(numbers, box..., ones(Int, length(repeated))...)
    return PermutedDimsArray(view(boxed, slices...), invperm([order; repeated]))
end

mutable struct State
    handle::Any
    arrays::Dict{String,Memory}
    batch::Dict{String,Vector{String}}
    counts::Vector{UInt64}
    number::Float64
    result::Any
end
State() = State(nothing, Dict(), Dict(), [], 0.0, nothing)

const NAMES = Dict(
    "reduction" => FocalGHM.REDUCTIONS,
    "rule" => FocalGHM.RULES,
    "hessian_mode" => FocalGHM.HESSIAN_MODES,
    "momentum_rule" => FocalGHM.MOMENTUM_RULES,
    "divisor" => FocalGHM.DIVISORS,
    "activation" => FocalGHM.ACTIVATIONS,
    "background" => FocalGHM.BACKGROUNDS,
)

setting(name, word) =
    haskey(NAMES, name) ? NAMES[name][integer(word)+1] :
    name in ("bins", "histograms") ? integer(word) :
    name == "detached" ? word == "1" : real_of(word)

function found(s, name)
    haskey(s.arrays, name) && return all_bits(s.arrays[name].numbers)
    name == "number" && return all_bits([s.number])
    name == "counts" && return join(" " .* string.(s.counts))
    name == "averages" && return all_bits(FocalGHM.averages(s.handle))
    name == "bin_weights" && return all_bits(bin_weights(s.handle))
    name == "state" && return " " * bytes2hex(save(s.handle))
    r = s.result
    return all_bits([r.loss, r.sum, r.divisor, r.sum_weights, r.sum_targets]) *
           " $(r.elements) $(r.valid) $(r.positives)"
end

const OUTPUTS = ("element_loss", "gradient", "hessian", "harmonizing_weight")

# A call, over a batch that the lines have described or, plain, over contiguous arrays.
function call!(s, words)
    what, plain = words[2], !occursin("batch", words[2])
    get_array(name) = s.arrays[name].numbers
    if what == "calibrate"
        return calibrate!(get_array("gradient"), s.handle, get_array("logits"))
    elseif what == "density"
        w = get_array("harmonizing_weight")
        return density!(w, s.handle, get_array("logits"), get_array("targets"))
    end
    batch = plain ? plain_batch(s, words) : s.batch
    shape = integer.(batch["shape"])
    axis = haskey(batch, "class_axis") ? mod(integer(batch["class_axis"][1]), length(shape)) + 1 : 0
    constant(name) = haskey(batch, name) ? integer(batch[name][1]) : 0
    softmax, labels = constant("activation") == 1, constant("target_form") != 0
    keywords = Dict{Symbol,Any}()
    axis == 0 || (keywords[:dims] = length(shape) + 1 - axis)
    for name in ("activation", "background")
        haskey(batch, name) && (keywords[Symbol(name)] = setting(name, batch[name][1]))
    end
    for name in ("class_alpha", "class_gamma", "class_weights", "class_offsets")
        haskey(batch, name) && (keywords[Symbol(name)] = real_of.(batch[name]))
    end
    haskey(batch, "ignore_index") && (keywords[:ignore] = integer(batch["ignore_index"][1]))
    haskey(batch, "label_smoothing") &&
        (keywords[:label_smoothing] = real_of(batch["label_smoothing"][1]))
    keywords[:nan_targets_ignored] = constant("flags") == 1
    keywords[:class_weights_of_terms] = constant("flags") == 2
    for name in ("scores", "weights", OUTPUTS...)
        haskey(s.arrays, name) || continue
        of_samples = name == "scores" || (softmax && !(name in ("gradient", "hessian")))
        keywords[Symbol(name)] = view_of(s.arrays[name], shape, axis, of_samples)
    end
    logits = view_of(s.arrays["logits"], shape, axis, false)
    targets = view_of(s.arrays["targets"], shape, axis, labels)
    targets = labels ? ZeroBased(targets) : targets
    compute = startswith(what, "count") ? (x...; k...) -> count!(s.counts, x...; k...) :
        startswith(what, "apply") ? apply! : s.handle isa Focal ? loss! : step!
    s.result = compute(s.handle, logits, targets; keywords...)
    startswith(what, "count") || (s.number = s.result.loss)
end

# What a plain call says, as a batch says it.
function plain_batch(s, words)
    n = length(s.arrays["logits"].numbers)
    words[2] == "softmax" || return Dict("shape" => [string(n)])
    return Dict(
        "shape" => [string(div(n, integer(words[3]))), words[3]],
        "class_axis" => ["1"],
        "activation" => ["1"],
        "target_form" => ["1"],
        "ignore_index" => [words[4]],
    )
end

function run!(s, words)
    what = words[1]
    if what == "case"
        s.handle = nothing
        s.arrays, s.batch = Dict(), Dict()
    elseif what == "focal"
        s.handle = Focal()
    elseif what == "ghm"
        s.handle = GHM(FocalGHM.KINDS[integer(words[2])])
    elseif what == "restore"
        s.handle = GHM(hex2bytes(words[2]))
    elseif what == "load"
        load!(s.handle, hex2bytes(words[2]))
    elseif what == "clone"
        s.handle = copy(s.handle)
    elseif what == "set"
        setproperty!(s.handle, Symbol(words[2]), setting(words[2], words[3]))
    elseif what == "clear"
        setproperty!(s.handle, Symbol(words[2]), nothing)
    elseif what == "edges"
        s.handle.edges = real_of.(words[2:end])
    elseif what == "reset"
        reset!(s.handle)
    elseif what in ("in", "out")
        s.arrays[words[2]] = Memory(words)
    elseif what == "counts"
        s.counts = parse.(UInt64, words[2:end])
    elseif what == "update"
        update!(s.handle, s.counts)
    elseif what == "best_constant"
        s.number = best_constant(s.handle, real_of(words[2]), real_of(words[3]))
    elseif what == "call"
        call!(s, words)
    else
        s.batch[what] = words[2:end]
    end
end

name_or_dash(field) = field === :none ? "-" : String(field)

# C counts from 0, and its axes are in the other order.  A plain call says nothing of places.
function error_line(e, words, ndim)
    words[1] == "call" || return "error $(e.code) $(name_or_dash(e.field))"
    occursin("batch", words[2]) || return "error $(e.code) -"
    place = findfirst(isequal(e.place), (:none, :element, :sample, :class, :axis)) - 1
    offender = e.place === :axis ? ndim - e.index : e.index - 1
    return "error $(e.code) $(name_or_dash(e.field)) $(name_or_dash(e.other_field)) $place $offender"
end

function main(s = State())
    for line in eachline(stdin)
        words = split(line)
        if words[1] == "="
            println("= ", words[2], found(s, words[2]))
        elseif words[1] != "error"
            println(line)
            startswith(line, "#") && continue
            try
                run!(s, words)
            catch e
                e isa FocalGHMError || rethrow()
                println(error_line(e, words, length(get(s.batch, "shape", []))))
            end
        end
    end
end

main()
