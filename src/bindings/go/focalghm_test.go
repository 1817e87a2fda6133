// SPDX-License-Identifier: MIT

package focalghm

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"runtime"
	"slices"
	"testing"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants checks status, field and other field of an error.
func wants(t testing.TB, err error, status Status, fields ...Field) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, status) {
		t.Fatalf("%v is not %v", err, status)
	}
	fields = append(fields, FieldNone, FieldNone)
	if e.Field != fields[0] || e.OtherField != fields[1] {
		t.Fatalf("%v is about %v and %v, not %v and %v", err, e.Field, e.OtherField, fields[0],
			fields[1])
	}
}

func newTestFocal(t testing.TB) *Focal {
	t.Helper()
	f := must[*Focal](t)(NewFocal())
	t.Cleanup(func() { ok(t, f.Close()) })
	return f
}

func newTestGHM(t testing.TB, kind Kind) *GHM {
	t.Helper()
	g := must[*GHM](t)(NewGHM(kind))
	t.Cleanup(func() { ok(t, g.Close()) })
	return g
}

func random(n int, seed int64) []float64 {
	source := rand.New(rand.NewSource(seed))
	s := make([]float64, n)
	for i := range s {
		s[i] = float64(float32(4 * source.NormFloat64()))
	}
	return s
}

func narrow(s []float64) []float32 {
	narrowed := make([]float32, len(s))
	for i, x := range s {
		narrowed[i] = float32(x)
	}
	return narrowed
}

func hard(n int, seed int64) []float64 {
	source := rand.New(rand.NewSource(seed))
	s := make([]float64, n)
	for i := range s {
		s[i] = float64(source.Intn(2))
	}
	return s
}

// sameBits compares bit for bit.
func sameBits[T Float](t testing.TB, what string, a, b []T) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d and %d numbers", what, len(a), len(b))
	}
	for i := range a {
		if math.Float64bits(float64(a[i])) != math.Float64bits(float64(b[i])) {
			t.Fatalf("%s: %v and %v at %d", what, a[i], b[i], i)
		}
	}
}

// focal is the textbook's formula for a hard target.
func focal(x, t, gamma, alpha float64) float64 {
	a := alpha
	if t == 0 {
		x, a = -x, 1-alpha
	}
	return a * math.Pow(1/(1+math.Exp(x)), gamma) * math.Log1p(math.Exp(-x))
}

func TestLossIsTheFormula(t *testing.T) {
	f := newTestFocal(t)
	ok(t, f.SetGamma(1.5))
	ok(t, f.SetReduction(Sum))
	const n = 1000
	x, y, w := random(n, 1), hard(n, 2), random(n, 3)
	e := Elements[float64]{Inputs: x, Targets: y, Weights: w, ElementLoss: make([]float64, n),
		Gradient: make([]float64, n), Hessian: make([]float64, n)}
	loss := must[float64](t)(f.Float64(nil, e))
	sum := 0.0
	const h = 1e-5
	for i := range x {
		want := w[i] * focal(x[i], y[i], 1.5, .25)
		sum += want
		slope := w[i] * (focal(x[i]+h, y[i], 1.5, .25) - focal(x[i]-h, y[i], 1.5, .25)) / (2 * h)
		loss := func(x float64) float64 { return w[i] * focal(x, y[i], 1.5, .25) }
		curve := (loss(x[i]+1e-4) - 2*loss(x[i]) + loss(x[i]-1e-4)) / 1e-8
		if math.Abs(e.Hessian[i]-curve) > 1e-5*math.Abs(w[i]) {
			t.Fatalf("x %v, t %v: Hessian %v, not %v", x[i], y[i], e.Hessian[i], curve)
		}
		if math.Abs(e.ElementLoss[i]-want) > 1e-13*math.Abs(want) ||
			math.Abs(e.Gradient[i]-slope) > 1e-7*math.Abs(w[i]) {
			t.Fatalf("x %v, t %v: %v, %v, not %v, %v", x[i], y[i], e.ElementLoss[i],
				e.Gradient[i], want, slope)
		}
	}
	if math.Abs(loss-sum) > 1e-11*n {
		t.Fatalf("loss %v, not %v", loss, sum)
	}
}

// Every form of the same data gives the same bits.
func TestBatchOfEachForm(t *testing.T) {
	f := newTestFocal(t)
	const rows, columns, n = 5, 7, 35
	x, y := narrow(random(n, 4)), narrow(hard(n, 5))
	plain := Elements[float32]{Inputs: x, Targets: y, Gradient: make([]float32, n)}
	must[float64](t)(f.Float32(nil, plain))

	bits, signs, integers := make([]uint8, n), make([]bool, n), make([]int64, n)
	for i := range y {
		bits[i], signs[i], integers[i] = uint8(y[i]), y[i] == 1, int64(y[i])
	}
	for name, targets := range map[string]Array{"float32": Contiguous(y), "uint8": Contiguous(bits),
		"bool": Contiguous(signs), "int64": Contiguous(integers)} {
		b := NewBatch(rows, columns)
		gradient := make([]float32, n)
		b.Logits, b.Targets, b.Gradient = Contiguous(x), targets, Contiguous(gradient)
		result := must[Result](t)(f.Batch(nil, &b))
		sameBits(t, name, gradient, plain.Gradient)
		if result.Elements != n || result.Valid != n || result.Divisor != n {
			t.Fatalf("%+v", result)
		}
	}

	// Backwards, in the middle of other numbers, transposed.
	wide := make([]float32, 200)
	out := make([]float32, 200)
	for i := range rows {
		for j := range columns {
			wide[190-20*j-3*i] = x[i*columns+j]
		}
	}
	b := NewBatch(rows, columns)
	b.Logits = Strided(wide, 190, -3, -20)
	b.Targets = Contiguous(y)
	b.Gradient = Strided(out, 3, 30, 1)
	must[Result](t)(f.Batch(nil, &b))
	for i := range rows {
		sameBits(t, "strided", out[3+30*i:3+30*i+columns], plain.Gradient[columns*i:columns*(i+1)])
	}
	if slices.ContainsFunc(out[10:33], func(x float32) bool { return x != 0 }) {
		t.Fatal("written between the rows")
	}
}

