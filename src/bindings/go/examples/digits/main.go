// SPDX-License-Identifier: MIT

// Digits trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
// gradient descent, and prints the last loss and its bits.
//
//	go run ./examples/digits digits.csv    # 64 numbers from 0 to 16 and the digit, in each line
package main

import (
	"encoding/csv"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"

	"focalghm"
)

const pixels, classes, steps, rate = 64, 10, 20, 4.0

func main() {
	inputs, labels := read(os.Args[1])
	rows := focalghm.Rows[float64]{Classes: classes, Labels: labels,
		Logits: make([]float64, len(labels)*classes), Gradient: make([]float64, len(labels)*classes)}
	weights := make([]float64, pixels*classes)
	focal, err := focalghm.NewFocal() // gamma 2, mean
	if err != nil {
		log.Fatal(err)
	}
	defer focal.Close()
	loss := 0.0
	for range steps {
		clear(rows.Logits)
		for i, x := range inputs {
			for c := range classes { // no fused multiply-add, so that all machines agree
				rows.Logits[i/pixels*classes+c] += float64(x * weights[i%pixels*classes+c])
			}
		}
		if loss, err = focal.Softmax64(nil, rows, focalghm.IgnoreNone); err != nil {
			log.Fatal(err)
		}
		for i, x := range inputs {
			for c := range classes {
				weights[i%pixels*classes+c] -= float64(float64(rate*x) * rows.Gradient[i/pixels*classes+c])
			}
		}
	}
	fmt.Printf("%.6f %016x\n", loss, math.Float64bits(loss))
}

func read(name string) (inputs []float64, labels []int64) {
	file, err := os.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range lines {
		for i, text := range line {
			number, err := strconv.Atoi(text)
			if err != nil {
				log.Fatal(err)
			}
			if i < pixels {
				inputs = append(inputs, float64(number)/16)
			} else {
				labels = append(labels, int64(number))
			}
		}
	}
	return inputs, labels
}
