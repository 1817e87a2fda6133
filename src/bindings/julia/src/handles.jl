# SPDX-License-Identifier: MIT

"""
What owns an object of the C library: [`Focal`](@ref), [`GHM`](@ref), [`Pool`](@ref).  `close` frees
it at once, the garbage collector at some time; a closed one can be used no more.
"""
abstract type Handle end

pointer_of(handle::Handle) = getfield(handle, :pointer)

function own(handle::Handle)
    finalizer(close, handle)
    return handle
end

"""
    close(handle)

Frees what a handle owns.  No call may be using it.  Closing it again does nothing.
"""
function Base.close(handle::Handle)
    pointer = pointer_of(handle)
    setfield!(handle, :pointer, C_NULL)
    pointer == C_NULL || destroy(typeof(handle), pointer)
    return nothing
end

Base.isopen(handle::Handle) = pointer_of(handle) != C_NULL

# A setting: how to read and to write it, as what, and how numbers and values translate.
struct Setting{T,G,S}
    get::Entry
    set::Entry
    value::G
    number::S
end

Setting{T}(get, set, value, number) where {T} =
    Setting{T,typeof(value),typeof(number)}(get, set, value, number)
number_setting(get, set) = Setting{Float64}(get, set, identity, Float64)
flag_setting(get, set) = Setting{Int32}(get, set, !iszero, flag -> Int32(convert(Bool, flag)))
integer_setting(get, set) = Setting{Csize_t}(get, set, Int, Csize_t)
constant_setting(get, set, names, what) =
    Setting{Int32}(get, set, i -> names[i+1], name -> constant(names, name, what))

function read_setting(handle::Handle, setting::Setting{T}, name) where {T}
    number = Ref{T}()
    GC.@preserve handle check(
        ccall(setting.get[], Int32, (Ptr{Cvoid}, Ref{T}), pointer_of(handle), number),
        name,
    )
    return setting.value(number[])
end

function write_setting(handle::Handle, setting::Setting, name, value)
    number = setting.number(value)
    GC.@preserve handle check(set_number(setting.set[], pointer_of(handle), number), name)
end

# One for each type: by a type parameter ccall passes another thing.
for T in (Float64, Csize_t, Int32)
    @eval set_number(entry::Ptr{Cvoid}, pointer, number::$T) =
        ccall(entry, Int32, (Ptr{Cvoid}, $T), pointer, number)
end

# A number that may be off, with a flag beside it: how to read it, to set it, and to turn it off.
struct Optional
    get::Entry
    set::Entry
    clear::Entry
end

function read_setting(handle::Handle, setting::Optional, name)
    number, set = Ref{Float64}(), Ref{Int32}()
    GC.@preserve handle check(
        ccall(
            setting.get[],
            Int32,
            (Ptr{Cvoid}, Ref{Float64}, Ref{Int32}),
            pointer_of(handle),
            number,
            set,
        ),
        name,
    )
    return set[] == 0 ? nothing : number[]
end

function write_setting(handle::Handle, setting::Optional, name, value)
    GC.@preserve handle check(
        value === nothing ? ccall(setting.clear[], Int32, (Ptr{Cvoid},), pointer_of(handle)) :
        ccall(setting.set[], Int32, (Ptr{Cvoid}, Float64), pointer_of(handle), value),
        name,
    )
end

unknown_setting(handle, name) =
    throw(ArgumentError("a $(nameof(typeof(handle))) has no setting $(repr(name))"))

# Makes a handle from the function that makes it in C, called with the place for the pointer.
function make(create, field = :none)
    pointer = Ref{Ptr{Cvoid}}(C_NULL)
    check(create(pointer), field)
    return pointer[]
end

function set_all(handle::Handle, settings)
    for (name, value) in settings
        setproperty!(handle, name, value)
    end
    return handle
end

function show_settings(io::IO, handle::Handle)
    print(io, nameof(typeof(handle)), "(")
    if isopen(handle)
        join(io, ("$name = $(repr(getproperty(handle, name)))" for name in propertynames(handle)), ", ")
    else
        print(io, "closed")
    end
    print(io, ")")
end