func TestHalfPrecision(t *testing.T) {
	f := newTestFocal(t)
	// 1, -2, 0.5 in binary16 and bfloat16.
	half, brain := []Float16{0x3c00, 0xc000, 0x3800}, []BFloat16{0x3f80, 0xc000, 0x3f00}
	x, y := []float32{1, -2, .5}, []float32{1, 0, 0}
	want := make([]float32, 3)
	must[float64](t)(f.Float32(nil, Elements[float32]{Inputs: x, Targets: y, Gradient: want}))
	got, narrowed := make([]float32, 3), make([]BFloat16, 3)
	b := NewBatch(3)
	b.Logits, b.Targets, b.Gradient = Contiguous(half), Contiguous(y), Contiguous(got)
	must[Result](t)(f.Batch(nil, &b))
	sameBits(t, "binary16", got, want)
	b.Logits, b.Gradient = Contiguous(brain), Contiguous(narrowed)
	must[Result](t)(f.Batch(nil, &b))
	for i, x := range narrowed {
		if math.Abs(float64(math.Float32frombits(uint32(x)<<16)-want[i])) > 1./256*math.Abs(float64(want[i])) {
			t.Fatalf("bfloat16 %x is not %v", x, want[i])
		}
	}
}

func TestSoftmax(t *testing.T) {
	f := newTestFocal(t)
	const samples, classes = 6, 3
	x := random(samples*classes, 6)
	labels := []int64{0, 2, -100, 1, 1, 0}
	rows := Rows[float64]{Classes: classes, Logits: x, Labels: labels,
		ElementLoss: make([]float64, samples), Gradient: make([]float64, len(x))}
	loss := must[float64](t)(f.Softmax64(nil, rows, -100))
	for i, label := range labels {
		want := 0.0
		if label >= 0 {
			sum := 0.0
			for c := range classes {
				sum += math.Exp(x[classes*i+c])
			}
			p := math.Exp(x[classes*i+int(label)]) / sum
			want = -(1 - p) * (1 - p) * math.Log(p)
		}
		if math.Abs(rows.ElementLoss[i]-want) > 1e-12 {
			t.Fatalf("row %d: %v, not %v", i, rows.ElementLoss[i], want)
		}
	}

	// Class after class, as a batch, with narrow labels.
	transposed, gradient := make([]float64, len(x)), make([]float64, len(x))
	narrowLabels := make([]int32, samples)
	for i := range samples {
		narrowLabels[i] = int32(labels[i])
		for c := range classes {
			transposed[c*samples+i] = x[i*classes+c]
		}
	}
	b := NewBatch(samples, classes)
	b.ClassAxis, b.Activation, b.TargetForm, b.IgnoreIndex = -1, Softmax, Label, -100
	b.Logits, b.Gradient = Strided(transposed, 0, 1, samples), Contiguous(gradient)
	b.Targets = Contiguous(narrowLabels)
	result := must[Result](t)(f.Batch(nil, &b))
	sameBits(t, "gradient", gradient, rows.Gradient)
	sameBits(t, "loss", []float64{result.Loss}, []float64{loss})
	if result.Valid != 5 || result.Elements != 6 {
		t.Fatalf("%+v", result)
	}

	_, err := f.Softmax64(nil, rows, IgnoreNone)
	wants(t, err, ErrLabel)
	b.IgnoreIndex = IgnoreNone
	_, err = f.Batch(nil, &b)
	wants(t, err, ErrLabel, FieldTargets)
	var e *Error
	if errors.As(err, &e); e.Place != PlaceSample || e.Offender != 2 {
		t.Fatalf("%+v", e)
	}
	if err.Error() != "focalghm: targets: a label is that of no class, sample 2" {
		t.Fatal(err)
	}
	rows32 := Rows[float32]{Classes: classes, Logits: narrow(x), Labels: labels,
		Gradient: make([]float32, len(x))}
	loss32 := must[float64](t)(f.Softmax32(nil, rows32, -100))
	if math.Abs(loss32-loss) > 1e-6*loss {
		t.Fatalf("%v in float32, %v in float64", loss32, loss)
	}
}

func TestClassFactors(t *testing.T) {
	f := newTestFocal(t)
	b := NewBatch(2, 3)
	b.ClassAxis = 1
	b.Logits, b.Targets = Contiguous(narrow(random(6, 7))), PerSample([]float32{1, 0})
	once, twice := make([]float32, 6), make([]float32, 6)
	b.Gradient = Contiguous(once)
	must[Result](t)(f.Batch(nil, &b))
	b.ClassWeights, b.Gradient = []float64{2, 2, 2}, Contiguous(twice)
	must[Result](t)(f.Batch(nil, &b))
	for i := range once {
		if twice[i] != 2*once[i] {
			t.Fatalf("%v is not twice %v", twice[i], once[i])
		}
	}
	b.ClassWeights, b.ClassAlpha = nil, []float64{.5, .25, .75}
	must[Result](t)(f.Batch(nil, &b))
	for c, alpha := range b.ClassAlpha {
		// The first sample is positive, the second negative.
		for i, factor := range []float64{alpha / .25, (1 - alpha) / .75} {
			got, want := float64(twice[3*i+c]), factor*float64(once[3*i+c])
			if math.Abs(got-want) > 1e-6*math.Abs(want) {
				t.Fatalf("%v is not %v, class %d", got, want, c)
			}
		}
	}
	b.ClassAlpha, b.ClassWeights = nil, []float64{2, 2}
	_, err := f.Batch(nil, &b)
	wants(t, err, ErrLength, FieldClassWeights)
	b.ClassWeights = []float64{2, 2, -1}
	_, err = f.Batch(nil, &b)
	wants(t, err, ErrRange, FieldClassWeights)
	b.ClassWeights, b.ClassGamma = nil, []float64{1, 1, 65}
	_, err = f.Batch(nil, &b)
	wants(t, err, ErrRange, FieldClassGamma)
}

