// SPDX-License-Identifier: MIT

//! What is set here is read by C, and here; and what an error of a setter says.

#![allow(clippy::undocumented_unsafe_blocks)] // each is the C call that it shows

use focalghm::*;

fn ok(status: sys::fghm_status) {
    assert_eq!(Status::from_raw(status), Status::OK);
}

/// Sets, reads by C, reads; each setting has its own value.
macro_rules! set_and_read {
    ($handle:ident: $($set:ident($value:expr) $get:ident $c_get:ident,)*) => {$(
        $handle.$set($value).unwrap();
        let mut raw = Default::default();
        ok(unsafe { sys::$c_get($handle.as_ptr(), &mut raw) });
        assert_eq!(raw, $value.into_raw());
        assert_eq!($handle.$get(), Ok($value));
    )*};
}

trait IntoRaw {
    type Raw;
    fn into_raw(self) -> Self::Raw;
}
macro_rules! raw {
    ($($setting:ty: $raw:ty = $convert:expr,)*) => {$(
        impl IntoRaw for $setting {
            type Raw = $raw;
            fn into_raw(self) -> $raw {
                $convert(self)
            }
        }
    )*};
}
raw! {
    f64: f64 = |number| number,
    usize: usize = |number| number,
    bool: i32 = i32::from,
    Reduction: i32 = Reduction::raw,
    FocalRule: i32 = FocalRule::raw,
    HessianMode: i32 = HessianMode::raw,
    MomentumRule: i32 = MomentumRule::raw,
    BinDivisor: i32 = BinDivisor::raw,
}

#[test]
fn settings_of_focal() {
    let mut focal = Focal::new().unwrap();
    set_and_read! { focal:
        set_gamma(1.25) gamma fghm_focal_get_gamma,
        set_normalizer(12.5) normalizer fghm_focal_get_normalizer,
        set_loss_weight(0.5) loss_weight fghm_focal_get_loss_weight,
        set_hessian_floor(0.125) hessian_floor fghm_focal_get_hessian_floor,
        set_hessian_factor(2.0) hessian_factor fghm_focal_get_hessian_factor,
        set_beta(3.5) beta fghm_focal_get_beta,
        set_margin(0.05) margin fghm_focal_get_margin,
        set_detached(true) detached fghm_focal_get_detached,
        set_reduction(Reduction::MEAN_POSITIVES) reduction fghm_focal_get_reduction,
        set_rule(FocalRule::SPLIT) rule fghm_focal_get_rule,
        set_hessian_mode(HessianMode::GAUSS_NEWTON) hessian_mode fghm_focal_get_hessian_mode,
    }
    let (mut number, mut set) = (0.0, 0);
    assert_eq!(focal.positive_weight(), Ok(None));
    focal.set_positive_weight(3.5).unwrap();
    ok(unsafe { sys::fghm_focal_get_positive_weight(focal.as_ptr(), &mut number, &mut set) });
    assert_eq!((number, set, focal.positive_weight()), (3.5, 1, Ok(Some(3.5))));
    focal.clear_positive_weight().unwrap();
    assert_eq!(focal.positive_weight(), Ok(None));
    assert_eq!(focal.negative_gamma(), Ok(None));
    focal.set_negative_gamma(3.5).unwrap();
    ok(unsafe { sys::fghm_focal_get_negative_gamma(focal.as_ptr(), &mut number, &mut set) });
    assert_eq!((number, set, focal.negative_gamma()), (3.5, 1, Ok(Some(3.5))));
    focal.clear_negative_gamma().unwrap();
    assert_eq!(focal.negative_gamma(), Ok(None));
    assert_eq!(focal.alpha(), Ok(Some(0.25)));
    focal.set_alpha(0.75).unwrap();
    ok(unsafe { sys::fghm_focal_get_alpha(focal.as_ptr(), &mut number, &mut set) });
    assert_eq!((number, set, focal.alpha()), (0.75, 1, Ok(Some(0.75))));
    focal.clear_alpha().unwrap();
    assert_eq!(focal.alpha(), Ok(None));

    let mut copy = focal.clone();
    assert_ne!(copy.as_ptr(), focal.as_ptr());
    copy.set_gamma(4.0).unwrap();
    assert_eq!((copy.gamma(), focal.gamma()), (Ok(4.0), Ok(1.25)));
    assert_eq!(copy.normalizer(), Ok(12.5));
}

