// SPDX-License-Identifier: MIT

//! Each call gives the bits of the C call, for the same settings.

#![allow(clippy::undocumented_unsafe_blocks)] // each is the C call that it shows

use focalghm::*;
use std::ptr::{null, null_mut};

/// Enough for a pool to have several tasks.
const N: usize = 100_000;

fn numbers<T>(n: usize, scale: f64, shift: f64, convert: impl Fn(f64) -> T) -> Vec<T> {
    let mut state = 12345u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            convert(scale * f64::from(state >> 8) / f64::from(1 << 24) + shift)
        })
        .collect()
}

fn labels() -> Vec<i64> {
    (0..N as i64 / 4).map(|i| if i % 7 == 3 { -100 } else { i % 4 }).collect()
}

fn ok(status: sys::fghm_status) {
    assert_eq!(Status::from_raw(status), Status::OK);
}

macro_rules! tests_of {
    ($module:ident, $real:ty, $focal:ident, $softmax:ident, $calibrate:ident,
     $calibrate_softmax:ident, $step:ident, $count:ident, $apply:ident, $density:ident) => {
        mod $module {
            use super::*;

            /// What a call has written: one side is C, the other Rust.
            #[derive(Clone)]
            struct Written {
                loss: f64,
                element_loss: Vec<$real>,
                gradient: Vec<$real>,
                hessian: Vec<$real>,
            }

            impl Written {
                fn new(losses: usize) -> Self {
                    let zeros = |n| vec![0.0; n];
                    Self {
                        loss: 0.0,
                        element_loss: zeros(losses),
                        gradient: zeros(N),
                        hessian: zeros(N),
                    }
                }

                fn arrays<'a>(
                    &'a mut self, weights: &'a [$real], pool: Option<&'a Pool>,
                ) -> Arrays<'a, $real> {
                    Arrays {
                        weights: Some(weights),
                        element_loss: Some(&mut self.element_loss),
                        gradient: Some(&mut self.gradient),
                        hessian: Some(&mut self.hessian),
                        pool,
                    }
                }

                fn bits(&self) -> impl PartialEq + use<> {
                    let bits = |numbers: &[$real]| -> Vec<_> {
                        numbers.iter().map(|number| number.to_bits()).collect()
                    };
                    assert_ne!(self.gradient, vec![0.0; N]);
                    (
                        self.loss.to_bits(),
                        bits(&self.element_loss),
                        bits(&self.gradient),
                        bits(&self.hessian),
                    )
                }
            }

            fn inputs() -> (Vec<$real>, Vec<$real>, Vec<$real>) {
                let real = |number| number as $real;
                (
                    numbers(N, 12.0, -6.0, real),
                    numbers(N, 1.0, 0.0, real),
                    numbers(N, 3.0, -1.0, real),
                )
            }

            #[test]
            fn focal() {
                let (x, t, w) = inputs();
                let mut focal = Focal::new().unwrap();
                focal.set_gamma(1.5).unwrap().set_hessian_mode(HessianMode::FLOORED).unwrap();
                let (mut expected, mut found) = (Written::new(N), Written::new(N));
                let to = &mut expected;
                ok(unsafe {
                    sys::$focal(
                        focal.as_ptr(),
                        null_mut(),
                        N,
                        x.as_ptr(),
                        t.as_ptr(),
                        w.as_ptr(),
                        &mut to.loss,
                        to.element_loss.as_mut_ptr(),
                        to.gradient.as_mut_ptr(),
                        to.hessian.as_mut_ptr(),
                    )
                });
                found.loss = focal.compute(&x, &t, found.arrays(&w, None)).unwrap();
                assert!(found.bits() == expected.bits());
                let (mut pooled, pool) = (Written::new(N), Pool::new(2).unwrap());
                pooled.loss = focal.compute(&x, &t, pooled.arrays(&w, Some(&pool))).unwrap();
                assert!(pooled.bits() == expected.bits());
                let loss = focal.compute(&x, &t, Arrays::default()).unwrap();
                assert_ne!(loss, expected.loss); // the weights are looked at
                let mut gradient = vec![0.0; N];
                focal.compute(&x, &t, Arrays::gradient(&mut gradient)).unwrap();
                assert_ne!(gradient, expected.gradient);
                let none: [$real; 0] = [];
                assert_eq!(focal.compute(&none, &none, Arrays::default()), Ok(0.0));
            }

            #[test]
            fn softmax() {
                let (x, _, w) = inputs();
                let (w, labels) = (&w[..N / 4], labels());
                let mut focal = Focal::new().unwrap();
                focal.set_gamma(0.5).unwrap();
                let (mut expected, mut found) = (Written::new(N / 4), Written::new(N / 4));
                let to = &mut expected;
                ok(unsafe {
                    sys::$softmax(
                        focal.as_ptr(),
                        null_mut(),
                        N / 4,
                        4,
                        x.as_ptr(),
                        labels.as_ptr(),
                        -100,
                        w.as_ptr(),
                        &mut to.loss,
                        to.element_loss.as_mut_ptr(),
                        to.gradient.as_mut_ptr(),
                        to.hessian.as_mut_ptr(),
                    )
                });
                let pool = Pool::new(2).unwrap();
                for pool in [None, Some(&pool)] {
                    let arrays = found.arrays(w, pool);
                    found.loss = focal.softmax(4, &x, &labels, Some(-100), arrays).unwrap();
                    assert!(found.bits() == expected.bits());
                }
                let error = focal.softmax(4, &x, &labels, None, Arrays::default()).unwrap_err();
                assert_eq!(error.status(), Some(Status::LABEL));
            }

            #[test]
            fn calibration() {
                let (x, _, _) = inputs();
                let mut focal = Focal::new().unwrap();
                focal.set_gamma(3.0).unwrap();
                let (mut expected, mut found) = (vec![0.0; N], vec![0.0; N]);
                let to = expected.as_mut_ptr();
                ok(unsafe { sys::$calibrate(focal.as_ptr(), null_mut(), N, x.as_ptr(), to) });
                let pool = Pool::new(2).unwrap();
                for pool in [None, Some(&pool)] {
                    focal.calibrate(&x, &mut found, pool).unwrap();
                    assert!(found == expected && found[0] > 0.0);
                    found.fill(0.0);
                }
            }

            #[test]
            fn calibration_of_softmax() {
                let (x, _, _) = inputs();
                let focal = Focal::new().unwrap();
                let (gamma, weights) = ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 4.0, 0.5]);
                let numbers = ClassNumbers { gamma: Some(&gamma), weights: Some(&weights) };
                let (mut expected, mut found) = (vec![0.0; N], vec![0.0; N]);
                let to = expected.as_mut_ptr();
                ok(unsafe {
                    sys::$calibrate_softmax(
                        focal.as_ptr(),
                        null_mut(),
                        N / 4,
                        4,
                        x.as_ptr(),
                        gamma.as_ptr(),
                        weights.as_ptr(),
                        to,
                    )
                });
                let pool = Pool::new(2).unwrap();
                for pool in [None, Some(&pool)] {
                    focal.calibrate_softmax(4, &x, &mut found, numbers, pool).unwrap();
                    assert!(found == expected && found[0] > 0.0);
                    found.fill(0.0);
                }
                let none = ClassNumbers::default();
                focal.calibrate_softmax(4, &x, &mut found, none, None).unwrap();
                assert!(found != expected);
                let error = focal.calibrate_softmax(0, &x, &mut found, none, None).unwrap_err();
                assert_eq!(error.status(), Some(Status::RANGE));
            }

            fn ghm(kind: Kind) {
                let (x, t, w) = inputs();
                let mut ghm = Ghm::new(kind).unwrap();
                ghm.set_momentum(0.5).unwrap().set_bins(20).unwrap();
                let other = ghm.clone();
                let (mut expected, mut found) = (Written::new(N), Written::new(N));
                let pool = Pool::new(2).unwrap();
                for pool in [None, Some(&pool)] {
                    let to = &mut expected;
                    ok(unsafe {
                        sys::$step(
                            other.as_ptr(),
                            null_mut(),
                            N,
                            x.as_ptr(),
                            t.as_ptr(),
                            w.as_ptr(),
                            &mut to.loss,
                            to.element_loss.as_mut_ptr(),
                            to.gradient.as_mut_ptr(),
                            to.hessian.as_mut_ptr(),
                        )
                    });
                    found.loss = ghm.step(&x, &t, found.arrays(&w, pool)).unwrap();
                    assert!(found.bits() == expected.bits());
                }
                assert_eq!(ghm.steps(), Ok(2));
                assert_eq!(ghm.counts(), other.counts());

                // The three parts of a step.
                let size = ghm.counts_size().unwrap();
                let (mut counts, mut expected_counts) = (vec![0; size], vec![0; size]);
                for (mask, pool) in [(Some(&w[..]), None), (None, Some(&pool))] {
                    ghm.count(&x, &t, mask, &mut counts, pool).unwrap();
                    let mask = mask.map_or(null(), |mask| mask.as_ptr());
                    ok(unsafe {
                        sys::$count(
                            other.as_ptr(),
                            null_mut(),
                            N,
                            x.as_ptr(),
                            t.as_ptr(),
                            mask,
                            size,
                            expected_counts.as_mut_ptr(),
                        )
                    });
                }
                assert_eq!(counts, expected_counts);
                assert!(counts.iter().sum::<u64>() > N as u64);
                ghm.update(&counts).unwrap();
                ok(unsafe { sys::fghm_ghm_update(other.as_ptr(), size, counts.as_ptr()) });
                let to = &mut expected;
                ok(unsafe {
                    sys::$apply(
                        other.as_ptr(),
                        null_mut(),
                        N,
                        x.as_ptr(),
                        t.as_ptr(),
                        w.as_ptr(),
                        &mut to.loss,
                        to.element_loss.as_mut_ptr(),
                        to.gradient.as_mut_ptr(),
                        to.hessian.as_mut_ptr(),
                    )
                });
                for pool in [None, Some(&pool)] {
                    found.loss = ghm.apply(&x, &t, found.arrays(&w, pool)).unwrap();
                    assert!(found.bits() == expected.bits());
                }
            }

            #[test]
            fn ghm_classification() {
                ghm(Kind::CLASSIFICATION);
            }

            #[test]
            fn ghm_regression() {
                ghm(Kind::REGRESSION);
            }

            #[test]
            fn density() {
                let (x, t, w) = inputs();
                let ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
                let (mut expected, mut found) = (vec![0.0; N], vec![0.0; N]);
                let pool = Pool::new(2).unwrap();
                for (mask, pool) in [(Some(&w[..]), None), (None, Some(&pool))] {
                    ghm.density(&x, &t, mask, &mut found, pool).unwrap();
                    let mask = mask.map_or(null(), |mask| mask.as_ptr());
                    ok(unsafe {
                        sys::$density(
                            ghm.as_ptr(),
                            null_mut(),
                            N,
                            x.as_ptr(),
                            t.as_ptr(),
                            mask,
                            expected.as_mut_ptr(),
                        )
                    });
                    assert!(found == expected && found.iter().any(|weight| *weight > 0.0));
                }
            }
        }
    };
}
tests_of!(
    f32s,
    f32,
    fghm_focal_f32,
    fghm_focal_softmax_f32,
    fghm_focal_calibrate_f32,
    fghm_focal_calibrate_softmax_f32,
    fghm_ghm_step_f32,
    fghm_ghm_count_f32,
    fghm_ghm_apply_f32,
    fghm_ghm_density_f32
);
tests_of!(
    f64s,
    f64,
    fghm_focal_f64,
    fghm_focal_softmax_f64,
    fghm_focal_calibrate_f64,
    fghm_focal_calibrate_softmax_f64,
    fghm_ghm_step_f64,
    fghm_ghm_count_f64,
    fghm_ghm_apply_f64,
    fghm_ghm_density_f64
);

