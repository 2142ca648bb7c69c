//! Which cases the property tests of storage draw: the same in every run, so that a red run is red again. Others are asked
//! for with `PROPTEST_RNG_SEED` and `PROPTEST_CASES`.

use proptest::test_runner::{Config, RngSeed};

/// For `#![proptest_config(…)]`.
pub(in crate::storage) fn same_every_run() -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    match config.rng_seed {
        RngSeed::Random => Config { rng_seed: RngSeed::Fixed(1), ..config },
        RngSeed::Fixed(_) => config,
    }
}