func near(t *testing.T, found, expected float64) {
	t.Helper()
	if math.Abs(found-expected) > 1e-12 {
		t.Fatalf("%v is not %v", found, expected)
	}
}

func TestClassGamma(t *testing.T) {
	f := newTestFocal(t)
	ok(t, f.ClearAlpha())
	b, losses := NewBatch(3), make([]float64, 3)
	b.ClassAxis, b.ClassGamma = 0, []float64{0, 1, 2}
	b.Logits, b.Targets = Contiguous(make([]float64, 3)), Contiguous([]float64{1, 1, 1})
	b.ElementLoss = Contiguous(losses)
	must[Result](t)(f.Batch(nil, &b))
	for i, loss := range losses {
		near(t, loss, math.Ln2/float64(int(1)<<i))
	}
}

// Added to zeros, offsets are the logits.
func TestClassOffsets(t *testing.T) {
	f, offsets := newTestFocal(t), []float64{-1, .5, 2}
	b := NewBatch(1, 3)
	b.ClassAxis, b.Activation, b.TargetForm = 1, Softmax, Label
	b.Logits, b.Targets = Contiguous(offsets), Contiguous([]int64{1})
	expected := must[Result](t)(f.Batch(nil, &b))
	b.Logits, b.ClassOffsets = Contiguous(make([]float64, 3)), offsets
	if found := must[Result](t)(f.Batch(nil, &b)); found != expected {
		t.Fatal(found, expected)
	}
}

// All probabilities are 1/3, and the smoothed targets .8, .1 and .1.
func TestClassWeightsOfTerms(t *testing.T) {
	f := newTestFocal(t)
	ok(t, f.SetGamma(0))
	b := NewBatch(1, 3)
	b.ClassAxis, b.Activation, b.TargetForm, b.LabelSmoothing = 1, Softmax, Label, .3
	b.Logits, b.Targets = Contiguous(make([]float64, 3)), Contiguous([]int64{0})
	b.ClassWeights = []float64{1, 2, 4}
	near(t, must[Result](t)(f.Batch(nil, &b)).Loss, math.Log(3))
	b.ClassWeightsOfTerms = true
	near(t, must[Result](t)(f.Batch(nil, &b)).Loss, 1.4*math.Log(3))

	// The same targets as they are, whose factors are those of terms in any case.
	b.TargetForm, b.LabelSmoothing, b.ClassWeightsOfTerms = Dense, 0, false
	b.Targets = Contiguous([]float64{.8, .1, .1})
	near(t, must[Result](t)(f.Batch(nil, &b)).Loss, 1.4*math.Log(3))
}

func TestElementErrors(t *testing.T) {
	f := newTestFocal(t)
	b := NewBatch(3)
	gradient := make([]float32, 3)
	b.Logits, b.Gradient = Contiguous([]float32{1, 2, 3}), Contiguous(gradient)
	b.Targets = Contiguous([]float32{0, 1.5, 1})
	result, err := f.Batch(nil, &b)
	wants(t, err, ErrTarget, FieldTargets)
	if !math.IsNaN(float64(gradient[1])) || gradient[0] <= 0 || gradient[2] >= 0 ||
		math.IsNaN(result.Loss) {
		t.Fatal(gradient, result)
	}
	loss, err := f.Float32(nil, Elements[float32]{Inputs: []float32{1}, Targets: []float32{-1}})
	wants(t, err, ErrTarget)
	if !math.IsNaN(loss) {
		t.Fatal(loss)
	}
	b.Activation, b.Targets = Probability, Contiguous([]float32{0, 1, 1})
	_, err = f.Batch(nil, &b)
	wants(t, err, ErrProbability, FieldLogits)
	b = NewBatch(1, 2)
	b.ClassAxis, b.TargetForm = 1, LabelScore
	b.Logits, b.Targets = Contiguous([]float32{1, 2}), Contiguous([]uint8{1})
	b.Scores = Contiguous([]float32{2})
	_, err = f.Batch(nil, &b)
	wants(t, err, ErrScore, FieldScores)
}

