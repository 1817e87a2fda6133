# SPDX-License-Identifier: MIT

"""
    Pool(threads = 0)

Threads for calls to use, the calling one included; 0 means one for each processor.  They are of
the C library's own, and never run Julia code.  Results have the same bits with any pool, and with
none (`nothing`).  A pool serves one call at a time; a call that finds it busy works alone.

`threads(pool)` is their number.
"""
mutable struct Pool <: Handle
    pointer::Ptr{Cvoid}
    function Pool(threads::Integer = 0)
        threads >= 0 || throw(ArgumentError("a pool cannot have $threads threads"))
        return own(
            new(
                make() do pointer
                    ccall(fghm_pool_create[], Int32, (Ref{Ptr{Cvoid}}, Csize_t), pointer, threads)
                end,
            ),
        )
    end
end

destroy(::Type{Pool}, pointer) = ccall(fghm_pool_destroy[], Cvoid, (Ptr{Cvoid},), pointer)

"How many threads work on a call that is given this pool."
function threads(pool::Pool)
    number = Ref{Csize_t}()
    GC.@preserve pool check(
        ccall(
            fghm_pool_get_threads[],
            Int32,
            (Ptr{Cvoid}, Ref{Csize_t}),
            pointer_of(pool),
            number,
        ),
    )
    return Int(number[])
end

Base.show(io::IO, pool::Pool) =
    print(io, "Pool(", isopen(pool) ? threads(pool) : "closed", ")")

# A closed pool must not become none.
threads_of(::Nothing) = C_NULL
threads_of(pool::Pool) = isopen(pool) ? pointer_of(pool) : throw(FocalGHMError(-1))
