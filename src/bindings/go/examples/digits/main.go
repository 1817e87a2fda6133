// SPDX-License-Identifier: MIT

// Digits trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
// gradient descent, and prints the last loss and its bits.
//
//	go run ./examples/digits digits.csv    # 64 numbers from 0 to 16 and the digit, in each line
package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"focalghm"
)

const pixels, classes, steps, rate = 64, 10, 20, 4.0

func main() {
	var inputs []float64
	var labels []int64
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	separates := func(r rune) bool { return r == ',' || r == '\n' }
	for i, field := range strings.FieldsFunc(string(text), separates) {
		if number, _ := strconv.ParseInt(field, 10, 64); i%(pixels+1) < pixels {
			inputs = append(inputs, float64(number)/16)
		} else {
			labels = append(labels, number)
		}
	}
	rows := focalghm.Rows[float64]{Classes: classes, Labels: labels,
		Logits: make([]float64, len(labels)*classes), Gradient: make([]float64, len(labels)*classes)}
	weights := make([]float64, pixels*classes)
	focal, err := focalghm.NewFocal() // gamma 2, mean
	loss := 0.0
	for step := 0; step < steps && err == nil; step++ {
		clear(rows.Logits)
		for k := range len(inputs) * classes { // no fused multiply-add, so that all machines agree
			i, c := k/classes, k%classes
			rows.Logits[i/pixels*classes+c] += float64(inputs[i] * weights[i%pixels*classes+c])
		}
		loss, err = focal.Softmax64(nil, rows, focalghm.IgnoreNone)
		for k := range len(inputs) * classes {
			i, c := k/classes, k%classes
			weights[i%pixels*classes+c] -= float64(float64(rate*inputs[i]) * rows.Gradient[i/pixels*classes+c])
		}
	}
	fmt.Printf("%.6f %016x\n", loss, math.Float64bits(loss))
	if err != nil {
		panic(err)
	}
}
