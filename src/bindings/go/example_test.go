// SPDX-License-Identifier: MIT

package focalghm_test

import (
	"errors"
	"fmt"
	"log"
	"runtime"
	"sync"

	"focalghm"
)

func Example() {
	focal, err := focalghm.NewFocal()
	if err != nil {
		log.Fatal(err)
	}
	defer focal.Close()
	gradient := make([]float32, 4)
	loss, err := focal.Float32(nil, focalghm.Elements[float32]{
		Inputs:   []float32{2, -1.5, 0.3, -4},
		Targets:  []float32{1, 0, 1, 0},
		Gradient: gradient,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("loss %.6g, first gradient %.6g\n", loss, gradient[0])
	// Output: loss 0.00764519, first gradient -0.000304434
}

// Softmax over images N,C,H,W, with a label for each pixel; 255 means "ignore".
func ExampleFocal_Batch() {
	focal, err := focalghm.NewFocal()
	if err != nil {
		log.Fatal(err)
	}
	defer focal.Close()
	const images, classes, height, width = 1, 3, 2, 2
	logits := make([]float32, images*classes*height*width)
	gradient := make([]float32, len(logits))

	batch := focalghm.NewBatch(images, classes, height, width)
	batch.ClassAxis = 1
	batch.Activation, batch.TargetForm = focalghm.Softmax, focalghm.Label
	batch.IgnoreIndex = 255
	batch.Logits = focalghm.Contiguous(logits)
	batch.Targets = focalghm.Contiguous([]uint8{0, 255, 2, 1})
	batch.Gradient = focalghm.Contiguous(gradient)
	result, err := focal.Batch(nil, &batch)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d pixels, sum %.6f\n", result.Valid, result.Elements, result.Sum)
	// Output: 3 of 4 pixels, sum 1.464816
}

// The second column of a table, backwards.
func ExampleStrided() {
	focal, err := focalghm.NewFocal()
	if err != nil {
		log.Fatal(err)
	}
	defer focal.Close()
	table := []float64{0, 1, 0, 2, 0, 3}
	batch := focalghm.NewBatch(3)
	batch.Logits = focalghm.Strided(table, 5, -2)
	batch.Targets = focalghm.Strided([]uint8{1}, 0, 0) // all 1
	loss := make([]float64, 3)
	batch.ElementLoss = focalghm.Contiguous(loss)
	if _, err := focal.Batch(nil, &batch); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.3g\n", loss)
	// Output: [2.73e-05 0.000451 0.00566]
}

func ExampleError() {
	focal, err := focalghm.NewFocal()
	if err != nil {
		log.Fatal(err)
	}
	defer focal.Close()
	_, err = focal.Softmax32(nil, focalghm.Rows[float32]{
		Classes: 2, Logits: []float32{1, 2, 3, 4}, Labels: []int64{0, 2}}, focalghm.IgnoreNone)
	fmt.Println(err)
	fmt.Println(errors.Is(err, focalghm.ErrLabel))
	// Output:
	// focalghm: a label is that of no class
	// true
}

// A step in parts: counts are added up over goroutines or machines.
func ExampleGHM() {
	ghm, err := focalghm.NewGHM(focalghm.Classification)
	if err != nil {
		log.Fatal(err)
	}
	defer ghm.Close()
	logits, targets := []float32{-3, -2, 0, 4}, []float32{0, 0, 1, 0}
	gradient := make([]float32, 4)
	size, err := ghm.CountsSize()
	if err != nil {
		log.Fatal(err)
	}
	counts := make([]uint64, size)
	for _, from := range []int{0, 2} {
		if err := ghm.Count32(nil, logits[from:from+2], targets[from:from+2], nil, counts); err != nil {
			log.Fatal(err)
		}
	}
	if err := ghm.Update(counts); err != nil {
		log.Fatal(err)
	}
	_, err = ghm.Apply32(nil, focalghm.Elements[float32]{Inputs: logits, Targets: targets,
		Gradient: gradient})
	fmt.Println(counts, gradient[2], err)
	// Output: [1 1 0 0 0 1 0 0 0 1 0] -0.125 <nil>
}

func ExampleNewPoolFunc() {
	pool, err := focalghm.NewPoolFunc(runtime.GOMAXPROCS(0), func(tasks int, task func(index int)) {
		var group sync.WaitGroup
		for i := range tasks {
			group.Add(1)
			go func() { defer group.Done(); task(i) }()
		}
		group.Wait()
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	focal, err := focalghm.NewFocal()
	if err != nil {
		log.Fatal(err)
	}
	defer focal.Close()
	zeros := make([]float32, 1<<20)
	loss, err := focal.Float32(pool, focalghm.Elements[float32]{Inputs: zeros, Targets: zeros})
	fmt.Printf("%.6f %v\n", loss, err)
	// Output: 0.129965 <nil>
}