/// Loss, gradient and Hessian at the logit 0, where p is 1/2 and the cross-entropy of any target is
/// the logarithm of 2.
fn assert_at_zero(focal: &Focal, target: f64, expected: [f64; 3]) {
    let (mut gradient, mut hessian) = ([0.0], [0.0]);
    let arrays =
        Arrays { gradient: Some(&mut gradient), hessian: Some(&mut hessian), ..Arrays::default() };
    let loss = focal.compute(&[0.0], &[target], arrays).unwrap();
    for (number, expected) in [loss, gradient[0], hessian[0]].into_iter().zip(expected) {
        assert!((number - expected).abs() < 1e-12, "{number} is not {expected}");
    }
}

#[test]
fn rules_of_focal() {
    let ln_2 = std::f64::consts::LN_2;
    let mut focal = Focal::new().unwrap();
    focal.clear_alpha().unwrap().set_hessian_mode(HessianMode::GRADIENT).unwrap();
    focal.set_beta(3.0).unwrap();
    for (rule, loss, gradient) in [
        (FocalRule::VARIFOCAL, ln_2 / 4.0, 0.0625),
        (FocalRule::VARIFOCAL_UNWEIGHTED, ln_2, 0.25),
        (FocalRule::MATCHABILITY, ln_2, 0.4375),
        (FocalRule::HEATMAP, 0.421875 * ln_2 / 4.0, 0.421875 * (ln_2 + 0.5) / 4.0),
    ] {
        focal.set_rule(rule).unwrap();
        assert_at_zero(&focal, 0.25, [loss, gradient, gradient]);
    }

    // gamma 2 and a factor that is no constant in derivatives; then one that is.
    focal.set_rule(FocalRule::LINEAR).unwrap().set_positive_weight(3.0).unwrap();
    focal.set_hessian_factor(2.0).unwrap();
    let gradient = -3.0 * (ln_2 + 0.5) / 4.0;
    assert_at_zero(&focal, 1.0, [3.0 * ln_2 / 4.0, gradient, -2.0 * gradient]);
    focal.set_detached(true).unwrap();
    assert_at_zero(&focal, 1.0, [3.0 * ln_2 / 4.0, -0.375, 0.75]);
}

#[test]
fn settings_of_ghm() {
    let mut ghm = Ghm::new(Kind::REGRESSION).unwrap();
    assert_eq!(ghm.kind(), Ok(Kind::REGRESSION));
    assert_eq!(Ghm::new(Kind::CLASSIFICATION).unwrap().kind(), Ok(Kind::CLASSIFICATION));
    set_and_read! { ghm:
        set_bins(12) bins fghm_ghm_get_bins,
        set_histograms(3) histograms fghm_ghm_get_histograms,
        set_mu(0.5) mu fghm_ghm_get_mu,
        set_momentum(0.75) momentum fghm_ghm_get_momentum,
        set_weight_cap(8.0) weight_cap fghm_ghm_get_weight_cap,
        set_loss_weight(2.0) loss_weight fghm_ghm_get_loss_weight,
        set_normalizer(7.0) normalizer fghm_ghm_get_normalizer,
        set_momentum_rule(MomentumRule::REFERENCE) momentum_rule fghm_ghm_get_momentum_rule,
        set_divisor(BinDivisor::ALL_BINS) divisor fghm_ghm_get_divisor,
        set_reduction(Reduction::NORMALIZER) reduction fghm_ghm_get_reduction,
    }
    assert_eq!(ghm.counts_size(), Ok(39));
    assert_eq!(ghm.weights().unwrap().len(), 36);
    let edges = [0.0, 0.25, 0.5, 1.0];
    ghm.set_edges(&edges).unwrap();
    let mut read = [0.0; 4];
    ok(unsafe { sys::fghm_ghm_get_edges(ghm.as_ptr(), 4, read.as_mut_ptr()) });
    assert_eq!((read, ghm.bins()), (edges, Ok(3)));
    assert_eq!(ghm.edges().unwrap(), edges);
}

fn assert_error<T: std::fmt::Debug>(result: Result<T>, status: Status, field: Field) {
    let error = result.unwrap_err();
    assert_eq!((error.status(), error.field()), (Some(status), field));
    assert!(error.to_string().starts_with(field.name()));
    assert!(error.to_string().ends_with(status.sentence()));
}

