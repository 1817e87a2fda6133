// SPDX-License-Identifier: MIT

//! Runs the lines of the file of cases that all languages share, which FOCALGHM_CASES names, and
//! finds what the file has.

use focalghm::*;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The memory of an array, as numbers of its type.
enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<F16>),
    Bf16(Vec<Bf16>),
    U8(Vec<u8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

struct Memory {
    numbers: Numbers,
    layout: String,
}

fn hexadecimal(word: &str) -> u64 {
    u64::from_str_radix(word, 16).unwrap()
}

fn real(word: &str) -> f64 {
    f64::from_bits(hexadecimal(word))
}

fn integer<T: std::str::FromStr<Err = std::num::ParseIntError>>(word: &str) -> T {
    word.parse().unwrap()
}

fn reals(words: &[&str]) -> Vec<f64> {
    words.iter().map(|word| real(word)).collect()
}

fn bytes(word: &str) -> Vec<u8> {
    (0..word.len()).step_by(2).map(|at| hexadecimal(&word[at..at + 2]) as u8).collect()
}

fn real_bits(numbers: &[f64]) -> String {
    numbers.iter().map(|x| format!(" {:016x}", x.to_bits())).collect()
}

impl Memory {
    fn new(words: &[&str]) -> Self {
        let bits: Vec<u64> = match words[0] {
            "out" => vec![0; integer(words[4])],
            _ => words[4..].iter().map(|word| hexadecimal(word)).collect(),
        };
        let bits = bits.into_iter();
        let numbers = match words[2] {
            "f32" => Numbers::F32(bits.map(|b| f32::from_bits(b as u32)).collect()),
            "f64" => Numbers::F64(bits.map(f64::from_bits).collect()),
            "f16" => Numbers::F16(bits.map(|b| F16(b as u16)).collect()),
            "bf16" => Numbers::Bf16(bits.map(|b| Bf16(b as u16)).collect()),
            "u8" => Numbers::U8(bits.map(|b| b as u8).collect()),
            "i32" => Numbers::I32(bits.map(|b| b as i32).collect()),
            _ => Numbers::I64(bits.map(|b| b as i64).collect()),
        };
        Self { numbers, layout: words[3].into() }
    }

    fn bits(&self) -> String {
        match &self.numbers {
            Numbers::F32(v) => v.iter().map(|x| format!(" {:08x}", x.to_bits())).collect(),
            Numbers::F64(v) => real_bits(v),
            Numbers::F16(v) => v.iter().map(|x| format!(" {:04x}", x.0)).collect(),
            Numbers::Bf16(v) => v.iter().map(|x| format!(" {:04x}", x.0)).collect(),
            _ => panic!("outputs have no integers"),
        }
    }

    fn input(&self) -> Input<'_> {
        fn laid<'a, T: Number>(numbers: &'a [T], layout: &str) -> Input<'a> {
            match layout {
                "contiguous" => numbers.into(),
                "per_sample" => Input::per_sample(numbers),
                _ => {
                    let (first, strides) = strides(layout);
                    Input::strided(numbers, &strides, first)
                }
            }
        }
        match &self.numbers {
            Numbers::F32(v) => laid(v, &self.layout),
            Numbers::F64(v) => laid(v, &self.layout),
            Numbers::F16(v) => laid(v, &self.layout),
            Numbers::Bf16(v) => laid(v, &self.layout),
            Numbers::U8(v) => laid(v, &self.layout),
            Numbers::I32(v) => laid(v, &self.layout),
            Numbers::I64(v) => laid(v, &self.layout),
        }
    }

    fn output(&mut self) -> Output<'_> {
        fn laid<'a, T: Real>(numbers: &'a mut [T], layout: &str) -> Output<'a> {
            match layout {
                "contiguous" => numbers.into(),
                _ => {
                    let (first, strides) = strides(layout);
                    Output::strided(numbers, &strides, first)
                }
            }
        }
        match &mut self.numbers {
            Numbers::F32(v) => laid(v, &self.layout),
            Numbers::F64(v) => laid(v, &self.layout),
            Numbers::F16(v) => laid(v, &self.layout),
            Numbers::Bf16(v) => laid(v, &self.layout),
            _ => panic!("outputs have no integers"),
        }
    }
}

