// SPDX-License-Identifier: MIT

//! Finds the library by pkg-config: PKG_CONFIG_PATH says where, if it is not with the system's.

fn main() {
    // A 0.x release may break with each minor number.
    let [major, minor] = ["MAJOR", "MINOR"].map(|part| {
        let number = std::env::var(format!("CARGO_PKG_VERSION_{part}")).expect("set by cargo");
        number.parse::<u32>().expect("a number")
    });
    let found = pkg_config::Config::new()
        .range_version(&*format!("{major}.{minor}")..&*format!("{major}.{}", minor + 1))
        .statik(cfg!(feature = "static"))
        .probe("focalghm");
    if let Err(error) = found {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
