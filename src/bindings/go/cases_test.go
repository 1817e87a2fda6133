// SPDX-License-Identifier: MIT

package focalghm

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// caseState is what a case has, and what its last call has found.
type caseState struct {
	focal  *Focal
	ghm    *GHM
	arrays map[string]any // slices
	views  map[string]Array
	batch  Batch
	counts []uint64
	number float64
	result Result
}

func caseInteger(word string) int {
	return int(must2(strconv.ParseInt(word, 10, 64)))
}

func must2[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func caseReals(words []string) []float64 {
	return caseNumbers[float64](words, 0)
}

func caseReal(word string) float64 {
	return caseReals([]string{word})[0]
}

// caseNumbers are numbers by their bits, or so many zeros.
func caseNumbers[T any](words []string, zeros int) []T {
	bits := must2(hex.DecodeString(strings.Join(words, "")))
	numbers := make([]T, len(words)+zeros)
	must2(binary.Decode(bits, binary.BigEndian, numbers[:len(words)]))
	return numbers
}

// caseBits are the bits of a slice's numbers.
func caseBits(numbers any, count int) string {
	var text strings.Builder
	buffer := must2(binary.Append(nil, binary.BigEndian, numbers))
	for size := len(buffer) / max(count, 1); len(buffer) > 0; buffer = buffer[size:] {
		fmt.Fprintf(&text, " %x", buffer[:size])
	}
	return text.String()
}

func putArray[T Number](s *caseState, words []string) {
	var numbers []T
	if words[0] == "out" {
		numbers = caseNumbers[T](nil, caseInteger(words[4]))
	} else {
		numbers = caseNumbers[T](words[4:], 0)
	}
	s.arrays[words[1]] = numbers
	switch words[3] {
	case "contiguous":
		s.views[words[1]] = Contiguous(numbers)
	case "per_sample":
		s.views[words[1]] = PerSample(numbers)
	default:
		var layout []int
		for _, word := range strings.Split(words[3], ",") {
			layout = append(layout, caseInteger(word))
		}
		s.views[words[1]] = Strided(numbers, layout[0], layout[1:]...)
	}
}

func (s *caseState) found(name string) string {
	switch numbers := s.arrays[name].(type) {
	case []float32:
		return caseBits(numbers, len(numbers))
	case []float64:
		return caseBits(numbers, len(numbers))
	case []Float16:
		return caseBits(numbers, len(numbers))
	case []BFloat16:
		return caseBits(numbers, len(numbers))
	}
	switch name {
	case "number":
		return caseBits(s.number, 1)
	case "result":
		r := s.result
		return caseBits([]float64{r.Loss, r.Sum, r.Divisor, r.SumWeights, r.SumTargets}, 5) +
			fmt.Sprintf(" %d %d %d", r.Elements, r.Valid, r.Positives)
	case "counts":
		return " " + strings.Trim(fmt.Sprint(s.counts), "[]")
	case "averages":
		averages := must2(s.ghm.Averages())
		return caseBits(averages, len(averages))
	case "bin_weights":
		weights := must2(s.ghm.Weights())
		return caseBits(weights, len(weights))
	}
	return fmt.Sprintf(" %x", must2(s.ghm.Save()))
}

func (s *caseState) set(name, value string) error {
	f, g := s.focal, s.ghm
	switch {
	case name == "gamma":
		return f.SetGamma(caseReal(value))
	case name == "negative_gamma":
		return f.SetNegativeGamma(caseReal(value))
	case name == "alpha":
		return f.SetAlpha(caseReal(value))
	case name == "hessian_floor":
		return f.SetHessianFloor(caseReal(value))
	case name == "hessian_factor":
		return f.SetHessianFactor(caseReal(value))
	case name == "positive_weight":
		return f.SetPositiveWeight(caseReal(value))
	case name == "beta":
		return f.SetBeta(caseReal(value))
	case name == "margin":
		return f.SetMargin(caseReal(value))
	case name == "detached":
		return f.SetDetached(value == "1")
	case name == "rule":
		return f.SetRule(Rule(caseInteger(value)))
	case name == "hessian_mode":
		return f.SetHessianMode(HessianMode(caseInteger(value)))
	case name == "loss_weight" && f != nil:
		return f.SetLossWeight(caseReal(value))
	case name == "normalizer" && f != nil:
		return f.SetNormalizer(caseReal(value))
	case name == "reduction" && f != nil:
		return f.SetReduction(Reduction(caseInteger(value)))
	case name == "loss_weight":
		return g.SetLossWeight(caseReal(value))
	case name == "normalizer":
		return g.SetNormalizer(caseReal(value))
	case name == "reduction":
		return g.SetReduction(Reduction(caseInteger(value)))
	case name == "bins":
		return g.SetBins(caseInteger(value))
	case name == "histograms":
		return g.SetHistograms(caseInteger(value))
	case name == "mu":
		return g.SetMu(caseReal(value))
	case name == "momentum":
		return g.SetMomentum(caseReal(value))
	case name == "weight_cap":
		return g.SetWeightCap(caseReal(value))
	case name == "momentum_rule":
		return g.SetMomentumRule(MomentumRule(caseInteger(value)))
	}
	return g.SetDivisor(Divisor(caseInteger(value)))
}

func slice[T Float](s *caseState, name string) []T {
	numbers, _ := s.arrays[name].([]T)
	return numbers
}

func elements[T Float](s *caseState) Elements[T] {
	return Elements[T]{Inputs: slice[T](s, "logits"), Targets: slice[T](s, "targets"),
		Weights: slice[T](s, "weights"), ElementLoss: slice[T](s, "element_loss"),
		Gradient: slice[T](s, "gradient"), Hessian: slice[T](s, "hessian")}
}

// caseCalls are the functions of one type.
type caseCalls[T Float] struct {
	compute, step, apply func(*Pool, Elements[T]) (float64, error)
	softmax              func(*Pool, Rows[T], int64) (float64, error)
	calibrate            func(*Pool, []T, []T) error
	density              func(*Pool, []T, []T, []T, []T) error
	count                func(*Pool, []T, []T, []T, []uint64) error
}

func callPlain[T Float](s *caseState, calls caseCalls[T], words []string) (err error) {
	e := elements[T](s)
	loss := s.number
	switch words[1] {
	case "softmax":
		loss, err = calls.softmax(nil, Rows[T]{Classes: caseInteger(words[2]), Logits: e.Inputs,
			Labels: s.arrays["targets"].([]int64), Weights: e.Weights, ElementLoss: e.ElementLoss,
			Gradient: e.Gradient, Hessian: e.Hessian}, int64(caseInteger(words[3])))
	case "calibrate":
		err = calls.calibrate(nil, e.Inputs, e.Gradient)
	case "density":
		err = calls.density(nil, e.Inputs, e.Targets, nil, slice[T](s, "harmonizing_weight"))
	case "count":
		err = calls.count(nil, e.Inputs, e.Targets, e.Weights, s.counts)
	case "apply":
		loss, err = calls.apply(nil, e)
	default:
		if s.focal != nil {
			loss, err = calls.compute(nil, e)
		} else {
			loss, err = calls.step(nil, e)
		}
	}
	if err == nil {
		s.number = loss
	}
	return err
}

func (s *caseState) call(words []string) (err error) {
	f, g := s.focal, s.ghm
	if !strings.Contains(words[1], "batch") {
		if _, single := s.arrays["logits"].([]float32); single {
			return callPlain(s, caseCalls[float32]{f.Float32, g.Step32, g.Apply32, f.Softmax32,
				f.Calibrate32, g.Density32, g.Count32}, words)
		}
		return callPlain(s, caseCalls[float64]{f.Float64, g.Step64, g.Apply64, f.Softmax64,
			f.Calibrate64, g.Density64, g.Count64}, words)
	}
	b, v := &s.batch, s.views
	b.Logits, b.Targets, b.Scores, b.Weights = v["logits"], v["targets"], v["scores"], v["weights"]
	b.ElementLoss, b.Gradient, b.Hessian = v["element_loss"], v["gradient"], v["hessian"]
	b.HarmonizingWeight = v["harmonizing_weight"]
	switch {
	case words[1] == "count_batch":
		s.result, err = g.CountBatch(nil, b, s.counts)
	case words[1] == "apply_batch":
		s.result, err = g.ApplyBatch(nil, b)
	case f != nil:
		s.result, err = f.Batch(nil, b)
	default:
		s.result, err = g.StepBatch(nil, b)
	}
	return err
}

func (s *caseState) close() {
	if s.focal != nil {
		s.focal.Close()
	}
	if s.ghm != nil {
		s.ghm.Close()
	}
	s.focal, s.ghm = nil, nil
}

func (s *caseState) run(words []string) (err error) {
	switch words[0] {
	case "case":
		s.close()
		*s = caseState{arrays: map[string]any{}, views: map[string]Array{}}
	case "focal":
		s.close()
		s.focal, err = NewFocal()
	case "ghm":
		s.close()
		s.ghm, err = NewGHM(Kind(caseInteger(words[1])))
	case "restore":
		s.ghm, err = NewGHMFromState(must2(hex.DecodeString(words[1])))
	case "load":
		err = s.ghm.Load(must2(hex.DecodeString(words[1])))
	case "clone":
		old := *s
		if s.focal != nil {
			s.focal, err = s.focal.Clone()
		} else {
			s.ghm, err = s.ghm.Clone()
		}
		old.close()
	case "set":
		err = s.set(words[1], words[2])
	case "clear":
		if words[1] == "alpha" {
			return s.focal.ClearAlpha()
		}
		err = s.focal.ClearNegativeGamma()
	case "edges":
		err = s.ghm.SetEdges(caseReals(words[1:]))
	case "reset":
		err = s.ghm.Reset()
	case "in", "out":
		map[string]func(*caseState, []string){"f32": putArray[float32], "f64": putArray[float64],
			"f16": putArray[Float16], "bf16": putArray[BFloat16], "u8": putArray[uint8],
			"i32": putArray[int32], "i64": putArray[int64]}[words[2]](s, words)
	case "counts":
		s.counts = nil
		for _, word := range words[1:] {
			s.counts = append(s.counts, must2(strconv.ParseUint(word, 10, 64)))
		}
	case "update":
		err = s.ghm.Update(s.counts)
	case "best_constant":
		s.number, err = s.focal.BestConstant(caseReal(words[1]), caseReal(words[2]))
	case "call":
		err = s.call(words)
	default:
		s.describe(words)
	}
	return err
}

func (s *caseState) describe(words []string) {
	switch b := &s.batch; words[0] {
	case "shape":
		var shape []int
		for _, word := range words[1:] {
			shape = append(shape, caseInteger(word))
		}
		*b = NewBatch(shape...)
	case "class_axis":
		b.ClassAxis = caseInteger(words[1])
	case "activation":
		b.Activation = Activation(caseInteger(words[1]))
	case "target_form":
		b.TargetForm = TargetForm(caseInteger(words[1]))
	case "background":
		b.Background = Background(caseInteger(words[1]))
	case "flags":
		b.NaNTargetsIgnored = words[1] == "1"
		b.ClassWeightsOfTerms = words[1] == "2"
	case "ignore_index":
		b.IgnoreIndex = int64(caseInteger(words[1]))
	case "label_smoothing":
		b.LabelSmoothing = caseReal(words[1])
	case "class_alpha":
		b.ClassAlpha = caseReals(words[1:])
	case "class_gamma":
		b.ClassGamma = caseReals(words[1:])
	case "class_weights":
		b.ClassWeights = caseReals(words[1:])
	case "class_offsets":
		b.ClassOffsets = caseReals(words[1:])
	default:
		panic(words[0])
	}
}

func caseField(field Field) string {
	if field == FieldNone {
		return "-"
	}
	return field.String()
}

// TestCases runs the lines of the file that all languages share, which the environment names, and
// finds what the file has.
func TestCases(t *testing.T) {
	name := os.Getenv("FOCALGHM_CASES")
	if name == "" {
		t.Skip("FOCALGHM_CASES is not set")
	}
	var s caseState
	defer func() { s.close() }()
	file := must[[]byte](t)(os.ReadFile(name))
	var found strings.Builder
	for line := range strings.Lines(string(file)) {
		words := strings.Fields(line)
		if words[0] == "=" {
			fmt.Fprintf(&found, "= %s%s\n", words[1], s.found(words[1]))
			continue
		} else if words[0] == "error" {
			continue
		}
		found.WriteString(line)
		if words[0][0] == '#' {
			continue
		}
		if err := s.run(words); err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%s: %v", line, err)
			}
			fmt.Fprintf(&found, "error %d %s", e.Status, caseField(e.Field))
			if words[0] == "call" && strings.Contains(words[1], "batch") {
				fmt.Fprintf(&found, " %s %d %d", caseField(e.OtherField), e.Place, e.Offender)
			}
			found.WriteString("\n")
		}
	}
	got, want := strings.Split(found.String(), "\n"), strings.Split(string(file), "\n")
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("line %d: %s, not %s", i+1, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, not %d", len(got), len(want))
	}
}