func TestWrongBatches(t *testing.T) {
	f := newTestFocal(t)
	x, out := make([]float32, 12), make([]float32, 12)
	for _, wrong := range []struct {
		name   string
		status Status
		fields []Field
		change func(b *Batch)
	}{
		{"not made", ErrUninitialized, []Field{FieldTag}, func(b *Batch) { *b = Batch{} }},
		{"no axes", ErrUnset, []Field{FieldNDim}, func(b *Batch) { *b = NewBatch() }},
		{"nine axes", ErrRange, []Field{FieldNDim},
			func(b *Batch) { *b = NewBatch(1, 1, 1, 1, 1, 1, 1, 1, 1) }},
		{"negative extent", ErrRange, []Field{FieldShape}, func(b *Batch) { *b = NewBatch(3, -4) }},
		{"huge", ErrSize, []Field{FieldShape}, func(b *Batch) {
			*b = NewBatch(1<<40, 1<<40)
			b.Logits = Contiguous(x)
		}},
		{"huge, repeated", ErrSize, []Field{FieldShape}, func(b *Batch) {
			*b = NewBatch(1<<40, 1<<40)
			b.Logits, b.Targets = Strided(x, 0, 0, 0), Strided(x, 0, 0, 0)
		}},
		{"class axis", ErrRange, []Field{FieldClassAxis}, func(b *Batch) { b.ClassAxis = 2 }},
		{"huge class axis", ErrRange, []Field{FieldClassAxis},
			func(b *Batch) { b.ClassAxis = 1<<32 + 1 }},
		{"activation", ErrConstant, []Field{FieldActivation}, func(b *Batch) { b.Activation = 9 }},
		{"form", ErrConstant, []Field{FieldTargetForm}, func(b *Batch) { b.TargetForm = 9 }},
		{"background", ErrConstant, []Field{FieldBackground}, func(b *Batch) { b.Background = 9 }},
		{"smoothing", ErrRange, []Field{FieldLabelSmoothing},
			func(b *Batch) { b.LabelSmoothing = 2 }},
		{"labels without classes", ErrCombination, []Field{FieldTargetForm, FieldClassAxis},
			func(b *Batch) { b.TargetForm = Label }},
		{"softmax without classes", ErrCombination, []Field{FieldActivation, FieldClassAxis},
			func(b *Batch) { b.Activation = Softmax }},
		{"NaN labels", ErrCombination, []Field{FieldFlags, FieldTargetForm}, func(b *Batch) {
			b.TargetForm, b.ClassAxis, b.NaNTargetsIgnored = Label, 1, true
			b.Targets = Contiguous([]int32{0, 1, 2})
		}},
		{"no logits", ErrNullPointer, []Field{FieldLogits}, func(b *Batch) { b.Logits = Array{} }},
		{"integer logits", ErrDType, []Field{FieldLogits},
			func(b *Batch) { b.Logits = Contiguous(make([]int64, 12)) }},
		{"labels in float", ErrDType, []Field{FieldTargets}, func(b *Batch) {
			b.TargetForm, b.ClassAxis, b.Targets = Label, 1, Contiguous([]float32{0, 1, 2})
		}},
		{"output per sample", ErrLayout, []Field{FieldGradient}, func(b *Batch) {
			b.ClassAxis, b.Gradient = 1, PerSample(make([]float32, 3))
		}},
		{"repeated output", ErrStride, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Strided(out, 0, 4, 0) }},
		{"labels along classes", ErrStride, []Field{FieldTargets}, func(b *Batch) {
			b.TargetForm, b.ClassAxis = Label, 1
			b.Targets = Strided(make([]int32, 12), 0, 4, 1)
		}},
		{"overlap", ErrAliasing, []Field{FieldHessian, FieldGradient},
			func(b *Batch) { b.Hessian = b.Gradient }},
		{"harmonizing weight", ErrCombination, []Field{FieldHarmonizingWeight, FieldRule},
			func(b *Batch) { b.HarmonizingWeight = Contiguous(make([]float32, 12)) }},
		{"short", ErrLength, []Field{FieldLogits}, func(b *Batch) { b.Logits = Contiguous(x[:11]) }},
		{"long", ErrLength, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Contiguous(make([]float32, 13)) }},
		{"out of the slice", ErrLength, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Strided(out, 1, 4, 1) }},
		{"before the slice", ErrLength, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Strided(out, 7, -4, 1) }},
		{"first before the slice", ErrLength, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Strided(out, -1, 4, 1) }},
		{"least stride", ErrStride, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Strided(out, 0, math.MinInt, 1) }},
		{"too many strides", ErrLength, []Field{FieldGradient},
			func(b *Batch) { b.Gradient = Strided(out, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0) }},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			b := NewBatch(3, 4)
			b.Logits, b.Targets, b.Gradient = Contiguous(x), Contiguous(make([]float32, 12)), Contiguous(out)
			must[Result](t)(f.Batch(nil, &b))
			wrong.change(&b)
			_, err := f.Batch(nil, &b)
			wants(t, err, wrong.status, wrong.fields...)
		})
	}
}

func TestEmptyBatch(t *testing.T) {
	f := newTestFocal(t)
	b := NewBatch(0, 4)
	b.Logits, b.Targets = Strided([]float32{1}, -7, 1, 1), Strided([]float32{1}, 1<<40, 1, 1)
	if result := must[Result](t)(f.Batch(nil, &b)); result.Elements != 0 || result.Loss != 0 {
		t.Fatal(result)
	}
}

func TestLengthsOfPlainCalls(t *testing.T) {
	f, g := newTestFocal(t), newTestGHM(t, Classification)
	three, four := make([]float32, 3), make([]float32, 4)
	_, err := f.Float32(nil, Elements[float32]{Inputs: three, Targets: four})
	wants(t, err, ErrLength, FieldTargets)
	_, err = f.Float32(nil, Elements[float32]{Inputs: three, Targets: three, Hessian: four})
	wants(t, err, ErrLength, FieldHessian)
	_, err = f.Float32(nil, Elements[float32]{Inputs: three})
	wants(t, err, ErrNullPointer)
	_, err = g.Step32(nil, Elements[float32]{Inputs: three, Targets: three, Weights: four})
	wants(t, err, ErrLength, FieldWeights)
	_, err = f.Softmax32(nil, Rows[float32]{Classes: 2, Logits: three, Labels: []int64{0}}, IgnoreNone)
	wants(t, err, ErrLength, FieldLogits)
	_, err = f.Softmax32(nil, Rows[float32]{Logits: three}, IgnoreNone)
	wants(t, err, ErrRange, FieldShape)
	wants(t, f.Calibrate32(nil, three, four), ErrLength)
	wants(t, g.Density32(nil, three, three, nil, four), ErrLength, FieldHarmonizingWeight)
	wants(t, g.Count32(nil, three, three, nil, make([]uint64, 10)), ErrCapacity)
	_, err = f.Float32(nil, Elements[float32]{Inputs: four, Targets: make([]float32, 4),
		Gradient: four, Hessian: four})
	wants(t, err, ErrAliasing)
	loss := must[float64](t)(f.Float32(nil, Elements[float32]{}))
	if loss != 0 {
		t.Fatal(loss)
	}
}