fn strides(layout: &str) -> (usize, Vec<isize>) {
    let (first, strides) = layout.split_once(',').unwrap();
    (integer(first), strides.split(',').map(integer).collect())
}

/// The slices of a plain call.
trait Plain: Float {
    fn of(numbers: &mut Numbers) -> &mut Vec<Self>;
}

impl Plain for f32 {
    fn of(numbers: &mut Numbers) -> &mut Vec<f32> {
        match numbers {
            Numbers::F32(v) => v,
            _ => panic!("not f32"),
        }
    }
}

impl Plain for f64 {
    fn of(numbers: &mut Numbers) -> &mut Vec<f64> {
        match numbers {
            Numbers::F64(v) => v,
            _ => panic!("not f64"),
        }
    }
}

/// What a case has, and what its last call has found.
#[derive(Default)]
struct State {
    focal: Option<Focal>,
    ghm: Option<Ghm>,
    arrays: BTreeMap<String, Memory>,
    batch: BTreeMap<String, Vec<String>>,
    counts: Vec<u64>,
    number: f64,
    outcome: Option<Outcome>,
}

impl State {
    fn ghm(&mut self) -> &mut Ghm {
        self.ghm.as_mut().unwrap()
    }

    fn found(&mut self, name: &str) -> String {
        if let Some(memory) = self.arrays.get(name) {
            return memory.bits();
        }
        match name {
            "number" => real_bits(&[self.number]),
            "result" => {
                let o = self.outcome.unwrap();
                let reals = [o.loss, o.sum, o.divisor, o.sum_weights, o.sum_targets];
                format!("{} {} {} {}", real_bits(&reals), o.elements, o.valid, o.positives)
            }
            "counts" => self.counts.iter().map(|n| format!(" {n}")).collect(),
            "averages" => real_bits(&self.ghm().averages().unwrap()),
            "bin_weights" => real_bits(&self.ghm().weights().unwrap()),
            "state" => {
                let state = self.ghm().save().unwrap();
                format!(" {}", state.iter().map(|b| format!("{b:02x}")).collect::<String>())
            }
            _ => panic!("{name}"),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if let Some(f) = &mut self.focal {
            match name {
                "gamma" => f.set_gamma(real(value)),
                "negative_gamma" => f.set_negative_gamma(real(value)),
                "alpha" => f.set_alpha(real(value)),
                "loss_weight" => f.set_loss_weight(real(value)),
                "normalizer" => f.set_normalizer(real(value)),
                "hessian_floor" => f.set_hessian_floor(real(value)),
                "hessian_factor" => f.set_hessian_factor(real(value)),
                "positive_weight" => f.set_positive_weight(real(value)),
                "beta" => f.set_beta(real(value)),
                "margin" => f.set_margin(real(value)),
                "detached" => f.set_detached(value == "1"),
                "reduction" => f.set_reduction(Reduction::from_raw(integer(value))),
                "rule" => f.set_rule(FocalRule::from_raw(integer(value))),
                _ => f.set_hessian_mode(HessianMode::from_raw(integer(value))),
            }?;
            return Ok(());
        }
        let g = self.ghm();
        match name {
            "bins" => g.set_bins(integer(value)),
            "histograms" => g.set_histograms(integer(value)),
            "mu" => g.set_mu(real(value)),
            "momentum" => g.set_momentum(real(value)),
            "weight_cap" => g.set_weight_cap(real(value)),
            "loss_weight" => g.set_loss_weight(real(value)),
            "normalizer" => g.set_normalizer(real(value)),
            "reduction" => g.set_reduction(Reduction::from_raw(integer(value))),
            "momentum_rule" => g.set_momentum_rule(MomentumRule::from_raw(integer(value))),
            _ => g.set_divisor(BinDivisor::from_raw(integer(value))),
        }?;
        Ok(())
    }

    fn call_plain<T: Plain>(&mut self, words: &[&str]) -> Result<()> {
        let mut slices = BTreeMap::new();
        let mut labels = Vec::new();
        for (name, memory) in &mut self.arrays {
            match &mut memory.numbers {
                Numbers::I64(v) => labels = v.clone(),
                numbers => drop(slices.insert(name.as_str(), T::of(numbers).as_mut_slice())),
            }
        }
        let mut take = |name| slices.remove(name);
        let logits: &[T] = take("logits").unwrap();
        let targets: &[T] = take("targets").unwrap_or_default();
        let weights = take("weights").map(|w| &*w);
        let arrays = Arrays {
            weights,
            element_loss: take("element_loss"),
            gradient: take("gradient"),
            hessian: take("hessian"),
            pool: None,
        };
        match (words[1], &mut self.focal, &mut self.ghm) {
            ("softmax", Some(f), _) => {
                let ignore = Some(integer(words[3]));
                self.number = f.softmax(integer(words[2]), logits, &labels, ignore, arrays)?;
            }
            ("calibrate", Some(f), _) => f.calibrate(logits, arrays.gradient.unwrap(), None)?,
            ("density", _, Some(g)) => {
                g.density(logits, targets, None, take("harmonizing_weight").unwrap(), None)?;
            }
            ("count", _, Some(g)) => g.count(logits, targets, weights, &mut self.counts, None)?,
            ("apply", _, Some(g)) => self.number = g.apply(logits, targets, arrays)?,
            (_, Some(f), _) => self.number = f.compute(logits, targets, arrays)?,
            (_, _, Some(g)) => self.number = g.step(logits, targets, arrays)?,
            _ => panic!("there is no handle"),
        }
        Ok(())
    }

    fn call_batch(&mut self, what: &str) -> Result<()> {
        let words = |name| self.batch.get(name).into_iter().flatten().map(String::as_str);
        let constant = |name| words(name).next().map_or(0, integer::<i32>);
        let factors: BTreeMap<_, _> =
            ["class_alpha", "class_gamma", "class_weights", "class_offsets"]
                .map(|name| (name, words(name).map(real).collect::<Vec<_>>()))
                .into();
        let shape: Vec<usize> = words("shape").map(integer).collect();
        let mut b = Batch::new(&shape)
            .activation(Activation::from_raw(constant("activation")))
            .target_form(TargetForm::from_raw(constant("target_form")))
            .background(Background::from_raw(constant("background")))
            .label_smoothing(words("label_smoothing").next().map_or(0.0, real));
        for (name, given) in &self.batch {
            b = match name.as_str() {
                "class_axis" => b.class_axis(integer(&given[0])),
                "flags" if given[0] == "1" => b.nan_targets_ignored(),
                "flags" if given[0] == "2" => b.class_weights_of_terms(),
                "ignore_index" => b.ignore_index(integer(&given[0])),
                "class_alpha" => b.class_alpha(&factors["class_alpha"]),
                "class_gamma" => b.class_gamma(&factors["class_gamma"]),
                "class_weights" => b.class_weights(&factors["class_weights"]),
                "class_offsets" => b.class_offsets(&factors["class_offsets"]),
                _ => b,
            };
        }
        for (name, memory) in &mut self.arrays {
            b = match name.as_str() {
                "logits" => b.logits(memory.input()),
                "targets" => b.targets(memory.input()),
                "scores" => b.scores(memory.input()),
                "weights" => b.weights(memory.input()),
                "element_loss" => b.element_loss(memory.output()),
                "gradient" => b.gradient(memory.output()),
                "hessian" => b.hessian(memory.output()),
                _ => b.harmonizing_weight(memory.output()),
            };
        }
        let outcome = match (what, &self.focal, &mut self.ghm) {
            ("count_batch", _, Some(g)) => g.count_batch(&mut b, &mut self.counts, None),
            ("apply_batch", _, Some(g)) => g.apply_batch(&mut b, None),
            (_, Some(f), _) => f.compute_batch(&mut b, None),
            (_, _, Some(g)) => g.step_batch(&mut b, None),
            _ => panic!("there is no handle"),
        };
        self.outcome = Some(outcome?);
        Ok(())
    }

    fn run(&mut self, words: &[&str]) -> Result<()> {
        match words[0] {
            "case" => *self = Self::default(),
            "focal" => (self.focal, self.ghm) = (Some(Focal::new()?), None),
            "ghm" => {
                let kind = Kind::from_raw(integer(words[1]));
                (self.focal, self.ghm) = (None, Some(Ghm::new(kind)?));
            }
            "restore" => self.ghm = Some(Ghm::from_state(&bytes(words[1]))?),
            "load" => drop(self.ghm().load(&bytes(words[1]))?),
            "clone" => (self.focal, self.ghm) = (self.focal.clone(), self.ghm.clone()),
            "set" => self.set(words[1], words[2])?,
            "clear" if words[1] == "alpha" => drop(self.focal.as_mut().unwrap().clear_alpha()?),
            "clear" => drop(self.focal.as_mut().unwrap().clear_negative_gamma()?),
            "edges" => drop(self.ghm().set_edges(&reals(&words[1..]))?),
            "reset" => drop(self.ghm().reset()?),
            "in" | "out" => drop(self.arrays.insert(words[1].into(), Memory::new(words))),
            "counts" => self.counts = words[1..].iter().map(|word| integer(word)).collect(),
            "update" => drop(self.ghm.as_mut().unwrap().update(&self.counts)?),
            "best_constant" => {
                let focal = self.focal.as_ref().unwrap();
                self.number = focal.best_constant(real(words[1]), real(words[2]))?;
            }
            "call" if words[1].contains("batch") => self.call_batch(words[1])?,
            "call" if matches!(self.arrays["logits"].numbers, Numbers::F32(_)) => {
                self.call_plain::<f32>(words)?;
            }
            "call" => self.call_plain::<f64>(words)?,
            _ => {
                let given = words[1..].iter().map(|word| String::from(*word)).collect();
                self.batch.insert(words[0].into(), given);
            }
        }
        Ok(())
    }
}

fn name(field: Field) -> &'static str {
    if field == Field::NONE {
        "-"
    } else {
        field.name()
    }
}

fn error_line(error: &Error, of_batch: bool) -> String {
    let Error::Library { status, field, other_field, place, offender, .. } = error else {
        panic!("{error}");
    };
    let mut line = format!("error {} {}", status.raw(), name(*field));
    if of_batch {
        write!(line, " {} {} {offender}", name(*other_field), place.raw()).unwrap();
    }
    line
}

#[test]
#[ignore = "FOCALGHM_CASES has to name the file"]
fn cases_have_the_results_of_the_file() {
    let file = std::fs::read_to_string(std::env::var("FOCALGHM_CASES").unwrap()).unwrap();
    let mut found = Vec::new();
    let mut state = State::default();
    for line in file.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "error" => {}
            "=" => found.push(format!("= {}{}", words[1], state.found(words[1]))),
            _ => {
                found.push(line.into());
                if !line.starts_with('#') {
                    let of_batch = words[0] == "call" && words[1].contains("batch");
                    if let Err(error) = state.run(&words) {
                        found.push(error_line(&error, of_batch));
                    }
                }
            }
        }
    }
    for (number, (found, line)) in found.iter().zip(file.lines()).enumerate() {
        assert_eq!(found, line, "line {}", number + 1);
    }
    assert_eq!(found.len(), file.lines().count());
}