#[test]
fn best_constant() {
    let focal = Focal::new().unwrap();
    let mut expected = 0.0;
    ok(unsafe { sys::fghm_focal_best_constant(focal.as_ptr(), 3.0, 40.0, &mut expected) });
    assert_eq!(focal.best_constant(3.0, 40.0), Ok(expected));
    assert!(expected < 0.0);
}

#[test]
fn best_constant_of_softmax() {
    let focal = Focal::new().unwrap();
    let (frequencies, gamma, weights) = ([1.0, 5.0, 9.0], [0.0, 1.0, 2.0], [1.0, 2.0, 4.0]);
    let mut expected = [0.0; 3];
    ok(unsafe {
        sys::fghm_focal_best_constant_softmax(
            focal.as_ptr(),
            3,
            frequencies.as_ptr(),
            gamma.as_ptr(),
            weights.as_ptr(),
            expected.as_mut_ptr(),
        )
    });
    let numbers = ClassNumbers { gamma: Some(&gamma), weights: Some(&weights) };
    assert_eq!(focal.best_constant_softmax(&frequencies, numbers), Ok(expected.to_vec()));
    assert!(expected[2] < 0.0);
}

#[test]
fn history_and_state() {
    let x = numbers(N, 12.0, -6.0, |number| number);
    let t = numbers(N, 1.0, 0.0, |number| number);
    let mut ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
    ghm.set_momentum(0.9).unwrap().set_bins(5).unwrap();
    ghm.step(&x, &t, Arrays::default()).unwrap();
    let (mut counts, mut averages, mut weights, mut nonempty) =
        ([0; 6], [0.0; 5], [0.0; 5], [0; 1]);
    unsafe {
        ok(sys::fghm_ghm_get_counts(ghm.as_ptr(), 6, counts.as_mut_ptr()));
        ok(sys::fghm_ghm_get_averages(ghm.as_ptr(), 5, averages.as_mut_ptr()));
        ok(sys::fghm_ghm_get_weights(ghm.as_ptr(), 5, weights.as_mut_ptr()));
        ok(sys::fghm_ghm_get_nonempty(ghm.as_ptr(), 1, nonempty.as_mut_ptr()));
    }
    assert_eq!(ghm.counts().unwrap(), counts);
    assert_eq!(ghm.averages().unwrap(), averages);
    assert_eq!(ghm.weights().unwrap(), weights);
    assert_eq!(ghm.nonempty().unwrap(), nonempty);
    assert!(weights[0] > 0.0 && weights != averages);

    let state = ghm.save().unwrap();
    let mut expected = vec![0u8; state.len()];
    let to = expected.as_mut_ptr().cast();
    ok(unsafe { sys::fghm_ghm_save(ghm.as_ptr(), state.len(), to) });
    assert_eq!(state, expected);
    let mut resumed = Ghm::from_state(&state).unwrap();
    let mut loaded = Ghm::new(Kind::CLASSIFICATION).unwrap();
    loaded.load(&state).unwrap();
    let loss = ghm.step(&x, &t, Arrays::default());
    assert_eq!(resumed.step(&x, &t, Arrays::default()), loss);
    assert_eq!(loaded.step(&x, &t, Arrays::default()), loss);
    ghm.reset().unwrap();
    assert_eq!((ghm.steps(), ghm.momentum()), (Ok(0), Ok(0.9)));
}

#[test]
fn versions() {
    assert_eq!(version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(version_number(), sys::FGHM_VERSION);
    assert_eq!(numerics_revision(), unsafe { sys::fghm_numerics_revision() });
    assert!(!isa_name().is_empty());
}