// A setting, how to set it, how to read it, and a number that it cannot have.
func TestSettings(t *testing.T) {
	f, c, r := newTestFocal(t), newTestGHM(t, Classification), newTestGHM(t, Regression)
	for _, s := range []struct {
		field          Field
		set            func(float64) error
		get            func() (float64, error)
		initial, value float64
		wrong          float64
	}{
		{FieldGamma, f.SetGamma, f.Gamma, 2, 3, -1},
		{FieldNormalizer, f.SetNormalizer, f.Normalizer, 1, 5, 0},
		{FieldLossWeight, f.SetLossWeight, f.LossWeight, 1, 2, math.Inf(1)},
		{FieldHessianFloor, f.SetHessianFloor, f.HessianFloor, 1e-16, 1e-3, math.NaN()},
		{FieldHessianFactor, f.SetHessianFactor, f.HessianFactor, 1, 2, 0},
		{FieldBeta, f.SetBeta, f.Beta, 4, 3.5, -1},
		{FieldMargin, f.SetMargin, f.Margin, 0, 0.05, 1},
		{FieldMu, r.SetMu, r.Mu, .02, 1, 0},
		{FieldMomentum, c.SetMomentum, c.Momentum, 0, .75, 1},
		{FieldWeightCap, c.SetWeightCap, c.WeightCap, math.Inf(1), 2, 0},
		{FieldLossWeight, c.SetLossWeight, c.LossWeight, 1, 2, -1},
		{FieldNormalizer, c.SetNormalizer, c.Normalizer, 1, 5, math.NaN()},
	} {
		if v := must[float64](t)(s.get()); v != s.initial {
			t.Fatalf("%v is %v at first", s.field, v)
		}
		ok(t, s.set(s.value))
		wants(t, s.set(s.wrong), ErrRange, s.field)
		if v := must[float64](t)(s.get()); v != s.value {
			t.Fatalf("%v is %v, not %v", s.field, v, s.value)
		}
	}

	ok(t, f.SetReduction(MeanValid))
	wants(t, f.SetReduction(77), ErrConstant, FieldReduction)
	ok(t, f.SetRule(Quality))
	wants(t, f.SetRule(-1), ErrConstant, FieldRule)
	ok(t, f.SetHessianMode(HessianGaussNewton))
	wants(t, f.SetHessianMode(5), ErrConstant, FieldHessianMode)
	if must[Reduction](t)(f.Reduction()) != MeanValid || must[Rule](t)(f.Rule()) != Quality ||
		must[HessianMode](t)(f.HessianMode()) != HessianGaussNewton {
		t.Fatal("constants of the focal loss")
	}
	if a, on, err := f.Alpha(); a != .25 || !on || err != nil {
		t.Fatal(a, on, err)
	}
	ok(t, f.SetAlpha(.5))
	wants(t, f.SetAlpha(2), ErrRange, FieldAlpha)
	ok(t, f.ClearAlpha())
	if a, on, err := f.Alpha(); a != 1 || on || err != nil {
		t.Fatal(a, on, err)
	}
	ok(t, f.SetNegativeGamma(4))
	wants(t, f.SetNegativeGamma(65), ErrRange, FieldNegativeGamma)
	if v, set, err := f.NegativeGamma(); v != 4 || !set || err != nil {
		t.Fatal(v, set, err)
	}
	_, err := f.Float32(nil, Elements[float32]{})
	wants(t, err, ErrCombination)
	ok(t, f.ClearNegativeGamma())
	if v, set, err := f.NegativeGamma(); v != 3 || set || err != nil {
		t.Fatal(v, set, err)
	}

	if w, set, err := f.PositiveWeight(); w != 1 || set || err != nil {
		t.Fatal(w, set, err)
	}
	ok(t, f.SetPositiveWeight(3.5))
	wants(t, f.SetPositiveWeight(-1), ErrRange, FieldPositiveWeight)
	if w, set, err := f.PositiveWeight(); w != 3.5 || !set || err != nil {
		t.Fatal(w, set, err)
	}
	ok(t, f.ClearPositiveWeight())
	if w, set, err := f.PositiveWeight(); w != 1 || set || err != nil {
		t.Fatal(w, set, err)
	}
	for _, detached := range []bool{true, false} {
		ok(t, f.SetDetached(detached))
		if must[bool](t)(f.Detached()) != detached {
			t.Fatal("not", detached)
		}
	}

	ok(t, c.SetReduction(Normalizer))
	wants(t, c.SetReduction(MeanValid), ErrConstant, FieldReduction)
	ok(t, c.SetMomentumRule(MomentumReference))
	wants(t, c.SetMomentumRule(2), ErrConstant, FieldMomentumRule)
	ok(t, c.SetDivisor(AllBins))
	wants(t, c.SetDivisor(2), ErrConstant, FieldBinDivisor)
	ok(t, c.SetHistograms(3))
	wants(t, c.SetHistograms(0), ErrRange, FieldHistograms)
	wants(t, c.SetHistograms(-1), ErrRange, FieldHistograms)
	ok(t, c.SetBins(4))
	wants(t, c.SetBins(BinsMax+1), ErrRange, FieldBins)
	wants(t, c.SetBins(-1), ErrRange, FieldBins)
	ok(t, c.SetEdges([]float64{0, .5, 1}))
	wants(t, c.SetEdges([]float64{0, .5}), ErrEdges, FieldEdges)
	wants(t, c.SetEdges(nil), ErrEdges, FieldEdges)
	if must[Reduction](t)(c.Reduction()) != Normalizer ||
		must[MomentumRule](t)(c.MomentumRule()) != MomentumReference ||
		must[Divisor](t)(c.Divisor()) != AllBins || must[int](t)(c.Histograms()) != 3 ||
		must[int](t)(c.Bins()) != 2 || must[int](t)(c.CountsSize()) != 9 ||
		!slices.Equal(must[[]float64](t)(c.Edges()), []float64{0, .5, 1}) ||
		must[Kind](t)(c.Kind()) != Classification || must[Kind](t)(r.Kind()) != Regression {
		t.Fatal("constants of GHM")
	}
	wants(t, c.SetMu(1), ErrKind, FieldMu)
	_, err = c.Mu()
	wants(t, err, ErrKind, FieldMu)
	_, err = NewGHM(0)
	wants(t, err, ErrConstant, FieldKind)
}

