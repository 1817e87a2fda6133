// SPDX-License-Identifier: MIT

package focalghm

// #include "call.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Pool is a set of threads for calls to use.  A nil *Pool is none: the call computes on its own
// thread.  Results have the same bits with any pool and with none.
//
// A pool serves one call at a time; a call that finds it busy works alone.
type Pool struct {
	owned[*C.fghm_pool]
	runner *runner
}

// NewPool makes a pool of threads of the C library's own: as many as work on a call, the
// calling one included; 0 means one for each processor.
//
// Such threads wait for work without the Go scheduler's knowing of them.  [NewPoolFunc] makes a
// pool that runs on goroutines.
func NewPool(threads int) (*Pool, error) {
	if threads < 0 {
		return nil, newError(ErrRange, FieldNone)
	}
	var pointer *C.fghm_pool
	if err := failure(C.fghm_pool_create(&pointer, C.size_t(threads)), FieldNone); err != nil {
		return nil, err
	}
	p := new(Pool)
	p.own(pointer, destroyPool)
	return p, nil
}

func destroyPool(pointer *C.fghm_pool) {
	C.fghm_pool_destroy(pointer)
}

// NewPoolFunc makes a pool that runs the tasks of a call on goroutines of the caller's choice.
//
// For a call that is large enough to be cut, run is called on the goroutine that makes the call,
// and has task called with each index from 0 to tasks - 1, in any order, on any goroutines:
//
//	focalghm.NewPoolFunc(runtime.GOMAXPROCS(0), func(tasks int, task func(index int)) {
//		var group sync.WaitGroup
//		for i := range tasks {
//			group.Add(1)
//			go func() { defer group.Done(); task(i) }()
//		}
//		group.Wait()
//	})
//
// The call ends when all tasks are done, even if run returns before that.  What run leaves out is
// done on its goroutine; a task that is called for again, or too late, does nothing.  If run
// panics, the call ends in order and then panics with the same value.
//
// threads is what [Pool.Threads] returns, and nothing else.  A nil run is [ErrNullPointer].
func NewPoolFunc(threads int, run func(tasks int, task func(index int))) (*Pool, error) {
	if run == nil {
		return nil, newError(ErrNullPointer, FieldNone)
	}
	if threads < 0 {
		return nil, newError(ErrRange, FieldNone)
	}
	r := &runner{run: run}
	handle := cgo.NewHandle(r)
	var pointer *C.fghm_pool
	status := C.fgo_pool_create_from(&pointer, C.size_t(threads), C.uintptr_t(handle))
	if err := failure(status, FieldNone); err != nil {
		handle.Delete()
		return nil, err
	}
	p := &Pool{runner: r}
	p.own(pointer, func(pointer *C.fghm_pool) {
		C.fghm_pool_destroy(pointer)
		handle.Delete()
	})
	return p, nil
}

// Close ends the pool's threads and frees it.  No call may be using it.  Closing it again does
// nothing.
func (p *Pool) Close() error {
	p.close()
	return nil
}

// Threads returns how many threads work on a call that is given this pool.
func (p *Pool) Threads() (int, error) {
	var threads C.size_t
	err := p.checked(C.fghm_pool_get_threads(p.pointer, &threads), FieldNone)
	return int(threads), err
}

// use is the pointer for a call; a closed pool must not become none.
func (p *Pool) use() (*C.fghm_pool, error) {
	if p == nil {
		return nil, nil
	}
	if p.pointer == nil {
		return nil, newError(ErrNullHandle, FieldNone)
	}
	return p.pointer, nil
}

// done ends the use of a pool in a call.
func (p *Pool) done() {
	if p == nil {
		return
	}
	if p.runner != nil {
		p.runner.rethrow()
	}
	runtime.KeepAlive(p)
}

// A runner is the Go side of a pool that NewPoolFunc made.
type runner struct {
	run      func(tasks int, task func(index int))
	mutex    sync.Mutex
	panicked []any
}

// call lets run have the tasks done, and sees to it that each is done once, and all of them when
// it returns: C's memory is not there any longer then.
func (r *runner) call(tasks int, work func(index int)) {
	started := make([]atomic.Bool, tasks)
	var running sync.WaitGroup
	running.Add(tasks)
	task := func(index int) {
		if started[index].CompareAndSwap(false, true) {
			defer running.Done()
			work(index)
		}
	}
	defer func() {
		if value := recover(); value != nil {
			r.mutex.Lock()
			r.panicked = append(r.panicked, value)
			r.mutex.Unlock()
		}
		for i := range tasks {
			task(i)
		}
		running.Wait()
	}()
	r.run(tasks, task)
}

// rethrow panics with what a run function panicked with: Go's panic must not cross the C library.
func (r *runner) rethrow() {
	r.mutex.Lock()
	var value any
	if len(r.panicked) > 0 {
		value = r.panicked[0]
		r.panicked = r.panicked[1:]
	}
	r.mutex.Unlock()
	if value != nil {
		panic(value)
	}
}

//export focalghmRun
func focalghmRun(user C.uintptr_t, tasks C.size_t, task C.fghm_task, context unsafe.Pointer) {
	r := cgo.Handle(user).Value().(*runner)
	r.call(int(tasks), func(index int) {
		C.fgo_call_task(task, context, C.size_t(index))
	})
}
