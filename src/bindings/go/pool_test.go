// SPDX-License-Identifier: MIT

package focalghm

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Enough elements for a call to be cut into tasks.
const many = 300000

func goroutines(tasks int, task func(index int)) {
	var group sync.WaitGroup
	for i := range tasks {
		group.Add(1)
		go func() { defer group.Done(); task(i) }()
	}
	group.Wait()
}

// Results have the same bits with any pool, however its run function behaves.
func TestPools(t *testing.T) {
	f := newTestFocal(t)
	x, y := narrow(random(many, 20)), narrow(hard(many, 21))
	alone := Elements[float32]{Inputs: x, Targets: y, Gradient: make([]float32, many)}
	loss := must[float64](t)(f.Float32(nil, alone))
	var late sync.WaitGroup
	runs := atomic.Int32{}
	for name, run := range map[string]func(tasks int, task func(index int)){
		"library":    nil,
		"goroutines": goroutines,
		"sequential": func(tasks int, task func(index int)) {
			for i := range tasks {
				task(i)
			}
		},
		"nothing": func(int, func(int)) {},
		"twice": func(tasks int, task func(index int)) {
			goroutines(tasks, task)
			goroutines(tasks, task)
		},
		"too late": func(tasks int, task func(index int)) {
			for i := range tasks {
				late.Add(1)
				go func() { defer late.Done(); runtime.Gosched(); task(i) }()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			runs.Store(0)
			var pool *Pool
			if run == nil {
				pool = must[*Pool](t)(NewPool(2))
			} else {
				pool = must[*Pool](t)(NewPoolFunc(2, func(tasks int, task func(index int)) {
					runs.Add(1)
					if tasks < 2 {
						t.Errorf("%d tasks", tasks)
					}
					run(tasks, task)
				}))
			}
			if threads := must[int](t)(pool.Threads()); threads != 2 {
				t.Fatal(threads)
			}
			for range 3 {
				e := alone
				e.Gradient = make([]float32, many)
				again := must[float64](t)(f.Float32(pool, e))
				sameBits(t, "loss", []float64{again}, []float64{loss})
				sameBits(t, "gradient", e.Gradient, alone.Gradient)
			}
			late.Wait()
			if run != nil && runs.Load() != 3 {
				t.Fatalf("%d calls of run", runs.Load())
			}
			ok(t, pool.Close())
		})
	}
}

func TestPoolPanics(t *testing.T) {
	f := newTestFocal(t)
	x := make([]float32, many)
	pool := must[*Pool](t)(NewPoolFunc(2, func(tasks int, task func(index int)) {
		task(1)
		panic("of run")
	}))
	defer pool.Close()
	e := Elements[float32]{Inputs: x, Targets: x, Gradient: make([]float32, many)}
	for range 2 {
		func() {
			defer func() {
				if value := recover(); value != "of run" {
					t.Errorf("recovered %v", value)
				}
			}()
			_, err := f.Float32(pool, e)
			t.Errorf("no panic, but %v", err)
		}()
		if e.Gradient[0] == 0 || e.Gradient[many-1] == 0 {
			t.Error("the call has not ended in order")
		}
		e.Gradient[0], e.Gradient[many-1] = 0, 0
	}
}

// The descriptor of a call stays whole while run makes the goroutine's stack move.
func TestPoolGrowsStack(t *testing.T) {
	f := newTestFocal(t)
	x := make([]float32, many)
	var grow func(depth int) int
	grow = func(depth int) int {
		var space [256]byte
		if depth == 0 {
			return int(space[0])
		}
		return grow(depth-1) + int(space[depth%256])
	}
	pool := must[*Pool](t)(NewPoolFunc(2, func(tasks int, task func(index int)) {
		grow(1000)
		runtime.GC()
		goroutines(tasks, task)
	}))
	defer pool.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := NewBatch(many)
		gradient := make([]float32, many)
		b.Logits, b.Targets, b.Gradient = Contiguous(x), Contiguous(x), Contiguous(gradient)
		result, err := f.Batch(pool, &b)
		if err != nil || result.Elements != many || gradient[many-1] == 0 {
			t.Error(result, err)
		}
	}()
	<-done
}

// Many goroutines share a handle and a pool.
func TestShared(t *testing.T) {
	f := newTestFocal(t)
	x, y := narrow(random(many, 22)), narrow(hard(many, 23))
	pool := must[*Pool](t)(NewPoolFunc(2, goroutines))
	defer pool.Close()
	want := must[float64](t)(f.Float32(nil, Elements[float32]{Inputs: x, Targets: y}))
	goroutines(4, func(int) {
		for range 3 {
			loss, err := f.Float32(pool, Elements[float32]{Inputs: x, Targets: y})
			if err != nil || loss != want {
				t.Error(loss, err)
			}
		}
	})
}

func TestWrongPools(t *testing.T) {
	_, err := NewPool(-1)
	wants(t, err, ErrRange)
	_, err = NewPool(1 << 20)
	wants(t, err, ErrRange)
	_, err = NewPoolFunc(0, goroutines)
	wants(t, err, ErrRange)
	_, err = NewPoolFunc(-1, goroutines)
	wants(t, err, ErrRange)
	_, err = NewPoolFunc(1, nil)
	wants(t, err, ErrNullPointer)
}

func BenchmarkPlain16(b *testing.B) {
	f := newTestFocal(b)
	e := Elements[float32]{Inputs: make([]float32, 16), Targets: make([]float32, 16),
		Gradient: make([]float32, 16)}
	for b.Loop() {
		if _, err := f.Float32(nil, e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBatch16(b *testing.B) {
	f := newTestFocal(b)
	x := make([]float32, 16)
	batch := NewBatch(16)
	batch.Logits, batch.Targets = Contiguous(x), Contiguous(x)
	batch.Gradient = Contiguous(make([]float32, 16))
	for b.Loop() {
		if _, err := f.Batch(nil, &batch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPools(b *testing.B) {
	f := newTestFocal(b)
	x := make([]float32, many)
	e := Elements[float32]{Inputs: x, Targets: x, Gradient: make([]float32, many)}
	library, caller := must[*Pool](b)(NewPool(0)), must[*Pool](b)(NewPoolFunc(2, goroutines))
	defer library.Close()
	defer caller.Close()
	for name, pool := range map[string]*Pool{"none": nil, "library": library, "goroutines": caller} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				must[float64](b)(f.Float32(pool, e))
			}
		})
	}
}