// The logit 0, where p is 1/2 and the cross-entropy of any target is log 2.
func TestRules(t *testing.T) {
	f := newTestFocal(t)
	wantsAtZero := func(target, loss, gradient, hessian float64) {
		t.Helper()
		e := Elements[float64]{Inputs: []float64{0}, Targets: []float64{target},
			Gradient: make([]float64, 1), Hessian: make([]float64, 1)}
		near(t, must[float64](t)(f.Float64(nil, e)), loss)
		near(t, e.Gradient[0], gradient)
		near(t, e.Hessian[0], hessian)
	}
	ok(t, f.ClearAlpha())
	ok(t, f.SetHessianMode(HessianGradient))
	ok(t, f.SetBeta(3))
	for _, r := range []struct {
		rule           Rule
		loss, gradient float64
	}{
		{Varifocal, math.Ln2 / 4, .0625},
		{VarifocalUnweighted, math.Ln2, .25},
		{Matchability, math.Ln2, .4375},
		{Heatmap, .421875 * math.Ln2 / 4, .421875 * (math.Ln2 + .5) / 4},
	} {
		ok(t, f.SetRule(r.rule))
		wantsAtZero(.25, r.loss, r.gradient, r.gradient)
	}

	// gamma 2 and a factor that is no constant in derivatives; then one that is.
	ok(t, f.SetRule(Linear))
	ok(t, f.SetPositiveWeight(3))
	ok(t, f.SetHessianFactor(2))
	const gradient = -3 * (math.Ln2 + .5) / 4
	wantsAtZero(1, 3*math.Ln2/4, gradient, -2*gradient)
	ok(t, f.SetDetached(true))
	wantsAtZero(1, 3*math.Ln2/4, -.375, .75)
}

