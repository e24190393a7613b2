//! `uk`: the command line of UnityKernel.

use std::process::ExitCode;

fn main() -> ExitCode {
    unity_kernel::cli::main(std::env::args_os())
}