#[test]
fn errors_of_setters() {
    let mut focal = Focal::new().unwrap();
    let mut ghm = Ghm::new(Kind::REGRESSION).unwrap();
    let nan = f64::NAN;
    assert_error(focal.set_gamma(nan), Status::RANGE, Field::GAMMA);
    assert_error(focal.set_negative_gamma(nan), Status::RANGE, Field::NEGATIVE_GAMMA);
    assert_error(focal.set_alpha(nan), Status::RANGE, Field::ALPHA);
    assert_error(focal.set_normalizer(nan), Status::RANGE, Field::NORMALIZER);
    assert_error(focal.set_loss_weight(nan), Status::RANGE, Field::LOSS_WEIGHT);
    assert_error(focal.set_hessian_floor(nan), Status::RANGE, Field::HESSIAN_FLOOR);
    assert_error(focal.set_hessian_factor(nan), Status::RANGE, Field::HESSIAN_FACTOR);
    assert_error(focal.set_beta(nan), Status::RANGE, Field::BETA);
    assert_error(focal.set_margin(1.0), Status::RANGE, Field::MARGIN);
    assert_error(focal.set_positive_weight(nan), Status::RANGE, Field::POSITIVE_WEIGHT);
    assert_error(ghm.set_mu(nan), Status::RANGE, Field::MU);
    assert_error(ghm.set_momentum(nan), Status::RANGE, Field::MOMENTUM);
    assert_error(ghm.set_weight_cap(nan), Status::RANGE, Field::WEIGHT_CAP);
    assert_error(ghm.set_loss_weight(nan), Status::RANGE, Field::LOSS_WEIGHT);
    assert_error(ghm.set_normalizer(nan), Status::RANGE, Field::NORMALIZER);
    assert_error(ghm.set_bins(0), Status::RANGE, Field::BINS);
    assert_error(ghm.set_histograms(0), Status::RANGE, Field::HISTOGRAMS);
    let unknown = Reduction::from_raw(77);
    assert_error(focal.set_reduction(unknown), Status::CONSTANT, Field::REDUCTION);
    assert_error(focal.set_rule(FocalRule::from_raw(77)), Status::CONSTANT, Field::RULE);
    let unknown = HessianMode::from_raw(77);
    assert_error(focal.set_hessian_mode(unknown), Status::CONSTANT, Field::HESSIAN_MODE);
    let samples = Reduction::MEAN_SAMPLES;
    assert_error(ghm.set_reduction(samples), Status::CONSTANT, Field::REDUCTION);
    let unknown = MomentumRule::from_raw(77);
    assert_error(ghm.set_momentum_rule(unknown), Status::CONSTANT, Field::MOMENTUM_RULE);
    let unknown = BinDivisor::from_raw(77);
    assert_error(ghm.set_divisor(unknown), Status::CONSTANT, Field::BIN_DIVISOR);
    assert_error(Ghm::new(Kind::from_raw(0)), Status::CONSTANT, Field::KIND);
    assert_error(ghm.set_edges(&[0.0, 0.5, 0.25, 1.0]), Status::EDGES, Field::EDGES);
    assert_error(ghm.set_edges(&[]), Status::RANGE, Field::EDGES);

    let mut ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
    assert_error(ghm.set_mu(1.0), Status::KIND, Field::MU);
    assert_error(ghm.mu(), Status::KIND, Field::MU);
    ghm.update(&[1; 11]).unwrap();
    assert_error(ghm.set_bins(7), Status::HISTORY, Field::BINS);
    assert_error(ghm.update(&[0; 3]), Status::CAPACITY, Field::COUNTS);
    assert_error(ghm.update(&[u64::MAX / 2; 11]), Status::COUNTS, Field::COUNTS);
    assert_eq!(ghm.steps(), Ok(1));
    let state = ghm.save().unwrap();
    assert_error(ghm.load(&state[1..]), Status::STATE, Field::NONE);
    assert_error(Ghm::from_state(&state[1..]), Status::STATE, Field::NONE);
    let mut other = Ghm::new(Kind::REGRESSION).unwrap();
    assert_error(other.load(&state), Status::KIND, Field::NONE);
}

#[test]
fn constants_have_names() {
    assert_eq!(format!("{:?}", Status::RANGE), "RANGE");
    assert_eq!(format!("{:?}", Reduction::from_raw(77)), "Reduction(77)");
    for raw in sys::FGHM_ERROR_SCORE..=0 {
        assert_ne!(Status::from_raw(raw).sentence(), "unknown status");
        assert!(!format!("{:?}", Status::from_raw(raw)).starts_with("Status"));
    }
    assert_eq!(Status::from_raw(sys::FGHM_ERROR_SCORE - 1).sentence(), "unknown status");
    assert_eq!((Status::NULL_HANDLE.name(), Place::SAMPLE.name()), ("null_handle", "sample"));
    assert_eq!(Field::NEGATIVE_GAMMA.name(), "negative_gamma");
    assert!(Status::SCORE.is_of_elements() && !Status::LABEL.is_of_elements());
}