// Counting in parts and applying gives the bits of a step; a saved state and a clone go on alike.
func TestStepsOfGHM(t *testing.T) {
	const n = 3000
	x, y := random(n, 8), hard(n, 9)
	for _, kind := range []Kind{Classification, Regression} {
		g := newTestGHM(t, kind)
		ok(t, g.SetMomentum(.5))
		ok(t, g.SetWeightCap(2))
		parts := must[*GHM](t)(g.Clone())
		defer parts.Close()
		for step := range 3 {
			whole := Elements[float64]{Inputs: x, Targets: y, ElementLoss: make([]float64, n),
				Gradient: make([]float64, n), Hessian: make([]float64, n)}
			must[float64](t)(g.Step64(nil, whole))

			counts := make([]uint64, must[int](t)(parts.CountsSize()))
			ok(t, parts.Count64(nil, x[:1000], y[:1000], nil, counts))
			ok(t, parts.Count64(nil, x[1000:], y[1000:], nil, counts))
			ok(t, parts.Update(counts))
			gradient := make([]float64, n)
			for _, part := range [][2]int{{0, 1234}, {1234, n}} {
				from, to := part[0], part[1]
				must[float64](t)(parts.Apply64(nil, Elements[float64]{Inputs: x[from:to],
					Targets: y[from:to], Gradient: gradient[from:to]}))
			}
			sameBits(t, "parts", gradient, whole.Gradient)

			b := NewBatch(n)
			weight := make([]float64, n)
			b.Logits, b.Targets = Contiguous(x), Contiguous(y)
			b.Gradient, b.HarmonizingWeight = Contiguous(gradient), Contiguous(weight)
			state := must[[]byte](t)(g.Save())
			loaded := must[*GHM](t)(NewGHMFromState(state))
			must[Result](t)(loaded.ApplyBatch(nil, &b))
			sameBits(t, "loaded", gradient, whole.Gradient)
			if !slices.Contains(must[[]float64](t)(g.Weights()), weight[n/2]) {
				t.Fatalf("%v is no weight of a bin", weight[n/2])
			}
			if !slices.Equal(must[[]uint64](t)(loaded.Counts()), counts) {
				t.Fatal("counts of the loaded handle")
			}
			if must[uint64](t)(g.Steps()) != uint64(step+1) {
				t.Fatal("steps")
			}
			ok(t, loaded.Reset())
			if must[uint64](t)(loaded.Steps()) != 0 {
				t.Fatal("steps after a reset")
			}
			ok(t, loaded.Load(state))
			if !slices.Equal(must[[]byte](t)(loaded.Save()), state) {
				t.Fatal("a state that was loaded is another one")
			}
			wants(t, loaded.Load(state[1:]), ErrState)
			ok(t, loaded.Close())
			x = append(x[1:], x[0])
		}
		wants(t, g.SetBins(5), ErrHistory, FieldBins)
		if averages := must[[]float64](t)(g.Averages()); len(averages) != 10 || averages[0] == 0 {
			t.Fatal(averages)
		}
		if nonempty := must[[]int](t)(g.Nonempty()); len(nonempty) != 1 || nonempty[0] == 0 {
			t.Fatal(nonempty)
		}
	}
	c, r := newTestGHM(t, Classification), newTestGHM(t, Regression)
	wants(t, c.Load(must[[]byte](t)(r.Save())), ErrKind)
	_, err := NewGHMFromState(nil)
	wants(t, err, ErrNullPointer)
	wants(t, c.Update(make([]uint64, 10)), ErrCapacity, FieldCounts)
	wants(t, c.Update([]uint64{math.MaxUint64, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), ErrCounts, FieldCounts)
	wants(t, r.Density64(nil, x, y, nil, make([]float64, n)), ErrKind)
}

func TestGHMOfClasses(t *testing.T) {
	g := newTestGHM(t, Classification)
	ok(t, g.SetHistograms(3))
	x := narrow(random(3000, 10))
	labels := make([]uint8, 1000)
	for i := range labels {
		labels[i] = uint8(i * i % 3)
	}
	b := NewBatch(1000, 3)
	b.ClassAxis, b.TargetForm = 1, Label
	gradient, applied := make([]float32, 3000), make([]float32, 3000)
	b.Logits, b.Targets, b.Gradient = Contiguous(x), Contiguous(labels), Contiguous(gradient)
	must[Result](t)(g.StepBatch(nil, &b))
	counts := make([]uint64, 33)
	result := must[Result](t)(g.CountBatch(nil, &b, counts))
	if result.Valid != 3000 || !slices.Equal(counts, must[[]uint64](t)(g.Counts())) {
		t.Fatal(result, counts)
	}
	b.Gradient = Contiguous(applied)
	must[Result](t)(g.ApplyBatch(nil, &b))
	sameBits(t, "apply", applied, gradient)
	_, err := g.Step32(nil, Elements[float32]{Inputs: x, Targets: x})
	wants(t, err, ErrHistograms)
	wide := NewBatch(500, 6)
	wide.ClassAxis, wide.Logits, wide.Targets = 1, Contiguous(x), Contiguous(make([]uint8, 3000))
	_, err = g.StepBatch(nil, &wide)
	wants(t, err, ErrHistograms, FieldHistograms, FieldShape)
}

func TestFloat32OfGHM(t *testing.T) {
	const n = 500
	x, y := random(n, 11), hard(n, 12)
	narrowX, narrowY := narrow(x), narrow(y)
	g, h := newTestGHM(t, Classification), newTestGHM(t, Classification)
	loss := must[float64](t)(g.Step32(nil, Elements[float32]{Inputs: narrowX, Targets: narrowY}))
	wide := must[float64](t)(h.Step64(nil, Elements[float64]{Inputs: x, Targets: y}))
	if math.Abs(loss-wide) > 1e-5*wide {
		t.Fatal(loss, wide)
	}
	counts := make([]uint64, 11)
	ok(t, g.Count32(nil, narrowX, narrowY, nil, counts))
	if !slices.Equal(counts, must[[]uint64](t)(h.Counts())) {
		t.Fatal("counts")
	}
	again := must[float64](t)(g.Apply32(nil, Elements[float32]{Inputs: narrowX, Targets: narrowY}))
	sameBits(t, "apply", []float64{again}, []float64{loss})
	narrowWeights, weights := make([]float32, n), make([]float64, n)
	ok(t, g.Density32(nil, narrowX, narrowY, nil, narrowWeights))
	ok(t, g.Density64(nil, x, y, nil, weights))
	for i := range weights {
		if math.Abs(float64(narrowWeights[i])-weights[i]) > 1e-2*weights[i] {
			t.Fatal(narrowWeights[i], weights[i])
		}
	}
}

func TestCalibration(t *testing.T) {
	f := newTestFocal(t)
	logit := must[float64](t)(f.BestConstant(3, 7))
	// The best constant for 3 of 10 is the logit whose probability is 3 of 10.
	logits := []float64{logit}
	ok(t, f.Calibrate64(nil, logits, logits))
	if math.Abs(logits[0]-.3) > 1e-12 {
		t.Fatal(logits)
	}
	narrowed := []float32{float32(logit)}
	ok(t, f.Calibrate32(nil, narrowed, narrowed))
	if math.Abs(float64(narrowed[0])-.3) > 1e-6 {
		t.Fatal(narrowed)
	}
	_, err := f.BestConstant(0, 1)
	wants(t, err, ErrRange)
}

func TestCalibrationOfSoftmax(t *testing.T) {
	f := newTestFocal(t)
	n := ClassNumbers{Gamma: []float64{0, 1, 3}, Weights: []float64{1, 4, .5}}
	logits := must[[]float64](t)(f.BestConstantSoftmax([]float64{2, 3, 5}, n))
	narrowed := make([]float32, 3)
	for i := range logits {
		narrowed[i] = float32(logits[i])
	}
	ok(t, f.CalibrateSoftmax64(nil, 3, logits, n, logits))
	ok(t, f.CalibrateSoftmax32(nil, 3, narrowed, n, narrowed))
	for i, want := range []float64{.2, .3, .5} {
		if math.Abs(logits[i]-want) > 1e-12 || math.Abs(float64(narrowed[i])-want) > 1e-6 {
			t.Fatal(logits, narrowed)
		}
	}
	short := ClassNumbers{Weights: []float64{1}}
	_, err := f.BestConstantSoftmax(logits, short)
	wants(t, err, ErrLength, FieldClassWeights)
	wants(t, f.CalibrateSoftmax64(nil, 3, logits, short, logits), ErrLength, FieldClassWeights)
	short = ClassNumbers{Gamma: []float64{1}}
	wants(t, f.CalibrateSoftmax64(nil, 3, logits, short, logits), ErrLength, FieldClassGamma)
	wants(t, f.CalibrateSoftmax32(nil, 2, narrowed, ClassNumbers{}, narrowed), ErrLength, FieldLogits)
	wants(t, f.CalibrateSoftmax32(nil, 0, narrowed, ClassNumbers{}, narrowed), ErrRange, FieldShape)
	wants(t, f.CalibrateSoftmax32(nil, 3, narrowed, ClassNumbers{}, nil), ErrLength)
	_, err = f.BestConstantSoftmax([]float64{1, 0}, ClassNumbers{})
	wants(t, err, ErrRange)
}

func TestClosed(t *testing.T) {
	f, g := newTestFocal(t), newTestGHM(t, Classification)
	p := must[*Pool](t)(NewPool(2))
	other := must[*Focal](t)(f.Clone())
	for range 2 {
		ok(t, f.Close())
		ok(t, g.Close())
		ok(t, p.Close())
	}
	one := []float32{1}
	e := Elements[float32]{Inputs: one, Targets: one}
	_, err := f.Float32(nil, e)
	wants(t, err, ErrNullHandle)
	wants(t, f.SetGamma(1), ErrNullHandle)
	_, err = f.Clone()
	wants(t, err, ErrNullHandle)
	_, err = g.Step32(nil, e)
	wants(t, err, ErrNullHandle)
	_, err = g.Edges()
	wants(t, err, ErrNullHandle)
	_, err = g.Save()
	wants(t, err, ErrNullHandle)
	b := NewBatch(1)
	b.Logits, b.Targets = Contiguous(one), Contiguous(one)
	_, err = f.Batch(nil, &b)
	wants(t, err, ErrNullHandle)
	_, err = p.Threads()
	wants(t, err, ErrNullHandle)
	_, err = other.Float32(p, e)
	wants(t, err, ErrNullHandle)
	_, err = other.Batch(p, &b)
	wants(t, err, ErrNullHandle)
	must[float64](t)(other.Float32(nil, e))
	ok(t, other.Close())
}

// Handles that nobody closes are freed while others work.
func TestCollected(t *testing.T) {
	one := []float32{1}
	for i := range 2000 {
		f := must[*Focal](t)(NewFocal())
		must[float64](t)(f.Float32(nil, Elements[float32]{Inputs: one, Targets: one}))
		if i%200 == 0 {
			must[*Pool](t)(NewPoolFunc(1, func(int, func(int)) {}))
			runtime.GC()
		}
	}
}

func TestNoAllocations(t *testing.T) {
	f, g := newTestFocal(t), newTestGHM(t, Classification)
	x, y := make([]float32, 64), make([]float32, 64)
	labels := make([]int64, 16)
	e := Elements[float32]{Inputs: x, Targets: y, Gradient: make([]float32, 64)}
	r := Rows[float32]{Classes: 4, Logits: x, Labels: labels, Gradient: make([]float32, 64)}
	b := NewBatch(16, 4)
	b.ClassAxis, b.Activation, b.TargetForm = 1, Softmax, Label
	b.Logits, b.Targets, b.Gradient = Contiguous(x), Contiguous(labels), Contiguous(r.Gradient)
	for name, call := range map[string]func(){
		"Float32":   func() { must[float64](t)(f.Float32(nil, e)) },
		"Softmax32": func() { must[float64](t)(f.Softmax32(nil, r, IgnoreNone)) },
		"Batch":     func() { must[Result](t)(f.Batch(nil, &b)) },
		"Step32":    func() { must[float64](t)(g.Step32(nil, e)) },
	} {
		if allocations := testing.AllocsPerRun(100, call); allocations != 0 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

func TestMust(t *testing.T) {
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, ErrLength) {
			t.Error(err)
		}
	}()
	f := Must(NewFocal())
	loss := Must(f.Float64(nil, Elements[float64]{Inputs: []float64{0}, Targets: []float64{1}}))
	t.Errorf("%v is the loss of %v", Must(f.Float64(nil, Elements[float64]{Targets: []float64{1}})), loss)
}

func TestVersion(t *testing.T) {
	n := VersionNumber()
	if Version() != fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100) || NumericsRevision() < 1 ||
		ISA() == "" {
		t.Fatal(Version(), VersionNumber(), NumericsRevision(), ISA())
	}
}

func TestTexts(t *testing.T) {
	seen := map[string]Status{}
	for status := ErrScore; status <= ErrLength; status++ {
		text := status.Error()
		if before, twice := seen[text]; twice || text == "" || text == "unknown status" {
			t.Errorf("%d: %q, as %d", status, text, before)
		}
		seen[text] = status
	}
	if FieldClassAxis.String() != "class_axis" || FieldBinDivisor.String() != "bin_divisor" ||
		PlaceAxis.String() != "axis" || PlaceNone.String() != "" || Place(9).String() != "unknown place" ||
		ErrNullHandle.Name() != "null_handle" || ErrLength.Name() != "length" {
		t.Error("names")
	}
	err := &Error{Status: ErrCombination, Field: FieldActivation, OtherField: FieldClassAxis}
	if err.Error() != "focalghm: activation and class_axis: two settings do not go together" {
		t.Error(err)
	}
}
