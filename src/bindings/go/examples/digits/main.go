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
	inputs, rows := []float64{}, focalghm.Rows[float64]{Classes: classes}
	text := string(focalghm.Must(os.ReadFile(os.Args[1])))
	for i, field := range strings.Fields(strings.ReplaceAll(text, ",", " ")) {
		if number := focalghm.Must(strconv.ParseInt(field, 10, 64)); i%(pixels+1) < pixels {
			inputs = append(inputs, float64(number)/16)
		} else {
			rows.Labels = append(rows.Labels, number)
		}
	}
	rows.Logits = make([]float64, len(rows.Labels)*classes)
	rows.Gradient = make([]float64, len(rows.Logits))
	weights, loss := make([]float64, pixels*classes), 0.0
	focal := focalghm.Must(focalghm.NewFocal()) // gamma 2, mean
	for range steps {
		clear(rows.Logits)
		for k := range len(inputs) * classes { // no fused multiply-add, so that all machines agree
			i, c := k/classes, k%classes
			rows.Logits[i/pixels*classes+c] += float64(inputs[i] * weights[i%pixels*classes+c])
		}
		loss = focalghm.Must(focal.Softmax64(nil, rows, focalghm.IgnoreNone))
		for k := range len(inputs) * classes {
			i, c := k/classes, k%classes
			weights[i%pixels*classes+c] -= float64(float64(rate*inputs[i]) * rows.Gradient[i/pixels*classes+c])
		}
	}
	fmt.Printf("%.6f %016x\n", loss, math.Float64bits(loss))
}
