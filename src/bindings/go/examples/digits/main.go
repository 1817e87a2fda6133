// SPDX-License-Identifier: MIT

// Digits trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
// gradient descent, and prints the last loss and its bits.
//
//	go run ./examples/digits digits.csv    # 64 numbers from 0 to 16 and the digit, in each line
package main

import (
	"bufio"
	"fmt"
	"log"
	"math"
	"os"

	"focalghm"
)

const pixels, classes, steps, rate = 64, 10, 20, 4.0

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var inputs []float64
	var labels []int64
	numbers := bufio.NewReader(file)
	for number, end := 0, ' '; err == nil; _, err = fmt.Fscanf(numbers, "%d%c", &number, &end) {
		if end == ',' {
			inputs = append(inputs, float64(number)/16)
		} else if end == '\n' {
			labels = append(labels, int64(number))
		}
	}
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
